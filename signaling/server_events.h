// What a signaling server tells its driver (server.h).

#ifndef KYUU_SIGNALING_SERVER_EVENTS_H_
#define KYUU_SIGNALING_SERVER_EVENTS_H_

#include <cstdint>
#include <string>
#include <variant>

#include "signaling/envelope.h"

namespace kyuu::signaling {

// How a connection ended: kGoodbye if the client has said so (it closed the
// WebSocket, with 1000, 1001 or no code), kLost in all other cases.
enum class Departure : uint8_t { kLost, kGoodbye };

// A client has said hello. `session` is unique and unguessable, fit as a TURN
// username. Answer with SetIceServers(): `welcome` waits for it.
struct SessionOpened {
  ConnectionId connection{};
  std::string session;
};
// A client has come back to its session, or asks for credentials, or those that
// it has are soon stale. Answer with SetIceServers(): servers whose credentials
// are good from now on. Those that it has go on working for running calls.
struct CredentialsWanted {
  ConnectionId connection{};
  std::string session;
};
// What the client was let in by has ended, and the session's credentials with
// it: they make no new allocations. The session goes on; CredentialsWanted says
// that its client may again.
struct SessionExpired {
  std::string session;
};
// The session is over: its credentials make no new allocations. Comes once for
// each session that was opened or, of several nodes, taken over; for one that
// another node has taken over it comes once that one says that it is over.
struct SessionClosed {
  std::string session;
};

using ServerEvent =
    std::variant<SessionOpened, CredentialsWanted, SessionExpired,
                 SessionClosed, CloseConnection>;

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_SERVER_EVENTS_H_
