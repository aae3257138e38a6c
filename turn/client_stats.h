// What a TURN client has done, in numbers.

#ifndef KYUU_TURN_CLIENT_STATS_H_
#define KYUU_TURN_CLIENT_STATS_H_

#include <cstdint>

#include "base/counters.h"

namespace kyuu::turn {

// All count datagrams unless they say else.
struct ClientStats {
  uint64_t requests_sent = 0;  // Retransmissions included.
  uint64_t retransmissions = 0;
  uint64_t datagrams_wrapped = 0;
  uint64_t datagrams_unwrapped = 0;
  uint64_t wrong_path = 0;       // Not from our server to our address.
  uint64_t malformed = 0;        // Neither STUN nor ChannelData.
  uint64_t unexpected = 0;       // Of no open transaction, or no response.
  uint64_t unauthenticated = 0;  // Integrity missing or wrong.
  uint64_t unpermitted = 0;      // Data of a peer that was not permitted.
  uint64_t unbound = 0;          // ChannelData of a channel not bound.
  uint64_t icmp = 0;             // ICMP errors reported by the server.
  uint64_t refusals = 0;         // HandleRefusal() about the server itself.
  uint64_t channels_refused = 0;
  uint64_t channels_expired = 0;  // Refreshed in vain until their end.
  uint64_t datagrams_held = 0;    // Of those wrapped; see Wrap().
  uint64_t held_dropped = 0;      // Of those held; no permission, no room.
  uint64_t moves = 0;             // Move() that the server has let happen.
  uint64_t moves_refused = 0;
  uint64_t tickets_ignored = 0;  // Longer than ticket_bytes_max.
  uint64_t tokens_used = 0;      // Taken from the application.
  uint64_t peers_connected = 0;  // Connections: made for us, and come to us;
  uint64_t peers_joined = 0;     // bound to a stream,
  uint64_t peers_failed = 0;     // or come to nothing.
  uint64_t peers_ignored = 0;    // Come beyond connections_max.

  static constexpr Counter<ClientStats> kCounters[] = {
      KYUU_COUNTER(ClientStats, requests_sent),
      KYUU_COUNTER(ClientStats, retransmissions),
      KYUU_COUNTER(ClientStats, datagrams_wrapped),
      KYUU_COUNTER(ClientStats, datagrams_unwrapped),
      KYUU_COUNTER(ClientStats, wrong_path),
      KYUU_COUNTER(ClientStats, malformed),
      KYUU_COUNTER(ClientStats, unexpected),
      KYUU_COUNTER(ClientStats, unauthenticated),
      KYUU_COUNTER(ClientStats, unpermitted),
      KYUU_COUNTER(ClientStats, unbound),
      KYUU_COUNTER(ClientStats, icmp),
      KYUU_COUNTER(ClientStats, refusals),
      KYUU_COUNTER(ClientStats, channels_refused),
      KYUU_COUNTER(ClientStats, channels_expired),
      KYUU_COUNTER(ClientStats, datagrams_held),
      KYUU_COUNTER(ClientStats, held_dropped),
      KYUU_COUNTER(ClientStats, moves),
      KYUU_COUNTER(ClientStats, moves_refused),
      KYUU_COUNTER(ClientStats, tickets_ignored),
      KYUU_COUNTER(ClientStats, tokens_used),
      KYUU_COUNTER(ClientStats, peers_connected),
      KYUU_COUNTER(ClientStats, peers_joined),
      KYUU_COUNTER(ClientStats, peers_failed),
      KYUU_COUNTER(ClientStats, peers_ignored)};
};
static_assert(Countable<ClientStats>);

}  // namespace kyuu::turn

#endif  // KYUU_TURN_CLIENT_STATS_H_
