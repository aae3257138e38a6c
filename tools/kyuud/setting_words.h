// How the values of settings that are enums are called.

#ifndef KYUU_TOOLS_KYUUD_SETTING_WORDS_H_
#define KYUU_TOOLS_KYUUD_SETTING_WORDS_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tools/kyuud/config.h"

namespace kyuu::tools {

// Words(T()) are the names of an enum's values, in their order.
inline absl::Span<const absl::string_view> Words(Mode) {
  static constexpr absl::string_view kWords[] = {"all", "turn", "stun", "http"};
  return kWords;
}
inline absl::Span<const absl::string_view> Words(LogLevel) {
  static constexpr absl::string_view kWords[] = {"debug", "info", "warning",
                                                 "error", "off"};
  return kWords;
}
inline absl::Span<const absl::string_view> Words(LogFormat) {
  static constexpr absl::string_view kWords[] = {"text", "json"};
  return kWords;
}
inline absl::Span<const absl::string_view> Words(Config::Compression) {
  static constexpr absl::string_view kWords[] = {"off", "on"};
  return kWords;
}
inline absl::Span<const absl::string_view> Words(DialectSettings::Service) {
  static constexpr absl::string_view kWords[] = {"off", "on"};
  return kWords;
}
inline absl::Span<const absl::string_view> Words(KernelSettings::Path) {
  static constexpr absl::string_view kWords[] = {"off", "auto", "required"};
  return kWords;
}
inline absl::Span<const absl::string_view> Words(KernelSettings::Stun) {
  static constexpr absl::string_view kWords[] = {"off", "on"};
  return kWords;
}
inline absl::Span<const absl::string_view> Words(
    signaling::AdmissionOptions::Anonymous) {
  static constexpr absl::string_view kWords[] = {"forbid", "allow"};
  return kWords;
}
inline absl::Span<const absl::string_view> Words(DialectSettings::Discovery) {
  static constexpr absl::string_view kWords[] = {"forbid", "allow"};
  return kWords;
}
inline absl::Span<const absl::string_view> Words(
    turn::ServerOptions::RestHash) {
  static constexpr absl::string_view kWords[] = {"sha1", "sha256", "either"};
  return kWords;
}

inline absl::Span<const absl::string_view> Words(turn::Authorizing::By) {
  static constexpr absl::string_view kWords[] = {"off", "on"};
  return kWords;
}
inline absl::Span<const absl::string_view> Words(turn::ServerOptions::Sha256) {
  static constexpr absl::string_view kWords[] = {"nowhere", "streams",
                                                 "everywhere"};
  return kWords;
}
inline absl::Span<const absl::string_view> Words(
    turn::ServerOptions::Mobility) {
  static constexpr absl::string_view kWords[] = {"forbid", "allow"};
  return kWords;
}
inline absl::Span<const absl::string_view> Words(
    turn::ServerOptions::TcpRelay) {
  static constexpr absl::string_view kWords[] = {"refuse", "offer"};
  return kWords;
}
inline absl::Span<const absl::string_view> Words(
    turn::ServerOptions::IcmpReports) {
  static constexpr absl::string_view kWords[] = {"nobody", "dont-fragment",
                                                 "everybody"};
  return kWords;
}

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_SETTING_WORDS_H_
