// What a relay has done, in numbers.

#ifndef KYUU_RELAY_STATS_H_
#define KYUU_RELAY_STATS_H_

#include <cstdint>
#include <string>

#include "base/counters.h"
#include "base/histogram.h"
#include "net/loop.h"
#include "net/udp_socket.h"
#include "relay/dtls_clients.h"
#include "relay/flow_driver.h"
#include "turn/server_stats.h"

namespace kyuu::relay {

// What a node does beside its server and its sockets. Datagrams unless they say
// else.
struct NodeStats {
  uint64_t handed_over = 0;     // To relays of other loops.
  uint64_t taken_over = 0;      // From other loops.
  uint64_t handover_drops = 0;  // Beyond handover_bytes_max.
  uint64_t crowd_drops = 0;     // Beyond the share of their client, see Crowd.
  uint64_t trains_dropped = 0;  // Trains that a socket did not take at once.
  uint64_t no_socket = 0;       // Decided for a socket that is gone.
  uint64_t open_failures = 0;   // Relay sockets that could not be opened.
  uint64_t streams = 0;         // Clients on TCP and TLS that came.
  uint64_t streams_moved = 0;   // To the loop that has what they mean.
  uint64_t streams_cut = 0;     // Of those, given up; see StreamClient.
  uint64_t stream_drops = 0;    // To clients that did not read in time.

  static constexpr Counter<NodeStats> kCounters[] = {
      KYUU_COUNTER(NodeStats, handed_over),
      KYUU_COUNTER(NodeStats, taken_over),
      KYUU_COUNTER(NodeStats, handover_drops),
      KYUU_COUNTER(NodeStats, crowd_drops),
      KYUU_COUNTER(NodeStats, trains_dropped),
      KYUU_COUNTER(NodeStats, no_socket),
      KYUU_COUNTER(NodeStats, open_failures),
      KYUU_COUNTER(NodeStats, streams),
      KYUU_COUNTER(NodeStats, streams_moved),
      KYUU_COUNTER(NodeStats, streams_cut),
      KYUU_COUNTER(NodeStats, stream_drops)};
};
static_assert(Countable<NodeStats>);

struct Stats {
  turn::ServerStats server;
  NodeStats node;
  FlowStats flows;
  DtlsClientsStats dtls;
  net::UdpStats listeners;
  net::UdpStats relays;                      // Those that are closed included.
  Histogram turns{net::Loop::kTurnSeconds};  // Of the loops.

  void Add(const Stats& more) {
    AddCounters(server, more.server);
    AddCounters(node, more.node);
    AddCounters(flows, more.flows);
    AddCounters(dtls, more.dtls);
    AddCounters(listeners, more.listeners);
    AddCounters(relays, more.relays);
    turns.Add(more.turns);
  }
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_STATS_H_
