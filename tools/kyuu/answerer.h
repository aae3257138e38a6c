// What every `kyuu` that is in a call answers unasked.

#ifndef KYUU_TOOLS_KYUU_ANSWERER_H_
#define KYUU_TOOLS_KYUU_ANSWERER_H_

#include <cstddef>
#include <optional>

#include "tools/kyuu/call.h"

namespace kyuu::tools {

// The channel of `kyuu ping` (docs/application_protocol.md, "Round trips").
inline constexpr char kPingLabel[] = "ping";
inline constexpr char kPingProtocol[] = "kyuu.ping.v1";
// The largest message that is sent back.
inline constexpr size_t kPingBytesMax = 1024;

// Answerer is for one call: it sends back what comes on the first channel for
// pings, and says of a pipe that there is none. What does not fit into the send
// buffer is lost, as pings are.
class Answerer {
 public:
  void HandleAside(Call& call, const Aside& aside);

 private:
  std::optional<peer::ChannelId> channel_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_ANSWERER_H_
