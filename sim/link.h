// One direction of a simulated link: decides when, and how often, a packet
// arrives.

#ifndef KYUU_SIM_LINK_H_
#define KYUU_SIM_LINK_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "base/random.h"

namespace kyuu::sim {

// LinkOptions describes one direction. All probabilities are in [0, 1]. It may
// be changed while packets are under way; those keep their fate.
struct LinkOptions {
  absl::Duration delay = absl::Milliseconds(5);
  // A uniform extra of [0, jitter). Jitter alone keeps the order of packets;
  // only `reorder` breaks it.
  absl::Duration jitter;
  double loss = 0;
  double duplicate = 0;
  // The share of packets that are held back by `reorder_delay`, so that later
  // ones overtake them.
  double reorder = 0;
  absl::Duration reorder_delay = absl::Milliseconds(10);
  // Bits per second; 0 for no limit. A packet waits until those before it are
  // sent, and is dropped when more than `queue_bytes` wait.
  int64_t rate_bits_per_s = 0;
  size_t queue_bytes = 256 * 1024;
  // The biggest packet that passes, in bytes on the wire (headers included, as
  // the user of Link counts them).
  size_t mtu = 1500;
};

// LinkStats counts packets by their fate.
struct LinkStats {
  uint64_t sent = 0;        // Handed to the link.
  uint64_t lost = 0;        // By `loss`.
  uint64_t too_big = 0;     // Bigger than `mtu`.
  uint64_t queue_full = 0;  // By `rate_bits_per_s` and `queue_bytes`.
  uint64_t duplicated = 0;
  uint64_t reordered = 0;
};

class Link {
 public:
  // The arrivals of one packet: none when it is dropped, two when duplicated.
  using Arrivals = absl::InlinedVector<absl::Time, 2>;

  explicit Link(const LinkOptions& options) : options_(options) {}

  // Send decides the fate of a packet of `size` bytes on the wire that enters
  // the link at `now`. Draws from `random` only what the options call for.
  Arrivals Send(absl::Time now, size_t size, Random& random);

  LinkOptions& options() { return options_; }
  const LinkOptions& options() const { return options_; }
  const LinkStats& stats() const { return stats_; }

 private:
  LinkOptions options_;
  LinkStats stats_;
  absl::Time busy_until_ = absl::InfinitePast();
  absl::Time last_arrival_ = absl::InfinitePast();
};

}  // namespace kyuu::sim

#endif  // KYUU_SIM_LINK_H_
