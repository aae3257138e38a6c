// Chunks in flight by themselves: what a hostile peer's SACKs may cost.

#include "sctp/internal/outstanding_data.h"

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

}  // namespace
}  // namespace kyuu::sctp::internal
