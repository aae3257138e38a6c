// AskTurnTcp: whether a TURN server relays TCP (RFC 6062).

#ifndef KYUU_TOOLS_KYUU_TURN_PROBE_TCP_PROBE_H_
#define KYUU_TOOLS_KYUU_TURN_PROBE_TCP_PROBE_H_

#include "absl/status/statusor.h"
#include "base/address.h"
#include "peer/server_url.h"
#include "tools/kyuu/turn_probe/turn_probe.h"

namespace kyuu::tools {

// AskTurnTcp makes two allocations of TCP at `server`, an address of url.host
// that is reached by TCP or TLS. The one connects to the other, which lets it
// in: so the server is seen to connect and to accept. Bytes go there and come
// back. It is the part of AskTurn() for TurnQuestion::Ways::kTcp, and knows no
// move, no hold, no other family than IPv4 and nothing forbidden.
absl::StatusOr<TurnAnswer> AskTurnTcp(const peer::ServerUrl& url,
                                      const TransportAddress& server,
                                      TurnQuestion question);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TURN_PROBE_TCP_PROBE_H_
