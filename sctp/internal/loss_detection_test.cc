#include "sctp/internal/loss_detection.h"

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/internal/serial.h"
#include "sctp/testing/test_pair.h"

namespace kyuu::sctp::internal {
namespace {

constexpr RoundTrip kRoundTrip{.min = absl::Milliseconds(40),
                               .smoothed = absl::Milliseconds(50)};
constexpr auto kFirst = LossDetection::Transmission::kFirst;
const absl::Time kSent = absl::FromUnixSeconds(1);

void Ack(LossDetection& loss, uint32_t packet) {
  loss.BeginAck();
  loss.OnAcked(packet, absl::Milliseconds(50), kFirst);
}

TEST(LossDetection, CountsPacketsUntilReorderingIsSeen) {
  LossDetection loss;
  Ack(loss, 12);
  EXPECT_EQ(loss.LostAt(10, kSent, kRoundTrip), absl::InfiniteFuture());
  Ack(loss, 13);
  EXPECT_EQ(loss.LostAt(10, kSent, kRoundTrip), absl::InfinitePast());
  EXPECT_EQ(loss.LostAt(11, kSent, kRoundTrip), absl::InfiniteFuture());
}

TEST(LossDetection, WaitsAQuarterOfARoundTripWhereThePathReorders) {
  LossDetection loss;
  Ack(loss, 20);
  Ack(loss, 17);
  EXPECT_TRUE(loss.reordering_seen());
  EXPECT_EQ(loss.LostAt(10, kSent, kRoundTrip),
            kSent + absl::Milliseconds(50 + 10));
  // What left after all that has arrived is not judged.
  EXPECT_EQ(loss.LostAt(21, kSent, kRoundTrip), absl::InfiniteFuture());
}

TEST(LossDetection, TwoOfOneSackAreNotReordered) {
  LossDetection loss;
  loss.BeginAck();
  loss.OnAcked(20, absl::Milliseconds(50), kFirst);
  loss.OnAcked(17, absl::Milliseconds(50), kFirst);
  EXPECT_FALSE(loss.reordering_seen());
}

TEST(LossDetection, TheWindowGrowsOnceInARoundTripUpToOne) {
  LossDetection loss;
  loss.OnSpurious(Tsn(5), Tsn(100));
  EXPECT_EQ(loss.window(kRoundTrip), absl::Milliseconds(20));
  loss.OnSpurious(Tsn(6), Tsn(101));
  EXPECT_EQ(loss.window(kRoundTrip), absl::Milliseconds(20));
  for (uint32_t tsn = 100; tsn < 1000; tsn += 100) {
    loss.OnSpurious(Tsn(tsn), Tsn(tsn + 100));
  }
  EXPECT_EQ(loss.window(kRoundTrip), kRoundTrip.smoothed);
}

TEST(LossEpisode, IsSpuriousIfAllOfItIs) {
  LossEpisode episode;
  episode.Begin();
  episode.OnLost(Tsn(1));
  episode.OnLost(Tsn(2));
  EXPECT_FALSE(episode.OnSpurious(Tsn(1)));
  EXPECT_FALSE(episode.OnSpurious(Tsn(1)));
  EXPECT_FALSE(episode.OnSpurious(Tsn(7)));
  EXPECT_TRUE(episode.OnSpurious(Tsn(2)));
  episode.Begin();
  for (uint32_t i = 0; i <= LossEpisode::kMax; ++i) episode.OnLost(Tsn(i));
  EXPECT_FALSE(episode.Contains(Tsn(0))) << "too many to be a mistake";
}

// Megabits in five seconds after one to start, both ways 25 ms.
double Throughput(const sim::LinkOptions& there, Stats& stats) {
  sim::LinkOptions back{.delay = absl::Milliseconds(25)};
  TestPair p({.seed = 3, .a_to_b = there, .b_to_a = back});
  p.Connect();
  size_t received = 0;
  const auto run = [&](absl::Duration duration) {
    const absl::Time end = p.pair.now() + duration;
    while (p.pair.now() < end) {
      while (p.a.buffered_amount(StreamId{0}) < 500'000) {
        EXPECT_OK(p.SendText(p.a, 0, std::string(60'000, 'x')));
      }
      p.pair.RunFor(absl::Milliseconds(5));
      for (const Message& m : p.at_b.messages) received += m.payload.size();
      p.at_b.messages.clear();
    }
  };
  run(absl::Seconds(1));
  received = 0;
  run(absl::Seconds(5));
  stats = p.a.stats();
  return static_cast<double>(received) * 8 / 5e6;
}

// A twentieth of the packets is 10 ms late, and none is lost.
TEST(LossDetection, ReorderingDoesNotLookLikeLoss) {
  const sim::LinkOptions even{.delay = absl::Milliseconds(25),
                              .rate_bits_per_s = 100'000'000};
  sim::LinkOptions uneven = even;
  uneven.reorder = 0.05;
  uneven.reorder_delay = absl::Milliseconds(10);
  Stats stats;
  const double unimpaired = Throughput(even, stats);
  EXPECT_GT(Throughput(uneven, stats), unimpaired / 2);
  EXPECT_GE(stats.spurious_reductions, 1u);
  EXPECT_LT(stats.chunks_retransmitted, 100u);
}

// Real losses among them are still found, and without timeouts.
TEST(LossDetection, LossAmongReorderingIsFoundInTime) {
  sim::LinkOptions link{.delay = absl::Milliseconds(25)};
  link.loss = 0.01;
  Stats stats;
  const double without = Throughput(link, stats);
  link.reorder = 0.05;
  link.reorder_delay = absl::Milliseconds(10);
  EXPECT_GT(Throughput(link, stats), 0.6 * without);
  EXPECT_LE(stats.t3_timeouts, 1u);
}

}  // namespace
}  // namespace kyuu::sctp::internal
