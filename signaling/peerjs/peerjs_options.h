// How a server of PeerJS is set up, and what it counts.

#ifndef KYUU_SIGNALING_PEERJS_PEERJS_OPTIONS_H_
#define KYUU_SIGNALING_PEERJS_PEERJS_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "base/counters.h"
#include "signaling/rate.h"
#include "signaling/server_nodes.h"

namespace kyuu::signaling {

// A source is an IPv4 address or an IPv6 /64 (base/shares.h): what one may have
// leaves room for others.
struct PeerJsOptions {
  std::string key = "peerjs";  // Clients without it are turned away.
  size_t max_peers = 10000;
  size_t max_peers_per_source = 500;
  // Ids that the server makes have 36; a hash in hexadecimal has 128.
  size_t max_id_bytes = 128;
  size_t max_token_bytes = 256;
  // An offer with its candidates is some 10 KiB; metadata is the application's.
  size_t max_message_bytes = 64 * 1024;
  // Of one peer, in the long run and at once: an offer and 20 candidates for
  // each of 20 others, who are called as the page opens.
  Rate message_rate = {.per_second = 50, .burst = 500};
  // So many messages dropped by the rate limit close the connection.
  size_t max_dropped_messages = 1000;

  // How long the first message to a peer that is not there waits for it; then
  // all that wait with it are given up, and their senders are told.
  absl::Duration expire_timeout = absl::Seconds(5);
  // Of those: all together, of one source's, and of one peer's.
  size_t max_kept_bytes = 16 * 1024 * 1024;
  size_t max_kept_bytes_per_source = 1024 * 1024;
  size_t max_kept_bytes_per_peer = 256 * 1024;

  // Of several nodes: how ids are claimed, and how many other nodes may have.
  FederationOptions federation;
  // Who wants an id that another node has waits for it as long as that node
  // may be dead without anybody knowing (8 s, backplane/links.h), and asks so
  // often whether it is.
  absl::Duration dispute_timeout = absl::Seconds(12);
  absl::Duration dispute_interval = absl::Seconds(1);
  // Messages of one that does not have its id yet: an offer.
  size_t max_waiting_bytes = 64 * 1024;

  // Bytes waiting for PollTransmit for all connections together. Beyond it
  // whose message comes is cut off, so that it knows (1013).
  size_t max_queued_bytes = 64 * 1024 * 1024;
};

struct PeerJsStats {
  uint64_t opened = 0;
  uint64_t taken_over = 0;  // Of those: by a peer that was still connected.
  uint64_t refused_identity = 0;  // No, or an unusable, id, token or key.
  uint64_t refused_taken = 0;     // Somebody else has the id.
  uint64_t refused_full = 0;      // By the bounds on peers.
  uint64_t messages_received = 0;
  uint64_t messages_refused = 0;  // Malformed; their senders were told so.
  uint64_t messages_unknown = 0;  // Of no known type, or to nobody; ignored.
  uint64_t rate_limited = 0;      // Messages dropped, and their senders told.
  uint64_t passed_on = 0;         // At once.
  uint64_t kept = 0;              // For peers that are not there,
  uint64_t kept_passed_on = 0;    // who have come,
  uint64_t expired = 0;           // or have not, or for whom too much is kept.
  uint64_t overloaded = 0;        // Connections cut for max_queued_bytes.
  uint64_t unknown_connection = 0;  // Messages of connections not known.
  // Of several nodes.
  uint64_t given = 0;             // Peers, to other nodes.
  uint64_t unclaimed = 0;         // Ids, while the backplane was away.
  uint64_t ids_lost = 0;          // Peers that ended, as others had their ids.
  uint64_t passed_elsewhere = 0;  // Messages, to other nodes,
  uint64_t returned = 0;          // and back to those: the peer was gone.
  uint64_t remote_refused = 0;    // Ids of other nodes beyond their bound.
  uint64_t stale = 0;             // Of nodes, about what is over,
  uint64_t malformed = 0;         // or none of ours.

  static constexpr Counter<PeerJsStats> kCounters[] = {
      KYUU_COUNTER(PeerJsStats, opened),
      KYUU_COUNTER(PeerJsStats, taken_over),
      KYUU_COUNTER(PeerJsStats, refused_identity),
      KYUU_COUNTER(PeerJsStats, refused_taken),
      KYUU_COUNTER(PeerJsStats, refused_full),
      KYUU_COUNTER(PeerJsStats, messages_received),
      KYUU_COUNTER(PeerJsStats, messages_refused),
      KYUU_COUNTER(PeerJsStats, messages_unknown),
      KYUU_COUNTER(PeerJsStats, rate_limited),
      KYUU_COUNTER(PeerJsStats, passed_on),
      KYUU_COUNTER(PeerJsStats, kept),
      KYUU_COUNTER(PeerJsStats, kept_passed_on),
      KYUU_COUNTER(PeerJsStats, expired),
      KYUU_COUNTER(PeerJsStats, overloaded),
      KYUU_COUNTER(PeerJsStats, unknown_connection),
      KYUU_COUNTER(PeerJsStats, given),
      KYUU_COUNTER(PeerJsStats, unclaimed),
      KYUU_COUNTER(PeerJsStats, ids_lost),
      KYUU_COUNTER(PeerJsStats, passed_elsewhere),
      KYUU_COUNTER(PeerJsStats, returned),
      KYUU_COUNTER(PeerJsStats, remote_refused),
      KYUU_COUNTER(PeerJsStats, stale),
      KYUU_COUNTER(PeerJsStats, malformed),
  };
};
static_assert(Countable<PeerJsStats>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_PEERJS_PEERJS_OPTIONS_H_
