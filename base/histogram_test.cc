#include "base/histogram.h"

#include "gtest/gtest.h"

namespace kyuu {
namespace {

constexpr double kBounds[] = {1, 10, 100};

TEST(Histogram, AValueCountsWhereItEnds) {
  Histogram histogram(kBounds);
  for (const double value : {0.0, 1.0, 1.5, 10.0, 100.5, 1e9}) {
    histogram.Observe(value);
  }
  EXPECT_EQ(histogram.count(0), 2u);
  EXPECT_EQ(histogram.count(1), 2u);
  EXPECT_EQ(histogram.count(2), 0u);
  EXPECT_EQ(histogram.count(3), 2u);
  EXPECT_DOUBLE_EQ(histogram.sum(), 113.0 + 1e9);
}

TEST(Histogram, ThoseOfSeveralThreadsAdd) {
  Histogram sum(kBounds), one(kBounds), two(kBounds);
  one.Observe(5);
  two.Observe(6);
  two.Observe(500);
  sum.Add(one);
  sum.Add(two);
  EXPECT_EQ(sum.count(1), 2u);
  EXPECT_EQ(sum.count(3), 1u);
  EXPECT_DOUBLE_EQ(sum.sum(), 511);
}

}  // namespace
}  // namespace kyuu
