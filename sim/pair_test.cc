#include "sim/pair.h"

#include <deque>
#include <optional>
#include <variant>
#include <vector>

#include "base/testing.h"
#include "base/timer.h"

namespace kyuu::sim {
namespace {

// Delivers numbers reliably and in order, one at a time: the least engine that
// needs timers to survive loss.
class StopAndWait {
 public:
  using Packet = absl::Span<const uint8_t>;
  struct Received {
    uint8_t number;
  };
  using Event = std::variant<Received>;

  void Send(uint8_t number) { queue_.push_back(number); }

  void HandlePacket(absl::Time, Packet in) {
    if (in.size() != 3) return;
    if (in[0] == 'a') {
      if (in[1] == sequence_ && !queue_.empty()) {
        queue_.pop_front();
        ++sequence_;
        timers_.StopAll();
        due_ = true;
      }
      return;
    }
    ack_ = in[1];
    if (in[1] == expected_) {
      ++expected_;
      events_.push_back(Received{in[2]});
    }
  }
  void HandleTimeout(absl::Time now) {
    while (timers_.PopDue(now)) due_ = true;
  }
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out) {
    if (ack_.has_value()) {
      out[0] = 'a';
      out[1] = *ack_;
      out[2] = 0;
      ack_.reset();
      return out.first(3);
    }
    if (queue_.empty() || !due_) return std::nullopt;
    due_ = false;
    timers_.Set(Timer::kResend, now + absl::Milliseconds(100));
    out[0] = 'd';
    out[1] = sequence_;
    out[2] = queue_.front();
    return out.first(3);
  }
  std::optional<Event> PollEvent() {
    if (events_.empty()) return std::nullopt;
    Event event = events_.front();
    events_.pop_front();
    return event;
  }
  absl::Time NextTimeout() const { return timers_.NextTimeout(); }

 private:
  enum class Timer { kResend, kCount };
  TimerTable<Timer> timers_;
  std::deque<uint8_t> queue_;
  std::deque<Event> events_;
  std::optional<uint8_t> ack_;
  uint8_t sequence_ = 0;
  uint8_t expected_ = 0;
  bool due_ = true;
};
static_assert(Engine<StopAndWait>);

constexpr LinkOptions kBad = {.delay = absl::Milliseconds(20),
                              .jitter = absl::Milliseconds(10),
                              .loss = 0.2,
                              .duplicate = 0.1};

struct Story {
  std::vector<uint8_t> received;
  absl::Duration took;
  uint64_t hash;
};

Story RunTo(uint64_t seed) {
  StopAndWait a, b;
  Pair pair(a, b, {.seed = seed, .a_to_b = kBad, .b_to_a = kBad});
  Story run;
  pair.on_b = [&](StopAndWait::Event event) {
    run.received.push_back(std::get<StopAndWait::Received>(event).number);
  };
  const absl::Time start = pair.now();
  for (uint8_t i = 0; i < 100; ++i) a.Send(i);
  EXPECT_TRUE(pair.RunUntilIdle());
  run.took = pair.now() - start;
  run.hash = pair.transcript().hash();
  return run;
}

TEST(Pair, EnginesFinishUnderLossInSimulatedTime) {
  const Story run = RunTo(11);
  ASSERT_EQ(run.received.size(), 100u);
  for (uint8_t i = 0; i < 100; ++i) EXPECT_EQ(run.received[i], i);
  EXPECT_GT(run.took, absl::Seconds(4));
}

TEST(Pair, OneSeedReplaysByteForByte) {
  EXPECT_EQ(RunTo(11).hash, RunTo(11).hash);
  EXPECT_NE(RunTo(11).hash, RunTo(12).hash);
}

TEST(Pair, FiltersDropExactlyWhatTheTestWants) {
  StopAndWait a, b;
  Pair pair(a, b);
  int seen = 0;
  pair.keep_a_to_b = [&](absl::Span<const uint8_t>) { return ++seen > 3; };
  a.Send(1);
  const absl::Time start = pair.now();
  EXPECT_TRUE(pair.RunUntil([&] { return b.PollEvent().has_value(); },
                            absl::Seconds(5)));
  EXPECT_EQ(seen, 4);
  EXPECT_EQ(pair.now() - start, absl::Milliseconds(305));
}

TEST(Pair, RunForLeavesTheClockAtTheEndAndCutLinksDeliverNothing) {
  StopAndWait a, b;
  Pair pair(a, b);
  pair.a_to_b.options().loss = 1;
  a.Send(1);
  const absl::Time start = pair.now();
  pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(pair.now(), start + absl::Seconds(1));
  EXPECT_FALSE(b.PollEvent().has_value());
  EXPECT_FALSE(pair.RunUntilIdle(50));  // It resends for ever.
  pair.a_to_b.options().loss = 0;
  EXPECT_TRUE(pair.RunUntilIdle(50));
  EXPECT_TRUE(b.PollEvent().has_value());
}

}  // namespace
}  // namespace kyuu::sim
