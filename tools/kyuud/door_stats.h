// What kyuud's TCP port has done, in numbers.

#ifndef KYUU_TOOLS_KYUUD_DOOR_STATS_H_
#define KYUU_TOOLS_KYUUD_DOOR_STATS_H_

#include <cstddef>
#include <cstdint>

#include "base/counters.h"

namespace kyuu::tools {

struct DoorStats {
  uint64_t requests = 0;    // HTTP requests answered, refusals included.
  uint64_t websockets = 0;  // Handshakes accepted.
  // Of clients without WebSockets.
  uint64_t event_streams = 0;
  uint64_t posts = 0;        // Taken, repeated ones included.
  uint64_t refused = 0;      // For their host, origin, path or address.
  uint64_t malformed = 0;    // Connections that did not speak HTTP.
  uint64_t stalled = 0;      // Connections cut that read nothing any more.
  uint64_t memory_cuts = 0;  // Connections cut that made us hold the most.

  static constexpr Counter<DoorStats> kCounters[] = {
      KYUU_COUNTER(DoorStats, requests),
      KYUU_COUNTER(DoorStats, websockets),
      KYUU_COUNTER(DoorStats, event_streams),
      KYUU_COUNTER(DoorStats, posts),
      KYUU_COUNTER(DoorStats, refused),
      KYUU_COUNTER(DoorStats, malformed),
      KYUU_COUNTER(DoorStats, stalled),
      KYUU_COUNTER(DoorStats, memory_cuts)};
};
static_assert(Countable<DoorStats>);

// What is there at this moment.
struct DoorGauges {
  size_t connections = 0;
  size_t held_bytes = 0;  // By all connections together.
  size_t sessions = 0;    // With a WebSocket or a stream.
  size_t waiting_sessions = 0;
  size_t peers = 0;         // Clients of this server.
  size_t remote_peers = 0;  // Of others, over the backplane.
  size_t backplane_up = 0;
  size_t backplane_nodes = 0;
  size_t rooms = 0;
  size_t calls = 0;
  size_t peerjs_peers = 0;
  size_t ywebrtc_connections = 0;
  size_t ywebrtc_topics = 0;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_DOOR_STATS_H_
