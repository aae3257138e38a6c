#include "base/timer.h"

#include "base/testing.h"

namespace kyuu {
namespace {

enum class Timer { kA, kB, kCount };

TEST(TimerTable, NeverExpiresUntilSet) {
  TimerTable<Timer> timers;
  EXPECT_EQ(timers.NextTimeout(), absl::InfiniteFuture());
  EXPECT_EQ(timers.PopDue(absl::InfiniteFuture()), std::nullopt);
}

TEST(TimerTable, PopsDueTimersInOrderOnceEach) {
  const absl::Time t0 = absl::UnixEpoch();
  TimerTable<Timer> timers;
  timers.Set(Timer::kA, t0 + absl::Seconds(2));
  timers.Set(Timer::kB, t0 + absl::Seconds(1));
  EXPECT_EQ(timers.NextTimeout(), t0 + absl::Seconds(1));
  EXPECT_EQ(timers.PopDue(t0), std::nullopt);
  EXPECT_EQ(timers.PopDue(t0 + absl::Seconds(3)), Timer::kB);
  EXPECT_EQ(timers.PopDue(t0 + absl::Seconds(3)), Timer::kA);
  EXPECT_EQ(timers.PopDue(t0 + absl::Seconds(3)), std::nullopt);
}

TEST(TimerTable, StopAndReplace) {
  const absl::Time t0 = absl::UnixEpoch();
  TimerTable<Timer> timers;
  timers.Set(Timer::kA, t0);
  timers.Set(Timer::kA, t0 + absl::Seconds(5));
  EXPECT_TRUE(timers.IsSet(Timer::kA));
  EXPECT_EQ(timers.deadline(Timer::kA), t0 + absl::Seconds(5));
  timers.Stop(Timer::kA);
  EXPECT_FALSE(timers.IsSet(Timer::kA));
}

}  // namespace
}  // namespace kyuu
