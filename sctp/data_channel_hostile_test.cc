// A peer that speaks SCTP as it should and DCEP as it should not.

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/counters.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/association.h"
#include "sctp/data_channel.h"
#include "sim/pair.h"

namespace kyuu::sctp {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr sim::LinkOptions kLink{.delay = absl::Milliseconds(10)};

// `victim` has the odd ids, so that the even ones are the peer's.
struct Hostile {
  explicit Hostile(DataChannels::Options options = {})
      : victim(options, random_a),
        peer(Options{}, random_b),
        pair(victim, peer, {.a_to_b = kLink, .b_to_a = kLink}) {
    pair.on_a = [this](DataChannels::Event e) {
      if (auto* in = std::get_if<ChannelIncoming>(&e)) incoming.push_back(*in);
      if (auto* m = std::get_if<ChannelMessage>(&e)) messages.push_back(*m);
      if (std::get_if<ChannelClosed>(&e)) ++channels_closed;
      if (std::get_if<Closed>(&e)) ended = true;
    };
    pair.on_b = [this](Association::Event e) {
      if (auto* m = std::get_if<Message>(&e)) replies.push_back(*m);
      if (auto* r = std::get_if<StreamsReset>(&e);
          r && r->direction == StreamDirection::kIncoming) {
        resets.insert(resets.end(), r->streams.begin(), r->streams.end());
      }
    };
    victim.Start(pair.now(), StreamParity::kOdd);
    EXPECT_OK(peer.Connect(pair.now()));
    EXPECT_TRUE(pair.RunUntil(
        [&] { return victim.is_connected() && peer.is_connected(); },
        absl::Seconds(10)));
  }
  void Send(uint16_t stream, Ppid ppid, Bytes payload,
            Ordering ordering = Ordering::kOrdered) {
    EXPECT_OK(peer.Send(pair.now(),
                        Message{StreamId{stream}, ppid, std::move(payload)},
                        {.ordering = ordering}));
  }
  void Run() { pair.RunFor(absl::Seconds(2)); }

  SeededRandom random_a{1};
  SeededRandom random_b{2};
  DataChannels victim;
  Association peer;
  sim::Pair<DataChannels, Association> pair;
  std::vector<ChannelIncoming> incoming;
  std::vector<ChannelMessage> messages;
  std::vector<Message> replies;
  std::vector<StreamId> resets;
  int channels_closed = 0;
  bool ended = false;
};

Bytes Open(std::string label = "x") {
  return DcepOpen{.label = std::move(label)}.Serialize();
}

TEST(DataChannelsHostile, OpenIsAcknowledged) {
  Hostile h;
  h.Send(0, kPpidDcep, Open());
  h.Run();
  ASSERT_EQ(h.incoming.size(), 1u);
  ASSERT_EQ(h.replies.size(), 1u);
  EXPECT_EQ(h.replies[0].ppid, kPpidDcep);
  EXPECT_EQ(h.replies[0].payload, DcepAck{}.Serialize());
}

// H25 of the reference, and what is like it.
TEST(DataChannelsHostile, MalformedDcepIsCountedAndItsStreamReset) {
  const struct {
    const char* name;
    const char* hex;
  } kRows[] = {
      {"unknown type", "07"},
      {"type 0", "00"},
      {"truncated OPEN", "03000100 0000"},
      {"label longer than the payload", "03000100 00000000 00ff0000 61"},
      {"65535 + 65535", "03000100 00000000 ffffffff 6161"},
      {"unknown channel type", "03050100 00000000 00000000"},
      {"bad UTF-8", "03000100 00000000 00020000 c3c3"},
  };
  for (const auto& row : kRows) {
    Hostile h;
    h.Send(0, kPpidDcep, FromHex(row.hex));
    h.Run();
    EXPECT_EQ(h.victim.stats().drop_malformed_dcep, 1u) << row.name;
    EXPECT_TRUE(h.incoming.empty()) << row.name;
    EXPECT_EQ(h.victim.channel_count(), 0u) << row.name;
    EXPECT_EQ(h.resets, std::vector<StreamId>{StreamId{0}}) << row.name;
    // The stream is good for a proper channel afterwards.
    h.Send(2, kPpidDcep, Open());
    h.Run();
    EXPECT_EQ(h.incoming.size(), 1u) << row.name;
  }
}

TEST(DataChannelsHostile, MalformedDcepOnAnOpenChannelLeavesItAlone) {
  Hostile h;
  h.Send(0, kPpidDcep, Open());
  h.Send(0, kPpidDcep, Bytes{9, 9});
  h.Send(0, kPpidString, Bytes{'o', 'k'});
  h.Run();
  EXPECT_EQ(h.victim.stats().drop_malformed_dcep, 1u);
  EXPECT_EQ(h.messages.size(), 1u);
  EXPECT_TRUE(h.resets.empty());
}

TEST(DataChannelsHostile, OpenOnAStreamOfOurParityIsRefused) {
  Hostile h;
  h.Send(1, kPpidDcep, Open());
  h.Run();
  EXPECT_EQ(h.victim.stats().refused_parity, 1u);
  EXPECT_TRUE(h.incoming.empty());
  EXPECT_EQ(h.resets, std::vector<StreamId>{StreamId{1}});
}

TEST(DataChannelsHostile, DuplicateOpenChangesNothing) {
  Hostile h;
  h.Send(0, kPpidDcep, Open("first"));
  h.Send(0, kPpidDcep, Open("second"));
  h.Run();
  ASSERT_EQ(h.incoming.size(), 1u);
  EXPECT_EQ(h.victim.Find(h.incoming[0].channel)->label, "first");
  EXPECT_EQ(h.victim.stats().drop_duplicate_open, 1u);
  // Nor on a channel of ours.
  ASSERT_OK(h.victim.Create(h.pair.now(), {.negotiated_id = StreamId{2}}));
  h.Send(2, kPpidDcep, Open());
  h.Run();
  EXPECT_EQ(h.victim.stats().drop_duplicate_open, 2u);
}

TEST(DataChannelsHostile, AckWithoutOpenIsCounted) {
  Hostile h;
  h.Send(0, kPpidDcep, DcepAck{}.Serialize());
  h.Send(0, kPpidDcep, Open());
  h.Send(0, kPpidDcep, DcepAck{}.Serialize());
  const ChannelId ours = *h.victim.Create(h.pair.now(), {});
  h.Run();
  h.Send(1, kPpidDcep, DcepAck{}.Serialize());
  h.Send(1, kPpidDcep, DcepAck{}.Serialize());
  h.Run();
  EXPECT_EQ(h.victim.stats().drop_unexpected_ack, 3u);
  EXPECT_NE(h.victim.Find(ours), nullptr);
}

TEST(DataChannelsHostile, DataBeforeItsOpenIsKeptAndDelivered) {
  Hostile h;
  h.Send(0, kPpidBinary, Bytes{1}, Ordering::kUnordered);
  h.Send(0, kPpidBinary, Bytes{2}, Ordering::kUnordered);
  h.Run();
  EXPECT_TRUE(h.messages.empty());
  h.Send(0, kPpidDcep, Open());
  h.Run();
  ASSERT_EQ(h.messages.size(), 2u);
  EXPECT_EQ(h.messages[1].payload, Bytes{2});
}

TEST(DataChannelsHostile, EarlyDataIsBounded) {
  DataChannels::Options options;
  options.early_messages_max = 10;
  options.early_bytes_max = 5000;
  Hostile h(options);
  for (uint16_t i = 0; i < 20; ++i) {
    h.Send(static_cast<uint16_t>(i * 2), kPpidBinary, Bytes{1});
  }
  h.Run();
  EXPECT_EQ(h.victim.stats().drop_early_data, 10u);
  Hostile g(options);
  for (int i = 0; i < 10; ++i) g.Send(0, kPpidBinary, Bytes(1000));
  g.Run();
  EXPECT_EQ(g.victim.stats().drop_early_data, 5u);
  // A reset of the stream frees what was kept for it.
  const StreamId zero{0};
  ASSERT_OK(g.peer.ResetStreams(g.pair.now(), {&zero, 1}));
  g.Run();
  EXPECT_EQ(g.victim.stats().drop_early_data, 10u);
  g.Send(2, kPpidBinary, Bytes(4000));
  g.Send(2, kPpidDcep, Open());
  g.Run();
  EXPECT_EQ(g.messages.size(), 1u);
}

TEST(DataChannelsHostile, UnknownPpidsAreCounted) {
  Hostile h;
  h.Send(0, kPpidDcep, Open());
  for (uint32_t ppid : {0u, 49u, 55u, 58u, 0xffffffffu}) {
    h.Send(0, Ppid{ppid}, Bytes{1});
  }
  h.Run();
  EXPECT_TRUE(h.messages.empty());
  EXPECT_EQ(h.victim.stats().drop_unknown_ppid, 5u);
}

TEST(DataChannelsHostile, DeprecatedPartsAreJoined) {
  Hostile h;
  h.Send(0, kPpidDcep, Open());
  h.Send(0, kPpidBinaryPartial, Bytes{1, 2});
  h.Send(0, kPpidBinaryPartial, Bytes{3});
  h.Send(0, kPpidBinary, Bytes{4});
  h.Send(0, kPpidStringPartial, Bytes{'a'});
  h.Send(0, kPpidString, Bytes{'b'});
  // Parts of one type cannot end in the other.
  h.Send(0, kPpidStringPartial, Bytes{'c'});
  h.Send(0, kPpidBinary, Bytes{5});
  h.Run();
  ASSERT_EQ(h.messages.size(), 3u);
  EXPECT_EQ(h.messages[0].payload, (Bytes{1, 2, 3, 4}));
  EXPECT_EQ(h.messages[1].payload, (Bytes{'a', 'b'}));
  EXPECT_EQ(h.messages[1].type, PayloadType::kText);
  EXPECT_EQ(h.messages[2].payload, Bytes{5});
  EXPECT_EQ(h.victim.stats().drop_partial_message, 1u);
}

TEST(DataChannelsHostile, DeprecatedPartsAreBoundedByTheMessageLimit) {
  DataChannels::Options options;
  options.association.max_message_in = 5000;
  Hostile h(options);
  h.Send(0, kPpidDcep, Open());
  for (int i = 0; i < 10; ++i) h.Send(0, kPpidBinaryPartial, Bytes(1000));
  h.Run();
  EXPECT_GT(h.victim.stats().drop_partial_message, 0u);
  EXPECT_TRUE(h.messages.empty());
}

TEST(DataChannelsHostile, EmptyMessagesOfAnyContent) {
  Hostile h;
  h.Send(0, kPpidDcep, Open());
  h.Send(0, kPpidStringEmpty, Bytes{0});
  h.Send(0, kPpidBinaryEmpty, Bytes{1, 2, 3});
  h.Run();
  ASSERT_EQ(h.messages.size(), 2u);
  EXPECT_TRUE(h.messages[0].payload.empty());
  EXPECT_EQ(h.messages[0].type, PayloadType::kText);
  EXPECT_TRUE(h.messages[1].payload.empty());
}

// H26: the peer opens all it can.
TEST(DataChannelsHostile, OpeningEveryStreamIsBounded) {
  DataChannels::Options options;
  options.channels_max = 1000;
  options.association.send_buffer_bytes = 1 << 20;
  Hostile h(options);
  for (uint32_t stream = 0; stream < 8000; stream += 2) {
    h.Send(static_cast<uint16_t>(stream), kPpidDcep, Open());
  }
  h.pair.RunFor(absl::Seconds(60));
  EXPECT_EQ(h.incoming.size(), 1000u);
  EXPECT_EQ(h.victim.channel_count(), 1000u);
  EXPECT_EQ(h.victim.stats().refused_limit, 3000u);
  EXPECT_FALSE(h.ended);
}

// A reset for each of 42 OPENs in a packet was twenty times the work of an
// ordinary one. Who listens has all of its channels closed in the end, and is
// told of eight more whenever it answers.
TEST(DataChannelsHostile, RefusalsWaitForThePeerToAnswer) {
  Hostile h;
  const auto open = [&](uint16_t from, uint16_t count) {
    for (uint16_t i = from; i < from + count; ++i) {
      h.Send(static_cast<uint16_t>(2 * i + 1), kPpidDcep, Open());
    }
    h.Run();
  };
  open(0, 200);
  EXPECT_EQ(h.victim.stats().refused_parity, 200u);
  EXPECT_EQ(h.victim.stats().postponed_refusals, 136u);
  std::vector<StreamId> told = std::exchange(h.resets, {});
  EXPECT_EQ(told.size(), 64u);
  // What is said on one that it has not heard of is lost, once.
  open(199, 1);
  h.Send(399, kPpidBinary, {1});
  h.Run();
  EXPECT_EQ(h.victim.stats().drop_early_data, 1u);
  EXPECT_EQ(h.victim.stats().postponed_refusals, 136u);
  EXPECT_TRUE(h.resets.empty());
  std::set<StreamId> heard;
  for (int rounds = 0; !told.empty(); ++rounds) {
    ASSERT_LT(rounds, 18);
    for (const StreamId stream : told) EXPECT_TRUE(heard.insert(stream).second);
    EXPECT_OK(h.peer.ResetStreams(h.pair.now(), told));
    h.Run();
    told = std::exchange(h.resets, {});
    EXPECT_LE(told.size(), 8u);
  }
  EXPECT_EQ(heard.size(), 200u);
  // And then it is as it was.
  open(400, 1);
  EXPECT_EQ(h.resets, std::vector<StreamId>{StreamId{801}});
}

// Who closes what it has not heard of is answered at once.
TEST(DataChannelsHostile, AnUntoldRefusalMayBeClosedByThePeer) {
  Hostile h;
  for (uint16_t i = 0; i < 70; ++i) {
    h.Send(static_cast<uint16_t>(2 * i + 1), kPpidDcep, Open());
  }
  h.Run();
  const std::vector<StreamId> last{StreamId{2 * 69 + 1}};
  EXPECT_EQ(std::exchange(h.resets, {}).size(), 64u);
  EXPECT_OK(h.peer.ResetStreams(h.pair.now(), last));
  h.Run();
  EXPECT_EQ(h.resets, last);
}

// H24: an OPEN that cannot be sent while ids are being assigned.
TEST(DataChannelsHostile, MoreChannelsThanStreamsFailCleanly) {
  SeededRandom random_a(1);
  SeededRandom random_b(2);
  Options few;
  few.incoming_streams = 4;
  DataChannels ours({}, random_a);
  Association peer(few, random_b);
  sim::Pair<DataChannels, Association> pair(ours, peer);
  int opened = 0;
  int refused = 0;
  pair.on_a = [&](DataChannels::Event e) {
    if (std::get_if<ChannelOpened>(&e)) ++opened;
    if (auto* c = std::get_if<ChannelClosed>(&e)) {
      refused += absl::IsResourceExhausted(c->status);
    }
  };
  for (int i = 0; i < 10; ++i) ASSERT_OK(ours.Create(pair.now(), {}));
  ASSERT_OK(ours.Create(pair.now(), {.negotiated_id = StreamId{3}}));
  ASSERT_OK(ours.Create(pair.now(), {.negotiated_id = StreamId{4}}));
  ours.Start(pair.now(), StreamParity::kEven);
  pair.RunFor(absl::Seconds(2));
  EXPECT_EQ(opened, 3) << "0, 2 and 3";
  EXPECT_EQ(refused, 9);
  EXPECT_THAT(ours.Create(pair.now(), {}),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(DataChannels, HaveTheStreamsThatThePeerAddsLater) {
  SeededRandom random_a(1);
  SeededRandom random_b(2);
  DataChannels ours({}, random_a);
  Association peer(Options{.incoming_streams = 2}, random_b);
  sim::Pair<DataChannels, Association> pair(ours, peer);
  int opened = 0;
  pair.on_a = [&](DataChannels::Event e) {
    if (std::get_if<ChannelOpened>(&e)) ++opened;
  };
  ours.Start(pair.now(), StreamParity::kEven);
  pair.RunFor(absl::Seconds(1));
  ASSERT_OK(ours.Create(pair.now(), {}));
  EXPECT_THAT(ours.Create(pair.now(), {}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  ASSERT_OK(peer.AddStreams(pair.now(), 0, 2));
  pair.RunFor(absl::Seconds(1));
  EXPECT_OK(ours.Create(pair.now(), {}));
  EXPECT_OK(ours.Create(pair.now(), {.negotiated_id = StreamId{3}}));
  EXPECT_THAT(ours.Create(pair.now(), {}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(opened, 3);
}

TEST(DataChannelsHostile, ResetOfAllStreamsClosesAllChannels) {
  Hostile h;
  h.Send(0, kPpidDcep, Open());
  h.Send(2, kPpidDcep, Open());
  h.Run();
  const StreamId both[] = {StreamId{0}, StreamId{2}, StreamId{40}};
  ASSERT_OK(h.peer.ResetStreams(h.pair.now(), both));
  h.Run();
  EXPECT_EQ(h.channels_closed, 2);
  EXPECT_EQ(h.victim.channel_count(), 0u);
  // The streams are free for new channels.
  h.Send(0, kPpidDcep, Open());
  h.Run();
  EXPECT_EQ(h.incoming.size(), 3u);
}

TEST(DataChannelsHostile, PacketsBeforeStartAreCounted) {
  SeededRandom random(1);
  DataChannels channels({}, random);
  channels.HandlePacket(absl::UnixEpoch(), Bytes(100));
  EXPECT_EQ(channels.stats().drop_before_start, 1u);
  EXPECT_EQ(channels.NextTimeout(), absl::InfiniteFuture());
}

// What raises each counter of DataChannelStats: one without a row fails.
struct CounterRow {
  absl::string_view counter;
  std::function<void(Hostile&)> act;
};

std::vector<CounterRow> CounterRows() {
  const auto traffic = [](Hostile& h) {
    const ChannelId id = *h.victim.Create(h.pair.now(), {.label = "ours"});
    EXPECT_OK(h.victim.Send(h.pair.now(), id, PayloadType::kBinary, {1}));
    h.Send(0, kPpidDcep, Open());
    h.Send(0, kPpidBinary, {1});
    h.Run();
    EXPECT_OK(
        h.peer.ResetStreams(h.pair.now(), std::vector<StreamId>{StreamId{0}}));
  };
  return {
      {"channels_opened", traffic},
      {"channels_accepted", traffic},
      {"channels_closed", traffic},
      {"messages_sent", traffic},
      {"messages_received", traffic},
      {"bytes_sent", traffic},
      {"bytes_received", traffic},
      {"drop_before_start",
       [](Hostile& h) {
         DataChannels channels({}, h.random_a);
         channels.HandlePacket(h.pair.now(), {});
         EXPECT_EQ(channels.stats().drop_before_start, 1u);
       }},
      {"drop_malformed_dcep", [](Hostile& h) { h.Send(0, kPpidDcep, {0xff}); }},
      {"drop_unexpected_ack",
       [](Hostile& h) { h.Send(0, kPpidDcep, DcepAck{}.Serialize()); }},
      {"drop_duplicate_open",
       [](Hostile& h) {
         h.Send(0, kPpidDcep, Open());
         h.Send(0, kPpidDcep, Open());
       }},
      {"refused_parity", [](Hostile& h) { h.Send(1, kPpidDcep, Open()); }},
      {"refused_limit",
       [](Hostile& h) {
         for (uint16_t i = 0; i < 20; ++i) {
           h.Send(static_cast<uint16_t>(2 * i), kPpidDcep, Open());
         }
       }},
      {"postponed_refusals",
       [](Hostile& h) {
         for (uint16_t i = 0; i < 70; ++i) {
           h.Send(static_cast<uint16_t>(2 * i + 1), kPpidDcep, Open());
         }
       }},
      {"drop_early_data",
       [](Hostile& h) {
         for (int i = 0; i < 20; ++i) h.Send(0, kPpidBinary, {1});
       }},
      {"drop_after_close",
       [](Hostile& h) {
         h.Send(0, kPpidDcep, Open());
         h.Run();
         EXPECT_OK(h.victim.CloseChannel(h.pair.now(), h.incoming[0].channel));
         h.Send(0, kPpidBinary, {1});
       }},
      {"drop_unknown_ppid", [](Hostile& h) { h.Send(0, Ppid{60}, {1}); }},
      {"drop_partial_message",
       [](Hostile& h) {
         h.Send(0, kPpidDcep, Open());
         h.Send(0, kPpidStringPartial, {1});
         h.Send(0, kPpidBinary, {1});
       }},
      {"drop_oversized",
       [](Hostile& h) {
         h.Send(0, kPpidDcep, Open());
         h.Send(0, kPpidBinary, std::vector<uint8_t>(300'000));
       }},
      {"ignored_resets",
       [](Hostile& h) {
         for (uint16_t i = 0; i < 40; ++i) {
           h.Send(static_cast<uint16_t>(2 * i), kPpidBinary, {1});
           const StreamId stream{static_cast<uint16_t>(2 * i)};
           EXPECT_OK(h.peer.ResetStreams(h.pair.now(),
                                         absl::MakeConstSpan(&stream, 1)));
         }
       }},
  };
}

TEST(DataChannelsCounters, EachIsRaisedByWhatItIsNamedAfter) {
  std::set<absl::string_view> named;
  for (const CounterRow& row : CounterRows()) {
    DataChannels::Options options;
    options.channels_max = 10;
    options.early_messages_max = 10;
    options.association.max_message_in_parts = 400'000;
    Hostile h(options);
    row.act(h);
    h.Run();
    EXPECT_TRUE(named.insert(row.counter).second) << row.counter;
    // Counted by another object, above.
    if (row.counter == "drop_before_start") continue;
    EXPECT_GT(FindCounter(h.victim.stats(), row.counter).value_or(0), 0u)
        << row.counter;
  }
  for (const Counter<DataChannelStats>& counter : DataChannelStats::kCounters) {
    EXPECT_TRUE(named.contains(counter.name)) << counter.name;
  }
}

}  // namespace
}  // namespace kyuu::sctp
