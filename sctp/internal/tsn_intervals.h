// A set of TSNs as a sorted list of intervals, for both ends: what arrived
// beyond a hole, and what the peer has reported so.

#ifndef KYUU_SCTP_INTERNAL_TSN_INTERVALS_H_
#define KYUU_SCTP_INTERNAL_TSN_INTERVALS_H_

#include <algorithm>
#include <cstddef>
#include <vector>

#include "sctp/internal/serial.h"

namespace kyuu::sctp::internal {

// TsnInterval holds `first` to `last`, both included.
struct TsnInterval {
  Tsn first;
  Tsn last;

  friend bool operator==(const TsnInterval&, const TsnInterval&) = default;
};

// TsnIntervals keeps its intervals disjoint, not adjacent, and in order. All
// TSNs in it must lie within half of the number range.
class TsnIntervals {
 public:
  bool empty() const { return intervals_.empty(); }
  size_t size() const { return intervals_.size(); }
  const TsnInterval& operator[](size_t i) const { return intervals_[i]; }
  auto begin() const { return intervals_.begin(); }
  auto end() const { return intervals_.end(); }

  bool Contains(Tsn tsn) const {
    auto it = FirstEndingAtOrAfter(tsn);
    return it != intervals_.end() && it->first <= tsn;
  }
  // True if adding `tsn` would make the list longer.
  bool WouldGrow(Tsn tsn) const {
    auto it = FirstEndingAtOrAfter(tsn - 1);
    return it == intervals_.end() || it->first > tsn + 1;
  }

  // Add includes `first` to `last` and calls `fresh(first, last)` for every
  // part that was not in the set before, in order.
  template <typename F>
  void Add(Tsn first, Tsn last, F&& fresh) {
    auto from = intervals_.begin() +
                (FirstEndingAtOrAfter(first - 1) - intervals_.cbegin());
    TsnInterval merged{first, last};
    auto to = from;
    Tsn next = first;  // The first TSN not looked at yet.
    for (; to != intervals_.end() && to->first <= last + 1; ++to) {
      if (next < to->first && next <= last) fresh(next, to->first - 1);
      if (next <= to->last) next = to->last + 1;
      merged.first = std::min(merged.first, to->first);
      merged.last = std::max(merged.last, to->last);
    }
    if (next <= last) fresh(next, last);
    if (from == to) {
      intervals_.insert(from, merged);
    } else {
      *from = merged;
      intervals_.erase(from + 1, to);
    }
  }
  void Add(Tsn tsn) {
    Add(tsn, tsn, [](Tsn, Tsn) {});
  }

  // Removes everything up to and including `tsn`.
  void RemoveUpTo(Tsn tsn) {
    auto it = intervals_.begin();
    while (it != intervals_.end() && it->last <= tsn) ++it;
    intervals_.erase(intervals_.begin(), it);
    if (!intervals_.empty() && intervals_.front().first <= tsn) {
      intervals_.front().first = tsn + 1;
    }
  }
  void Clear() { intervals_.clear(); }

 private:
  std::vector<TsnInterval>::const_iterator FirstEndingAtOrAfter(Tsn tsn) const {
    return std::partition_point(
        intervals_.begin(), intervals_.end(),
        [tsn](const TsnInterval& interval) { return interval.last < tsn; });
  }

  std::vector<TsnInterval> intervals_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_TSN_INTERVALS_H_
