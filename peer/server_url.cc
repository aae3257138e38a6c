#include "peer/server_url.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace kyuu::peer {

absl::StatusOr<ServerUrl> ServerUrl::Parse(absl::string_view text,
                                           ServerKind kind) {
  const auto wrong = [text](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not a server: ", why));
  };
  ServerUrl url;
  url.kind = kind;
  absl::string_view rest = text;
  const auto scheme = [&](absl::string_view name, ServerKind its_kind,
                          ice::RelayProtocol its_protocol) {
    if (!absl::ConsumePrefix(&rest, name)) return;
    url.kind = its_kind;
    url.protocol = its_protocol;
  };
  scheme("stuns:", ServerKind::kStun, ice::RelayProtocol::kTls);
  scheme("turns:", ServerKind::kTurn, ice::RelayProtocol::kTls);
  scheme("stun:", ServerKind::kStun, ice::RelayProtocol::kUdp);
  scheme("turn:", ServerKind::kTurn, ice::RelayProtocol::kUdp);
  const bool tls = url.protocol == ice::RelayProtocol::kTls;
  if (tls) url.port = 5349;
  absl::ConsumePrefix(&rest, "//");
  if (const size_t query = rest.find('?'); query != absl::string_view::npos) {
    const bool udp = rest.substr(query) == "?transport=udp";
    if (!udp && rest.substr(query) != "?transport=tcp") {
      return wrong("unknown query");
    }
    if (tls && udp) url.protocol = ice::RelayProtocol::kDtls;
    if (!udp && !tls) url.protocol = ice::RelayProtocol::kTcp;
    rest = rest.substr(0, query);
  }
  // A password may contain '@' and ':'; a host cannot.
  if (const size_t at = rest.rfind('@'); at != absl::string_view::npos) {
    const absl::string_view credential = rest.substr(0, at);
    const size_t colon = credential.find(':');
    if (colon == absl::string_view::npos) return wrong("USER without PASSWORD");
    url.username = std::string(credential.substr(0, colon));
    url.password = std::string(credential.substr(colon + 1));
    rest = rest.substr(at + 1);
  }
  absl::string_view port;
  if (absl::StartsWith(rest, "[")) {
    const size_t end = rest.find(']');
    if (end == absl::string_view::npos) return wrong("missing ]");
    url.host = std::string(rest.substr(1, end - 1));
    rest = rest.substr(end + 1);
    if (!rest.empty() && !absl::ConsumePrefix(&rest, ":")) {
      return wrong("text after ]");
    }
    port = rest;
  } else {
    const size_t colon = rest.find(':');
    url.host = std::string(rest.substr(0, colon));
    if (colon != absl::string_view::npos) port = rest.substr(colon + 1);
  }
  if (url.host.empty()) return wrong("no host");
  uint32_t number = url.port;
  if (!port.empty() &&
      (!absl::SimpleAtoi(port, &number) || number == 0 || number > 65535)) {
    return wrong("the port is not a number from 1 to 65535");
  }
  url.port = static_cast<uint16_t>(number);
  return url;
}

}  // namespace kyuu::peer
