// Channels side by side: which sends next, and whose buffer is full.

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/data_channel.h"
#include "sim/pair.h"

namespace kyuu::sctp {
namespace {

using Payload = std::vector<uint8_t>;

// Two sides 50 ms apart; what `a` sends passes a bottleneck.
struct Two {
  explicit Two(int64_t rate_bits_per_s)
      : random_a(1),
        random_b(2),
        a({}, random_a),
        b({}, random_b),
        pair(a, b, Link(rate_bits_per_s)) {
    pair.on_a = [this](DataChannels::Event event) {
      if (auto* w = std::get_if<WritableAgain>(&event)) {
        writable.push_back(w->stream);
      }
    };
    pair.on_b = [this](DataChannels::Event event) {
      if (auto* incoming = std::get_if<ChannelIncoming>(&event)) {
        labels[incoming->channel] = incoming->config.label;
      } else if (auto* message = std::get_if<ChannelMessage>(&event)) {
        Arrived& at = arrived[labels[message->channel]];
        ++at.messages;
        at.bytes += message->payload.size();
        at.last = pair.now();
      }
    };
    a.SetMaxMessageSize(0);
    a.Start(pair.now(), StreamParity::kEven);
    b.Start(pair.now(), StreamParity::kOdd);
    pair.RunUntil([&] { return a.is_connected() && b.is_connected(); },
                  absl::Minutes(1));
  }
  static sim::PairOptions Link(int64_t rate_bits_per_s) {
    sim::PairOptions link;
    link.a_to_b.delay = link.b_to_a.delay = absl::Milliseconds(25);
    link.a_to_b.rate_bits_per_s = rate_bits_per_s;
    link.a_to_b.queue_bytes = 64 << 10;
    return link;
  }
  ChannelId Open(const std::string& label, uint16_t priority = 256) {
    return *a.Create(pair.now(), {.label = label, .priority = priority});
  }
  absl::Status Send(ChannelId channel, size_t size) {
    return a.Send(pair.now(), channel, PayloadType::kBinary, Payload(size, 1));
  }
  void KeepFull(ChannelId channel, size_t size) {
    while (a.buffered_amount(channel) < 2 * size) {
      ASSERT_OK(Send(channel, size));
    }
  }

  struct Arrived {
    size_t messages = 0;
    size_t bytes = 0;
    absl::Time last;
  };
  SeededRandom random_a;
  SeededRandom random_b;
  DataChannels a;
  DataChannels b;
  sim::Pair<DataChannels> pair;
  std::map<ChannelId, std::string> labels;
  std::map<std::string, Arrived> arrived;
  std::vector<StreamId> writable;
};

TEST(Fairness, SmallMessagesKeepUpBesideALargeTransfer) {
  struct Case {
    int64_t rate;
    size_t bulk;
    int per_second;
  };
  for (const Case& c :
       {Case{10'000'000, 64 << 10, 60}, Case{100'000'000, 256 << 10, 60},
        Case{2'000'000, 16 << 10, 20}}) {
    SCOPED_TRACE(absl::StrCat(c.rate, " bit/s"));
    Two t(c.rate);
    const ChannelId bulk = t.Open("bulk");
    const ChannelId game = t.Open("game");
    t.pair.RunFor(absl::Seconds(1));
    size_t sent = 0;
    absl::Duration worst;
    for (int i = 0; i < 10 * c.per_second; ++i) {
      t.KeepFull(bulk, c.bulk);
      ASSERT_OK(t.Send(game, 20));
      ++sent;
      t.pair.RunFor(absl::Seconds(1) / c.per_second);
      // Never behind by more than two large messages, and the path.
      if (i < 2 * c.per_second) continue;  // The window is still growing.
      const size_t behind = sent - t.arrived["game"].messages;
      worst = std::max(worst, behind * absl::Seconds(1) / c.per_second);
    }
    const absl::Duration large = absl::Seconds(
        8.0 * static_cast<double>(c.bulk) / static_cast<double>(c.rate));
    EXPECT_LE(worst, 2 * large + absl::Milliseconds(400));
    // A third of the path: one loss at the wrong time costs that much.
    EXPECT_GE(t.arrived["bulk"].bytes * 8,
              static_cast<size_t>(c.rate) * 10 / 3);
  }
}

TEST(Fairness, PriorityIsAWeightInBytes) {
  Two t(10'000'000);
  std::map<uint16_t, ChannelId> channels;
  for (const uint16_t priority :
       std::initializer_list<uint16_t>{128, 256, 512, 1024}) {
    channels[priority] = t.Open(absl::StrCat(priority), priority);
  }
  for (int i = 0; i < 100; ++i) {
    // The message sizes do not matter: 2000, 4000, 8000, 16000.
    for (const auto& [priority, id] : channels) {
      const size_t size = 16'000 * 128 / priority;
      while (t.a.buffered_amount(id) < 100'000) ASSERT_OK(t.Send(id, size));
    }
    t.pair.RunFor(absl::Milliseconds(50));
  }
  const auto bytes = [&](int priority) {
    return static_cast<double>(t.arrived[absl::StrCat(priority)].bytes);
  };
  EXPECT_NEAR(bytes(256) / bytes(128), 2, 0.2);
  EXPECT_NEAR(bytes(512) / bytes(128), 4, 0.4);
  EXPECT_NEAR(bytes(1024) / bytes(128), 8, 0.8);
}

TEST(SendBudget, AFullChannelDoesNotBlockTheOthers) {
  Two t(10'000'000);
  const ChannelId file = t.Open("file");
  const ChannelId chat = t.Open("chat");
  t.pair.RunFor(absl::Seconds(1));
  absl::Status refused;
  while (refused.ok()) refused = t.Send(file, 64 << 10);
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_OK(t.Send(chat, 2));
  const ChannelId third = t.Open("third");
  EXPECT_OK(t.Send(third, 2));
  t.pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(t.arrived["chat"].messages, 1u);
  EXPECT_EQ(t.arrived["third"].messages, 1u);
  // The event names the channel's stream: the first even one.
  t.pair.RunFor(absl::Seconds(20));
  EXPECT_EQ(t.writable, std::vector<StreamId>{StreamId{0}});
  EXPECT_OK(t.Send(file, 2));
}

TEST(SendBudget, AllTogetherAreBoundedButNotDcep) {
  SeededRandom random(1);
  DataChannels::Options options;
  options.association.send_buffer_bytes = 100'000;
  DataChannels channels(options, random);
  DataChannels peer({}, random);
  sim::Pair<DataChannels> pair(channels, peer, Two::Link(1'000'000));
  size_t incoming = 0;
  pair.on_a = [](DataChannels::Event) {};
  pair.on_b = [&](DataChannels::Event event) {
    incoming += std::get_if<ChannelIncoming>(&event) != nullptr;
  };
  channels.Start(pair.now(), StreamParity::kEven);
  peer.Start(pair.now(), StreamParity::kOdd);
  pair.RunUntil([&] { return channels.is_connected(); }, absl::Minutes(1));
  absl::Status status;
  for (int i = 0; i < 10 && status.ok(); ++i) {
    const ChannelId id = *channels.Create(pair.now(), {.label = "x"});
    status =
        channels.Send(pair.now(), id, PayloadType::kText, Payload(20'000, 1));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK(channels.Create(pair.now(), {.label = "y"}));
  }
  pair.RunFor(absl::Milliseconds(300));
  EXPECT_EQ(incoming, channels.channel_count());
}

}  // namespace
}  // namespace kyuu::sctp
