// A path that is slow for a while, so that T3 expires for what is on its way
// (RFC 5682).

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/association.h"
#include "sctp/testing/test_pair.h"

namespace kyuu::sctp {
namespace {

struct Spike {
  TestPair p;
  uint64_t lost = 0;  // By the link's queue, meanwhile.

  explicit Spike(const Options& options = {})
      : p({.seed = 5,
           .a_to_b = {.delay = absl::Milliseconds(25),
                      .rate_bits_per_s = 20'000'000},
           .b_to_a = {.delay = absl::Milliseconds(25)}},
          options, {}) {
    p.Connect();
  }
  void Run(absl::Duration duration) {
    const absl::Time end = p.pair.now() + duration;
    while (p.pair.now() < end) {
      while (p.a.buffered_amount(StreamId{0}) < 200'000) {
        EXPECT_OK(p.SendText(p.a, 0, std::string(20'000, 'x')));
      }
      p.pair.RunFor(absl::Milliseconds(5));
    }
  }
  // What changed while the way back was longer by `extra` for half a second,
  // and in the three seconds after.
  Stats Delay(absl::Duration extra) {
    Run(absl::Seconds(3));
    const Stats before = p.a.stats();
    const uint64_t dropped = p.pair.a_to_b.stats().queue_full;
    p.pair.b_to_a.options().delay += extra;
    Run(absl::Milliseconds(500));
    p.pair.b_to_a.options().delay -= extra;
    Run(absl::Seconds(3));
    Stats change = p.a.stats();
    lost = p.pair.a_to_b.stats().queue_full - dropped;
    change.t3_timeouts -= before.t3_timeouts;
    change.spurious_timeouts -= before.spurious_timeouts;
    change.chunks_retransmitted -= before.chunks_retransmitted;
    return change;
  }
};

class SpuriousTimeout
    : public ::testing::TestWithParam<Options::CongestionControl> {};

TEST_P(SpuriousTimeout, SendsNothingAgainButWhatItHad) {
  Spike spike({.congestion_control = GetParam()});
  const Stats change = spike.Delay(absl::Seconds(2));
  EXPECT_GE(change.t3_timeouts, 1u);
  EXPECT_GE(change.spurious_timeouts, 1u);
  // Beside what was lost: the probe for the tail, what the smallest window
  // takes each time that T3 expires, and what is sent before the second SACK.
  EXPECT_LE(change.chunks_retransmitted,
            spike.lost + 1 + 4 * change.t3_timeouts + 4);
  // And the window is what it was.
  EXPECT_GE(change.cwnd_bytes, 100'000u);
}

// A path that has become shorter answers sooner than any did before. That the
// answer to what is sent again must be about what was sent first is a guess
// then, and the next probe shows that it was wrong: what is missing is found by
// the answers, not by a probe for each packet.
TEST_P(SpuriousTimeout, AShorterPathIsNoProofThatNothingWasLost) {
  TestPair p({.seed = 5,
              .a_to_b = {.delay = absl::Milliseconds(20),
                         .rate_bits_per_s = 200'000'000},
              .b_to_a = {.delay = absl::Milliseconds(20)}},
             {.congestion_control = GetParam()}, {});
  p.Connect();
  size_t sent = 0;
  const auto fill = [&] {
    while (p.a.buffered_amount(StreamId{0}) < 400'000) {
      EXPECT_OK(p.SendText(p.a, 0, std::string(20'000, 'x')));
      ++sent;
    }
  };
  for (int i = 0; i < 400; ++i) {
    fill();
    p.pair.RunFor(absl::Milliseconds(5));
  }
  // All that is on its way is lost.
  p.pair.a_to_b.options().loss = p.pair.b_to_a.options().loss = 1;
  p.pair.RunFor(absl::Milliseconds(50));
  p.pair.a_to_b.options().delay = p.pair.b_to_a.options().delay =
      absl::Milliseconds(1);
  p.pair.a_to_b.options().loss = p.pair.b_to_a.options().loss = 0;
  ASSERT_LT(p.at_b.messages.size(), sent);
  EXPECT_TRUE(p.pair.RunUntil([&] { return p.at_b.messages.size() == sent; },
                              absl::Seconds(1)));
  EXPECT_LE(p.a.stats().tail_loss_probes, 4u);
}

// While a queue stood, a round trip took half a second. What is sent again
// after the outage says nothing of round trips (Karn), and goes by those of
// now.
TEST_P(SpuriousTimeout, AQueueThatIsGoneDoesNotSlowDownWhatIsSentAgain) {
  TestPair p({.seed = 5,
              .a_to_b = {.delay = absl::Milliseconds(10)},
              .b_to_a = {.delay = absl::Milliseconds(10)}},
             {.congestion_control = GetParam()}, {});
  p.Connect();
  size_t sent = 0;
  const auto run = [&](absl::Duration duration) {
    for (const absl::Time end = p.pair.now() + duration; p.pair.now() < end;) {
      while (p.a.buffered_amount(StreamId{0}) < 400'000 &&
             p.SendText(p.a, 0, std::string(20'000, 'x')).ok()) {
        ++sent;
      }
      p.pair.RunFor(absl::Milliseconds(5));
    }
  };
  const auto set_delay = [&](absl::Duration delay) {
    p.pair.a_to_b.options().delay = p.pair.b_to_a.options().delay = delay;
  };
  run(absl::Milliseconds(200));
  set_delay(absl::Milliseconds(250));
  run(absl::Seconds(10));
  p.pair.a_to_b.options().loss = p.pair.b_to_a.options().loss = 1;
  run(absl::Milliseconds(600));
  set_delay(absl::Milliseconds(10));
  p.pair.a_to_b.options().loss = p.pair.b_to_a.options().loss = 0;
  ASSERT_LT(p.at_b.messages.size(), sent);
  EXPECT_TRUE(p.pair.RunUntil([&] { return p.at_b.messages.size() == sent; },
                              absl::Seconds(4)));
}

INSTANTIATE_TEST_SUITE_P(Controls, SpuriousTimeout,
                         ::testing::Values(Options::CongestionControl::kCubic,
                                           Options::CongestionControl::kRfc9260,
                                           Options::CongestionControl::kBbr));

}  // namespace
}  // namespace kyuu::sctp
