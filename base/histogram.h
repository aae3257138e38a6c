// Histogram: how values are spread over buckets, for metrics.
//
//   inline constexpr double kSeconds[] = {0.001, 0.01, 0.1, 1};
//   Histogram times(kSeconds);
//   times.Observe(0.02);           // In the bucket that ends at 0.1.
//   total.Add(times);              // Of the same bounds.

#ifndef KYUU_BASE_HISTOGRAM_H_
#define KYUU_BASE_HISTOGRAM_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "base/check.h"

namespace kyuu {

// Histogram counts values in buckets. It belongs to one thread and neither
// locks nor allocates; whoever wants those of several threads adds copies.
class Histogram {
 public:
  static constexpr size_t kBoundsMax = 15;

  // `upper_bounds` ascend, the last bucket being that of all above. They must
  // outlive the histogram and its copies.
  explicit Histogram(absl::Span<const double> upper_bounds)
      : bounds_(upper_bounds) {
    KYUU_CHECK(bounds_.size() <= kBoundsMax);
  }

  void Observe(double value) {
    size_t bucket = 0;
    while (bucket < bounds_.size() && value > bounds_[bucket]) ++bucket;
    ++counts_[bucket];
    sum_ += value;
  }
  // Both have the same bounds.
  void Add(const Histogram& more) {
    KYUU_CHECK(bounds_ == more.bounds_);
    for (size_t i = 0; i <= bounds_.size(); ++i) counts_[i] += more.counts_[i];
    sum_ += more.sum_;
  }

  absl::Span<const double> bounds() const { return bounds_; }
  // How many were at most bounds()[bucket] and above the one before; with
  // bounds().size() above all.
  uint64_t count(size_t bucket) const { return counts_[bucket]; }
  double sum() const { return sum_; }

 private:
  absl::Span<const double> bounds_;
  std::array<uint64_t, kBoundsMax + 1> counts_{};
  double sum_ = 0;
};

}  // namespace kyuu

#endif  // KYUU_BASE_HISTOGRAM_H_
