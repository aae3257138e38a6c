// `kyuu stun` and `kyuu turn`: what a STUN or TURN server answers.

#ifndef KYUU_TOOLS_KYUU_PROBE_SERVER_COMMANDS_H_
#define KYUU_TOOLS_KYUU_PROBE_SERVER_COMMANDS_H_

#include <string>

#include "tools/kyuu/turn_probe/turn_probe.h"

namespace kyuu::tools {

// RunStun asks the server for our address, prints it with the round-trip time,
// and returns the exit status: 0, or 1 with a line on stderr.
int RunStun(const std::string& url);

// What `kyuu turn` is asked to do; each as in TurnQuestion.
struct TurnCommand {
  std::string url;
  TurnQuestion::Ways ways = TurnQuestion::Ways::kPermissions;
  TurnQuestion::Moves moves = TurnQuestion::Moves::kStay;
  TurnQuestion::Ports ports = TurnQuestion::Ports::kAny;
  turn::ClientOptions::Families families = turn::ClientOptions::Families::kOne;
  turn::ClientOptions::Fragments fragments =
      turn::ClientOptions::Fragments::kAllow;
  int hold_seconds = 0;
  std::string token_file;
};

// RunTurn makes two allocations at the server, sends a datagram from the one
// to the other through the relay and back, prints what it found and returns
// the exit status: 0 only if both datagrams arrived intact, each time, and by
// both families if those were asked for.
int RunTurn(const TurnCommand& command);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PROBE_SERVER_COMMANDS_H_
