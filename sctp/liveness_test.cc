// When the peer counts as gone, and what happens while there is no path to it.

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sctp/association.h"
#include "sctp/data_channel.h"
#include "sctp/testing/test_pair.h"

namespace kyuu::sctp {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

Options Unlimited() {
  Options options;
  options.max_init_retransmits = std::nullopt;
  options.max_association_retransmits = std::nullopt;
  return options;
}

void Cut(TestPair& p, double loss) {
  p.pair.a_to_b.options().loss = p.pair.b_to_a.options().loss = loss;
}

bool IsData(absl::Span<const uint8_t> packet) {
  return packet.size() > 12 && packet[12] == 0;
}

TEST(Silence, SeveralTimersAreCountedAsOne) {
  absl::Duration until_end[2];
  for (int resets : {0, 1}) {
    TestPair p;
    p.Connect();
    ASSERT_OK(p.SendText(p.a, 1, "a"));
    p.pair.RunFor(absl::Seconds(1));
    const absl::Time start = p.pair.now();
    Cut(p, 1);
    ASSERT_OK(p.SendText(p.a, 0, "into the void"));
    if (resets > 0) {
      p.pair.RunFor(absl::Milliseconds(30));
      ASSERT_OK(p.a.ResetStreams(p.pair.now(), {StreamId{1}}));
    }
    ASSERT_TRUE(p.pair.RunUntil([&] { return p.at_a.closed.has_value(); },
                                absl::Minutes(5)));
    until_end[resets] = p.pair.now() - start;
  }
  EXPECT_GT(until_end[0], absl::Seconds(20));
  EXPECT_GT(until_end[1], 0.9 * until_end[0]);
}

TEST(Silence, WithoutALimitNothingEndsTheAssociation) {
  TestPair p({}, Unlimited(), Unlimited());
  p.Connect();
  Cut(p, 1);
  ASSERT_OK(p.SendText(p.a, 0, "late"));
  ASSERT_OK(p.a.ResetStreams(p.pair.now(), {StreamId{5}}));
  p.pair.RunFor(absl::Hours(1));
  EXPECT_FALSE(p.at_a.closed);
  EXPECT_FALSE(p.at_b.closed);
  Cut(p, 0);
  p.pair.RunFor(absl::Seconds(7));  // Twice rto_max, and a bit.
  EXPECT_THAT(p.at_b.Texts(0), ElementsAre("late"));
  EXPECT_THAT(p.at_a.resets, SizeIs(1));
}

TEST(Silence, WithoutALimitTheHandshakeGoesOn) {
  TestPair p({}, Unlimited(), Unlimited());
  Cut(p, 1);
  ASSERT_OK(p.a.Connect(p.pair.now()));
  p.pair.RunFor(absl::Minutes(10));
  EXPECT_FALSE(p.at_a.closed);
  Cut(p, 0);
  p.pair.RunFor(absl::Seconds(7));
  EXPECT_TRUE(p.both_connected());
}

// Data never arrives (a path that swallows large packets), but the peer
// answers each FORWARD TSN.
TEST(Silence, WhateverThePeerAnswersIsASignOfLife) {
  TestPair p;
  p.Connect();
  p.pair.keep_a_to_b = [](absl::Span<const uint8_t> packet) {
    return !IsData(packet);
  };
  for (int i = 0; i < 60; ++i) {
    ASSERT_OK(p.SendText(p.a, 1, "x", {.max_retransmits = 0}));
    p.pair.RunFor(absl::Seconds(1));
  }
  EXPECT_FALSE(p.at_a.closed) << *p.at_a.closed;
}

TEST(BackOff, OfAResetDoesNotSlowDataDown) {
  TestPair p({}, Unlimited());
  p.Connect();
  ASSERT_OK(p.SendText(p.a, 0, "x"));
  p.pair.RunFor(absl::Seconds(1));
  const absl::Duration before = p.a.stats().rto;
  // RE-CONFIG is chunk type 130.
  p.pair.keep_a_to_b = [](absl::Span<const uint8_t> packet) {
    return packet[12] != 130;
  };
  ASSERT_OK(p.a.ResetStreams(p.pair.now(), {StreamId{5}}));
  p.pair.RunFor(absl::Seconds(20));
  EXPECT_EQ(p.a.stats().rto, before);
}

TEST(NoPath, TimersStandStillAndGoOnAtOnce) {
  for (absl::Duration outage : {absl::Seconds(1), absl::Hours(1)}) {
    SCOPED_TRACE(absl::FormatDuration(outage));
    const sim::LinkOptions link{.delay = absl::Milliseconds(10)};
    TestPair p({.a_to_b = link, .b_to_a = link});  // With the default limits.
    p.Connect();
    ASSERT_OK(p.SendText(p.a, 1, "a"));
    p.pair.RunFor(absl::Seconds(1));
    Cut(p, 1);
    p.a.PathLost(p.pair.now());
    p.b.PathLost(p.pair.now());
    for (int i = 0; i < 20; ++i) ASSERT_OK(p.SendText(p.a, 0, "x"));
    ASSERT_OK(p.a.ResetStreams(p.pair.now(), {StreamId{1}}));
    p.pair.RunFor(outage);
    EXPECT_EQ(p.a.NextTimeout(), absl::InfiniteFuture());
    EXPECT_EQ(p.a.stats().t3_timeouts, 0u);
    Cut(p, 0);
    p.a.PathReady(p.pair.now());
    p.b.PathReady(p.pair.now());
    p.pair.RunFor(absl::Milliseconds(11));  // Half a round trip.
    EXPECT_THAT(p.at_b.messages, SizeIs(21));
    p.pair.RunFor(absl::Seconds(1));
    EXPECT_THAT(p.at_a.resets, SizeIs(1));
    EXPECT_FALSE(p.at_a.closed);
  }
}

TEST(NoPath, AHandshakeGoesOnAtOnce) {
  TestPair p;
  ASSERT_OK(p.a.Connect(p.pair.now()));
  Cut(p, 1);
  p.a.PathLost(p.pair.now());
  p.pair.RunFor(absl::Hours(1));
  EXPECT_FALSE(p.at_a.closed);
  Cut(p, 0);
  p.a.PathReady(p.pair.now());
  p.pair.RunFor(absl::Milliseconds(100));
  EXPECT_TRUE(p.both_connected());
}

TEST(NoPath, AShutdownStillEnds) {
  TestPair p;
  p.Connect();
  p.a.PathLost(p.pair.now());
  p.a.Shutdown(p.pair.now());
  Cut(p, 1);
  p.pair.RunFor(absl::Minutes(6));
  ASSERT_TRUE(p.at_a.closed);
  EXPECT_EQ(p.at_a.closed->code(), absl::StatusCode::kDeadlineExceeded);
}

// A path that only changes: what is in flight on the old one arrives.
TEST(NoPath, AnotherPathIsProbedAndNothingIsSentTwice) {
  const sim::LinkOptions link{.delay = absl::Milliseconds(50)};
  TestPair p({.a_to_b = link, .b_to_a = link});
  p.Connect();
  p.pair.RunFor(absl::Seconds(1));
  for (int i = 0; i < 20; ++i) {
    ASSERT_OK(p.SendText(p.a, 0, std::string(1000, 'x')));
  }
  p.pair.RunFor(absl::Milliseconds(20));
  const uint64_t heartbeats = p.a.stats().heartbeats_sent;
  p.a.PathReady(p.pair.now());
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(p.a.stats().chunks_retransmitted, 0u);
  EXPECT_EQ(p.a.stats().heartbeats_sent, heartbeats + 1);
  EXPECT_THAT(p.at_b.messages, SizeIs(20));
}

// The window grows back to half of what it was, not from four packets on.
TEST(NoPath, AnOutageIsOneLossHoweverLongItLasts) {
  const sim::LinkOptions link{.delay = absl::Milliseconds(25)};
  TestPair p({.a_to_b = link, .b_to_a = link}, Unlimited(), Unlimited());
  p.Connect();
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(p.SendText(p.a, 0, std::string(60'000, 'x')));
  }
  p.pair.RunFor(absl::Milliseconds(400));
  const size_t before = p.a.stats().cwnd_bytes;
  Cut(p, 1);
  p.pair.RunFor(absl::Seconds(20));
  EXPECT_GE(p.a.stats().t3_timeouts, 5u);
  EXPECT_GE(p.a.stats().ssthresh_bytes, before / 2);
}

TEST(NoPath, IsRememberedUntilTheAssociationStarts) {
  SeededRandom random(1);
  DataChannels channels({}, random);
  const absl::Time now = absl::FromUnixSeconds(1);
  channels.PathLost(now);
  channels.Start(now, StreamParity::kEven);
  EXPECT_EQ(channels.NextTimeout(), absl::InfiniteFuture());
  channels.PathReady(now);
  EXPECT_LT(channels.NextTimeout(), now + absl::Seconds(1));
}

}  // namespace
}  // namespace kyuu::sctp
