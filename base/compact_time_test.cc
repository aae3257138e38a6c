#include "base/compact_time.h"

#include "base/testing.h"

namespace kyuu {
namespace {

const absl::Duration kQuarter = absl::Nanoseconds(1) / 4;

TEST(CompactTimeTest, TakesEightBytes) {
  EXPECT_EQ(sizeof(CompactTime), 8u);
  EXPECT_EQ(sizeof(CompactDuration), 8u);
}

TEST(CompactTimeTest, WholeNanosecondsComeBackAsTheyWere) {
  for (const absl::Duration d :
       {absl::ZeroDuration(), absl::Nanoseconds(1), -absl::Nanoseconds(1),
        absl::Seconds(1) + absl::Nanoseconds(7), -absl::Hours(24 * 365),
        absl::Hours(24 * 365 * 200)}) {
    EXPECT_EQ(absl::Duration(CompactDuration(d)), d);
    const absl::Time t = absl::UnixEpoch() + d;
    EXPECT_EQ(absl::Time(CompactTime(t)), t);
  }
}

TEST(CompactTimeTest, PartsOfANanosecondAreRoundedUp) {
  EXPECT_EQ(absl::Duration(CompactDuration(kQuarter)), absl::Nanoseconds(1));
  EXPECT_EQ(absl::Duration(CompactDuration(-kQuarter)), absl::ZeroDuration());
  EXPECT_EQ(absl::Duration(CompactDuration(absl::Seconds(5) - kQuarter)),
            absl::Seconds(5));
  const absl::Time t = absl::FromUnixSeconds(1'700'000'000);
  EXPECT_EQ(absl::Time(CompactTime(t + kQuarter)), t + absl::Nanoseconds(1));
  const absl::Time before = absl::UnixEpoch() - absl::Seconds(1);
  EXPECT_EQ(absl::Time(CompactTime(before - kQuarter)), before);
}

TEST(CompactTimeTest, TheInfiniteStaysSo) {
  EXPECT_EQ(absl::Time(CompactTime(absl::InfiniteFuture())),
            absl::InfiniteFuture());
  EXPECT_TRUE(CompactTime(absl::InfiniteFuture()).is_infinite_future());
  EXPECT_FALSE(CompactTime(absl::InfinitePast()).is_infinite_future());
  EXPECT_EQ(absl::Time(CompactTime(absl::InfinitePast())),
            absl::InfinitePast());
  EXPECT_EQ(absl::Duration(CompactDuration(absl::InfiniteDuration())),
            absl::InfiniteDuration());
  EXPECT_EQ(absl::Duration(CompactDuration(-absl::InfiniteDuration())),
            -absl::InfiniteDuration());
}

TEST(CompactTimeTest, NanosecondsAreInTheOrderOfTimes) {
  const absl::Time t = absl::FromUnixSeconds(1'700'000'000);
  int64_t last = CompactTime(absl::InfinitePast()).nanoseconds();
  for (const absl::Time later : {absl::UnixEpoch() - absl::Seconds(1), t,
                                 t + kQuarter, absl::InfiniteFuture()}) {
    EXPECT_LT(last, CompactTime(later).nanoseconds());
    last = CompactTime(later).nanoseconds();
  }
}

TEST(CompactTimeTest, WhatIsTooFarIsInfinite) {
  EXPECT_EQ(absl::Duration(CompactDuration(absl::Hours(24 * 365 * 300))),
            absl::InfiniteDuration());
  EXPECT_EQ(absl::Duration(CompactDuration(-absl::Hours(24 * 365 * 300))),
            -absl::InfiniteDuration());
}

TEST(CompactTimeTest, DurationsAddAndMultiply) {
  CompactDuration sum;
  sum += absl::Seconds(2);
  sum += absl::Milliseconds(1);
  EXPECT_EQ(absl::Duration(sum), absl::Milliseconds(2001));
  EXPECT_EQ(sum * 2, absl::Milliseconds(4002));
  EXPECT_EQ(3 * sum, absl::Milliseconds(6003));
}

}  // namespace
}  // namespace kyuu
