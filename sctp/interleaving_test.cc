// I-DATA (RFC 8260) between two associations: agreement, mixed messages,
// partial reliability and resets.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sctp/testing/test_pair.h"

namespace kyuu::sctp {
namespace {

using ::testing::ElementsAre;

sim::PairOptions Lossy(double loss, uint64_t seed = 1) {
  sim::PairOptions link;
  link.a_to_b.loss = link.b_to_a.loss = loss;
  link.a_to_b.reorder = 0.05;
  link.a_to_b.reorder_delay = absl::Milliseconds(30);
  link.seed = seed;
  return link;
}

TEST(Interleaving, IsAgreedOnOnlyByBoth) {
  for (const bool of_a : {false, true}) {
    for (const bool of_b : {false, true}) {
      TestPair p({}, {.interleaving = of_a}, {.interleaving = of_b});
      p.Connect();
      EXPECT_EQ(p.at_a.connected->interleaving, of_a && of_b);
      EXPECT_EQ(p.at_b.connected->interleaving, of_a && of_b);
      EXPECT_TRUE(p.at_a.connected->partial_reliability);
      const std::string large(100'000, 'x');
      ASSERT_OK(p.SendText(p.a, 1, large));
      ASSERT_OK(p.SendText(p.b, 1, large));
      p.pair.RunUntil(
          [&] { return !p.at_a.messages.empty() && !p.at_b.messages.empty(); },
          absl::Minutes(1));
      EXPECT_THAT(p.at_a.Texts(1), ElementsAre(large));
      EXPECT_THAT(p.at_b.Texts(1), ElementsAre(large));
    }
  }
}

TEST(Interleaving, EverythingArrivesInOrderUnderLossAndReordering) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    TestPair p(Lossy(0.05, seed));
    p.Connect();
    for (int i = 0; i < 60; ++i) {
      const std::string text =
          absl::StrCat(i, std::string(static_cast<size_t>(i % 7) * 1500, 'x'));
      ASSERT_OK(p.SendText(p.a, i % 5, text));
      ASSERT_OK(p.SendText(p.a, 5, text, {.ordering = Ordering::kUnordered}));
    }
    p.pair.RunUntil([&] { return p.at_b.messages.size() == 120; },
                    absl::Minutes(1));
    EXPECT_EQ(p.at_b.Texts(5).size(), 60u);
    for (int stream = 0; stream < 5; ++stream) {
      const std::vector<std::string> texts = p.at_b.Texts(stream);
      ASSERT_EQ(texts.size(), 12u);
      for (int k = 0; k < 12; ++k) {
        EXPECT_EQ(std::atoi(texts[static_cast<size_t>(k)].c_str()),
                  stream + 5 * k);
      }
    }
    EXPECT_EQ(p.b.stats().receive_held_bytes, 0u);
  }
}

// RFC 8260 section 2.3: what is given up of both kinds is forgotten at the
// peer, and what is reliable arrives.
TEST(Interleaving, WhatIsGivenUpLeavesNothingBehind) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    TestPair p(Lossy(0.1, seed));
    p.Connect();
    for (int i = 0; i < 200; ++i) {
      SendOptions how;
      if (i % 3 != 0) how.max_retransmits = 0;
      if (i % 3 == 2) how.ordering = Ordering::kUnordered;
      ASSERT_OK(p.SendText(p.a, i % 4, std::string(4000, 'x'), how));
    }
    ASSERT_OK(p.SendText(p.a, 9, "last"));
    p.pair.RunFor(absl::Minutes(1));
    EXPECT_EQ(p.a.stats().send_occupied_bytes, 0u) << p.a.DebugString();
    EXPECT_EQ(p.b.stats().receive_held_bytes, 0u) << p.b.DebugString();
    EXPECT_GT(p.a.stats().messages_abandoned, 0u);
    EXPECT_GE(p.at_b.messages.size(),
              201 - static_cast<size_t>(p.a.stats().messages_abandoned));
    EXPECT_THAT(p.at_b.Texts(9), ElementsAre("last"));
  }
}

// Half a minute of one message, and small ones of equal weight beside it: each
// waits for the packets on the way and not for the message.
TEST(Interleaving, ASmallMessageDoesNotWaitForALargeOne) {
  sim::PairOptions link;
  link.a_to_b.delay = link.b_to_a.delay = absl::Milliseconds(10);
  link.a_to_b.rate_bits_per_s = 2'000'000;
  link.a_to_b.queue_bytes = 20'000;  // 80 ms.
  const Options options{.max_message_in = size_t{16} << 20};
  TestPair p(link, {}, options);
  p.Connect();
  ASSERT_OK(p.SendText(p.a, 1, std::string(size_t{8} << 20, 'x')));
  p.pair.RunFor(absl::Seconds(1));
  for (size_t i = 1; i <= 50; ++i) {
    ASSERT_OK(p.SendText(p.a, 2, "small"));
    p.pair.RunFor(absl::Milliseconds(100));
    // One may wait for a retransmission.
    EXPECT_GE(p.at_b.Texts(2).size() + 6, i);
  }
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(p.at_b.Texts(2).size(), 50u);
  EXPECT_EQ(p.at_b.messages.size(), 50u) << "the large one is still on its way";
  ASSERT_TRUE(p.pair.RunUntil([&] { return p.at_b.messages.size() == 51; },
                              absl::Minutes(1)));
}

// More than the peer's window of beginnings at once would be for ever.
TEST(Interleaving, ManyLargeMessagesAtOnceAllArrive) {
  for (const Scheduler scheduler :
       {Scheduler::kWeightedFair, Scheduler::kRoundRobin,
        Scheduler::kFirstComeFirstServed}) {
    const Options small{.receive_window_bytes = 100'000,
                        .max_unfinished_bytes = 100'000,
                        .scheduler = scheduler};
    TestPair p(Lossy(0.01), small, small);
    p.Connect();
    for (int stream = 0; stream < 40; ++stream) {
      ASSERT_OK(p.SendText(p.a, stream, std::string(40'000, 'x')));
      ASSERT_OK(p.SendText(p.b, stream, std::string(40'000, 'x')));
    }
    EXPECT_TRUE(p.pair.RunUntil(
        [&] {
          return p.at_a.messages.size() == 40 && p.at_b.messages.size() == 40;
        },
        absl::Minutes(2)))
        << p.a.DebugString();
    EXPECT_FALSE(p.at_a.closed || p.at_b.closed);
  }
}

// RFC 8260 section 2.2: message identifiers of both kinds begin at 0 again.
TEST(Interleaving, AResetStartsTheIdentifiersOver) {
  TestPair p(Lossy(0.05));
  p.Connect();
  for (int round = 0; round < 5; ++round) {
    ASSERT_OK(p.SendText(p.a, 3, absl::StrCat("ordered ", round)));
    ASSERT_OK(p.SendText(p.a, 3, absl::StrCat("unordered ", round),
                         {.ordering = Ordering::kUnordered}));
    const size_t expected = 2 * (static_cast<size_t>(round) + 1);
    ASSERT_TRUE(p.pair.RunUntil(
        [&] { return p.at_b.messages.size() == expected; }, absl::Minutes(1)));
    ASSERT_OK(p.a.ResetStreams(p.pair.now(), {StreamId{3}}));
    ASSERT_TRUE(p.pair.RunUntil(
        [&] { return p.at_a.resets.size() > static_cast<size_t>(round); },
        absl::Minutes(1)));
    EXPECT_OK(p.at_a.resets.back().status);
  }
  EXPECT_EQ(p.b.stats().drop_stale_ssn, 0u);
}

}  // namespace
}  // namespace kyuu::sctp
