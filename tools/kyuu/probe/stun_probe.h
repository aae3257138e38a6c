// One question to a STUN server, over any protocol.

#ifndef KYUU_TOOLS_KYUU_PROBE_STUN_PROBE_H_
#define KYUU_TOOLS_KYUU_PROBE_STUN_PROBE_H_

#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "peer/server_url.h"

namespace kyuu::tools {

using peer::ServerUrl;

struct StunAnswer {
  TransportAddress mapped;  // Where the server sees this machine.
  std::optional<absl::Duration> round_trip;
};

// AskStun asks `server`, an address of url.host, over url.protocol, and blocks
// until it answers, at most for `patience` (DEADLINE_EXCEEDED then). Other
// errors say what became of the connection or the request.
absl::StatusOr<StunAnswer> AskStun(const ServerUrl& url,
                                   const TransportAddress& server,
                                   absl::Duration patience);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PROBE_STUN_PROBE_H_
