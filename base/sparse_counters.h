// Counters that cost memory only once they have counted.

#ifndef KYUU_BASE_SPARSE_COUNTERS_H_
#define KYUU_BASE_SPARSE_COUNTERS_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>

#include "base/counters.h"

namespace kyuu {

// SparseCounters counts what the fields of `S` do, of which most stay zero in
// the life of one of thousands of idle connections: 16 bytes, and eight for
// each field that was ever counted. S has at most 64 fields.
//
//   SparseCounters<Stats> stats_;
//   ++stats_.at<&Stats::malformed>();
//   Stats stats() const { return stats_.Get(); }
template <Countable S>
class SparseCounters {
 public:
  SparseCounters() = default;
  SparseCounters(SparseCounters&& other) noexcept
      : used_(std::exchange(other.used_, 0)),
        values_(std::move(other.values_)) {}
  SparseCounters& operator=(SparseCounters&& other) noexcept {
    used_ = std::exchange(other.used_, 0);
    values_ = std::move(other.values_);
    return *this;
  }

  // The field's value, to be counted up. It lives until at() is called again.
  template <uint64_t S::*kField>
  uint64_t& at() {
    constexpr uint64_t kBit = uint64_t{1} << IndexOf(kField);
    if ((used_ & kBit) == 0) Insert(kBit);
    return values_[Rank(kBit)];
  }

  S Get() const {
    S all;
    size_t next = 0;
    for (size_t i = 0; i < std::size(S::kCounters); ++i) {
      if ((used_ >> i & 1) == 0) continue;
      all.*S::kCounters[i].field = values_[next++];
    }
    return all;
  }

 private:
  static_assert(std::size(S::kCounters) <= 64);

  static constexpr size_t IndexOf(uint64_t S::*field) {
    size_t i = 0;
    while (S::kCounters[i].field != field) ++i;
    return i;
  }
  // How many fields in use are before it.
  size_t Rank(uint64_t bit) const {
    return static_cast<size_t>(std::popcount(used_ & (bit - 1)));
  }
  void Insert(uint64_t bit) {
    const auto size = static_cast<size_t>(std::popcount(used_));
    const size_t at = Rank(bit);
    auto more = std::make_unique<uint64_t[]>(size + 1);
    std::copy_n(values_.get(), at, more.get());
    std::copy_n(values_.get() + at, size - at, more.get() + at + 1);
    values_ = std::move(more);
    used_ |= bit;
  }

  uint64_t used_ = 0;                   // By the order of kCounters.
  std::unique_ptr<uint64_t[]> values_;  // One for each bit of it.
};

}  // namespace kyuu

#endif  // KYUU_BASE_SPARSE_COUNTERS_H_
