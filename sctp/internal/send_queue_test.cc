// What the queue of outgoing messages keeps after a burst.

#include "sctp/internal/send_queue.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/sack_chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/outstanding_data.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
constexpr Tsn kFirst{1000};

struct Stage {
  void Add(uint16_t stream, Ordering ordering = Ordering::kOrdered) {
    queue.Add(kNow, Message{StreamId{stream}, Ppid{51}, {1}},
              {.ordering = ordering});
  }
  // Sends all that waits; returns the last chunk.
  std::optional<DataChunk> SendAll() {
    std::optional<DataChunk> last;
    while (OutMessage* message = queue.Current(kNow)) {
      last = outstanding.Send(kNow, *message, message->payload.size());
    }
    return last;
  }
  void AcknowledgeAll() {
    SackChunk sack;
    sack.cumulative_tsn_ack = outstanding.next_tsn() - 1;
    outstanding.HandleSack(kNow, sack, {});
  }

  Options options;
  Stats stats;
  EventQueue events{options.held_overhead_bytes};
  SendQueue queue{options, events, stats};
  OutstandingData outstanding{kFirst, queue};
};

// 130 000 messages of one byte left 14 MB behind for good.
TEST(SendQueue, ABurstIsGivenBack) {
  Stage stage;
  for (int i = 0; i < 60'000; ++i) stage.Add(1);
  EXPECT_GE(stage.queue.message_places(), 60'000u);
  stage.SendAll();
  stage.AcknowledgeAll();
  EXPECT_EQ(stage.queue.message_places(), 0u);
  EXPECT_LE(stage.outstanding.chunk_places(), 32u);
  EXPECT_EQ(stage.queue.occupied_bytes(), 0u);
}

// Traffic that never rests does not keep what an earlier burst took.
TEST(SendQueue, ABurstIsGivenBackWhileOthersGoOn) {
  Stage stage;
  for (int i = 0; i < 10'000; ++i) stage.Add(1);
  for (int round = 0; round < 10; ++round) {
    stage.SendAll();
    for (int i = 0; i < 10; ++i) stage.Add(2);
    stage.AcknowledgeAll();
    EXPECT_EQ(stage.queue.occupied_bytes(),
              10 * (1 + stage.options.send_overhead_bytes));
  }
  EXPECT_LE(stage.queue.message_places(), 20u);
  EXPECT_LE(stage.outstanding.chunk_places(), 64u);
}

TEST(SendQueue, PlacesAreUsedOnce) {
  Stage stage;
  std::vector<size_t> counts = {500, 3, 200, 1, 700};
  for (size_t count : counts) {
    for (size_t i = 0; i < count; ++i) stage.Add(static_cast<uint16_t>(i));
    EXPECT_EQ(stage.queue.buffered_bytes(), count);
    size_t sent = 0;
    while (OutMessage* message = stage.queue.Current(kNow)) {
      stage.outstanding.Send(kNow, *message, 1);
      ++sent;
    }
    EXPECT_EQ(sent, count);
    stage.AcknowledgeAll();
  }
}

// An idle stream is its number and nothing else.
TEST(SendQueue, IdleStreamsKeepTheirNumbersAndNothingElse) {
  Stage stage;
  for (uint16_t round = 0; round < 3; ++round) {
    for (uint16_t i = 0; i < 10'000; ++i) stage.Add(i);
    EXPECT_EQ(stage.SendAll()->ssn, Ssn(round));
    stage.AcknowledgeAll();
    EXPECT_LE(stage.queue.stream_states(), 32u);
  }
  EXPECT_TRUE(stage.queue.PauseUsed(StreamId{9999}));
  EXPECT_FALSE(stage.queue.PauseUsed(StreamId{10'000}));
}

TEST(SendQueue, AResetForgetsTheNumber) {
  Stage stage;
  const StreamId stream{7};
  stage.Add(7);
  stage.Add(7, Ordering::kUnordered);
  stage.SendAll();
  stage.AcknowledgeAll();
  EXPECT_TRUE(stage.queue.PauseUsed(stream));
  stage.Add(7);
  EXPECT_EQ(stage.queue.TakeSettled(10), std::vector<StreamId>{stream});
  EXPECT_FALSE(stage.SendAll());
  stage.queue.Restart(stream, SendQueue::Numbering::kFromZero);
  EXPECT_EQ(stage.SendAll()->ssn, Ssn(0));
  stage.AcknowledgeAll();
  stage.queue.Pause(stream);
  EXPECT_EQ(stage.queue.TakeSettled(10), std::vector<StreamId>{stream});
  stage.queue.Restart(stream, SendQueue::Numbering::kContinue);
  stage.Add(7);
  EXPECT_EQ(stage.SendAll()->ssn, Ssn(1));
}

// A peer that asks for resets of idle streams and then refuses them had a state
// made and thrown away for each.
TEST(SendQueue, AskingForResetsOfIdleStreamsMakesNoStates) {
  Stage stage;
  constexpr uint16_t kCount = 1000;
  for (uint16_t i = 0; i < kCount; ++i) stage.Add(i);
  stage.SendAll();
  stage.AcknowledgeAll();
  const size_t before = stage.queue.stream_states();
  for (int times = 0; times < 3; ++times) {
    for (uint16_t i = 0; i < kCount; ++i) {
      // Once or again: it is paused.
      EXPECT_TRUE(stage.queue.PauseUsed(StreamId{i}));
      EXPECT_TRUE(stage.queue.PauseUsed(StreamId{i}));
    }
    EXPECT_EQ(stage.queue.stream_states(), before);
    const std::vector<StreamId> settled = stage.queue.TakeSettled(2 * kCount);
    EXPECT_EQ(settled.size(), kCount);
    for (StreamId id : settled) {
      stage.queue.Restart(id, SendQueue::Numbering::kContinue);
    }
    EXPECT_EQ(stage.queue.stream_states(), before);
  }
}

TEST(SendQueue, PatienceBeginsWithTheAcknowledgement) {
  Stage stage;
  stage.options.reset_delay = absl::Seconds(1);
  const StreamId stream{7};
  stage.Add(7);
  stage.SendAll();
  stage.queue.Pause(stream, ResetTiming::kPatient);
  EXPECT_TRUE(stage.queue.is_settling());
  stage.AcknowledgeAll();
  EXPECT_FALSE(stage.queue.is_settling());
  EXPECT_EQ(stage.queue.next_ripe(), kNow + absl::Seconds(1));
  stage.queue.Ripen(kNow + absl::Milliseconds(999));
  EXPECT_FALSE(stage.queue.has_settled());
  stage.queue.Ripen(kNow + absl::Seconds(1));
  EXPECT_EQ(stage.queue.TakeSettled(10), std::vector<StreamId>{stream});
  EXPECT_EQ(stage.queue.next_ripe(), absl::InfiniteFuture());
}

// One that hurries leaves a place in the line behind, which must not stand for
// the next reset of the stream.
TEST(SendQueue, WhoHurriesIsNotTakenTwiceNorTooEarly) {
  Stage stage;
  stage.options.reset_delay = absl::Seconds(1);
  const StreamId stream{7};
  stage.Add(7);
  stage.SendAll();
  stage.AcknowledgeAll();
  stage.queue.Pause(stream, ResetTiming::kPatient);
  EXPECT_FALSE(stage.queue.has_settled());
  stage.queue.Pause(stream);
  stage.queue.Pause(stream);
  EXPECT_EQ(stage.queue.TakeSettled(10), std::vector<StreamId>{stream});
  stage.queue.Restart(stream, SendQueue::Numbering::kFromZero);
  // It is not paused by those who still hurry.
  stage.queue.Hurry(stream);
  EXPECT_FALSE(stage.queue.has_settled());
  // Used again, it waits for its own acknowledgement.
  stage.Add(7);
  stage.SendAll();
  stage.queue.Pause(stream, ResetTiming::kPatient);
  stage.queue.Ripen(kNow + absl::Seconds(1));
  EXPECT_FALSE(stage.queue.has_settled());
  stage.AcknowledgeAll();
  stage.queue.Ripen(kNow + absl::Seconds(1));
  EXPECT_EQ(stage.queue.TakeSettled(10), std::vector<StreamId>{stream});
  stage.queue.Ripen(absl::InfiniteFuture());
  EXPECT_FALSE(stage.queue.has_settled());
}

// Queued behind a reset, a message is what the stream was used for next.
TEST(SendQueue, AStreamWithAMessageBehindItsResetIsUsedAgain) {
  Stage stage;
  const StreamId stream{7};
  EXPECT_FALSE(stage.queue.PauseUsed(stream));
  stage.Add(7);
  stage.SendAll();
  stage.queue.Pause(stream);
  EXPECT_TRUE(stage.queue.is_settling());
  stage.Add(7);
  stage.AcknowledgeAll();
  EXPECT_EQ(stage.queue.TakeSettled(10), std::vector<StreamId>{stream});
  stage.queue.Restart(stream, SendQueue::Numbering::kFromZero);
  EXPECT_TRUE(stage.queue.PauseUsed(stream));
  EXPECT_TRUE(stage.queue.is_settling());
}

}  // namespace
}  // namespace kyuu::sctp::internal
