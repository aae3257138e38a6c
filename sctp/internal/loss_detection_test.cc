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
  EXPECT_EQ(loss.LostAt(10, kSent, kRoundTrip),
            kSent + absl::Milliseconds(50 + 10));
  Ack(loss, 13);
  EXPECT_EQ(loss.LostAt(10, kSent, kRoundTrip), absl::InfinitePast());
  EXPECT_EQ(loss.LostAt(11, kSent, kRoundTrip),
            kSent + absl::Milliseconds(50 + 10));
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

struct Outcome {
  double rate = 0;  // Megabits per second, after one second to start.
  Stats sender;
  Stats receiver;
};

// Both ways 25 ms.
Outcome Transfer(const sim::LinkOptions& there) {
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
  run(absl::Seconds(3));
  return {static_cast<double>(received) * 8 / 3e6, p.a.stats(), p.b.stats()};
}

// A twentieth of the packets is 10 ms late, and none is lost but by the queue.
TEST(LossDetection, ReorderingDoesNotLookLikeLoss) {
  const sim::LinkOptions even{.delay = absl::Milliseconds(25),
                              .rate_bits_per_s = 100'000'000};
  sim::LinkOptions uneven = even;
  uneven.reorder = 0.05;
  uneven.reorder_delay = absl::Milliseconds(10);
  const Outcome outcome = Transfer(uneven);
  EXPECT_GT(outcome.rate, 0.9 * Transfer(even).rate);
  EXPECT_GE(outcome.sender.spurious_reductions, 1u);
  EXPECT_LT(outcome.receiver.drop_duplicate_data, 100u);
}

// Real losses among them are still found, and without timeouts.
TEST(LossDetection, LossAmongReorderingIsFoundInTime) {
  sim::LinkOptions link{.delay = absl::Milliseconds(25)};
  link.loss = 0.01;
  const double without = Transfer(link).rate;
  link.reorder = 0.05;
  link.reorder_delay = absl::Milliseconds(10);
  const Outcome outcome = Transfer(link);
  EXPECT_GT(outcome.rate, 0.6 * without);
  EXPECT_LE(outcome.sender.t3_timeouts, 1u);
}

}  // namespace
}  // namespace kyuu::sctp::internal
