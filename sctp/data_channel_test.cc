#include "sctp/data_channel.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sim/pair.h"

namespace kyuu::sctp {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes Text(absl::string_view text) { return Bytes(text.begin(), text.end()); }
std::string Text(const Bytes& bytes) {
  return std::string(bytes.begin(), bytes.end());
}

// What one side was told.
struct Log {
  bool connected = false;
  std::map<ChannelId, StreamId> opened;
  std::vector<ChannelIncoming> incoming;
  std::vector<ChannelMessage> messages;
  std::vector<ChannelId> closing;
  std::map<ChannelId, absl::Status> closed;
  std::map<ChannelId, ChannelStats> at_end;
  std::vector<ChannelId> low;
  int writable = 0;
  std::optional<absl::Status> ended;
  int after_end = 0;

  void Add(DataChannels::Event event) {
    if (ended) ++after_end;
    if (std::get_if<Connected>(&event)) connected = true;
    if (auto* e = std::get_if<ChannelOpened>(&event)) {
      opened[e->channel] = e->stream;
    }
    if (auto* e = std::get_if<ChannelIncoming>(&event)) {
      incoming.push_back(std::move(*e));
    }
    if (auto* e = std::get_if<ChannelMessage>(&event)) {
      messages.push_back(std::move(*e));
    }
    if (auto* e = std::get_if<ChannelClosing>(&event)) {
      EXPECT_FALSE(closed.contains(e->channel));
      closing.push_back(e->channel);
    }
    if (auto* e = std::get_if<ChannelClosed>(&event)) {
      EXPECT_FALSE(closed.contains(e->channel)) << "closed twice";
      closed[e->channel] = e->status;
      at_end[e->channel] = e->stats;
    }
    if (auto* e = std::get_if<ChannelBufferedAmountLow>(&event)) {
      low.push_back(e->channel);
    }
    if (std::get_if<WritableAgain>(&event)) ++writable;
    if (auto* e = std::get_if<Closed>(&event)) ended = e->status;
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const ChannelMessage& m : messages) all.push_back(Text(m.payload));
    return all;
  }
};

constexpr sim::LinkOptions kLink{.delay = absl::Milliseconds(10)};

// Two sides on a round trip of 20 ms; `a` has the even ids.
struct Two {
  explicit Two(uint64_t seed = 1, DataChannels::Options a_options = {},
               DataChannels::Options b_options = {})
      : random_a(seed),
        random_b(seed + 1000),
        a(a_options, random_a),
        b(b_options, random_b),
        pair(a, b, {.seed = seed, .a_to_b = kLink, .b_to_a = kLink}) {
    pair.on_a = [this](DataChannels::Event e) { log_a.Add(std::move(e)); };
    pair.on_b = [this](DataChannels::Event e) { log_b.Add(std::move(e)); };
  }
  void Start() {
    a.Start(pair.now(), StreamParity::kEven);
    b.Start(pair.now(), StreamParity::kOdd);
  }
  bool Connect() {
    Start();
    return pair.RunUntil([&] { return log_a.connected && log_b.connected; },
                         absl::Seconds(60));
  }
  bool Until(const std::function<bool()>& done,
             absl::Duration limit = absl::Minutes(5)) {
    return pair.RunUntil(done, limit);
  }
  absl::Time now() const { return pair.now(); }

  SeededRandom random_a;
  SeededRandom random_b;
  DataChannels a;
  DataChannels b;
  sim::Pair<DataChannels> pair;
  Log log_a;
  Log log_b;
};

// What the peer begins is told; what both or we begin is not news.
TEST(DataChannels, ThePeersCloseIsToldBeforeTheEnd) {
  Two two;
  const ChannelId one = *two.a.Create(two.now(), {.label = "one"});
  const ChannelId both = *two.a.Create(two.now(), {.label = "both"});
  ASSERT_TRUE(two.Connect());
  ASSERT_TRUE(two.Until([&] { return two.log_b.incoming.size() == 2; }));
  const ChannelId one_b = two.log_b.incoming[0].channel;
  const ChannelId both_b = two.log_b.incoming[1].channel;
  ASSERT_OK(two.a.CloseChannel(two.now(), one));
  ASSERT_TRUE(two.Until([&] { return !two.log_b.closing.empty(); }));
  EXPECT_EQ(two.log_b.closing, std::vector<ChannelId>{one_b});
  EXPECT_FALSE(two.log_b.closed.contains(one_b)) << "ours is not reset yet";
  ASSERT_OK(two.a.CloseChannel(two.now(), both));
  ASSERT_OK(two.b.CloseChannel(two.now(), both_b));
  ASSERT_TRUE(two.Until([&] {
    return two.log_a.closed.size() == 2 && two.log_b.closed.size() == 2;
  }));
  EXPECT_EQ(two.log_b.closing.size(), 1u);
  EXPECT_TRUE(two.log_a.closing.empty());
}

TEST(DataChannels, OpensAndTalksBothWays) {
  Two two;
  const ChannelId chat =
      *two.a.Create(two.now(), {.label = "chat", .protocol = "p"});
  ASSERT_TRUE(two.Connect());
  ASSERT_TRUE(two.Until([&] { return two.log_b.incoming.size() == 1; }));
  EXPECT_EQ(two.log_a.opened.at(chat), StreamId{0});
  const ChannelIncoming& in = two.log_b.incoming[0];
  EXPECT_EQ(in.stream, StreamId{0});
  EXPECT_EQ(in.config.label, "chat");
  EXPECT_EQ(in.config.protocol, "p");
  ASSERT_OK(two.a.Send(two.now(), chat, PayloadType::kText, Text("hello")));
  ASSERT_OK(
      two.b.Send(two.now(), in.channel, PayloadType::kBinary, Text("back")));
  ASSERT_TRUE(two.Until([&] {
    return two.log_a.messages.size() == 1 && two.log_b.messages.size() == 1;
  }));
  EXPECT_EQ(two.log_b.messages[0].type, PayloadType::kText);
  EXPECT_EQ(two.log_a.messages[0].type, PayloadType::kBinary);
  EXPECT_EQ(two.log_b.texts(), std::vector<std::string>{"hello"});
  EXPECT_EQ(two.log_a.texts(), std::vector<std::string>{"back"});
}

TEST(DataChannels, DataRightAfterOpenNeedsNoRoundTrip) {
  Two two;
  ASSERT_TRUE(two.Connect());
  const ChannelId c = *two.a.Create(two.now(), {.label = "x"});
  const absl::Time start = two.now();
  ASSERT_OK(two.a.Send(two.now(), c, PayloadType::kText, Text("at once")));
  ASSERT_TRUE(two.Until([&] { return !two.log_b.messages.empty(); }));
  EXPECT_LE(two.now() - start, absl::Milliseconds(11));
}

TEST(DataChannels, IdsFollowTheRoleAndNeverMeet) {
  Two two;
  ASSERT_TRUE(two.Connect());
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(two.a.Create(two.now(), {}));
    ASSERT_OK(two.b.Create(two.now(), {}));
  }
  two.pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(two.log_b.incoming.size(), 5u);
  EXPECT_EQ(two.log_a.incoming.size(), 5u);
  for (const auto& [id, stream] : two.log_a.opened) {
    EXPECT_EQ(static_cast<uint16_t>(stream) % 2, 0);
  }
  for (const auto& [id, stream] : two.log_b.opened) {
    EXPECT_EQ(static_cast<uint16_t>(stream) % 2, 1);
  }
}

// Firefox grants 65535 streams and takes 2048, libwebrtc took 1024: a channel a
// minute must not come to the end of them. More at once than that do.
TEST(DataChannels, IdsStayLowHoweverManyChannelsThereHaveBeen) {
  Two two;
  ASSERT_TRUE(two.Connect());
  std::vector<ChannelId> open;
  for (int i = 0; i < 3000; ++i) {
    open.push_back(*two.a.Create(two.now(), {}));
    if (open.size() < 100) continue;
    for (const ChannelId id : open)
      ASSERT_OK(two.a.CloseChannel(two.now(), id));
    open.clear();
    ASSERT_TRUE(two.Until([&] { return two.a.channel_count() == 0; }));
  }
  std::map<StreamId, int> times;
  for (const auto& [id, stream] : two.log_a.opened) {
    EXPECT_LT(static_cast<uint16_t>(stream), 1024);
    ++times[stream];
  }
  EXPECT_EQ(times.size(), 512u) << "each rests while the others are used";
  for (int i = 0; i < 2000; ++i) ASSERT_OK(two.a.Create(two.now(), {}));
  ASSERT_TRUE(two.Until([&] { return two.b.channel_count() == 2000; }));
}

TEST(DataChannels, EveryConfigurationReachesThePeer) {
  const ChannelConfig kRows[] = {
      {.label = "reliable"},
      {.label = "unordered", .ordering = Ordering::kUnordered},
      {.label = "rexmit", .max_retransmits = 3, .priority = 128},
      {.label = "timed",
       .ordering = Ordering::kUnordered,
       .max_packet_life_time = absl::Milliseconds(150),
       .priority = 1024},
  };
  Two two;
  ASSERT_TRUE(two.Connect());
  for (const ChannelConfig& row : kRows) {
    ASSERT_OK(two.a.Create(two.now(), row));
    ASSERT_TRUE(two.Until([&] {
      return !two.log_b.incoming.empty() &&
             two.log_b.incoming.back().config.label == row.label;
    }));
    const ChannelConfig& got = two.log_b.incoming.back().config;
    EXPECT_EQ(got.ordering, row.ordering) << row.label;
    EXPECT_EQ(got.max_retransmits, row.max_retransmits) << row.label;
    EXPECT_EQ(got.max_packet_life_time, row.max_packet_life_time) << row.label;
    EXPECT_EQ(got.priority, row.priority) << row.label;
  }
}

TEST(DataChannels, EmptyOneByteAndLargestMessagesArriveIntact) {
  Two two;
  two.a.SetMaxMessageSize(256 << 10);
  const ChannelId c = *two.a.Create(two.now(), {});
  ASSERT_TRUE(two.Connect());
  const size_t kSizes[] = {0, 1, 2, 1200, 64 << 10, 256 << 10};
  for (PayloadType type : {PayloadType::kText, PayloadType::kBinary}) {
    for (size_t size : kSizes) {
      ASSERT_OK(two.a.Send(two.now(), c, type, Bytes(size, 0x61)));
    }
  }
  ASSERT_TRUE(two.Until([&] { return two.log_b.messages.size() == 12; }));
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(two.log_b.messages[i].payload, Bytes(kSizes[i % 6], 0x61)) << i;
    EXPECT_EQ(two.log_b.messages[i].type,
              i < 6 ? PayloadType::kText : PayloadType::kBinary);
  }
}

TEST(DataChannels, MessageLimitOfThePeerIsKept) {
  Two two;
  const ChannelId c = *two.a.Create(two.now(), {});
  ASSERT_TRUE(two.Connect());
  EXPECT_OK(two.a.Send(two.now(), c, PayloadType::kBinary, Bytes(65536)));
  Bytes big(65537);
  EXPECT_THAT(two.a.Send(two.now(), c, PayloadType::kBinary, std::move(big)),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(big.size(), 65537u);  // NOLINT: moved from only on success.
  two.a.SetMaxMessageSize(0);     // Any size.
  EXPECT_OK(two.a.Send(two.now(), c, PayloadType::kBinary, std::move(big)));
  two.a.SetMaxMessageSize(10);
  EXPECT_THAT(two.a.Send(two.now(), c, PayloadType::kBinary, Bytes(11)),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_OK(two.a.Send(two.now(), c, PayloadType::kBinary, Bytes(0)));
}

TEST(DataChannels, MessageBeyondOurLimitEndsTheAssociation) {
  DataChannels::Options small;
  small.association.max_message_in = 1000;
  Two two(1, {}, small);
  const ChannelId c = *two.a.Create(two.now(), {});
  ASSERT_TRUE(two.Connect());
  ASSERT_OK(two.a.Send(two.now(), c, PayloadType::kBinary, Bytes(5000)));
  ASSERT_TRUE(two.Until([&] { return two.log_a.ended && two.log_b.ended; }));
  EXPECT_TRUE(two.log_b.messages.empty());
  EXPECT_FALSE(two.log_b.ended->ok());
}

TEST(DataChannels, NegotiatedChannelsNeedNoAnnouncement) {
  Two two;
  const ChannelConfig config{.label = "n", .negotiated_id = StreamId{7}};
  const ChannelId on_a = *two.a.Create(two.now(), config);
  const ChannelId on_b = *two.b.Create(two.now(), config);
  EXPECT_THAT(two.a.Create(two.now(), config),
              StatusIs(absl::StatusCode::kAlreadyExists));
  ASSERT_TRUE(two.Connect());
  EXPECT_EQ(two.log_a.opened.at(on_a), StreamId{7});
  ASSERT_OK(two.a.Send(two.now(), on_a, PayloadType::kText, Text("x")));
  ASSERT_OK(two.b.Send(two.now(), on_b, PayloadType::kText, Text("y")));
  ASSERT_TRUE(two.Until([&] {
    return two.log_a.messages.size() == 1 && two.log_b.messages.size() == 1;
  }));
  EXPECT_TRUE(two.log_a.incoming.empty());
  EXPECT_TRUE(two.log_b.incoming.empty());
  // An in-band channel of the same parity takes another id.
  const ChannelId in_band = *two.b.Create(two.now(), {});
  two.pair.RunFor(absl::Seconds(1));
  EXPECT_NE(two.log_b.opened.at(in_band), StreamId{7});
}

TEST(DataChannels, DataForANegotiatedChannelWaitsForIt) {
  Two two;
  const ChannelConfig config{.negotiated_id = StreamId{4}};
  const ChannelId on_a = *two.a.Create(two.now(), config);
  ASSERT_TRUE(two.Connect());
  ASSERT_OK(two.a.Send(two.now(), on_a, PayloadType::kText, Text("early")));
  two.pair.RunFor(absl::Seconds(1));
  EXPECT_TRUE(two.log_b.messages.empty());
  const ChannelId on_b = *two.b.Create(two.now(), config);
  ASSERT_TRUE(two.Until([&] { return two.log_b.messages.size() == 1; }));
  EXPECT_EQ(two.log_b.messages[0].channel, on_b);
}

TEST(DataChannels, RefusesTheCallersMistakes) {
  Two two;
  EXPECT_THAT(two.a.Create(two.now(), {.label = std::string(65536, 'a')}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      two.a.Create(two.now(), {.max_retransmits = 1,
                               .max_packet_life_time = absl::Seconds(1)}),
      StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      two.a.Create(two.now(), {.max_packet_life_time = -absl::Seconds(1)}),
      StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(two.a.Create(two.now(), {.negotiated_id = StreamId{65535}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(two.a.CloseChannel(two.now(), ChannelId{99}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(two.a.Send(two.now(), ChannelId{99}, PayloadType::kText, {}),
              StatusIs(absl::StatusCode::kNotFound));
  const ChannelId c = *two.a.Create(two.now(), {});
  EXPECT_THAT(two.a.Send(two.now(), c, PayloadType::kText, Text("x")),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(two.a.buffered_amount(c), 0u);
}

TEST(DataChannels, CloseFromEitherSideReachesBoth) {
  for (bool opener_closes : {true, false}) {
    Two two;
    const ChannelId on_a = *two.a.Create(two.now(), {});
    ASSERT_TRUE(two.Connect());
    ASSERT_TRUE(two.Until([&] { return !two.log_b.incoming.empty(); }));
    const ChannelId on_b = two.log_b.incoming[0].channel;
    two.pair.RunFor(absl::Seconds(1));
    const absl::Time start = two.now();
    if (opener_closes) {
      ASSERT_OK(two.a.CloseChannel(two.now(), on_a));
    } else {
      ASSERT_OK(two.b.CloseChannel(two.now(), on_b));
    }
    ASSERT_TRUE(two.Until([&] {
      return !two.log_a.closed.empty() && !two.log_b.closed.empty();
    }));
    EXPECT_LE(two.now() - start, absl::Milliseconds(50));
    EXPECT_OK(two.log_a.closed.at(on_a));
    EXPECT_OK(two.log_b.closed.at(on_b));
    EXPECT_EQ(two.a.channel_count() + two.b.channel_count(), 0u);
    EXPECT_THAT(two.a.CloseChannel(two.now(), on_a),
                StatusIs(absl::StatusCode::kNotFound));
  }
}

TEST(DataChannels, CloseLosesNothingThatWasSent) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Two two(seed);
    two.pair.a_to_b.options().loss = 0.1;
    two.pair.b_to_a.options().loss = 0.1;
    const ChannelId c = *two.a.Create(two.now(), {});
    ASSERT_TRUE(two.Connect());
    for (int i = 0; i < 200; ++i) {
      ASSERT_OK(two.a.Send(two.now(), c, PayloadType::kBinary, Bytes(2000)));
    }
    ASSERT_OK(two.a.CloseChannel(two.now(), c));
    ASSERT_TRUE(two.Until([&] { return two.log_a.closed.contains(c); }))
        << "seed " << seed;
    EXPECT_EQ(two.log_b.messages.size(), 200u) << "seed " << seed;
    EXPECT_TRUE(two.Until([&] { return two.log_b.closed.size() == 1; }));
  }
}

TEST(DataChannels, BothCloseAtOnce) {
  Two two;
  const ChannelId on_a = *two.a.Create(two.now(), {});
  ASSERT_TRUE(two.Connect());
  ASSERT_TRUE(two.Until([&] { return !two.log_b.incoming.empty(); }));
  ASSERT_OK(two.a.CloseChannel(two.now(), on_a));
  ASSERT_OK(two.b.CloseChannel(two.now(), two.log_b.incoming[0].channel));
  two.pair.RunFor(absl::Seconds(2));
  EXPECT_EQ(two.log_a.closed.size(), 1u);
  EXPECT_EQ(two.log_b.closed.size(), 1u);
}

TEST(DataChannels, ManyOpenedAndClosedLeaveNothing) {
  Two two;
  ASSERT_TRUE(two.Connect());
  for (int round = 0; round < 30; ++round) {
    const ChannelId a = *two.a.Create(two.now(), {.label = "a"});
    const ChannelId b = *two.b.Create(two.now(), {.label = "b"});
    ASSERT_OK(two.a.Send(two.now(), a, PayloadType::kText, Text("1")));
    ASSERT_OK(two.b.Send(two.now(), b, PayloadType::kText, Text("2")));
    two.pair.RunFor(absl::Milliseconds(100));
    ASSERT_OK(two.a.CloseChannel(two.now(), a));
    ASSERT_OK(two.b.CloseChannel(two.now(), b));
    two.pair.RunFor(absl::Milliseconds(200));
    ASSERT_EQ(two.a.channel_count(), 0u) << round;
    ASSERT_EQ(two.b.channel_count(), 0u) << round;
  }
  EXPECT_EQ(two.log_a.messages.size(), 30u);
  EXPECT_EQ(two.log_b.messages.size(), 30u);
}

TEST(DataChannels, ClosingBeforeConnectedNeverAnnouncesTheChannel) {
  Two two;
  const ChannelId c = *two.a.Create(two.now(), {});
  ASSERT_OK(two.a.CloseChannel(two.now(), c));
  ASSERT_TRUE(two.Connect());
  two.pair.RunFor(absl::Seconds(1));
  EXPECT_OK(two.log_a.closed.at(c));
  EXPECT_TRUE(two.log_b.incoming.empty());
}

TEST(DataChannels, BufferedAmountIsExactAndFallsToZero) {
  Two two;
  const ChannelId c = *two.a.Create(two.now(), {.label = "uncounted"});
  ASSERT_TRUE(two.Connect());
  // The link is cut: the window fills, the rest waits.
  two.pair.a_to_b.options().loss = 1;
  EXPECT_EQ(two.a.buffered_amount(c), 0u) << "DCEP does not count";
  ASSERT_OK(two.a.Send(two.now(), c, PayloadType::kText, {}));
  EXPECT_EQ(two.a.buffered_amount(c), 0u) << "nor does an empty message";
  ASSERT_OK(two.a.Send(two.now(), c, PayloadType::kText, Bytes(300)));
  EXPECT_EQ(two.a.buffered_amount(c), 300u);
  ASSERT_OK(two.a.Send(two.now(), c, PayloadType::kText, Bytes(60000)));
  EXPECT_EQ(two.a.buffered_amount(c), 60300u);
  two.pair.RunFor(absl::Milliseconds(1));
  const size_t waiting = two.a.buffered_amount(c);
  EXPECT_GT(waiting, 0u);
  EXPECT_LT(waiting, 60300u);
  two.pair.a_to_b.options().loss = 0;
  ASSERT_TRUE(two.Until([&] { return two.log_b.messages.size() == 3; }));
  EXPECT_EQ(two.a.buffered_amount(c), 0u);
}

TEST(DataChannels, EachChannelCountsItsOwnMessagesToItsEnd) {
  Two two;
  const ChannelId one = *two.a.Create(two.now(), {.label = "one"});
  const ChannelId other = *two.a.Create(two.now(), {.label = "other"});
  ASSERT_TRUE(two.Connect());
  ASSERT_TRUE(two.Until([&] { return two.log_b.incoming.size() == 2; }));
  const ChannelId one_b = two.log_b.incoming[0].channel;
  EXPECT_EQ(*two.a.channel_stats(one), ChannelStats{}) << "DCEP counts not";
  for (const size_t bytes : {0u, 5u, 3000u}) {
    ASSERT_OK(
        two.a.Send(two.now(), one, PayloadType::kBinary, Bytes(bytes, 'x')));
  }
  ASSERT_OK(two.b.Send(two.now(), one_b, PayloadType::kText, Text("back")));
  ASSERT_OK(two.a.Send(two.now(), other, PayloadType::kText, Text("other")));
  EXPECT_FALSE(
      two.a.Send(two.now(), other, PayloadType::kBinary, Bytes(65537, 'x'))
          .ok());
  ASSERT_TRUE(two.Until([&] { return two.log_b.messages.size() == 4; }));
  ASSERT_TRUE(two.Until([&] { return two.log_a.messages.size() == 1; }));
  const ChannelStats sent{.messages_sent = 3,
                          .bytes_sent = 3005,
                          .messages_received = 1,
                          .bytes_received = 4};
  EXPECT_EQ(*two.a.channel_stats(one), sent);
  EXPECT_EQ(*two.b.channel_stats(one_b),
            (ChannelStats{.messages_sent = 1,
                          .bytes_sent = 4,
                          .messages_received = 3,
                          .bytes_received = 3005}));
  EXPECT_EQ(*two.a.channel_stats(other),
            (ChannelStats{.messages_sent = 1, .bytes_sent = 5}));
  ASSERT_OK(two.a.CloseChannel(two.now(), one));
  ASSERT_TRUE(two.Until([&] { return two.log_a.closed.contains(one); }));
  EXPECT_EQ(two.log_a.at_end.at(one), sent);
  EXPECT_FALSE(two.a.channel_stats(one).has_value());
}

TEST(DataChannels, LowEventComesOncePerFall) {
  Two two;
  const ChannelId c = *two.a.Create(two.now(), {});
  ASSERT_TRUE(two.Connect());
  two.pair.RunFor(absl::Seconds(1));
  EXPECT_TRUE(two.log_a.low.empty()) << "the OPEN is no amount";
  ASSERT_OK(two.a.SetBufferedAmountLowThreshold(c, 10000));
  ASSERT_OK(two.a.Send(two.now(), c, PayloadType::kBinary, Bytes(5000)));
  two.pair.RunFor(absl::Seconds(1));
  EXPECT_TRUE(two.log_a.low.empty()) << "never above";
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(two.a.Send(two.now(), c, PayloadType::kBinary, Bytes(50000)));
  }
  two.pair.RunFor(absl::Seconds(5));
  EXPECT_EQ(two.log_a.low, std::vector<ChannelId>{c});
}

TEST(DataChannels, FullSendBufferPushesBackAndRecovers) {
  DataChannels::Options options;
  options.association.send_buffer_bytes = 100'000;
  Two two(1, options);
  const ChannelId c = *two.a.Create(two.now(), {});
  ASSERT_TRUE(two.Connect());
  size_t sent = 0;
  Bytes payload(10'000, 1);
  while (
      two.a.Send(two.now(), c, PayloadType::kBinary, std::move(payload)).ok()) {
    ++sent;
    payload.assign(10'000, 1);
    ASSERT_LT(sent, 100u);
  }
  EXPECT_EQ(payload.size(), 10'000u);  // NOLINT: moved from only on success.
  // A channel that is made now has to wait for its OPEN too.
  const ChannelId late = *two.a.Create(two.now(), {.label = "late"});
  EXPECT_THAT(two.a.Send(two.now(), late, PayloadType::kText, Text("x")),
              StatusIs(absl::StatusCode::kResourceExhausted));
  ASSERT_TRUE(two.Until([&] { return two.log_a.writable > 0; }));
  EXPECT_OK(two.a.Send(two.now(), late, PayloadType::kText, Text("x")));
  ASSERT_TRUE(two.Until([&] { return two.log_b.incoming.size() == 2; }));
  ASSERT_TRUE(two.Until([&] { return two.log_b.messages.size() == sent + 1; }));
  EXPECT_EQ(two.log_b.messages.back().payload, Text("x"));
}

TEST(DataChannels, IntactAndInOrderUnderLossReorderingAndDuplication) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Two two(seed);
    for (sim::Link* link : {&two.pair.a_to_b, &two.pair.b_to_a}) {
      link->options().loss = 0.2;
      link->options().reorder = 0.2;
      link->options().duplicate = 0.2;
    }
    const ChannelId c = *two.a.Create(two.now(), {});
    ASSERT_TRUE(two.Connect()) << "seed " << seed;
    for (int i = 0; i < 100; ++i) {
      ASSERT_OK(two.a.Send(two.now(), c, PayloadType::kText,
                           Text(absl::StrCat(i, std::string(1500, 'x')))));
    }
    ASSERT_TRUE(two.Until([&] { return two.log_b.messages.size() == 100; }))
        << "seed " << seed;
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(two.log_b.texts()[static_cast<size_t>(i)],
                absl::StrCat(i, std::string(1500, 'x')));
    }
  }
}

TEST(DataChannels, UnorderedUnreliableLosesButDoesNotStall) {
  Two two(3);
  two.pair.a_to_b.options().loss = 0.3;
  const ChannelId c = *two.a.Create(
      two.now(), {.ordering = Ordering::kUnordered, .max_retransmits = 0});
  ASSERT_TRUE(two.Connect());
  ASSERT_TRUE(two.Until([&] { return !two.log_b.incoming.empty(); }));
  two.pair.RunFor(absl::Seconds(1));
  for (int i = 0; i < 200; ++i) {
    ASSERT_OK(two.a.Send(two.now(), c, PayloadType::kText, Text("m")));
    two.pair.RunFor(absl::Milliseconds(20));
  }
  two.pair.RunFor(absl::Seconds(5));
  EXPECT_GT(two.log_b.messages.size(), 100u);
  EXPECT_LT(two.log_b.messages.size(), 190u);
  EXPECT_EQ(two.a.buffered_amount(c), 0u);
}

TEST(DataChannels, ShutdownDeliversAndCloseAborts) {
  for (bool graceful : {true, false}) {
    Two two;
    const ChannelId c = *two.a.Create(two.now(), {});
    ASSERT_TRUE(two.Connect());
    ASSERT_TRUE(two.Until([&] { return !two.log_b.incoming.empty(); }));
    for (int i = 0; i < 50; ++i) {
      ASSERT_OK(two.a.Send(two.now(), c, PayloadType::kBinary, Bytes(5000)));
    }
    if (graceful) {
      two.a.Shutdown(two.now());
    } else {
      two.a.Close(two.now());
    }
    ASSERT_TRUE(two.Until([&] { return two.log_a.ended && two.log_b.ended; }));
    EXPECT_OK(*two.log_a.ended);
    EXPECT_EQ(two.log_b.ended->ok(), graceful);
    EXPECT_EQ(two.log_b.messages.size() == 50, graceful);
    EXPECT_EQ(two.log_a.closed.size(), 1u);
    EXPECT_EQ(two.log_b.closed.size(), 1u);
    EXPECT_EQ(two.log_a.after_end + two.log_b.after_end, 0);
    EXPECT_THAT(two.a.Create(two.now(), {}),
                StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_TRUE(two.a.ended().has_value());
  }
}

TEST(DataChannels, CloseBeforeStartEndsIt) {
  Two two;
  const ChannelId c = *two.a.Create(two.now(), {});
  two.a.Close(two.now());
  two.pair.RunFor(absl::Seconds(1));
  EXPECT_OK(two.log_a.closed.at(c));
  EXPECT_OK(*two.log_a.ended);
  two.a.Start(two.now(), StreamParity::kEven);
  EXPECT_EQ(two.a.NextTimeout(), absl::InfiniteFuture());
}

TEST(DataChannels, OwnChannelsAreBounded) {
  DataChannels::Options options;
  options.channels_max = 3;
  Two two(1, options);
  for (int i = 0; i < 3; ++i) ASSERT_OK(two.a.Create(two.now(), {}));
  EXPECT_THAT(two.a.Create(two.now(), {}),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(DataChannels, PeersChannelsAreBoundedAndRefusedByReset) {
  DataChannels::Options options;
  options.channels_max = 10;
  Two two(1, {}, options);
  ASSERT_TRUE(two.Connect());
  for (int i = 0; i < 15; ++i) ASSERT_OK(two.a.Create(two.now(), {}));
  two.pair.RunFor(absl::Seconds(5));
  EXPECT_EQ(two.log_b.incoming.size(), 10u);
  EXPECT_EQ(two.b.stats().refused_limit, 5u);
  // The opener learns it by the reset of its streams.
  EXPECT_EQ(two.log_a.closed.size(), 5u);
}

TEST(DataChannels, PeersTextIsBounded) {
  DataChannels::Options options;
  options.peer_text_bytes_max = 1000;
  Two two(1, {}, options);
  ASSERT_TRUE(two.Connect());
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(two.a.Create(two.now(), {.label = std::string(300, 'l')}));
  }
  two.pair.RunFor(absl::Seconds(5));
  EXPECT_EQ(two.log_b.incoming.size(), 3u);
  EXPECT_EQ(two.b.stats().refused_limit, 2u);
}

TEST(DataChannels, EventsThatNobodyPollsHoldThePeerBack) {
  DataChannels::Options options;
  options.association.receive_window_bytes = 100'000;
  options.event_bytes_max = 10'000;
  Two two(1, {}, options);
  const ChannelId c = *two.a.Create(two.now(), {});
  ASSERT_TRUE(two.Connect());
  two.pair.on_b = nullptr;
  for (int i = 0; i < 500; ++i) {
    ASSERT_OK(two.a.Send(two.now(), c, PayloadType::kBinary, Bytes(1000)));
  }
  two.pair.RunFor(absl::Seconds(3));
  EXPECT_GT(two.a.buffered_amount(c), 200'000u) << "the window is closed";
  two.pair.on_b = [&](DataChannels::Event e) { two.log_b.Add(std::move(e)); };
  EXPECT_TRUE(two.Until([&] { return two.log_b.messages.size() == 500; }));
}

}  // namespace
}  // namespace kyuu::sctp
