// Times and durations in eight bytes, for what there is much of.

#ifndef KYUU_BASE_COMPACT_TIME_H_
#define KYUU_BASE_COMPACT_TIME_H_

#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace kyuu {

// CompactDuration keeps an absl::Duration, which has sixteen bytes, in eight:
// whole nanoseconds, rounded up, of at most 292 years either way; what is
// longer is infinite. It is one wherever a Duration is asked for.
class CompactDuration {
 public:
  constexpr CompactDuration() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): it is a duration.
  CompactDuration(absl::Duration d) : nanoseconds_(RoundUp(d)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator absl::Duration() const {
    if (nanoseconds_ == kMax) return absl::InfiniteDuration();
    if (nanoseconds_ == kMin) return -absl::InfiniteDuration();
    return absl::Nanoseconds(nanoseconds_);
  }
  CompactDuration& operator+=(absl::Duration more) {
    return *this = absl::Duration(*this) + more;
  }
  friend absl::Duration operator*(CompactDuration d, int64_t n) {
    return absl::Duration(d) * n;
  }
  friend absl::Duration operator*(int64_t n, CompactDuration d) {
    return d * n;
  }

 private:
  static constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  static constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

  static int64_t RoundUp(absl::Duration d) {
    // Deadlines are often infinite, and dividing that is slow.
    if (d == absl::InfiniteDuration()) return kMax;
    const int64_t cut = absl::ToInt64Nanoseconds(d);  // Saturates.
    const bool whole =
        cut == kMax || cut == kMin || absl::Nanoseconds(cut) >= d;
    return whole ? cut : cut + 1;
  }

  int64_t nanoseconds_ = 0;
};

// CompactTime likewise keeps an absl::Time. A deadline is not passed earlier by
// it: it may be a nanosecond later than what was put in.
class CompactTime {
 public:
  constexpr CompactTime() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): it is a time.
  CompactTime(absl::Time t) : nanoseconds_(RoundUp(t)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator absl::Time() const {
    if (nanoseconds_ == kMax) return absl::InfiniteFuture();
    if (nanoseconds_ == kMin) return absl::InfinitePast();
    return absl::FromUnixNanos(nanoseconds_);
  }
  bool is_infinite_future() const { return nanoseconds_ == kMax; }
  // The order of times, without making any.
  int64_t nanoseconds() const { return nanoseconds_; }

 private:
  static constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  static constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

  static int64_t RoundUp(absl::Time t) {
    if (t == absl::InfiniteFuture()) return kMax;
    const int64_t cut = absl::ToUnixNanos(t);  // Saturates, and rounds down.
    const bool whole =
        cut == kMax || cut == kMin || absl::FromUnixNanos(cut) >= t;
    return whole ? cut : cut + 1;
  }

  int64_t nanoseconds_ = 0;  // Since the Unix epoch.
};

}  // namespace kyuu

#endif  // KYUU_BASE_COMPACT_TIME_H_
