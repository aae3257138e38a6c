// Timers as values: an enum names them, a table holds their deadlines.
//
//   enum class Timer { kT1Init, kT3Rtx, kCount };
//   TimerTable<Timer> timers_;
//   timers_.Set(Timer::kT3Rtx, now + rto_);
//   while (std::optional<Timer> due = timers_.PopDue(now)) switch (*due) {...}

#ifndef KYUU_BASE_TIMER_H_
#define KYUU_BASE_TIMER_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <type_traits>

#include "absl/time/time.h"

namespace kyuu {

// TimerTable holds one deadline for each enumerator of `E`, whose last
// enumerator must be `kCount`. A timer that is not set has the deadline
// absl::InfiniteFuture(). Where there are thousands of tables, `T` may be
// CompactTime (base/compact_time.h).
template <typename E, typename T = absl::Time>
class TimerTable {
 public:
  static constexpr size_t kSize = static_cast<size_t>(E::kCount);

  TimerTable() { deadlines_.fill(absl::InfiniteFuture()); }

  // Set arms `timer`, replacing an earlier deadline.
  void Set(E timer, T deadline) { at(timer) = deadline; }
  void Stop(E timer) { at(timer) = absl::InfiniteFuture(); }
  void StopAll() { deadlines_.fill(absl::InfiniteFuture()); }

  bool IsSet(E timer) const {
    return deadline(timer) != absl::InfiniteFuture();
  }
  absl::Time deadline(E timer) const {
    return deadlines_[static_cast<size_t>(timer)];
  }
  // The earliest deadline, or absl::InfiniteFuture().
  absl::Time NextTimeout() const {
    return *std::min_element(deadlines_.begin(), deadlines_.end(), Earlier);
  }
  // PopDue stops the due timer with the earliest deadline and returns it;
  // nullopt if none is due at `now`.
  std::optional<E> PopDue(absl::Time now) {
    auto earliest =
        std::min_element(deadlines_.begin(), deadlines_.end(), Earlier);
    const absl::Time deadline = *earliest;
    if (deadline > now || deadline == absl::InfiniteFuture()) {
      return std::nullopt;
    }
    *earliest = absl::InfiniteFuture();
    return static_cast<E>(earliest - deadlines_.begin());
  }

 private:
  static bool Earlier(const T& a, const T& b) {
    if constexpr (std::is_same_v<T, absl::Time>) {
      return a < b;
    } else {
      return a.nanoseconds() < b.nanoseconds();
    }
  }
  T& at(E timer) { return deadlines_[static_cast<size_t>(timer)]; }

  std::array<T, kSize> deadlines_;
};

}  // namespace kyuu

#endif  // KYUU_BASE_TIMER_H_
