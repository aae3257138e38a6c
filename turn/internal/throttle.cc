#include "turn/internal/throttle.h"

#include <algorithm>
#include <cmath>

namespace kyuu::turn::internal {
namespace {

// How many datagrams of `forward` begin before `budget` is used up.
size_t Fitting(const Forward& forward, double budget) {
  if (budget <= 0) return 0;
  if (forward.payload_bytes == 0) return forward.segments;
  const double count =
      std::ceil(budget / static_cast<double>(forward.payload_bytes));
  return count < static_cast<double>(forward.segments)
             ? static_cast<size_t>(count)
             : forward.segments;
}

double PayloadOf(const Forward& forward) {
  return static_cast<double>((forward.segments - 1) * forward.payload_bytes +
                             forward.last_payload_bytes);
}

}  // namespace

void Throttle::SetLimits(const BandwidthLimits& limits) {
  limits_ = limits;
  on_ = AnyLimit();
  if (on_) return;
  entries_.clear();
  users_.clear();
  of_realms_.clear();
  total_ = {};
}

bool Throttle::AnyLimit() const {
  return limits_.any() || realms_.Any(RealmHasLimit);
}

Throttle::Entry& Throttle::EntryOf(const Allocation& allocation) {
  const auto [entry, is_new] = entries_.try_emplace(allocation.id);
  if (is_new) {
    User& user = users_[allocation.quota_user];
    ++user.allocations;
    entry->second.user = &user;
  }
  return entry->second;
}

void Throttle::Forget(const Allocation& allocation) {
  const auto entry = entries_.find(allocation.id);
  if (entry == entries_.end()) return;
  if (--entry->second.user->allocations == 0) {
    users_.erase(allocation.quota_user);
  }
  entries_.erase(entry);
}

template <typename Take>
double Throttle::Refill(absl::Time now, Slice& slice, double bytes,
                        double bytes_per_s, Take take) {
  if (slice.bytes >= bytes || now < slice.ask_again) return slice.bytes;
  const double wanted =
      std::max(bytes - slice.bytes,
               bytes_per_s * absl::ToDoubleSeconds(kBandwidthSlice));
  const double taken = take(wanted);
  slice.bytes += taken;
  if (taken < wanted) slice.ask_again = now + kBandwidthSlice;
  return slice.bytes;
}

template <typename Bound>
void Throttle::ForEachBudget(absl::Time now, Ledger& ledger,
                             Direction direction, const Allocation& allocation,
                             double bytes, Bound bound) {
  const auto way = static_cast<size_t>(direction);
  Entry& entry = EntryOf(allocation);
  const double of_allocation = AllocationRate(allocation);
  if (of_allocation > 0 &&
      !bound(entry.buckets[way].Fill(now, of_allocation, limits_.burst),
             &ServerStats::over_allocation_bandwidth)) {
    return;
  }
  if (limits_.user_bytes_per_s > 0 &&
      !bound(
          Refill(now, entry.user->slices[way], bytes, limits_.user_bytes_per_s,
                 [&](double wanted) {
                   return ledger.TakeUserBytes(now, direction,
                                               allocation.quota_user, wanted);
                 }),
          &ServerStats::over_user_bandwidth)) {
    return;
  }
  const double of_realm = RealmOf(allocation).total_bytes_per_s;
  if (of_realm > 0 &&
      !bound(Refill(now, of_realms_[allocation.realm][way], bytes, of_realm,
                    [&](double wanted) {
                      return ledger.TakeRealmBytes(
                          now, direction, allocation.realm, of_realm, wanted);
                    }),
             &ServerStats::over_realm_bandwidth)) {
    return;
  }
  if (limits_.total_bytes_per_s > 0) {
    bound(Refill(now, total_[way], bytes, limits_.total_bytes_per_s,
                 [&](double wanted) {
                   return ledger.TakeTotalBytes(now, direction, wanted);
                 }),
          &ServerStats::over_total_bandwidth);
  }
}

size_t Throttle::Fit(absl::Time now, Ledger& ledger, Direction direction,
                     const Allocation& allocation, const Forward& forward,
                     uint64_t ServerStats::*& met) {
  size_t passing = forward.segments;
  ForEachBudget(now, ledger, direction, allocation, PayloadOf(forward),
                [&](double budget, uint64_t ServerStats::*counter) {
                  const size_t fitting = Fitting(forward, budget);
                  if (fitting < passing) {
                    passing = fitting;
                    met = counter;
                  }
                  return passing > 0;
                });
  return passing;
}

void Throttle::Charge(Direction direction, const Allocation& allocation,
                      double bytes) {
  const auto way = static_cast<size_t>(direction);
  Entry& entry = EntryOf(allocation);
  if (AllocationRate(allocation) > 0) entry.buckets[way].Take(bytes);
  if (limits_.user_bytes_per_s > 0) entry.user->slices[way].bytes -= bytes;
  if (RealmOf(allocation).total_bytes_per_s > 0) {
    of_realms_[allocation.realm][way].bytes -= bytes;
  }
  if (limits_.total_bytes_per_s > 0) total_[way].bytes -= bytes;
}

bool Throttle::Pass(absl::Time now, Ledger& ledger, Direction direction,
                    Allocation& allocation, Forward& forward,
                    ServerStats& stats) {
  const size_t all = forward.segments;
  uint64_t ServerStats::*met = nullptr;
  const size_t passing = Fit(now, ledger, direction, allocation, forward, met);
  if (passing < all) {
    stats.*met += all - passing;
    (direction == Direction::kToPeers
         ? allocation.traffic.over_bandwidth_to_peers
         : allocation.traffic.over_bandwidth_to_clients) += all - passing;
    if (passing == 0) return false;
    forward.segments = passing;
    forward.last_payload_bytes = forward.payload_bytes;
  }
  Charge(direction, allocation, PayloadOf(forward));
  return true;
}

bool Throttle::Spend(absl::Time now, Ledger& ledger, Direction direction,
                     const Allocation& allocation, size_t bytes) {
  Forward piece;
  piece.segments = 1;
  piece.payload_bytes = piece.last_payload_bytes = bytes;
  uint64_t ServerStats::*met = nullptr;
  if (Fit(now, ledger, direction, allocation, piece, met) == 0) return false;
  Charge(direction, allocation, static_cast<double>(bytes));
  return true;
}

double Throttle::Draw(absl::Time now, Ledger& ledger, Direction direction,
                      const Allocation& allocation, double wanted) {
  if (!on_) return wanted;
  double drawn = wanted;
  if (wanted > 0) {
    ForEachBudget(now, ledger, direction, allocation, wanted,
                  [&](double budget, uint64_t ServerStats::*) {
                    drawn = std::clamp(budget, 0.0, drawn);
                    return drawn > 0;
                  });
  }
  Charge(direction, allocation, drawn);
  return drawn;
}

}  // namespace kyuu::turn::internal
