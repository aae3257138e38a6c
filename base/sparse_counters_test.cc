#include "base/sparse_counters.h"

#include <utility>

#include "base/testing.h"

namespace kyuu {
namespace {

struct Stats {
  uint64_t a = 0;
  uint64_t b = 0;
  uint64_t c = 0;
  uint64_t d = 0;

  static constexpr Counter<Stats> kCounters[] = {
      KYUU_COUNTER(Stats, c), KYUU_COUNTER(Stats, a), KYUU_COUNTER(Stats, b),
      KYUU_COUNTER(Stats, d)};
};
static_assert(Countable<Stats>);

TEST(SparseCountersTest, BeginWithZeros) {
  const SparseCounters<Stats> counters;
  EXPECT_EQ(CountersToString(counters.Get()), "");
}

TEST(SparseCountersTest, CountInWhateverOrder) {
  SparseCounters<Stats> counters;
  ++counters.at<&Stats::b>();
  ++counters.at<&Stats::c>();
  counters.at<&Stats::d>() += 7;
  ++counters.at<&Stats::c>();
  EXPECT_EQ(CountersToString(counters.Get()), "c=2 b=1 d=7");
  ++counters.at<&Stats::a>();
  ++counters.at<&Stats::b>();
  EXPECT_EQ(CountersToString(counters.Get()), "c=2 a=1 b=2 d=7");
}

TEST(SparseCountersTest, TakeSixteenBytesUntilTheyHaveCounted) {
  EXPECT_EQ(sizeof(SparseCounters<Stats>), 16u);
}

TEST(SparseCountersTest, WhatIsMovedFromCountsFromZero) {
  SparseCounters<Stats> counters;
  counters.at<&Stats::b>() = 3;
  SparseCounters<Stats> moved = std::move(counters);
  EXPECT_EQ(CountersToString(moved.Get()), "b=3");
  // NOLINTNEXTLINE(bugprone-use-after-move): that is what is asked.
  ++counters.at<&Stats::a>();
  EXPECT_EQ(CountersToString(counters.Get()), "a=1");
  counters = std::move(moved);
  EXPECT_EQ(CountersToString(counters.Get()), "b=3");
}

}  // namespace
}  // namespace kyuu
