#include "tools/kyuu/ping/ping_series.h"

#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "base/random.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

class PingSeriesTest : public testing::Test {
 protected:
  absl::Time At(int ms) const {
    return absl::UnixEpoch() + absl::Milliseconds(ms);
  }

  SeededRandom random_{1};
  PingSeries series_{random_};
};

TEST_F(PingSeriesTest, TellsHowLongEachTookAndTheSum) {
  const auto first = series_.Send(At(0));
  const auto second = series_.Send(At(1000));
  // In any order.
  auto answer = series_.HandleAnswer(At(1010), second);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->number, 2);
  EXPECT_EQ(answer->round_trip, absl::Milliseconds(10));
  answer = series_.HandleAnswer(At(1040), first);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->number, 1);
  const auto third = series_.Send(At(2000));
  EXPECT_FALSE(series_.all_settled());
  ASSERT_TRUE(series_.HandleAnswer(At(2070), third));
  EXPECT_TRUE(series_.all_settled());
  // 10, 1040 and 70 ms.
  const PingSeries::Summary summary = series_.summary();
  EXPECT_EQ(summary.sent, 3);
  EXPECT_EQ(summary.received, 3);
  EXPECT_EQ(summary.lost, 0);
  EXPECT_EQ(summary.min, absl::Milliseconds(10));
  EXPECT_EQ(summary.max, absl::Milliseconds(1040));
  EXPECT_NEAR(absl::ToDoubleMilliseconds(summary.mean), 1120.0 / 3, 1e-3);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(summary.deviation), 472.040, 1e-2);
}

TEST_F(PingSeriesTest, AnAnswerCountsOnce) {
  const auto message = series_.Send(At(0));
  EXPECT_TRUE(series_.HandleAnswer(At(1), message));
  EXPECT_FALSE(series_.HandleAnswer(At(2), message));
  EXPECT_EQ(series_.received(), 1);
}

TEST_F(PingSeriesTest, WhatWasNotSentIsNoAnswer) {
  std::vector<uint8_t> message = series_.Send(At(0));
  for (size_t i = 0; i < message.size(); ++i) {
    std::vector<uint8_t> other = message;
    other[i] ^= 1;
    EXPECT_FALSE(series_.HandleAnswer(At(1), other)) << i;
    other.assign(message.begin(), message.begin() + static_cast<long>(i));
    EXPECT_FALSE(series_.HandleAnswer(At(1), other)) << i;
  }
  message.push_back(0);
  EXPECT_FALSE(series_.HandleAnswer(At(1), message));
}

TEST_F(PingSeriesTest, LateIsLost) {
  const auto first = series_.Send(At(0));
  series_.Send(At(1000));
  EXPECT_EQ(series_.NextTimeout(), At(3000));
  EXPECT_EQ(series_.PollLost(At(2999)), std::nullopt);
  EXPECT_FALSE(series_.HandleAnswer(At(3000), first));
  EXPECT_EQ(series_.PollLost(At(3000)), 1);
  EXPECT_EQ(series_.PollLost(At(3000)), std::nullopt);
  EXPECT_FALSE(series_.HandleAnswer(At(3001), first));
  EXPECT_EQ(series_.NextTimeout(), At(4000));
  EXPECT_EQ(series_.PollLost(At(4000)), 2);
  EXPECT_EQ(series_.NextTimeout(), absl::InfiniteFuture());
  EXPECT_TRUE(series_.all_settled());
  const PingSeries::Summary summary = series_.summary();
  EXPECT_EQ(summary.lost, 2);
  EXPECT_EQ(summary.received, 0);
  EXPECT_EQ(summary.mean, absl::ZeroDuration());
}

TEST_F(PingSeriesTest, OnlySoManyAreWaitedFor) {
  for (size_t i = 0; i < PingSeries::kWaitingMax; ++i) series_.Send(At(0));
  EXPECT_EQ(series_.PollLost(At(0)), std::nullopt);
  series_.Send(At(0));
  EXPECT_EQ(series_.PollLost(At(0)), 1);
  EXPECT_EQ(series_.PollLost(At(0)), std::nullopt);
}

}  // namespace
}  // namespace kyuu::tools
