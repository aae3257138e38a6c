// ProbeSession: two peers who meet at a server and speak to each other by it.

#ifndef KYUU_TOOLS_KYUU_DOCTOR_SESSION_PROBE_H_
#define KYUU_TOOLS_KYUU_DOCTOR_SESSION_PROBE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "tools/kyuu/doctor/facts.h"
#include "tools/kyuu/doctor/site.h"
#include "tools/kyuu/signaling_link.h"

namespace kyuu::tools {

struct SessionQuestion {
  Site site;
  SignalingWays ways = SignalingWays::kWebSocket;
  std::string token;                           // Shown if it is not empty.
  absl::Duration patience = absl::Seconds(6);  // For welcome and echo.
  // Called once there has been a welcome, while the sessions last, as their
  // credentials do. May block for seconds, and be empty.
  absl::AnyInvocable<void(const std::vector<IceServerFacts>&)> while_open;
  // How long both are silent behind that; not at all unless set.
  std::optional<absl::Duration> idle;
};

// Both join a room that nobody else can guess, one calls the other, and sends
// it a description of 8 kB with every kind of character, which it sends back.
// Blocks. Certificates are verified as for every other command.
SessionFacts ProbeSession(SessionQuestion question);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_DOCTOR_SESSION_PROBE_H_
