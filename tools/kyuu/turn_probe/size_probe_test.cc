#include "tools/kyuu/turn_probe/size_probe.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "gmock/gmock.h"

namespace kyuu::tools {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(SizeProbeTest, WhatComesBackIsNotSentAgain) {
  SizeProbe probe({100, 200, 300});
  EXPECT_THAT(probe.NextRound(), ElementsAre(100, 200, 300));
  EXPECT_FALSE(probe.largest().has_value());
  probe.HandleReturn(200);
  probe.HandleReturn(200);
  probe.HandleReturn(250);  // That nobody sent.
  EXPECT_EQ(probe.largest(), 200u);
  EXPECT_THAT(probe.NextRound(), ElementsAre(100, 300));
  probe.HandleReturn(100);
  EXPECT_EQ(probe.largest(), 200u);
  EXPECT_FALSE(probe.is_complete());
  probe.HandleReturn(300);
  EXPECT_TRUE(probe.is_complete());
  EXPECT_EQ(probe.largest(), 300u);
  EXPECT_THAT(probe.NextRound(), IsEmpty());
}

TEST(SizeProbeTest, GivesUpAfterTheLastRound) {
  SizeProbe probe({100, 200});
  for (int round = 0; round < SizeProbe::kRoundsMax; ++round) {
    EXPECT_THAT(probe.NextRound(), ElementsAre(100, 200));
  }
  EXPECT_THAT(probe.NextRound(), IsEmpty());
  EXPECT_FALSE(probe.largest().has_value());
}

TEST(SizeProbeTest, UsualPayloadsFillPackets) {
  const auto v4 = UsualPayloads(IpFamily::kV4);
  const auto v6 = UsualPayloads(IpFamily::kV6);
  EXPECT_EQ(v4.front(), 576u - 32);
  EXPECT_EQ(v4.back(), 1500u - 32);
  EXPECT_EQ(v6.back(), 1500u - 52);
  EXPECT_THAT(v4, testing::Contains(1200));
  EXPECT_THAT(v6, testing::Contains(1280 - 52));
  EXPECT_TRUE(std::is_sorted(v6.begin(), v6.end()));
}

}  // namespace
}  // namespace kyuu::tools
