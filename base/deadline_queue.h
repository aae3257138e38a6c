// Deadlines of things that come and go: allocations, candidate pairs, sessions.
// For a fixed set of timers there is TimerTable (base/timer.h).
//
//   DeadlineQueue<RelayId> expiries_;
//   expiries_.Set(id, now + lifetime);
//   while (std::optional<RelayId> due = expiries_.PopDue(now)) End(*due);

#ifndef KYUU_BASE_DEADLINE_QUEUE_H_
#define KYUU_BASE_DEADLINE_QUEUE_H_

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace kyuu {

// DeadlineQueue holds at most one deadline for each `Key`, which is a small
// value with `<`, `==` and AbslHashValue. Setting, stopping and popping cost
// O(log n), asking for the earliest O(1). Equal deadlines fall due in the
// order of their keys, so that a run can be repeated.
template <typename Key>
class DeadlineQueue {
 public:
  // Set arms `key`, replacing an earlier deadline. absl::InfiniteFuture() is
  // the same as Stop().
  void Set(const Key& key, absl::Time deadline) {
    if (deadline == absl::InfiniteFuture()) return Stop(key);
    const auto [it, inserted] = deadlines_.try_emplace(key, deadline);
    if (!inserted) {
      if (it->second == deadline) return;
      order_.erase({it->second, key});
      it->second = deadline;
    }
    order_.emplace(deadline, key);
  }
  // Stop disarms `key`; harmless if it is not armed.
  void Stop(const Key& key) {
    const auto it = deadlines_.find(key);
    if (it == deadlines_.end()) return;
    order_.erase({it->second, key});
    deadlines_.erase(it);
  }
  void Clear() {
    order_.clear();
    deadlines_.clear();
  }

  bool IsSet(const Key& key) const { return deadlines_.contains(key); }
  // The deadline of `key`, or absl::InfiniteFuture().
  absl::Time deadline(const Key& key) const {
    const auto it = deadlines_.find(key);
    return it == deadlines_.end() ? absl::InfiniteFuture() : it->second;
  }
  // The earliest deadline, or absl::InfiniteFuture().
  absl::Time NextTimeout() const {
    return order_.empty() ? absl::InfiniteFuture() : order_.begin()->first;
  }
  // PopDue disarms the key with the earliest deadline and returns it; nullopt
  // if none is due at `now`.
  std::optional<Key> PopDue(absl::Time now) {
    if (order_.empty() || order_.begin()->first > now) return std::nullopt;
    Key key = order_.begin()->second;
    order_.erase(order_.begin());
    deadlines_.erase(key);
    return key;
  }

  bool empty() const { return order_.empty(); }
  size_t size() const { return order_.size(); }

 private:
  absl::btree_set<std::pair<absl::Time, Key>> order_;
  absl::flat_hash_map<Key, absl::Time> deadlines_;
};

}  // namespace kyuu

#endif  // KYUU_BASE_DEADLINE_QUEUE_H_
