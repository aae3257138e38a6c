// Which stream sends next, by message and by fragment (RFC 8260 section 3).

#include "sctp/internal/stream_scheduler.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/outstanding_data.h"
#include "sctp/internal/send_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

struct Stage {
  explicit Stage(Scheduler scheduler, size_t mix_limit = 1 << 30)
      : options{.scheduler = scheduler} {
    queue.set_partial_reliability(PartialReliability::kOn);
    queue.set_mix_limit(mix_limit);
    if (mix_limit > 0) outstanding.set_data_type(ChunkType::kIData);
  }
  void Add(uint16_t stream, size_t size, const SendOptions& how = {}) {
    queue.Add(kNow,
              Message{StreamId{stream}, Ppid{51}, std::vector<uint8_t>(size)},
              how);
  }
  // Sends a fragment of 1000 bytes or less; its stream, or -1.
  int SendOne(absl::Time now = kNow) {
    OutMessage* message = queue.Current(now);
    if (message == nullptr) return -1;
    const int stream = static_cast<uint16_t>(message->stream);
    outstanding.Send(
        now, *message,
        std::min<size_t>(1000, message->payload.size() - message->offset));
    return stream;
  }
  // The streams of all fragments, in order.
  std::string SendAll() {
    std::string streams;
    for (int stream = SendOne(); stream >= 0; stream = SendOne()) {
      absl::StrAppend(&streams, stream);
    }
    return streams;
  }

  Options options;
  Stats stats;
  EventQueue events{options.held_overhead_bytes};
  SendQueue queue{options, events, stats};
  OutstandingData outstanding{Tsn(1000), queue};
};

TEST(Schedulers, TakeTurnsByFragmentWhereTheyMayBeMixed) {
  struct Row {
    Scheduler scheduler;
    size_t mix_limit;
    const char* expected;
  };
  for (const Row& row :
       {Row{Scheduler::kWeightedFair, 1 << 20, "123312111"},
        Row{Scheduler::kRoundRobin, 1 << 20, "123123111"},
        Row{Scheduler::kFirstComeFirstServed, 1 << 20, "111112233"},
        // RFC 8260 section 3: otherwise by message.
        Row{Scheduler::kWeightedFair, 0, "111122331"},
        Row{Scheduler::kRoundRobin, 0, "111122331"},
        Row{Scheduler::kFirstComeFirstServed, 0, "111112233"}}) {
    Stage stage(row.scheduler, row.mix_limit);
    stage.Add(1, 4000);
    stage.Add(1, 1000);
    stage.Add(2, 1500);
    stage.Add(3, 2000, {.priority = 512});
    EXPECT_EQ(stage.SendAll(), row.expected)
        << static_cast<int>(row.scheduler) << " " << row.mix_limit;
  }
}

TEST(Schedulers, WeightsAreSharesOfBytes) {
  Stage stage(Scheduler::kWeightedFair);
  stage.Add(1, 500'000, {.priority = 128});
  stage.Add(2, 500'000, {.priority = 256});
  stage.Add(3, 500'000, {.priority = 1024});
  std::array<int, 4> fragments{};
  for (int i = 0; i < 440; ++i) {
    ++fragments[static_cast<size_t>(stage.SendOne())];
  }
  EXPECT_NEAR(fragments[1], 40, 2);
  EXPECT_NEAR(fragments[2], 80, 2);
  EXPECT_NEAR(fragments[3], 320, 2);
}

// A fragment that only fills a packet up is charged for what it is.
TEST(Schedulers, SliversDoNotCountAsWholePackets) {
  Stage stage(Scheduler::kWeightedFair);
  stage.Add(1, 200'000);
  stage.Add(2, 200'000);
  std::array<size_t, 3> bytes{};
  for (int i = 0; i < 200; ++i) {
    OutMessage* message = stage.queue.Current(kNow);
    const size_t size = message->stream == StreamId{1} ? 100 : 1000;
    bytes[static_cast<size_t>(message->stream)] += size;
    stage.outstanding.Send(kNow, *message, size);
  }
  EXPECT_NEAR(static_cast<double>(bytes[1]), static_cast<double>(bytes[2]),
              2000);
}

// A peer holds all that is begun until it is whole: in its window, which then
// never opens again.
TEST(Schedulers, WhatIsBegunFitsIntoThePeer) {
  Stage stage(Scheduler::kRoundRobin, /*mix_limit=*/6000);
  for (uint16_t stream = 1; stream <= 4; ++stream) stage.Add(stream, 3000);
  stage.Add(5, 500);
  EXPECT_EQ(stage.SendAll(), "1251212343434");
  // One that is larger than all goes alone.
  stage.Add(1, 8000);
  stage.Add(2, 3000);
  EXPECT_EQ(stage.SendAll(), "11111111222");
}

// What was given up in the middle leaves its turn and its room to others.
TEST(Schedulers, AnAbandonedMessageMakesRoom) {
  Stage stage(Scheduler::kRoundRobin, /*mix_limit=*/6000);
  stage.Add(1, 4000, {.max_retransmits = 0});
  stage.Add(2, 2000);
  stage.Add(3, 4000);
  EXPECT_EQ(stage.SendOne(), 1);
  EXPECT_EQ(stage.SendOne(), 2);
  EXPECT_EQ(stage.SendOne(), 1);
  stage.outstanding.OnTimeout();
  EXPECT_EQ(stage.stats.messages_abandoned, 1u);
  EXPECT_EQ(stage.SendAll(), "23333");
  // All of the abandoned, whose fragments lie between those of another.
  EXPECT_TRUE(stage.outstanding.ShouldForward());
  EXPECT_EQ(stage.outstanding.Forward(1000).new_cumulative_tsn, Tsn(1000));
}

// The heap against a plain search, with streams that leave in the middle.
TEST(StreamScheduler, AgreesWithASearch) {
  SeededRandom random(5);
  for (const Scheduler policy :
       {Scheduler::kRoundRobin, Scheduler::kFirstComeFirstServed}) {
    StreamScheduler scheduler(policy);
    std::array<StreamScheduler::Share, 50> shares;
    std::array<uint64_t, 50> ranks{};  // 0: not there.
    uint64_t number = 0;
    for (int i = 0; i < 20'000; ++i) {
      const size_t at = random.Below(50);
      if (ranks[at] == 0) {
        ranks[at] = ++number;
        scheduler.Enter(static_cast<StreamId>(at), shares[at], number);
      } else if (random.Below(3) == 0) {
        ranks[at] = 0;
        scheduler.Leave(shares[at]);
      } else {
        size_t first = at;
        for (size_t k = 0; k < 50; ++k) {
          if (ranks[k] != 0 && ranks[k] < ranks[first]) first = k;
        }
        ASSERT_EQ(scheduler.next(), static_cast<StreamId>(first));
        scheduler.Serve(1, 1);
        ranks[first] = 0;
      }
    }
  }
}

TEST(StreamScheduler, ServeAgainIsServeAndEnter) {
  for (const Scheduler policy :
       {Scheduler::kWeightedFair, Scheduler::kRoundRobin,
        Scheduler::kFirstComeFirstServed}) {
    SeededRandom random(6);
    StreamScheduler again(policy);
    StreamScheduler twin(policy);
    std::array<StreamScheduler::Share, 20> shares;
    std::array<StreamScheduler::Share, 20> twins;
    std::array<uint64_t, 20> arrivals{};  // 0: not there.
    for (uint64_t number = 1; number < 20'000; ++number) {
      const size_t at = random.Below(20);
      if (arrivals[at] == 0) {
        arrivals[at] = number;
        again.Enter(static_cast<StreamId>(at), shares[at], number);
        twin.Enter(static_cast<StreamId>(at), twins[at], number);
        continue;
      }
      const size_t next = static_cast<size_t>(again.next());
      ASSERT_EQ(twin.next(), again.next());
      const size_t bytes = 1 + random.Below(1200);
      const auto weight = static_cast<uint16_t>(1 + random.Below(500));
      twin.Serve(bytes, weight);
      if (random.Below(3) == 0) {
        again.Serve(bytes, weight);
        arrivals[next] = 0;
      } else {
        again.ServeAgain(bytes, weight);
        twin.Enter(static_cast<StreamId>(next), twins[next], arrivals[next]);
      }
      ASSERT_EQ(shares[next].finish, twins[next].finish);
    }
  }
}

}  // namespace
}  // namespace kyuu::sctp::internal
