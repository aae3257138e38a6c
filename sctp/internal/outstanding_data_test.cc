// Chunks in flight by themselves: what a hostile peer's SACKs may cost.

#include "sctp/internal/outstanding_data.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/chunk/sack_chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/send_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
constexpr Tsn kFirst{0xfffffff0};

struct Stage {
  explicit Stage(PartialReliability reliability = PartialReliability::kOff) {
    queue.set_partial_reliability(reliability);
  }
  // Queues a message and sends all of it.
  void Send(StreamId stream, size_t size, const SendOptions& how = {}) {
    queue.Add(kNow, Message{stream, Ppid{51}, std::vector<uint8_t>(size, 1)},
              how);
    outstanding.BeginPacket();
    while (OutMessage* message = queue.Current(kNow)) {
      outstanding.Send(
          kNow, *message,
          std::min<size_t>(message->payload.size() - message->offset, 1000));
    }
  }
  SackResult Sack(uint32_t cumulative_offset) {
    SackChunk sack;
    sack.cumulative_tsn_ack = kFirst + cumulative_offset - 1;
    return outstanding.HandleSack(kNow, sack, {});
  }

  Options options;
  Stats stats;
  EventQueue events{options.held_overhead_bytes};
  SendQueue queue{options, events, stats};
  OutstandingData outstanding{kFirst, queue};
};

// Each SACK that moves on by one made a FORWARD TSN look at all that was given
// up: who never acknowledges and then does so one by one, had it for 28 bytes.
TEST(OutstandingData, AForwardTsnLooksAtABoundedNumberOfMessages) {
  Stage stage(PartialReliability::kOn);
  constexpr uint32_t kMessages = 30'000;
  for (uint32_t i = 0; i < kMessages; ++i) {
    stage.Send(StreamId{static_cast<uint16_t>(i % 64)}, 1,
               {.max_retransmits = 0});
  }
  stage.outstanding.OnTimeout();
  ASSERT_TRUE(stage.outstanding.ShouldForward());
  const ForwardTsnChunk forward = stage.outstanding.Forward(1191);
  EXPECT_EQ(forward.skipped.size(), 64u);
  // 64 streams to look through for each message.
  EXPECT_LE(forward.new_cumulative_tsn - kFirst, 4096u);
  EXPECT_GE(forward.new_cumulative_tsn - kFirst, 64u);
  // The rest follows.
  uint32_t done = 0;
  for (int i = 0; i < 1000 && !stage.outstanding.empty(); ++i) {
    done = stage.outstanding.Forward(1191).new_cumulative_tsn - (kFirst - 1);
    stage.Sack(done);
  }
  EXPECT_EQ(done, kMessages);
  EXPECT_TRUE(stage.outstanding.empty());
}

TEST(OutstandingData, AForwardTsnPassesOverAWholeMessageAtOnce) {
  Stage stage(PartialReliability::kOn);
  stage.Send(StreamId{1}, 10'000'000, {.max_retransmits = 0});
  stage.outstanding.OnTimeout();
  EXPECT_EQ(stage.outstanding.Forward(1191).new_cumulative_tsn, kFirst + 9'999);
}

// A SACK of every second TSN from `from` on.
SackChunk EverySecond(uint32_t from, uint32_t blocks) {
  SackChunk sack;
  sack.cumulative_tsn_ack = kFirst - 1;
  for (uint32_t i = 0; i < blocks; ++i) {
    const uint16_t at = static_cast<uint16_t>(from + 2 * i);
    sack.gap_ack_blocks.push_back({at, at});
  }
  return sack;
}

// Each block that told nothing new cost a search among all that was known, and
// whatever a SACK revealed as lost was taken at once.
TEST(OutstandingData, ASackCostsItsBlocksWhateverHolesThereAre) {
  constexpr uint32_t kBlocks = 280;
  Stage stage;
  for (int i = 0; i < 32'700; ++i) stage.Send(StreamId{1}, 1);
  const auto cost_of = [&](const SackChunk& sack) {
    const uint64_t before = stage.outstanding.chunks_examined();
    EXPECT_EQ(stage.outstanding.HandleSack(kNow, sack, {}).kind,
              SackResult::Kind::kApplied);
    return stage.outstanding.chunks_examined() - before;
  };
  for (uint32_t from = 2; from + 2 * kBlocks < 32'700; from += 2 * kBlocks) {
    // Two looks a block, and so many found lost.
    EXPECT_LE(cost_of(EverySecond(from, kBlocks)), 2 * kBlocks + 64) << from;
  }
  for (uint32_t from = 2; from + 2 * kBlocks < 32'700; from += 2 * kBlocks) {
    EXPECT_LE(cost_of(EverySecond(from, kBlocks)), 2 * kBlocks) << from;
  }
  // One run, put together from its far end, and told of again and again.
  SackChunk run;
  run.cumulative_tsn_ack = kFirst - 1;
  run.gap_ack_blocks.push_back({0, 0});
  for (uint16_t at = 32'000; at >= 2; --at) {
    run.gap_ack_blocks[0] = {at, at};
    stage.outstanding.HandleSack(kNow, run, {});
  }
  run.gap_ack_blocks.assign(kBlocks, {2, 32'000});
  const uint64_t first = cost_of(run);
  EXPECT_LE(first, 32'000u);
  EXPECT_LE(cost_of(run), 20 * kBlocks);
}

// Acknowledged and taken back in turns, a whole window was walked for two
// packets of 32 bytes.
TEST(OutstandingData, TakingBackCostsABoundedNumberOfChunks) {
  Stage stage;
  constexpr uint16_t kChunks = 30'000;
  for (int i = 0; i < kChunks; ++i) stage.Send(StreamId{1}, 1);
  SackChunk all;
  all.cumulative_tsn_ack = kFirst - 1;
  all.gap_ack_blocks.push_back({2, kChunks});
  stage.outstanding.HandleSack(kNow, all, {});
  const uint64_t before = stage.outstanding.chunks_examined();
  constexpr uint32_t kTimes = 1000;
  for (uint32_t i = 1; i <= kTimes; ++i) {
    stage.Sack(i);
    all.cumulative_tsn_ack = kFirst - 1 + i;
    all.gap_ack_blocks[0].end = static_cast<uint16_t>(kChunks - i);
    stage.outstanding.HandleSack(kNow, all, {});
  }
  EXPECT_LE(stage.outstanding.chunks_examined() - before, kTimes * 300);
}

// What was thrown away beyond that bound is found missing in its turn.
TEST(OutstandingData, WhatIsTakenBackIsAllSentAgain) {
  Stage stage;
  constexpr uint16_t kChunks = 1000;
  for (int i = 0; i < kChunks; ++i) stage.Send(StreamId{1}, 1);
  SackChunk all;
  all.cumulative_tsn_ack = kFirst - 1;
  all.gap_ack_blocks.push_back({2, kChunks});
  stage.outstanding.HandleSack(kNow, all, {});
  EXPECT_LE(stage.outstanding.flight_bytes(), 20u);
  uint32_t arrived = 1;
  stage.Sack(arrived);
  for (int rounds = 0; rounds < 20 && arrived < kChunks; ++rounds) {
    stage.outstanding.BeginPacket();
    while (stage.outstanding.NextLostSize(kNow) > 0) {
      EXPECT_EQ(stage.outstanding.Resend(kNow).tsn, kFirst + arrived);
      ++arrived;
    }
    stage.Sack(arrived);
  }
  EXPECT_EQ(arrived, kChunks);
  EXPECT_TRUE(stage.outstanding.empty());
}

// More chunks lost at once than are looked at in one go.
TEST(OutstandingData, WhatIsLostBeyondTheBoundIsFoundAtOnceByTheTimer) {
  Stage stage;
  const RoundTrip path{.min = absl::Milliseconds(10),
                       .smoothed = absl::Milliseconds(10)};
  for (int i = 0; i < 200; ++i) stage.Send(StreamId{1}, 1000);
  SackChunk last;
  last.cumulative_tsn_ack = kFirst - 1;
  last.gap_ack_blocks.push_back({200, 200});
  EXPECT_GT(stage.outstanding.HandleSack(kNow, last, path).bytes_lost, 0u);
  int calls = 0;
  for (; stage.outstanding.loss_due() <= kNow; ++calls) {
    EXPECT_TRUE(stage.outstanding.DetectLoss(kNow, path));
  }
  EXPECT_GT(calls, 1);
  EXPECT_LE(calls, 200 / 32);
  // All but the three that left last before it.
  size_t lost = 0;
  for (; stage.outstanding.NextLostSize(kNow) > 0; ++lost) {
    stage.outstanding.Resend(kNow);
  }
  EXPECT_EQ(lost, 197u);
}

// A SACK has no room for all holes of a burst. What it does not tell of stood
// in front of what had been sent again, whose loss only T3 found.
TEST(OutstandingData, ALostRepetitionIsFoundWhereSacksTellOfAPartOnly) {
  const RoundTrip path{.min = absl::Milliseconds(10),
                       .smoothed = absl::Milliseconds(10)};
  Stage stage;
  for (int i = 0; i < 90; ++i) stage.Send(StreamId{1}, 1000);
  EXPECT_GT(
      stage.outstanding.HandleSack(kNow, EverySecond(3, 30), path).bytes_lost,
      0u);
  for (const uint32_t offset : {0u, 1u, 3u, 5u, 7u}) {
    stage.outstanding.BeginPacket();
    ASSERT_GT(stage.outstanding.NextLostSize(kNow), 0u);
    EXPECT_EQ(stage.outstanding.Resend(kNow).tsn, kFirst + offset);
  }
  // All of them have arrived but the first.
  SackChunk sack = EverySecond(9, 27);
  sack.gap_ack_blocks[0].start = 2;
  stage.outstanding.HandleSack(kNow + absl::Milliseconds(20), sack, path);
  ASSERT_GT(stage.outstanding.NextLostSize(kNow), 0u);
  EXPECT_EQ(stage.outstanding.Resend(kNow).tsn, kFirst);
}

// All of it was sent again, a packet for each SACK that told of it.
TEST(OutstandingData, ATimeoutThatWasSpuriousPutsBackWhatIsNotSentAgain) {
  Stage stage;
  for (int i = 0; i < 6; ++i) stage.Send(StreamId{1}, 1000);
  const size_t flight = stage.outstanding.flight_bytes();
  stage.outstanding.OnTimeout();
  stage.outstanding.BeginPacket();
  ASSERT_GT(stage.outstanding.NextLostSize(kNow), 0u);
  EXPECT_EQ(stage.outstanding.Resend(kNow).tsn, kFirst);
  // The first transmission's SACK proves nothing, for there was a second one.
  EXPECT_FALSE(stage.Sack(1).timeout_was_spurious);
  EXPECT_TRUE(stage.outstanding.has_lost());
  const SackResult result = stage.Sack(2);
  EXPECT_TRUE(result.timeout_was_spurious);
  EXPECT_EQ(result.bytes_lost, 0u);
  EXPECT_FALSE(stage.outstanding.has_lost());
  EXPECT_EQ(stage.outstanding.flight_bytes(), flight * 4 / 6);
  EXPECT_EQ(stage.Sack(6).bytes_proven, flight * 4 / 6);
  EXPECT_TRUE(stage.outstanding.empty());
  EXPECT_EQ(stage.outstanding.flight_bytes(), 0u);
}

// SACKs of the first four were lost with the path.
TEST(OutstandingData, ATimeoutIsNotUndoneForWhatHadArrivedBefore) {
  Stage stage;
  for (int i = 0; i < 6; ++i) stage.Send(StreamId{1}, 1000);
  stage.outstanding.OnTimeout();
  for (uint32_t arrived : {4u, 5u}) {
    stage.outstanding.BeginPacket();
    ASSERT_GT(stage.outstanding.NextLostSize(kNow), 0u);
    stage.outstanding.Resend(kNow);
    EXPECT_FALSE(stage.Sack(arrived).timeout_was_spurious);
    EXPECT_TRUE(stage.outstanding.has_lost());
  }
}

// A SACK has room for so many blocks. What the peer has had all the time comes
// up as those in front of it are filled: a timeout that was none, it seemed,
// each time, and what was lost waited for the next one.
TEST(OutstandingData, ATimeoutIsNotUndoneForWhatTheSacksHadNoRoomFor) {
  Stage stage;
  for (int i = 0; i < 90; ++i) stage.Send(StreamId{1}, 1000);
  stage.outstanding.HandleSack(kNow, EverySecond(3, 30), {});
  stage.outstanding.OnTimeout();
  // Told so far: up to the 61st. The third and the fifth of these bring up the
  // 63rd and the 65th, which had no room.
  for (uint32_t filled = 1; filled <= 5; ++filled) {
    stage.outstanding.BeginPacket();
    ASSERT_GT(stage.outstanding.NextLostSize(kNow), 0u);
    stage.outstanding.Resend(kNow);
    SackChunk sack = EverySecond(2, 30);
    sack.cumulative_tsn_ack = kFirst + 2 * (filled - 1);
    EXPECT_FALSE(
        stage.outstanding.HandleSack(kNow, sack, {}).timeout_was_spurious)
        << filled;
    EXPECT_TRUE(stage.outstanding.has_lost());
  }
  // The 68th, which they had room for and did not tell of, was on its way.
  SackChunk sack = EverySecond(2, 30);
  sack.cumulative_tsn_ack = kFirst + 8;
  sack.gap_ack_blocks.pop_back();
  sack.gap_ack_blocks.back().end += 2;
  EXPECT_TRUE(
      stage.outstanding.HandleSack(kNow, sack, {}).timeout_was_spurious);
}

TEST(OutstandingData, ATimeoutIsUndoneIfWhatWasSentAgainIsAnsweredTooSoon) {
  const RoundTrip path{.min = absl::Milliseconds(10),
                       .smoothed = absl::Milliseconds(10)};
  Stage stage;
  for (int i = 0; i < 6; ++i) stage.Send(StreamId{1}, 1000);
  stage.outstanding.OnTimeout();
  stage.outstanding.BeginPacket();
  ASSERT_GT(stage.outstanding.NextLostSize(kNow), 0u);
  stage.outstanding.Resend(kNow);
  SackChunk sack;
  sack.cumulative_tsn_ack = kFirst;
  EXPECT_TRUE(
      stage.outstanding.HandleSack(kNow, sack, path).timeout_was_spurious);
  EXPECT_FALSE(stage.outstanding.has_lost());
}

// Two timeouts in one spike: what was sent again in between has left last.
TEST(OutstandingData, TwoTimeoutsAreUndoneInTheOrderOfDeparture) {
  const RoundTrip path{.min = absl::Milliseconds(10),
                       .smoothed = absl::Milliseconds(10)};
  Stage stage;
  for (int i = 0; i < 8; ++i) stage.Send(StreamId{1}, 1000);
  stage.outstanding.OnTimeout();
  stage.outstanding.BeginPacket();
  ASSERT_GT(stage.outstanding.NextLostSize(kNow), 0u);
  EXPECT_EQ(stage.outstanding.Resend(kNow).tsn, kFirst);
  stage.outstanding.OnTimeout();
  SackChunk sack;
  sack.cumulative_tsn_ack = kFirst - 1;
  sack.gap_ack_blocks.push_back({6, 6});
  EXPECT_FALSE(
      stage.outstanding.HandleSack(kNow, sack, path).timeout_was_spurious);
  sack.gap_ack_blocks[0].end = 7;
  const SackResult result = stage.outstanding.HandleSack(kNow, sack, path);
  EXPECT_TRUE(result.timeout_was_spurious);
  // The second to the fourth left three packets before the seventh and more;
  // the first was sent again after it, and may be on its way.
  EXPECT_GT(result.bytes_lost, 0u);
  std::vector<uint32_t> lost;
  stage.outstanding.BeginPacket();
  while (stage.outstanding.NextLostSize(kNow) > 0) {
    lost.push_back(stage.outstanding.Resend(kNow).tsn - kFirst);
  }
  EXPECT_EQ(lost, (std::vector<uint32_t>{1, 2, 3}));
}

}  // namespace
}  // namespace kyuu::sctp::internal
