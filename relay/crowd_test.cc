#include "relay/crowd.h"

#include <array>
#include <cstdint>

#include "base/address.h"
#include "gtest/gtest.h"

namespace kyuu::relay {
namespace {

TransportAddress Client(uint16_t number) {
  return {IpAddress::V4(192, 0, 2, 1), number};
}

// What of `count` single packets of a client is served.
size_t Served(Crowd& crowd, const TransportAddress& client, size_t count) {
  size_t served = 0;
  for (size_t i = 0; i < count; ++i) served += crowd.Admits(client, 1200);
  return served;
}

TEST(CrowdTest, WhoIsAloneHasAll) {
  Crowd crowd;
  for (int reading = 0; reading < 3; ++reading) {
    crowd.Begin();
    EXPECT_EQ(Served(crowd, Client(1), 100'000), 100'000u);
  }
}

TEST(CrowdTest, WhoSendsLittleLosesNothingBesideThoseWhoFlood) {
  Crowd crowd;
  for (int reading = 0; reading < 3; ++reading) {
    crowd.Begin();
    size_t served = 0;
    for (uint16_t flood = 1; flood <= 20; ++flood) {
      served += Served(crowd, Client(flood), 1000);
    }
    EXPECT_EQ(Served(crowd, Client(99), 5), 5u);
    if (reading == 0) continue;  // How many there are is not known yet.
    // Each has an equal part of all, but for the packet that goes beyond.
    const size_t bytes = served * (1200 + Crowd::kTrain);
    EXPECT_LE(bytes, Crowd::kBytes + 20 * (1200 + Crowd::kTrain));
    EXPECT_GE(bytes, Crowd::kBytes * 20 / 21);
  }
}

TEST(CrowdTest, TheFirstTrainOfEachIsServedHoweverManyThereAre) {
  Crowd crowd;
  for (int reading = 0; reading < 2; ++reading) {
    crowd.Begin();
    for (uint16_t client = 1; client <= 5000; ++client) {
      EXPECT_TRUE(crowd.Admits(Client(client), 65'000));
    }
  }
  EXPECT_FALSE(crowd.Admits(Client(1), 1));
}

TEST(CrowdTest, WhoIsLeftAloneHasAllOnceThatIsSeen) {
  Crowd crowd;
  crowd.Begin();
  for (uint16_t client = 1; client <= 100; ++client) {
    EXPECT_TRUE(crowd.Admits(Client(client), 1200));
  }
  crowd.Begin();
  EXPECT_LT(Served(crowd, Client(1), 1000), 10u);
  crowd.Begin();
  EXPECT_EQ(Served(crowd, Client(1), 1000), 1000u);
}

}  // namespace
}  // namespace kyuu::relay
