// What a TURN server has done, in numbers.

#ifndef KYUU_TURN_SERVER_STATS_H_
#define KYUU_TURN_SERVER_STATS_H_

#include <cstdint>

#include "base/counters.h"

namespace kyuu::turn {

// All count datagrams unless they say else.
struct ServerStats {
  uint64_t requests = 0;
  uint64_t successes = 0;
  uint64_t errors = 0;
  uint64_t classic_requests = 0;  // Of `requests`: Binding as in RFC 3489.
  uint64_t to_peers = 0;
  uint64_t to_clients = 0;
  uint64_t bytes_to_peers = 0;    // Payload.
  uint64_t bytes_to_clients = 0;  // Payload.
  uint64_t moves = 0;             // Clients that have come to another address.
  uint64_t tickets_shown = 0;     // By which they may.
  uint64_t icmp_reports = 0;      // Clients were told what ICMP said.
  // Connections with peers (RFC 6062) that were made, and joined with clients.
  uint64_t peers_connected = 0;
  uint64_t peers_joined = 0;
  uint64_t handed_on =
      0;  // To the server that has a moved client's allocation.
  // Dropped, by reason.
  uint64_t malformed = 0;        // Neither STUN nor ChannelData.
  uint64_t unexpected = 0;       // Responses, unknown methods.
  uint64_t bad_source = 0;       // UDP port 0.
  uint64_t refused_clients = 0;  // Requests of allow_clients, deny_clients.
  // Errors to whom has proven nothing, beyond the budget of their source.
  uint64_t rate_limited = 0;
  // Requests of a source whose credentials were wrong too often.
  uint64_t auth_limited = 0;
  uint64_t answers_dropped = 0;  // More than answers_max.
  uint64_t no_allocation = 0;    // Data without one.
  uint64_t no_channel = 0;       // ChannelData of a channel not bound.
  uint64_t no_permission = 0;    // From or to a peer without one.
  uint64_t forbidden = 0;        // To a peer that is refused by policy.
  uint64_t icmp_dropped = 0;     // Of no use to a client, or too many.
  uint64_t relays_failed = 0;    // Ports the driver could not bind.
  uint64_t auth_asked = 0;       // Names that the driver was asked about.
  uint64_t auth_held = 0;        // Requests that waited for that.
  uint64_t auth_overload = 0;    // Requests that could not wait.
  uint64_t sent_away = 0;        // Asked for allocations while draining.
  // Beyond the limits of ServerOptions::bandwidth, by the one that was met.
  uint64_t over_allocation_bandwidth = 0;
  uint64_t over_user_bandwidth = 0;
  uint64_t over_realm_bandwidth = 0;
  uint64_t over_total_bandwidth = 0;
  // Connections of peers: beyond a bound; without a permission; that could not
  // be made in time; that no client has bound in time.
  uint64_t peers_refused = 0;
  uint64_t peers_unpermitted = 0;
  uint64_t peers_failed = 0;
  uint64_t peers_unbound = 0;
  uint64_t visitors_refused = 0;  // Moved clients beyond visitors_max.

  static constexpr Counter<ServerStats> kCounters[] = {
      KYUU_COUNTER(ServerStats, requests),
      KYUU_COUNTER(ServerStats, successes),
      KYUU_COUNTER(ServerStats, errors),
      KYUU_COUNTER(ServerStats, classic_requests),
      KYUU_COUNTER(ServerStats, to_peers),
      KYUU_COUNTER(ServerStats, to_clients),
      KYUU_COUNTER(ServerStats, bytes_to_peers),
      KYUU_COUNTER(ServerStats, bytes_to_clients),
      KYUU_COUNTER(ServerStats, moves),
      KYUU_COUNTER(ServerStats, tickets_shown),
      KYUU_COUNTER(ServerStats, icmp_reports),
      KYUU_COUNTER(ServerStats, peers_connected),
      KYUU_COUNTER(ServerStats, peers_joined),
      KYUU_COUNTER(ServerStats, handed_on),
      KYUU_COUNTER(ServerStats, malformed),
      KYUU_COUNTER(ServerStats, unexpected),
      KYUU_COUNTER(ServerStats, bad_source),
      KYUU_COUNTER(ServerStats, refused_clients),
      KYUU_COUNTER(ServerStats, rate_limited),
      KYUU_COUNTER(ServerStats, auth_limited),
      KYUU_COUNTER(ServerStats, answers_dropped),
      KYUU_COUNTER(ServerStats, no_allocation),
      KYUU_COUNTER(ServerStats, no_channel),
      KYUU_COUNTER(ServerStats, no_permission),
      KYUU_COUNTER(ServerStats, forbidden),
      KYUU_COUNTER(ServerStats, icmp_dropped),
      KYUU_COUNTER(ServerStats, relays_failed),
      KYUU_COUNTER(ServerStats, auth_asked),
      KYUU_COUNTER(ServerStats, auth_held),
      KYUU_COUNTER(ServerStats, auth_overload),
      KYUU_COUNTER(ServerStats, sent_away),
      KYUU_COUNTER(ServerStats, over_allocation_bandwidth),
      KYUU_COUNTER(ServerStats, over_user_bandwidth),
      KYUU_COUNTER(ServerStats, over_realm_bandwidth),
      KYUU_COUNTER(ServerStats, over_total_bandwidth),
      KYUU_COUNTER(ServerStats, peers_refused),
      KYUU_COUNTER(ServerStats, peers_unpermitted),
      KYUU_COUNTER(ServerStats, peers_failed),
      KYUU_COUNTER(ServerStats, peers_unbound),
      KYUU_COUNTER(ServerStats, visitors_refused)};
};
static_assert(Countable<ServerStats>);

}  // namespace kyuu::turn

#endif  // KYUU_TURN_SERVER_STATS_H_
