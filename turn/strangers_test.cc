#include "turn/strangers.h"

#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "gtest/gtest.h"

namespace kyuu::turn {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
const IpAddress kSource = IpAddress::V4(9, 9, 9, 9);

Strangers::Limits TestLimits() {
  return {.gain_bytes_per_s = 10,
          .gain_bytes_burst = 100,
          .tries_per_s = 1,
          .tries_burst = 4,
          .proven_factor = 10,
          .proven_for = absl::Minutes(1),
          .sources = 16};
}

TEST(Strangers, OnlyWhatAnAnswerIsLongerCounts) {
  SeededRandom random(1);
  Strangers strangers(TestLimits(), random);
  EXPECT_TRUE(strangers.TakeGain(kNow, kSource, 500, 500));
  EXPECT_TRUE(strangers.TakeGain(kNow, kSource, 20, 120));
  EXPECT_FALSE(strangers.TakeGain(kNow, kSource, 20, 21));
  EXPECT_TRUE(strangers.TakeGain(kNow, kSource, 500, 20));
  const absl::Time later = kNow + absl::Seconds(1);
  EXPECT_FALSE(strangers.TakeGain(later, kSource, 20, 31));
  EXPECT_TRUE(strangers.TakeGain(later, kSource, 20, 30));
}

// Servers on several threads read their clocks and then wait for each other: a
// time that is brought late fills nothing twice.
TEST(Strangers, TimesOutOfOrderGiveNothingAway) {
  SeededRandom random(1);
  Strangers strangers(TestLimits(), random);
  ASSERT_TRUE(strangers.TakeGain(kNow, kSource, 0, 100));
  int taken = 0;
  for (int i = 0; i < 1000; ++i) {
    taken += strangers.TakeGain(kNow + absl::Milliseconds(i % 2 == 0 ? 999 : 0),
                                kSource, 0, 1);
  }
  EXPECT_EQ(taken, 9);
}

TEST(Strangers, ATryIsTakenWhenItBeginsAndGivenBackForAProof) {
  SeededRandom random(1);
  Strangers strangers(TestLimits(), random);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(strangers.TakeTry(kNow, kSource));
    strangers.Proven(kNow, kSource);
  }
  // Four servers may look at one credential each, at the same time.
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(strangers.TakeTry(kNow, kSource));
  EXPECT_FALSE(strangers.TakeTry(kNow, kSource));
  strangers.Proven(kNow, kSource);
  EXPECT_TRUE(strangers.TakeTry(kNow, kSource));
  EXPECT_FALSE(strangers.TakeTry(kNow, kSource));
  EXPECT_TRUE(strangers.TakeTry(kNow + absl::Seconds(1), kSource));
}

TEST(Strangers, RatesOfZeroAreNoLimits) {
  SeededRandom random(1);
  Strangers::Limits limits = TestLimits();
  limits.gain_bytes_per_s = 0;
  limits.tries_per_s = 0;
  Strangers strangers(limits, random);
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(strangers.TakeGain(kNow, kSource, 0, 1000));
    EXPECT_TRUE(strangers.TakeTry(kNow, kSource));
  }
}

}  // namespace
}  // namespace kyuu::turn
