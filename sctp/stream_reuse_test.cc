// Stream ids that are used again: each direction of an id changes hands for
// itself, and nothing of one channel reaches another.

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sctp/association.h"
#include "sctp/data_channel.h"
#include "sim/pair.h"

namespace kyuu::sctp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Payload = std::vector<uint8_t>;

Payload ToPayload(const std::string& text) {
  return Payload(text.begin(), text.end());
}

// What a side was told, as lines.
struct Log {
  std::vector<std::string> lines;
  std::function<void(DataChannels::Event&)> hook;

  void Add(DataChannels::Event event) {
    if (hook) hook(event);
    if (auto* incoming = std::get_if<ChannelIncoming>(&event)) {
      lines.push_back(absl::StrCat("incoming ", Number(incoming->channel), " ",
                                   incoming->config.label));
    } else if (auto* message = std::get_if<ChannelMessage>(&event)) {
      lines.push_back(absl::StrCat(
          "message ", Number(message->channel), " ",
          std::string(message->payload.begin(), message->payload.end())));
    } else if (auto* closed = std::get_if<ChannelClosed>(&event)) {
      lines.push_back(absl::StrCat("closed ", Number(closed->channel)));
    }
  }
  static uint32_t Number(ChannelId id) { return static_cast<uint32_t>(id); }
};

sim::PairOptions Link(double loss, uint64_t seed) {
  const sim::LinkOptions link{.delay = absl::Milliseconds(25), .loss = loss};
  return {.seed = seed, .a_to_b = link, .b_to_a = link};
}

struct Two {
  explicit Two(const sim::PairOptions& link)
      : random_a(link.seed),
        random_b(link.seed + 99),
        a({}, random_a),
        b({}, random_b),
        pair(a, b, link) {
    pair.on_a = [this](DataChannels::Event event) { at_a.Add(event); };
    pair.on_b = [this](DataChannels::Event event) { at_b.Add(event); };
    a.Start(pair.now(), StreamParity::kEven);
    b.Start(pair.now(), StreamParity::kOdd);
    pair.RunUntil([&] { return a.is_connected() && b.is_connected(); },
                  absl::Minutes(1));
  }
  SeededRandom random_a;
  SeededRandom random_b;
  DataChannels a;
  DataChannels b;
  sim::Pair<DataChannels> pair;
  Log at_a;
  Log at_b;
};

// The answer to our reset is lost. For the peer both directions are over.
TEST(StreamReuse, ThePeerIsFasterThanTheAnswerToOurReset) {
  SeededRandom random_a(1);
  SeededRandom random_b(2);
  DataChannels channels({}, random_a);
  Association peer(Options{}, random_b);
  sim::Pair<DataChannels, Association> pair(channels, peer, Link(0, 1));
  Log log;
  int resets = 0;
  int answers = 0;
  std::vector<Message> echoed;
  pair.on_a = [&](DataChannels::Event event) { log.Add(std::move(event)); };
  pair.on_b = [&](Association::Event event) {
    if (std::get_if<StreamsReset>(&event)) ++resets;
    if (auto* message = std::get_if<Message>(&event)) {
      if (message->ppid != kPpidDcep) echoed.push_back(std::move(*message));
    }
  };
  pair.keep_b_to_a = [&](absl::Span<const uint8_t> packet) {
    // A RE-CONFIG (130) whose only parameter is a response (16).
    const bool answer = packet[12] == 130 && packet[17] == 16;
    return !answer || ++answers > 1;
  };
  channels.Start(pair.now(), StreamParity::kOdd);
  ASSERT_OK(peer.Connect(pair.now()));
  pair.RunFor(absl::Seconds(1));
  const auto open = [&](const std::string& label) {
    ASSERT_OK(peer.Send(pair.now(), {StreamId{0}, kPpidDcep,
                                     DcepOpen{.label = label}.Serialize()}));
    ASSERT_OK(peer.Send(pair.now(), {StreamId{0}, kPpidString,
                                     ToPayload(absl::StrCat("on ", label))}));
  };
  open("one");
  pair.RunFor(absl::Seconds(1));
  ASSERT_OK(peer.ResetStreams(pair.now(), {StreamId{0}}));
  ASSERT_TRUE(pair.RunUntil([&] { return resets == 2; }, absl::Seconds(1)));
  open("two");
  pair.RunFor(absl::Milliseconds(30));
  EXPECT_THAT(log.lines,
              ElementsAre("incoming 1 one", "message 1 on one", "closed 1",
                          "incoming 2 two", "message 2 on two"));
  // What we say on it waits for the answer, and is on the new channel.
  ASSERT_OK(channels.Send(pair.now(), ChannelId{2}, PayloadType::kText,
                          ToPayload("hello")));
  EXPECT_THAT(echoed, IsEmpty());
  // And it may end before that answer has come.
  ASSERT_OK(channels.CloseChannel(pair.now(), ChannelId{2}));
  pair.RunFor(absl::Seconds(5));
  EXPECT_EQ(echoed.size(), 1u);
  ASSERT_OK(peer.ResetStreams(pair.now(), {StreamId{0}}));
  pair.RunFor(absl::Seconds(5));
  EXPECT_EQ(log.lines.back(), "closed 2");
  EXPECT_EQ(channels.channel_count(), 0u);
  EXPECT_EQ(resets, 4);
}

TEST(StreamReuse, NegotiatedIdsAreUsedAgainAtOnce) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Two t(Link(seed % 2 == 0 ? 0.05 : 0.2, seed));
    const ChannelConfig config{.negotiated_id = StreamId{10}};
    const ChannelId first_a = *t.a.Create(t.pair.now(), config);
    const ChannelId first_b = *t.b.Create(t.pair.now(), config);
    std::optional<ChannelId> next_b;
    std::vector<ChannelId> got;
    t.at_a.hook = [&](DataChannels::Event& event) {
      auto* closed = std::get_if<ChannelClosed>(&event);
      if (closed == nullptr || closed->channel != first_a) return;
      const ChannelId next = *t.a.Create(t.pair.now(), config);
      ASSERT_OK(
          t.a.Send(t.pair.now(), next, PayloadType::kText, ToPayload("new")));
    };
    t.at_b.hook = [&](DataChannels::Event& event) {
      if (auto* message = std::get_if<ChannelMessage>(&event)) {
        got.push_back(message->channel);
      }
      auto* closed = std::get_if<ChannelClosed>(&event);
      if (closed == nullptr || closed->channel != first_b) return;
      next_b = *t.b.Create(t.pair.now(), config);
    };
    ASSERT_OK(t.a.CloseChannel(t.pair.now(), first_a));
    t.pair.RunFor(absl::Seconds(30));
    ASSERT_TRUE(next_b);
    EXPECT_THAT(got, ElementsAre(*next_b));
  }
}

// Only one side knows of the channel: it ends all the same.
TEST(StreamReuse, AChannelOfOneSideAloneCanBeClosed) {
  Two t(Link(0, 1));
  const ChannelId id =
      *t.a.Create(t.pair.now(), {.negotiated_id = StreamId{10}});
  ASSERT_OK(t.a.Send(t.pair.now(), id, PayloadType::kText, ToPayload("x")));
  t.pair.RunFor(absl::Seconds(1));
  ASSERT_OK(t.a.CloseChannel(t.pair.now(), id));
  t.pair.RunFor(absl::Seconds(2));
  EXPECT_EQ(t.a.channel_count(), 0u);
  // Both sides are even: no resets go to and fro.
  const uint64_t packets = t.a.association_stats().packets_sent;
  t.pair.RunFor(absl::Seconds(10));
  EXPECT_EQ(t.a.association_stats().packets_sent, packets);
  EXPECT_OK(t.b.Create(t.pair.now(), {.negotiated_id = StreamId{10}}));
}

// The resets of streams that nobody here has ever heard of are answered, but
// not for more streams than there may be channels.
TEST(StreamReuse, ForeignResetsAreBounded) {
  SeededRandom random_a(1);
  SeededRandom random_b(2);
  DataChannels channels({.channels_max = 10}, random_a);
  Association peer(Options{}, random_b);
  sim::Pair<DataChannels, Association> pair(channels, peer, Link(0, 1));
  // It never answers, so that our resets stay under way.
  channels.Start(pair.now(), StreamParity::kOdd);
  ASSERT_OK(peer.Connect(pair.now()));
  pair.RunFor(absl::Seconds(1));
  std::vector<StreamId> streams;
  for (uint16_t i = 0; i < 100; ++i) streams.push_back(StreamId{i});
  ASSERT_OK(peer.ResetStreams(pair.now(), streams));
  pair.RunFor(absl::Seconds(1));
  EXPECT_GE(channels.stats().ignored_resets, 90u);
}

// Slot lets the engine behind one end of a pair be replaced.
struct Slot {
  using Packet = DataChannels::Packet;
  using Event = DataChannels::Event;
  DataChannels* engine;
  void HandlePacket(absl::Time now, Packet packet) {
    engine->HandlePacket(now, packet);
  }
  void HandleTimeout(absl::Time now) { engine->HandleTimeout(now); }
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out) {
    return engine->PollTransmit(now, out);
  }
  std::optional<Event> PollEvent() { return engine->PollEvent(); }
  absl::Time NextTimeout() const { return engine->NextTimeout(); }
};

TEST(StreamReuse, ARestartedPeerHearsNothingOfOldChannels) {
  SeededRandom random(3);
  // So few events that the restart waits behind messages.
  DataChannels a({.events_max = 1}, random);
  DataChannels before({}, random);
  DataChannels after({}, random);
  Slot slot_a{&a};
  Slot slot_b{&before};
  sim::PairOptions link = Link(0, 1);
  link.a_to_b.rate_bits_per_s = 1'000'000;
  sim::Pair<Slot> pair(slot_a, slot_b, link);
  Log at_b;
  std::optional<ChannelId> closed;
  bool polling = true;
  std::vector<DataChannels::Event> events;
  pair.on_b = [&](DataChannels::Event event) { at_b.Add(std::move(event)); };
  a.Start(pair.now(), StreamParity::kEven);
  before.Start(pair.now(), StreamParity::kOdd);
  const ChannelConfig config{.negotiated_id = StreamId{10}};
  const ChannelId id = *a.Create(pair.now(), config);
  const ChannelId other = *before.Create(pair.now(), config);
  const auto poll = [&] {
    while (polling) {
      std::optional<DataChannels::Event> event = a.PollEvent();
      if (!event) return;
      if (auto* c = std::get_if<ChannelClosed>(&*event)) closed = c->channel;
    }
  };
  for (int i = 0; i < 10; ++i) pair.RunFor(absl::Milliseconds(100)), poll();
  polling = false;
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(before.Send(pair.now(), other, PayloadType::kText,
                          ToPayload("unread")));
  }
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(a.Send(pair.now(), id, PayloadType::kText,
                     ToPayload(std::string(5000, 'x'))));
  }
  pair.RunFor(absl::Milliseconds(100));
  slot_b.engine = &after;
  at_b.lines.clear();
  ASSERT_OK(after.Create(pair.now(), config));
  after.Start(pair.now(), StreamParity::kOdd);
  pair.RunFor(absl::Seconds(1));
  // The restart is known below, and not told yet.
  EXPECT_THAT(a.Send(pair.now(), id, PayloadType::kText, ToPayload("old")),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  const ChannelId fresh = *a.Create(pair.now(), {.label = "fresh"});
  pair.RunFor(absl::Seconds(1));
  EXPECT_THAT(at_b.lines, IsEmpty());
  polling = true;
  poll();
  EXPECT_EQ(closed, id);
  ASSERT_OK(a.Send(pair.now(), fresh, PayloadType::kText, ToPayload("new")));
  pair.RunFor(absl::Seconds(1));
  EXPECT_THAT(at_b.lines, ElementsAre("incoming 2 fresh", "message 2 new"));
  EXPECT_EQ(a.association_stats().restarts, 1u);
  EXPECT_GE(a.association_stats().drop_outgoing_restart, 90u);
}

}  // namespace
}  // namespace kyuu::sctp
