// STUN and TURN servers as people and browsers write them.

#ifndef KYUU_PEER_SERVER_URL_H_
#define KYUU_PEER_SERVER_URL_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ice/candidate.h"

namespace kyuu::peer {

enum class ServerKind : uint8_t { kStun, kTurn };

// ServerUrl is a "stun:", "stuns:", "turn:" or "turns:" URI (RFC 7064, RFC
// 7065), or the shorter forms of the command line.
struct ServerUrl {
  ServerKind kind = ServerKind::kStun;
  std::string host;      // A name or an address, an IPv6 one without brackets.
  uint16_t port = 3478;  // By default 5349 with TLS and DTLS.
  ice::RelayProtocol protocol = ice::RelayProtocol::kUdp;
  std::string username;  // Only of "USER:PASSWORD@".
  std::string password;

  // Parse reads "turn:HOST[:PORT][?transport=udp|tcp]", "turns:HOST[:PORT]
  // [?transport=udp|tcp]" for DTLS and, by default, TLS, and the same with
  // "stun:" and "stuns:" (where the transport is ours, not RFC 7064's); all
  // with an optional "USER:PASSWORD@" before HOST. Without a scheme it takes
  // `kind`. An IPv6 address needs brackets. INVALID_ARGUMENT with what is
  // wrong.
  static absl::StatusOr<ServerUrl> Parse(absl::string_view text,
                                         ServerKind kind);
};

}  // namespace kyuu::peer

#endif  // KYUU_PEER_SERVER_URL_H_
