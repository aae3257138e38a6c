// What is to be said of a server that was looked at. Pure functions.

#ifndef KYUU_TOOLS_KYUU_DOCTOR_VERDICTS_H_
#define KYUU_TOOLS_KYUU_DOCTOR_VERDICTS_H_

#include <vector>

#include "tools/findings/finding.h"
#include "tools/kyuu/doctor/facts.h"

namespace kyuu::tools {

// Name, addresses, and TCP to each of them.
std::vector<Finding> JudgeReach(const ServerFacts& facts);
// Certificate and versions; `now` is the wall clock.
std::vector<Finding> JudgeTls(const ServerFacts& facts, absl::Time now);
// The answers to HTTP, the upgrade to WebSocket among them.
std::vector<Finding> JudgeHttp(const ServerFacts& facts);
// The server's clock by its Date.
Finding JudgeClock(const ServerFacts& facts);
// Whom the server takes this machine for.
Finding JudgeAddress(const ServerFacts& facts);
// Signaling for clients that no WebSocket gets through from.
Finding JudgeEvents(const ServerFacts& facts);
// What went through the WebSocket.
std::vector<Finding> JudgeSession(const ServerFacts& facts);
// STUN and TURN: each server that was handed out, then all of them together.
std::vector<Finding> JudgeIce(const ServerFacts& facts);

// All of these, in this order.
std::vector<Finding> Judge(const ServerFacts& facts, absl::Time now);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_DOCTOR_VERDICTS_H_
