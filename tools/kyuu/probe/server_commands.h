// `kyuu stun` and `kyuu turn`: what a STUN or TURN server answers.

#ifndef KYUU_TOOLS_KYUU_PROBE_SERVER_COMMANDS_H_
#define KYUU_TOOLS_KYUU_PROBE_SERVER_COMMANDS_H_

#include <string>

namespace kyuu::tools {

// RunStun asks the server for our address, prints it with the round-trip time,
// and returns the exit status: 0, or 1 with a line on stderr.
int RunStun(const std::string& url);

// RunTurn makes two allocations at the server, sends a datagram from the one
// to the other through the relay and back, prints what it found and returns
// the exit status: 0 only if both datagrams arrived intact.
int RunTurn(const std::string& url);
// The same, and again once the one allocation has gone on from another port or
// stream of ours (RFC 8016).
int RunTurnAndMove(const std::string& url);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PROBE_SERVER_COMMANDS_H_
