// An end that waits for the peer's application: a stack may acknowledge what it
// throws away when the channel, or the association, ends.

#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/data_channel.h"
#include "sim/pair.h"

namespace kyuu::sctp {
namespace {

constexpr absl::Duration kDelay = absl::Milliseconds(500);
constexpr absl::Duration kRoundTrip = absl::Milliseconds(20);

DataChannels::Options Patient() {
  return {.association = {.reset_delay = kDelay}};
}

// When one side was told what.
struct Told {
  std::map<ChannelId, absl::Time> open;
  std::map<ChannelId, absl::Time> closing;
  std::map<ChannelId, absl::Time> closed;
  std::vector<ChannelId> incoming;
  size_t messages = 0;
  absl::Time last_message;
  std::optional<absl::Time> ended;
  absl::Status status;

  void Add(absl::Time now, const DataChannels::Event& event) {
    if (auto* e = std::get_if<ChannelOpened>(&event)) open[e->channel] = now;
    if (auto* e = std::get_if<ChannelIncoming>(&event)) {
      incoming.push_back(e->channel);
    }
    if (auto* e = std::get_if<ChannelClosing>(&event)) {
      closing[e->channel] = now;
    }
    if (auto* e = std::get_if<ChannelClosed>(&event)) closed[e->channel] = now;
    if (std::holds_alternative<ChannelMessage>(event)) {
      ++messages;
      last_message = now;
    }
    if (auto* e = std::get_if<Closed>(&event)) {
      ended = now;
      status = e->status;
    }
  }
};

// `a` is patient; its peer is a stack that knows nothing of that.
class ResetDelayTest : public testing::Test {
 protected:
  ResetDelayTest() {
    pair_.on_a = [this](const auto& e) { told_a_.Add(now(), e); };
    pair_.on_b = [this](const auto& e) { told_b_.Add(now(), e); };
  }
  absl::Time now() const { return pair_.now(); }
  void Connect(size_t channels) {
    for (size_t i = 0; i < channels; ++i) {
      channels_.push_back(*a_.Create(now(), {}));
    }
    a_.Start(now(), StreamParity::kEven);
    b_.Start(now(), StreamParity::kOdd);
    ASSERT_TRUE(
        Until([&] { return told_b_.incoming.size() == channels_.size(); }));
    pair_.RunFor(absl::Seconds(1));
  }
  bool Until(const std::function<bool()>& done) {
    return pair_.RunUntil(done, absl::Minutes(5));
  }
  void Send(ChannelId channel, size_t size) {
    ASSERT_OK(a_.Send(now(), channel, PayloadType::kBinary,
                      std::vector<uint8_t>(size)));
  }

  SeededRandom random_a_{1}, random_b_{2};
  DataChannels a_{Patient(), random_a_};
  DataChannels b_{DataChannels::Options{}, random_b_};
  sim::Pair<DataChannels> pair_{a_,
                                b_,
                                {.a_to_b = {.delay = kRoundTrip / 2},
                                 .b_to_a = {.delay = kRoundTrip / 2}}};
  Told told_a_, told_b_;
  std::vector<ChannelId> channels_;
};

TEST_F(ResetDelayTest, AClosedChannelEndsWellAfterItsLastMessage) {
  Connect(1);
  pair_.a_to_b.options().loss = 0.05;
  for (int i = 0; i < 200; ++i) Send(channels_[0], 4000);
  ASSERT_OK(a_.CloseChannel(now(), channels_[0]));
  EXPECT_FALSE(a_.Send(now(), channels_[0], PayloadType::kText, {}).ok());
  ASSERT_TRUE(Until([&] { return told_b_.closing.size() == 1; }));
  EXPECT_EQ(told_b_.messages, 200u);
  EXPECT_GE(now() - told_b_.last_message, kDelay);
  ASSERT_TRUE(Until([&] { return told_a_.closed.size() == 1; }));
  EXPECT_LE(now() - told_b_.last_message, kDelay + absl::Seconds(1));
}

TEST_F(ResetDelayTest, AMessageThatWasAcknowledgedJustNowIsWaitedForToo) {
  Connect(1);
  Send(channels_[0], 100);
  pair_.RunFor(absl::Milliseconds(100));
  ASSERT_OK(a_.CloseChannel(now(), channels_[0]));
  ASSERT_TRUE(Until([&] { return told_b_.closing.size() == 1; }));
  EXPECT_GE(now() - told_b_.last_message, kDelay);
  EXPECT_LE(now() - told_b_.last_message, kDelay + 2 * kRoundTrip);
}

TEST_F(ResetDelayTest, NothingIsWaitedForWhereNothingIsToBeTaken) {
  Connect(2);
  Send(channels_[0], 100);
  pair_.RunFor(absl::Seconds(2));
  // One that said something long ago, and one that said nothing.
  Send(channels_[0], 100);
  ASSERT_OK(a_.CloseChannel(now(), channels_[1]));
  const absl::Time start = now();
  ASSERT_TRUE(Until([&] { return told_a_.closed.contains(channels_[1]); }));
  EXPECT_LE(now() - start, 3 * kRoundTrip);
  pair_.RunFor(absl::Seconds(2));
  ASSERT_OK(a_.CloseChannel(now(), channels_[0]));
  const absl::Time again = now();
  ASSERT_TRUE(Until([&] { return told_a_.closed.size() == 2; }));
  EXPECT_LE(now() - again, 3 * kRoundTrip);
}

// Traffic on another channel does not keep one from ending.
TEST_F(ResetDelayTest, TheDelayIsThatOfTheChannelAlone) {
  Connect(2);
  Send(channels_[0], 100);
  ASSERT_OK(a_.CloseChannel(now(), channels_[0]));
  const absl::Time start = now();
  while (!told_a_.closed.contains(channels_[0])) {
    ASSERT_LE(now() - start, kDelay + 4 * kRoundTrip);
    Send(channels_[1], 100);
    pair_.RunFor(absl::Milliseconds(10));
  }
  EXPECT_GE(now() - start, kDelay);
}

TEST_F(ResetDelayTest, APeerThatClosesTooIsNotWaitedFor) {
  Connect(1);
  Send(channels_[0], 100);
  ASSERT_OK(a_.CloseChannel(now(), channels_[0]));
  pair_.RunFor(absl::Milliseconds(100));
  EXPECT_TRUE(told_b_.closing.empty());
  ASSERT_OK(b_.CloseChannel(now(), told_b_.incoming[0]));
  const absl::Time start = now();
  ASSERT_TRUE(Until([&] {
    return told_a_.closed.size() == 1 && told_b_.closed.size() == 1;
  }));
  EXPECT_LE(now() - start, 4 * kRoundTrip);
  // What the stream carries next is not reset by what waited.
  channels_.push_back(*a_.Create(now(), {}));
  pair_.RunFor(absl::Seconds(2));
  EXPECT_EQ(told_a_.closed.size(), 1u);
}

TEST_F(ResetDelayTest, APeerThatClosesFirstIsNotWaitedFor) {
  Connect(1);
  Send(channels_[0], 100);
  ASSERT_OK(b_.CloseChannel(now(), told_b_.incoming[0]));
  const absl::Time start = now();
  ASSERT_TRUE(Until([&] { return told_b_.closed.size() == 1; }));
  EXPECT_LE(now() - start, 4 * kRoundTrip);
}

TEST_F(ResetDelayTest, ManyWaitSideBySide) {
  Connect(100);
  for (ChannelId id : channels_) Send(id, 100);
  for (ChannelId id : channels_) ASSERT_OK(a_.CloseChannel(now(), id));
  const absl::Time start = now();
  ASSERT_TRUE(Until([&] { return told_a_.closed.size() == 100; }));
  EXPECT_EQ(told_b_.messages, 100u);
  EXPECT_GE(told_b_.closing.begin()->second - start, kDelay);
  EXPECT_LE(now() - start, kDelay + 20 * kRoundTrip);
}

TEST_F(ResetDelayTest, AShutdownWaitsBeforeEachOfItsSteps) {
  Connect(1);
  for (int i = 0; i < 50; ++i) Send(channels_[0], 4000);
  a_.Shutdown(now());
  ASSERT_TRUE(Until([&] { return told_a_.ended && told_b_.ended; }));
  EXPECT_OK(told_a_.status);
  EXPECT_OK(told_b_.status);
  EXPECT_EQ(told_b_.messages, 50u);
  const absl::Time closed = told_b_.closing.begin()->second;
  EXPECT_GE(closed - told_b_.last_message, kDelay);
  EXPECT_GE(*told_b_.ended - closed, kDelay);
  EXPECT_LE(*told_a_.ended - told_b_.last_message,
            2 * kDelay + 10 * kRoundTrip);
}

// However long the rest takes: more than close_channels_timeout here.
TEST_F(ResetDelayTest, AShutdownOverASlowPathEndsInTheSameOrder) {
  Connect(1);
  pair_.a_to_b.options().rate_bits_per_s = 400'000;
  for (int i = 0; i < 30; ++i) Send(channels_[0], 50'000);
  const absl::Time start = now();
  a_.Shutdown(now());
  ASSERT_TRUE(Until([&] { return told_a_.ended && told_b_.ended; }));
  EXPECT_GT(now() - start, 2 * Patient().close_channels_timeout);
  EXPECT_OK(told_a_.status);
  EXPECT_EQ(told_b_.messages, 30u);
  const absl::Time closed = told_b_.closing.begin()->second;
  EXPECT_GE(closed - told_b_.last_message, kDelay);
  EXPECT_GE(*told_b_.ended - closed, kDelay);
}

TEST_F(ResetDelayTest, AShutdownAfterASilenceTakesNoTime) {
  Connect(1);
  Send(channels_[0], 4000);
  ASSERT_OK(a_.CloseChannel(now(), channels_[0]));
  pair_.RunFor(absl::Seconds(5));
  const absl::Time start = now();
  a_.Shutdown(now());
  ASSERT_TRUE(Until([&] { return told_a_.ended && told_b_.ended; }));
  EXPECT_LE(now() - start, 4 * kRoundTrip);
}

TEST_F(ResetDelayTest, APathThatIsLostMeanwhileChangesNothing) {
  Connect(1);
  Send(channels_[0], 100);
  a_.Shutdown(now());
  pair_.RunFor(absl::Milliseconds(100));
  a_.PathLost(now());
  pair_.RunFor(absl::Seconds(1));
  a_.PathReady(now());
  ASSERT_TRUE(Until([&] { return told_a_.ended && told_b_.ended; }));
  EXPECT_OK(told_a_.status);
  EXPECT_EQ(told_b_.messages, 1u);
}

}  // namespace
}  // namespace kyuu::sctp
