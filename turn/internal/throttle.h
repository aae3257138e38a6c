// How one server keeps to the limits of bandwidth.

#ifndef KYUU_TURN_INTERNAL_THROTTLE_H_
#define KYUU_TURN_INTERNAL_THROTTLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/time/time.h"
#include "turn/bandwidth.h"
#include "turn/forward.h"
#include "turn/internal/allocation.h"
#include "turn/internal/realms.h"
#include "turn/ledger.h"
#include "turn/server_stats.h"

namespace kyuu::turn::internal {

// Throttle decides once for each train how many of its datagrams there is
// bandwidth for. A bucket with anything in it lets a whole datagram pass, and
// owes what that was too long: bursts may be shorter than a datagram, and over
// time the rates are exact.
//
// An allocation's buckets are here. Of those that servers share it holds slices
// (kBandwidthSlice); when the ledger has no more, it is asked again after as
// long.
class Throttle {
 public:
  // `realms`, whose limits hold beside these, must outlive it.
  Throttle(const BandwidthLimits& limits, const Realms& realms)
      : limits_(limits), realms_(realms), on_(AnyLimit()) {}

  // These are the limits; those of realms may have changed, too.
  void SetLimits(const BandwidthLimits& limits);
  // Whether there is a limit for that allocation.
  bool Bounds(const Allocation& allocation) const {
    return on_ && (limits_.any() || RealmHasLimit(RealmOf(allocation)));
  }

  // Cuts from the end of `forward`, of payload in that direction, what is over,
  // and counts it. False if nothing is left.
  bool Pass(absl::Time now, Ledger& ledger, Direction direction,
            Allocation& allocation, Forward& forward, ServerStats& stats);
  // Takes what was passed on of a stream. False, and nothing is taken, if there
  // is nothing left: whoever writes to it is to wait.
  bool Spend(absl::Time now, Ledger& ledger, Direction direction,
             const Allocation& allocation, size_t bytes);
  // Takes up to `wanted` bytes at once, and returns how many there were; a
  // negative number gives back.
  double Draw(absl::Time now, Ledger& ledger, Direction direction,
              const Allocation& allocation, double wanted);
  // It has ended.
  void Forget(const Allocation& allocation);

 private:
  // Bytes taken from a bucket of the ledger.
  struct Slice {
    double bytes = 0;
    absl::Time ask_again = absl::InfinitePast();
  };
  using Slices = std::array<Slice, 2>;  // By direction, like the others.
  struct User {
    Slices slices;
    size_t allocations = 0;
  };
  struct Entry {
    std::array<ByteBucket, 2> buckets;
    User* user = nullptr;  // Of users_.
  };
  Entry& EntryOf(const Allocation& allocation);
  const RealmOptions& RealmOf(const Allocation& allocation) const {
    return realms_[allocation.realm].options;
  }
  static bool RealmHasLimit(const RealmOptions& realm) {
    return realm.allocation_bytes_per_s > 0 || realm.total_bytes_per_s > 0;
  }
  bool AnyLimit() const;
  double AllocationRate(const Allocation& allocation) const {
    const double own = RealmOf(allocation).allocation_bytes_per_s;
    return own > 0 ? own : limits_.allocation_bytes_per_s;
  }
  // Calls `bound` with what is left of each budget that there is, after asking
  // the ledger for what a train of `bytes` needs, and with the counter of what
  // is over it; no further once that returns false.
  template <typename Bound>
  void ForEachBudget(absl::Time now, Ledger& ledger, Direction direction,
                     const Allocation& allocation, double bytes, Bound bound);
  // How many datagrams of `forward` there is bandwidth for; if not for all, the
  // counter of the limit that is in `met`.
  size_t Fit(absl::Time now, Ledger& ledger, Direction direction,
             const Allocation& allocation, const Forward& forward,
             uint64_t ServerStats::*& met);
  void Charge(Direction direction, const Allocation& allocation, double bytes);
  // What is in the slice, after asking for what a train of `bytes` needs.
  template <typename Take>
  static double Refill(absl::Time now, Slice& slice, double bytes,
                       double bytes_per_s, Take take);

  BandwidthLimits limits_;
  const Realms& realms_;
  bool on_;
  Slices total_;
  absl::flat_hash_map<RealmId, Slices> of_realms_;
  absl::flat_hash_map<RelayId, Entry> entries_;
  absl::node_hash_map<std::string, User> users_;  // By quota_user.
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_THROTTLE_H_
