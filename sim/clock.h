// The clock of a simulation: it stands still until somebody moves it.

#ifndef KYUU_SIM_CLOCK_H_
#define KYUU_SIM_CLOCK_H_

#include <algorithm>

#include "absl/time/time.h"

namespace kyuu::sim {

// Clock is simulated time. It starts at the same instant in every run, so that
// timestamps in packets repeat, and never goes back.
class Clock {
 public:
  absl::Time now() const { return now_; }
  void AdvanceTo(absl::Time time) { now_ = std::max(now_, time); }

 private:
  // 2023-11-14 22:13:20 UTC, a round number of seconds.
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
};

}  // namespace kyuu::sim

#endif  // KYUU_SIM_CLOCK_H_
