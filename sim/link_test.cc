#include "sim/link.h"

#include <vector>

#include "base/testing.h"

namespace kyuu::sim {
namespace {

using ::testing::ElementsAre;

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

TEST(Link, DelaysEveryPacketAlikeByDefault) {
  SeededRandom random(1);
  Link link({.delay = absl::Milliseconds(30)});
  EXPECT_THAT(link.Send(kStart, 100, random),
              ElementsAre(kStart + absl::Milliseconds(30)));
}

TEST(Link, LosesTheGivenShare) {
  SeededRandom random(2);
  Link link({.loss = 0.3});
  int arrived = 0;
  for (int i = 0; i < 10'000; ++i) {
    arrived += static_cast<int>(link.Send(kStart, 100, random).size());
  }
  EXPECT_NEAR(arrived, 7000, 200);
  EXPECT_EQ(link.stats().lost + arrived, 10'000u);
}

TEST(Link, DuplicatesTheGivenShare) {
  SeededRandom random(3);
  Link link({.duplicate = 0.25});
  size_t arrived = 0;
  for (int i = 0; i < 10'000; ++i) {
    arrived += link.Send(kStart, 100, random).size();
  }
  EXPECT_NEAR(static_cast<double>(arrived), 12'500, 200);
  EXPECT_EQ(link.stats().duplicated, arrived - 10'000);
}

TEST(Link, JitterAloneKeepsTheOrder) {
  SeededRandom random(4);
  Link link({.delay = absl::Milliseconds(5), .jitter = absl::Milliseconds(50)});
  absl::Time last = kStart;
  for (int i = 0; i < 1000; ++i) {
    const absl::Time sent = kStart + absl::Milliseconds(i);
    const absl::Time arrival = link.Send(sent, 100, random).at(0);
    EXPECT_GE(arrival, last);
    EXPECT_GE(arrival, sent + absl::Milliseconds(5));
    last = arrival;
  }
}

TEST(Link, ReorderedPacketsAreOvertaken) {
  SeededRandom random(5);
  Link link({.reorder = 0.5, .reorder_delay = absl::Milliseconds(20)});
  int overtaken = 0;
  absl::Time latest = kStart;
  for (int i = 0; i < 1000; ++i) {
    const absl::Time arrival =
        link.Send(kStart + absl::Milliseconds(i), 100, random).at(0);
    if (arrival < latest) ++overtaken;
    latest = std::max(latest, arrival);
  }
  EXPECT_GT(overtaken, 200);
  EXPECT_GT(link.stats().reordered, 400u);
}

TEST(Link, RateSpacesPacketsAndQueueOverflows) {
  SeededRandom random(6);
  // 1000 bytes take 1 ms at 8 Mbit/s.
  Link link({.delay = absl::ZeroDuration(),
             .rate_bits_per_s = 8'000'000,
             .queue_bytes = 5'000});
  std::vector<absl::Time> arrivals;
  for (int i = 0; i < 10; ++i) {
    for (absl::Time t : link.Send(kStart, 1000, random)) arrivals.push_back(t);
  }
  ASSERT_EQ(arrivals.size(), 6u);
  for (size_t i = 0; i < arrivals.size(); ++i) {
    EXPECT_EQ(arrivals[i], kStart + absl::Milliseconds(i + 1));
  }
  EXPECT_EQ(link.stats().queue_full, 4u);
  // Once drained, it takes more.
  EXPECT_EQ(link.Send(kStart + absl::Milliseconds(6), 1000, random).size(), 1u);
}

TEST(Link, DropsWhatExceedsTheMtu) {
  SeededRandom random(7);
  Link link({.mtu = 1280});
  EXPECT_EQ(link.Send(kStart, 1280, random).size(), 1u);
  EXPECT_EQ(link.Send(kStart, 1281, random).size(), 0u);
  EXPECT_EQ(link.stats().too_big, 1u);
}

}  // namespace
}  // namespace kyuu::sim
