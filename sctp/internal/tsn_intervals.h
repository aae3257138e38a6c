// A set of TSNs as intervals, for both ends: what arrived beyond a hole, and
// what the peer has reported so.

#ifndef KYUU_SCTP_INTERNAL_TSN_INTERVALS_H_
#define KYUU_SCTP_INTERNAL_TSN_INTERVALS_H_

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "absl/container/btree_map.h"
#include "sctp/internal/serial.h"

namespace kyuu::sctp::internal {

// TsnInterval holds `first` to `last`, both included.
struct TsnInterval {
  Tsn first;
  Tsn last;

  friend bool operator==(const TsnInterval&, const TsnInterval&) = default;
};

// TsnIntervals keeps its intervals disjoint, not adjacent, and in order. All
// TSNs in it must lie within half of the number range. An addition anywhere
// among n intervals costs log n: who makes the holes, and where, is the peer's
// choice.
class TsnIntervals {
 public:
  bool empty() const { return intervals_.empty(); }
  size_t size() const { return intervals_.size(); }
  // Not of an empty set.
  TsnInterval front() const {
    return {intervals_.begin()->first, intervals_.begin()->second};
  }
  TsnInterval back() const {
    const auto last = std::prev(intervals_.end());
    return {last->first, last->second};
  }
  // The intervals as pairs of their first and last TSN.
  auto begin() const { return intervals_.begin(); }
  auto end() const { return intervals_.end(); }

  bool Contains(Tsn tsn) const {
    if (intervals_.empty() || tsn > back().last) return false;
    auto it = intervals_.upper_bound(tsn);
    return it != intervals_.begin() && tsn <= std::prev(it)->second;
  }
  // True if adding `tsn` would make the list longer.
  bool WouldGrow(Tsn tsn) const {
    if (!intervals_.empty() && tsn > back().last) return back().last + 1 < tsn;
    auto it = intervals_.upper_bound(tsn);
    if (it != intervals_.end() && it->first == tsn + 1) return false;
    return it == intervals_.begin() || std::prev(it)->second + 1 < tsn;
  }

  // Add includes `first` to `last` and calls `fresh(first, last)` for every
  // part that was not in the set before, in order.
  template <typename F>
  void Add(Tsn first, Tsn last, F&& fresh) {
    auto from = intervals_.upper_bound(first);
    if (from != intervals_.begin() && std::prev(from)->second + 1 >= first) {
      --from;
    }
    TsnInterval merged{first, last};
    auto to = from;
    Tsn next = first;  // The first TSN not looked at yet.
    for (; to != intervals_.end() && to->first <= last + 1; ++to) {
      if (next < to->first && next <= last) fresh(next, to->first - 1);
      if (next <= to->second) next = to->second + 1;
      merged.first = std::min(merged.first, to->first);
      merged.last = std::max(merged.last, to->second);
    }
    if (next <= last) fresh(next, last);
    if (from != to && from->first == merged.first) {
      from->second = merged.last;
      intervals_.erase(std::next(from), to);
    } else {
      to = intervals_.erase(from, to);
      intervals_.insert(to, {merged.first, merged.last});
    }
  }
  void Add(Tsn tsn) {
    // Most come in order.
    if (!intervals_.empty() && tsn > back().last) {
      const auto last = std::prev(intervals_.end());
      if (last->second + 1 == tsn) {
        last->second = tsn;
      } else {
        intervals_.insert(intervals_.end(), {tsn, tsn});
      }
      return;
    }
    Add(tsn, tsn, [](Tsn, Tsn) {});
  }

  // Removes everything up to and including `tsn`.
  void RemoveUpTo(Tsn tsn) {
    auto it = intervals_.begin();
    while (it != intervals_.end() && it->second <= tsn) ++it;
    it = intervals_.erase(intervals_.begin(), it);
    if (it == intervals_.end() || it->first > tsn) return;
    const Tsn last = it->second;
    it = intervals_.erase(it);
    intervals_.insert(it, {tsn + 1, last});
  }

 private:
  absl::btree_map<Tsn, Tsn> intervals_;  // The last TSN, by the first.
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_TSN_INTERVALS_H_
