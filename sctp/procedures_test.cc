// Partial reliability, stream reset, shutdown, abort and restart between two
// associations.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/association.h"
#include "sctp/testing/test_pair.h"

namespace kyuu::sctp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

bool IsLarge(absl::Span<const uint8_t> packet) { return packet.size() > 500; }

// RFC 7496 section 3.1, and RFC 3758 for what follows from it.
TEST(PartialReliability, ZeroRetransmitsLosesTheMessageAndGoesOn) {
  TestPair p;
  p.Connect();
  int large = 0;
  p.pair.keep_a_to_b = [&](auto packet) {
    return !IsLarge(packet) || ++large != 2;
  };
  for (const char* c : {"0", "1", "2", "3", "4", "5"}) {
    ASSERT_OK(
        p.SendText(p.a, 1, c + std::string(1000, 'x'), {.max_retransmits = 0}));
  }
  p.pair.RunFor(absl::Seconds(1));
  std::string order;
  for (const std::string& text : p.at_b.Texts(1)) order += text[0];
  EXPECT_EQ(order, "02345");
  EXPECT_EQ(p.a.stats().messages_abandoned, 1u);
  EXPECT_EQ(p.a.stats().chunks_retransmitted, 0u);
  EXPECT_EQ(p.a.stats().send_occupied_bytes, 0u);
  EXPECT_EQ(p.b.stats().receive_held_bytes, 0u);
}

TEST(PartialReliability, AFragmentedMessageIsGivenUpWhole) {
  for (Ordering ordering : {Ordering::kOrdered, Ordering::kUnordered}) {
    TestPair p;
    p.Connect();
    int large = 0;
    p.pair.keep_a_to_b = [&](auto packet) {
      return !IsLarge(packet) || ++large != 3;
    };
    ASSERT_OK(p.SendText(p.a, 1, std::string(8000, 'l'),
                         {.ordering = ordering, .max_retransmits = 0}));
    ASSERT_OK(p.SendText(p.a, 1, "next", {.ordering = ordering}));
    p.pair.RunFor(absl::Seconds(2));
    EXPECT_THAT(p.at_b.Texts(1), ElementsAre("next"));
    EXPECT_EQ(p.a.stats().messages_abandoned, 1u);
    EXPECT_EQ(p.b.stats().receive_held_bytes, 0u);
  }
}

TEST(PartialReliability, AllowsAsManyRetransmissionsAsAsked) {
  TestPair p;
  p.Connect();
  int large = 0;
  p.pair.keep_a_to_b = [&](auto packet) {
    return !IsLarge(packet) || ++large > 2;  // Lost twice.
  };
  ASSERT_OK(p.SendText(p.a, 1, std::string(1000, 'x'), {.max_retransmits = 2}));
  p.pair.RunFor(absl::Seconds(5));
  EXPECT_THAT(p.at_b.Texts(1), SizeIs(1));
  large = 0;
  ASSERT_OK(p.SendText(p.a, 1, std::string(1000, 'x'), {.max_retransmits = 1}));
  p.pair.RunFor(absl::Seconds(5));
  EXPECT_THAT(p.at_b.Texts(1), SizeIs(1));
  EXPECT_EQ(p.a.stats().messages_abandoned, 1u);
}

TEST(PartialReliability, WhatCanGoAtOnceGoesWithALifetimeOfZero) {
  TestPair p;
  p.Connect();
  const SendOptions at_once{.lifetime = absl::ZeroDuration()};
  for (int i = 0; i < 10; ++i) {
    // Three fragments: the later ones did not have to wait either.
    ASSERT_OK(p.SendText(p.a, 0, std::string(3000, 'x'), at_once));
    // A driver takes a moment until it asks.
    p.pair.RunFor(absl::Seconds(1));
  }
  EXPECT_THAT(p.at_b.messages, SizeIs(10));
  // More than the window: the rest would have to wait.
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(p.SendText(p.a, 0, std::string(1000, 'x'), at_once));
  }
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_GE(p.at_b.messages.size(), 20u);
  EXPECT_LT(p.at_b.messages.size(), 60u);
  EXPECT_EQ(p.a.stats().messages_abandoned, 110 - p.at_b.messages.size());
  EXPECT_EQ(p.a.stats().send_occupied_bytes, 0u);
}

TEST(PartialReliability, ABurstWithALifetimeOfZeroArrivesWhereWindowsAreShort) {
  const sim::LinkOptions link{.delay = absl::Microseconds(200)};
  TestPair p({.a_to_b = link, .b_to_a = link});
  p.Connect();
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(p.SendText(p.a, 0, std::string(1000, 'x'),
                         {.lifetime = absl::ZeroDuration()}));
  }
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_THAT(p.at_b.messages, SizeIs(100));
}

// ... and nobody asked for a packet: what is out of date is not sent late.
TEST(PartialReliability, ALifetimeEndsWhileNobodyAsksForPackets) {
  TestPair p;
  p.Connect();
  ASSERT_OK(p.SendText(p.a, 0, "x", {.lifetime = absl::Milliseconds(100)}));
  std::vector<uint8_t> buffer(2000);
  EXPECT_FALSE(p.a.PollTransmit(p.pair.now() + absl::Milliseconds(120),
                                absl::MakeSpan(buffer)));
  EXPECT_EQ(p.a.stats().messages_abandoned, 1u);
}

TEST(PartialReliability, LifetimeEndsInTheQueue) {
  TestPair p;
  p.Connect();
  p.pair.a_to_b.options().rate_bits_per_s = 100'000;
  // Ten seconds' worth of data keeps the queue busy.
  ASSERT_OK(p.SendText(p.a, 1, std::string(125'000, 'x')));
  ASSERT_OK(p.SendText(p.a, 1, "stale", {.lifetime = absl::Seconds(1)}));
  ASSERT_OK(p.SendText(p.a, 1, "patient", {.lifetime = absl::Minutes(10)}));
  p.pair.RunFor(absl::Minutes(5));
  EXPECT_THAT(p.at_b.Texts(1), ElementsAre(SizeIs(125'000), "patient"));
  EXPECT_EQ(p.a.stats().messages_abandoned, 1u);
}

TEST(PartialReliability, LifetimeEndsInFlight) {
  TestPair p;
  p.Connect();
  p.pair.a_to_b.options().loss = 1;
  ASSERT_OK(p.SendText(p.a, 1, "lost", {.lifetime = absl::Milliseconds(100)}));
  p.pair.RunFor(absl::Milliseconds(150));
  p.pair.a_to_b.options().loss = 0;
  ASSERT_OK(p.SendText(p.a, 1, "next"));
  p.pair.RunFor(absl::Seconds(2));
  EXPECT_THAT(p.at_b.Texts(1), ElementsAre("next"));
  EXPECT_EQ(p.a.stats().messages_abandoned, 1u);
}

TEST(PartialReliability, AMessageCutOffMidwayFreesThePeer) {
  Options options;
  options.initial_cwnd_packets = 2;
  TestPair p({}, options);
  p.Connect();
  ASSERT_OK(p.SendText(p.a, 1, std::string(100'000, 'x'),
                       {.lifetime = absl::Milliseconds(15)}));
  ASSERT_OK(p.SendText(p.a, 1, "next"));
  p.pair.RunFor(absl::Seconds(2));
  EXPECT_THAT(p.at_b.Texts(1), ElementsAre("next"));
  EXPECT_EQ(p.b.stats().receive_held_bytes, 0u);
  EXPECT_EQ(p.b.stats().messages_skipped, 1u);
}

TEST(PartialReliability, ReliableOnesAmongTheOthersAllArrive) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    sim::LinkOptions link{.loss = 0.2, .duplicate = 0.05, .reorder = 0.1};
    TestPair p({.seed = seed, .a_to_b = link, .b_to_a = link});
    p.Connect();
    std::vector<std::string> reliable;
    for (int i = 0; i < 300; ++i) {
      const std::string text =
          absl::StrCat(i, std::string(static_cast<size_t>(i * 31 % 3000), 'x'));
      SendOptions how;
      if (i % 3 == 1) how.max_retransmits = 0;
      if (i % 3 == 2) how.lifetime = absl::Milliseconds(30);
      if (i % 2 == 1) how.ordering = Ordering::kUnordered;
      if (i % 6 == 0) reliable.push_back(text);
      ASSERT_OK(p.SendText(p.a, i % 6, text, how));
    }
    p.pair.RunFor(absl::Minutes(2));
    EXPECT_TRUE(p.at_b.Texts(0) == reliable);
    EXPECT_EQ(p.a.stats().send_occupied_bytes, 0u) << p.a.DebugString();
    EXPECT_EQ(p.b.stats().receive_held_bytes, 0u) << p.b.DebugString();
    EXPECT_FALSE(p.at_a.closed || p.at_b.closed);
  }
}

TEST(StreamReset, StartsAStreamOverInBothDirections) {
  TestPair p;
  p.Connect();
  ASSERT_OK(p.SendText(p.a, 7, "before"));
  ASSERT_OK(p.a.ResetStreams(p.pair.now(), {StreamId{7}}));
  // It belongs to the time after, and waits for it.
  ASSERT_OK(p.SendText(p.a, 7, "between"));
  EXPECT_EQ(p.a.buffered_amount(StreamId{7}), 13u);
  p.pair.RunFor(absl::Milliseconds(100));
  ASSERT_THAT(p.at_a.resets, SizeIs(1));
  EXPECT_EQ(p.at_a.resets[0].direction, StreamDirection::kOutgoing);
  EXPECT_OK(p.at_a.resets[0].status);
  ASSERT_THAT(p.at_b.resets, SizeIs(1));
  EXPECT_EQ(p.at_b.resets[0].direction, StreamDirection::kIncoming);
  EXPECT_THAT(p.at_b.resets[0].streams, ElementsAre(StreamId{7}));
  ASSERT_OK(p.b.ResetStreams(p.pair.now(), {StreamId{7}}));
  p.pair.RunFor(absl::Milliseconds(100));
  EXPECT_THAT(p.at_a.resets, SizeIs(2));
  ASSERT_OK(p.SendText(p.a, 7, "after"));
  p.pair.RunFor(absl::Milliseconds(100));
  EXPECT_THAT(p.at_b.Texts(7), ElementsAre("before", "between", "after"));
}

// A peer that takes the request for the end (aiortc, libdatachannel) would lose
// what comes after it.
TEST(StreamReset, IsAskedForOnceEverythingIsAcknowledged) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    sim::LinkOptions link{.delay = absl::Milliseconds(20), .loss = 0.05};
    TestPair p({.seed = seed, .a_to_b = link, .b_to_a = link});
    p.Connect();
    for (int i = 0; i < 50; ++i) {
      ASSERT_OK(p.SendText(p.a, 7, std::string(4000, 'x')));
    }
    ASSERT_OK(p.a.ResetStreams(p.pair.now(), {StreamId{7}}));
    std::optional<size_t> had;
    p.pair.keep_a_to_b = [&](absl::Span<const uint8_t> packet) {
      // RE-CONFIG (130), in front or behind a SACK.
      const bool reset =
          packet[12] == 130 ||
          (packet[12] == 3 && packet.size() > 28 && packet[28] == 130);
      if (reset && !had) had = p.at_b.messages.size();
      return true;
    };
    ASSERT_TRUE(p.pair.RunUntil([&] { return !p.at_a.resets.empty(); },
                                absl::Minutes(2)));
    ASSERT_TRUE(had);
    EXPECT_EQ(*had, 50u);
  }
}

TEST(StreamReset, LosesNothingThatWasSentBefore) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    sim::LinkOptions link{.loss = 0.25, .duplicate = 0.1, .reorder = 0.2};
    TestPair p({.seed = seed, .a_to_b = link, .b_to_a = link});
    p.Connect();
    for (int i = 0; i < 40; ++i) {
      ASSERT_OK(p.SendText(p.a, 1 + i % 2, std::string(3000, 'x')));
    }
    ASSERT_OK(p.a.ResetStreams(p.pair.now(), {StreamId{1}, StreamId{2}}));
    size_t delivered_at_reset = 0;
    ASSERT_TRUE(p.pair.RunUntil(
        [&] {
          if (p.at_b.resets.empty())
            delivered_at_reset = p.at_b.messages.size();
          return !p.at_a.resets.empty();
        },
        absl::Minutes(3)));
    p.pair.RunFor(absl::Seconds(1));
    EXPECT_THAT(p.at_b.messages, SizeIs(40));
    ASSERT_OK(p.SendText(p.a, 1, "again"));
    p.pair.RunFor(absl::Minutes(1));
    EXPECT_EQ(p.at_b.Texts(1).back(), "again");
  }
}

TEST(StreamReset, WaitsForTheQueueOfTheStream) {
  TestPair p;
  p.Connect();
  ASSERT_OK(p.SendText(p.a, 1, std::string(200'000, 'x')));
  ASSERT_OK(p.a.ResetStreams(p.pair.now(), {StreamId{1}}));
  p.pair.RunFor(absl::Seconds(2));
  EXPECT_THAT(p.at_b.messages, SizeIs(1));
  EXPECT_THAT(p.at_a.resets, SizeIs(1));
}

TEST(StreamReset, TenThousandStreamsAtOnce) {
  TestPair p;
  p.Connect();
  std::vector<StreamId> streams;
  for (uint16_t i = 0; i < 10'000; ++i) {
    streams.push_back(static_cast<StreamId>(i));
    ASSERT_OK(p.SendText(p.a, i, "x"));
  }
  p.pair.RunFor(absl::Seconds(1));
  ASSERT_THAT(p.at_b.messages, SizeIs(10'000));
  ASSERT_OK(p.a.ResetStreams(p.pair.now(), streams));
  p.pair.RunFor(absl::Seconds(10));
  size_t reset = 0;
  for (const StreamsReset& event : p.at_b.resets) reset += event.streams.size();
  EXPECT_EQ(reset, 10'000u);
}

TEST(Shutdown, DeliversEverythingFirst) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    sim::LinkOptions link{.loss = 0.15, .reorder = 0.1};
    TestPair p({.seed = seed, .a_to_b = link, .b_to_a = link});
    p.Connect();
    for (int i = 0; i < 30; ++i) {
      ASSERT_OK(p.SendText(p.a, 0, std::string(5000, 'x')));
      ASSERT_OK(p.SendText(p.b, 0, std::string(5000, 'y')));
    }
    p.a.Shutdown(p.pair.now());
    ASSERT_TRUE(p.pair.RunUntil([&] { return p.at_a.closed && p.at_b.closed; },
                                absl::Minutes(3)));
    EXPECT_OK(*p.at_a.closed);
    EXPECT_THAT(p.at_a.messages, SizeIs(30));
    EXPECT_THAT(p.at_b.messages, SizeIs(30));
    EXPECT_EQ(p.a.NextTimeout(), absl::InfiniteFuture());
    EXPECT_EQ(p.b.NextTimeout(), absl::InfiniteFuture());
  }
}

TEST(Shutdown, FromBothSidesAtOnce) {
  TestPair p;
  p.Connect();
  p.a.Shutdown(p.pair.now());
  p.b.Shutdown(p.pair.now());
  p.pair.RunFor(absl::Seconds(1));
  ASSERT_TRUE(p.at_a.closed && p.at_b.closed);
  EXPECT_OK(*p.at_a.closed);
  EXPECT_OK(*p.at_b.closed);
}

TEST(Shutdown, SurvivesTheLossOfEachPacket) {
  for (int lost = 0; lost < 4; ++lost) {
    SCOPED_TRACE(lost);
    TestPair p;
    p.Connect();
    p.pair.RunFor(absl::Seconds(1));
    int count = 0;
    auto drop = [&](absl::Span<const uint8_t>) { return count++ != lost; };
    p.pair.keep_a_to_b = drop;
    p.pair.keep_b_to_a = drop;
    p.a.Shutdown(p.pair.now());
    p.pair.RunFor(absl::Seconds(5));
    ASSERT_TRUE(p.at_a.closed && p.at_b.closed);
    EXPECT_OK(*p.at_a.closed);
    EXPECT_OK(*p.at_b.closed);
  }
}

TEST(Shutdown, DuringTheHandshakeFollowsIt) {
  TestPair p;
  ASSERT_OK(p.SendText(p.a, 0, "last words"));
  ASSERT_OK(p.a.Connect(p.pair.now()));
  p.a.Shutdown(p.pair.now());
  p.pair.RunFor(absl::Seconds(5));
  EXPECT_THAT(p.at_b.Texts(0), ElementsAre("last words"));
  ASSERT_TRUE(p.at_a.closed && p.at_b.closed);
  EXPECT_OK(*p.at_b.closed);
}

TEST(Shutdown, OfWhatNeverBeganIsImmediate) {
  TestPair p;
  p.a.Shutdown(p.pair.now());
  p.pair.RunFor(absl::Seconds(1));
  ASSERT_TRUE(p.at_a.closed);
  EXPECT_OK(*p.at_a.closed);
  EXPECT_EQ(p.a.stats().packets_sent, 0u);
  EXPECT_THAT(p.a.Connect(p.pair.now()),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(Shutdown, ThePeerThatNeverAnswersIsGivenUp) {
  TestPair p;
  p.Connect();
  p.pair.a_to_b.options().loss = 1;
  p.a.Shutdown(p.pair.now());
  p.pair.RunFor(absl::Minutes(2));
  ASSERT_TRUE(p.at_a.closed);
  EXPECT_EQ(p.at_a.closed->code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(Abort, TellsThePeerWhy) {
  TestPair p;
  p.Connect();
  ASSERT_OK(p.SendText(p.a, 0, std::string(100'000, 'x')));
  p.a.Abort(p.pair.now(), "changed my mind");
  p.pair.RunFor(absl::Seconds(1));
  ASSERT_TRUE(p.at_a.closed && p.at_b.closed);
  EXPECT_EQ(p.at_a.closed->code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(p.at_b.closed->code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(p.at_b.closed->message()),
              ::testing::HasSubstr("changed my mind"));
}

TEST(Abort, CloseIsOrderlyHereAndAnAbortThere) {
  TestPair p;
  p.Connect();
  p.b.Close(p.pair.now());
  p.b.Close(p.pair.now());
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_OK(*p.at_b.closed);
  EXPECT_EQ(p.at_a.closed->code(), absl::StatusCode::kAborted);
}

// A peer that has closed its stream sees that end, and then the abort.
TEST(Abort, CarriesWhatThePeerWaitsFor) {
  TestPair p;
  p.Connect();
  ASSERT_OK(p.SendText(p.b, 3, "last"));
  p.pair.RunFor(absl::Milliseconds(100));
  ASSERT_OK(p.b.ResetStreams(p.pair.now(), {StreamId{3}}));
  ASSERT_OK(p.SendText(p.b, 4, "unacknowledged"));
  std::vector<uint8_t> buffer(2000);
  while (auto packet = p.b.PollTransmit(p.pair.now(), absl::MakeSpan(buffer))) {
    p.a.HandlePacket(p.pair.now(), *packet);
  }
  p.a.Close(p.pair.now());
  p.pair.RunFor(absl::Milliseconds(100));
  ASSERT_TRUE(p.at_b.closed);
  EXPECT_THAT(p.at_b.resets, SizeIs(1));
  EXPECT_EQ(p.b.stats().flight_bytes, 0u);
}

TEST(Abort, WhoMissedItLearnsWithTheNextPacket) {
  TestPair p;
  p.Connect();
  p.pair.RunFor(absl::Seconds(1));
  p.pair.a_to_b.options().loss = 1;
  p.a.Abort(p.pair.now(), "");
  p.pair.RunFor(absl::Seconds(1));
  p.pair.a_to_b.options().loss = 0;
  ASSERT_OK(p.SendText(p.b, 0, "anybody there?"));
  p.pair.RunFor(absl::Seconds(1));
  ASSERT_TRUE(p.at_b.closed);
  EXPECT_EQ(p.at_b.closed->code(), absl::StatusCode::kAborted);
}

TEST(Abort, BeforeTheHandshakeSendsNothing) {
  TestPair p;
  ASSERT_OK(p.a.Connect(p.pair.now()));
  p.a.Abort(p.pair.now(), "never mind");
  p.pair.RunFor(absl::Seconds(5));
  EXPECT_EQ(p.a.stats().packets_sent, 0u);
  EXPECT_THAT(p.at_b.messages, IsEmpty());
}

}  // namespace
}  // namespace kyuu::sctp
