// STUN and TURN servers as people and browsers write them.

#ifndef KYUU_TOOLS_KYUU_SERVER_URL_H_
#define KYUU_TOOLS_KYUU_SERVER_URL_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kyuu::tools {

enum class ServerKind : uint8_t { kStun, kTurn };

// ServerUrl is a "stun:" or "turn:" URI (RFC 7064, RFC 7065), or the shorter
// forms of the command line.
struct ServerUrl {
  ServerKind kind = ServerKind::kStun;
  std::string host;  // A name or an address, an IPv6 one without brackets.
  uint16_t port = 3478;
  std::string username;  // Only of "USER:PASSWORD@".
  std::string password;

  // Parse reads "stun:HOST[:PORT]", "turn:HOST[:PORT][?transport=udp]", both
  // with an optional "USER:PASSWORD@" before HOST, and without a scheme takes
  // `kind`. An IPv6 address needs brackets. INVALID_ARGUMENT with what is
  // wrong; UNIMPLEMENTED for TCP and TLS ("turns:", "?transport=tcp").
  static absl::StatusOr<ServerUrl> Parse(absl::string_view text,
                                         ServerKind kind);
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_SERVER_URL_H_
