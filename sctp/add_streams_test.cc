// Streams that are added while the association goes on (RFC 6525 sections
// 5.1.5, 5.1.6, 5.2.5 and 5.2.6): between two associations, and with a peer
// that does as it likes.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/association.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/testing/puppet.h"
#include "sctp/testing/test_pair.h"

namespace kyuu::sctp {
namespace {

using internal::AddIncomingStreamsRequest;
using internal::AddOutgoingStreamsRequest;
using internal::ChunkType;
using internal::OutgoingResetRequest;
using internal::Puppet;
using internal::ReconfigChunk;
using internal::ReconfigParameter;
using internal::ReconfigResponse;
using internal::ReconfigResult;
using internal::ReconfigSn;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kPrecondition =
    absl::StatusCode::kFailedPrecondition;
constexpr absl::StatusCode kUnavailable = absl::StatusCode::kUnavailable;

// Begins with `outgoing` streams, and adds as many as the peer asks for.
Options Few(uint16_t outgoing) {
  return {.outgoing_streams = outgoing, .max_outgoing_streams = 65535};
}

// The RE-CONFIG chunks in a packet.
std::vector<ReconfigChunk> Reconfigs(absl::Span<const uint8_t> packet) {
  std::vector<ReconfigChunk> found;
  const auto view =
      internal::ParsePacket(packet, internal::ZeroChecksum::kAccepted);
  Reader reader(view.chunks);
  while (auto chunk = internal::NextChunk(reader)) {
    if (chunk->type != ChunkType::kReConfig) continue;
    found.push_back(ReconfigChunk::Parse(*chunk).value());
  }
  return found;
}

TEST(AddStreams, OutgoingOnesCanBeSentOn) {
  TestPair p({}, Few(4));
  p.Connect();
  ASSERT_OK(p.a.AddStreams(p.pair.now(), 3, 0));
  // Section 5.1.5: not before the peer has agreed.
  EXPECT_THAT(p.SendText(p.a, 4, "early"), StatusIs(kInvalid));
  EXPECT_THAT(p.a.ResetStreams(p.pair.now(), {StreamId{4}}),
              StatusIs(kInvalid));
  p.pair.RunFor(absl::Seconds(1));
  ASSERT_THAT(p.at_a.added, SizeIs(1));
  EXPECT_OK(p.at_a.added[0].status);
  EXPECT_EQ(p.at_a.added[0].direction, StreamDirection::kOutgoing);
  EXPECT_EQ(p.at_a.added[0].outgoing_streams, 7);
  EXPECT_EQ(p.at_a.added[0].incoming_streams, 65535);
  ASSERT_THAT(p.at_b.added, SizeIs(1));
  EXPECT_OK(p.at_b.added[0].status);
  EXPECT_EQ(p.at_b.added[0].direction, StreamDirection::kIncoming);
  EXPECT_EQ(p.at_b.added[0].incoming_streams, 7);
  EXPECT_EQ(p.a.stats().terms->outgoing_streams, 7);
  EXPECT_EQ(p.b.stats().terms->incoming_streams, 7);

  ASSERT_OK(p.SendText(p.a, 6, "on the last one"));
  EXPECT_THAT(p.SendText(p.a, 7, "beyond"), StatusIs(kInvalid));
  EXPECT_OK(p.a.ResetStreams(p.pair.now(), {StreamId{6}}));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_THAT(p.at_b.Texts(6), ElementsAre("on the last one"));
  EXPECT_THAT(p.at_a.resets, SizeIs(1));
}

TEST(AddStreams, IncomingOnesAreAddedByThePeer) {
  TestPair p({}, {}, Few(4));
  p.Connect();
  ASSERT_OK(p.a.AddStreams(p.pair.now(), 0, 3));
  p.pair.RunFor(absl::Seconds(1));
  ASSERT_THAT(p.at_a.added, SizeIs(1));
  EXPECT_OK(p.at_a.added[0].status);
  EXPECT_EQ(p.at_a.added[0].direction, StreamDirection::kIncoming);
  EXPECT_EQ(p.at_a.added[0].incoming_streams, 7);
  ASSERT_THAT(p.at_b.added, SizeIs(1));
  EXPECT_EQ(p.at_b.added[0].direction, StreamDirection::kOutgoing);
  EXPECT_EQ(p.at_b.added[0].outgoing_streams, 7);
  ASSERT_OK(p.SendText(p.b, 6, "on the last one"));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_THAT(p.at_a.Texts(6), ElementsAre("on the last one"));
}

TEST(AddStreams, OfBothDirectionsByBothSidesAtOnce) {
  const Options ten = Few(10);
  TestPair p({}, ten, ten);
  p.Connect();
  ASSERT_OK(p.a.AddStreams(p.pair.now(), 1, 2));
  ASSERT_OK(p.b.AddStreams(p.pair.now(), 4, 8));
  p.pair.RunFor(absl::Seconds(5));
  EXPECT_EQ(p.a.stats().terms->outgoing_streams, 19);
  EXPECT_EQ(p.b.stats().terms->incoming_streams, 19);
  EXPECT_EQ(p.b.stats().terms->outgoing_streams, 16);
  EXPECT_EQ(p.a.stats().terms->incoming_streams, 16);
  EXPECT_THAT(p.at_a.added, SizeIs(4));
  EXPECT_THAT(p.at_b.added, SizeIs(4));
  EXPECT_EQ(p.a.stats().drop_invalid_reconfig, 0u);
  EXPECT_EQ(p.b.stats().drop_invalid_reconfig, 0u);
}

TEST(AddStreams, SaysWhatCannotBeAskedFor) {
  TestPair p({}, Few(65000), Few(65000));
  EXPECT_THAT(p.a.AddStreams(p.pair.now(), 1, 0), StatusIs(kPrecondition));
  p.Connect();
  EXPECT_THAT(p.a.AddStreams(p.pair.now(), 0, 0), StatusIs(kInvalid));
  EXPECT_THAT(p.a.AddStreams(p.pair.now(), 536, 0), StatusIs(kInvalid));
  EXPECT_THAT(p.a.AddStreams(p.pair.now(), 0, 536), StatusIs(kInvalid));
  EXPECT_THAT(p.a.AddStreams(p.pair.now(), 65535, 65535), StatusIs(kInvalid));
  ASSERT_OK(p.a.AddStreams(p.pair.now(), 535, 535));
  EXPECT_THAT(p.a.AddStreams(p.pair.now(), 0, 0), StatusIs(kInvalid));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(p.a.stats().terms->outgoing_streams, 65535);
  EXPECT_EQ(p.a.stats().terms->incoming_streams, 65535);
  EXPECT_THAT(p.a.AddStreams(p.pair.now(), 1, 0), StatusIs(kInvalid));
  p.a.Shutdown(p.pair.now());
  EXPECT_THAT(p.a.AddStreams(p.pair.now(), 1, 0), StatusIs(kPrecondition));

  TestPair busy({}, Few(4));
  busy.Connect();
  ASSERT_OK(busy.a.AddStreams(busy.pair.now(), 1, 0));
  EXPECT_THAT(busy.a.AddStreams(busy.pair.now(), 1, 0),
              StatusIs(kPrecondition));

  Puppet ignorant;
  internal::InitChunk init = ignorant.MakeInit();
  init.inbound_streams = 4;
  init.extensions.re_config = false;
  ASSERT_TRUE(ignorant.Connect(init));
  EXPECT_THAT(ignorant.peer.AddStreams(ignorant.now, 1, 0),
              StatusIs(kPrecondition));
}

TEST(AddStreams, SurvivesTheLossOfEachPacket) {
  for (int lost = 0; lost < 8; ++lost) {
    SCOPED_TRACE(absl::StrCat("packet ", lost));
    const Options ten = Few(10);
    TestPair p({}, ten, ten);
    p.Connect();
    p.pair.RunFor(absl::Seconds(1));
    int count = 0;
    auto drop = [&](absl::Span<const uint8_t>) { return count++ != lost; };
    p.pair.keep_a_to_b = drop;
    p.pair.keep_b_to_a = drop;
    ASSERT_OK(p.a.AddStreams(p.pair.now(), 3, 5));
    p.pair.RunFor(absl::Seconds(10));
    EXPECT_GT(count, 5);
    // Each once.
    EXPECT_EQ(p.a.stats().terms->outgoing_streams, 13);
    EXPECT_EQ(p.a.stats().terms->incoming_streams, 15);
    EXPECT_EQ(p.b.stats().terms->outgoing_streams, 15);
    EXPECT_EQ(p.b.stats().terms->incoming_streams, 13);
    EXPECT_THAT(p.at_a.added, SizeIs(2));
    EXPECT_THAT(p.at_b.added, SizeIs(2));
    EXPECT_OK(p.a.AddStreams(p.pair.now(), 1, 1));
  }
}

// Section 5.1.1: resets and additions follow each other, whoever comes first.
TEST(AddStreams, TakesTurnsWithResetsOverABadLink) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const sim::LinkOptions link{.loss = 0.2, .duplicate = 0.1, .reorder = 0.2};
    const Options ten = Few(10);
    TestPair p({.seed = seed, .a_to_b = link, .b_to_a = link}, ten, ten);
    p.Connect();
    p.pair.keep_a_to_b = [&](absl::Span<const uint8_t> packet) {
      for (const ReconfigChunk& chunk : Reconfigs(packet)) {
        size_t requests = 0;
        for (const ReconfigParameter& parameter : chunk.parameters) {
          if (std::holds_alternative<ReconfigResponse>(parameter)) continue;
          ++requests;
          // Section 3.1: only a reset goes beside an answer.
          if (std::holds_alternative<OutgoingResetRequest>(parameter)) continue;
          EXPECT_THAT(chunk.parameters, SizeIs(1));
        }
        EXPECT_LE(requests, 1u);
      }
      return true;
    };
    for (int round = 0; round < 10; ++round) {
      ASSERT_OK(p.SendText(p.a, round, "x"));
      ASSERT_OK(p.SendText(p.b, round, "x"));
      ASSERT_OK(p.a.ResetStreams(p.pair.now(), {static_cast<StreamId>(round)},
                                 ResetTiming::kSoon));
      ASSERT_OK(p.a.AddStreams(p.pair.now(), 2, 3));
      ASSERT_OK(p.b.ResetStreams(p.pair.now(), {static_cast<StreamId>(round)},
                                 ResetTiming::kSoon));
      const size_t all = static_cast<size_t>(round) + 1;
      ASSERT_TRUE(p.pair.RunUntil(
          [&] {
            return p.at_a.added.size() == 2 * all &&
                   p.at_b.added.size() == 2 * all &&
                   p.at_a.resets.size() == 2 * all &&
                   p.at_b.resets.size() == 2 * all;
          },
          absl::Minutes(2)))
          << p.a.DebugString();
      // What was answered may not be known to be yet.
      p.pair.RunFor(absl::Seconds(10));
    }
    EXPECT_EQ(p.a.stats().terms->outgoing_streams, 30);
    EXPECT_EQ(p.b.stats().terms->incoming_streams, 30);
    EXPECT_EQ(p.b.stats().terms->outgoing_streams, 40);
    EXPECT_EQ(p.a.stats().terms->incoming_streams, 40);
    for (int stream : {29, 0}) {
      ASSERT_OK(p.SendText(p.a, stream, "after"));
      p.pair.RunFor(absl::Seconds(10));
      EXPECT_EQ(p.at_b.Texts(stream).back(), "after");
    }
  }
}

TEST(AddStreams, IsDeniedBeyondTheBoundsOfThePeer) {
  struct Row {
    const char* name;
    Options peer;
    uint16_t outgoing;
    uint16_t incoming;
    bool granted;
  };
  const Row rows[] = {
      {"what was announced", {.incoming_streams = 4}, 1, 0, false},
      {"up to the bound",
       {.incoming_streams = 4, .max_incoming_streams = 6},
       2,
       0,
       true},
      {"beyond the bound",
       {.incoming_streams = 4, .max_incoming_streams = 6},
       3,
       0,
       false},
      {"what it wanted", {.outgoing_streams = 4}, 0, 1, false},
      {"up to what it sends on at most",
       {.outgoing_streams = 4, .max_outgoing_streams = 6},
       0,
       2,
       true},
      {"beyond what it sends on at most",
       {.outgoing_streams = 4, .max_outgoing_streams = 6},
       0,
       3,
       false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    TestPair p({}, {}, row.peer);
    p.Connect();
    const Connected before = *p.a.stats().terms;
    ASSERT_OK(p.a.AddStreams(p.pair.now(), row.outgoing, row.incoming));
    p.pair.RunFor(absl::Seconds(1));
    ASSERT_THAT(p.at_a.added, SizeIs(1));
    const StreamsAdded& added = p.at_a.added[0];
    EXPECT_EQ(added.direction, row.outgoing != 0 ? StreamDirection::kOutgoing
                                                 : StreamDirection::kIncoming);
    EXPECT_EQ(added.status.code(),
              row.granted ? absl::StatusCode::kOk : kUnavailable);
    const uint16_t times = row.granted ? 1 : 0;
    EXPECT_EQ(added.outgoing_streams,
              before.outgoing_streams + times * row.outgoing);
    EXPECT_EQ(added.incoming_streams,
              before.incoming_streams + times * row.incoming);
    EXPECT_EQ(p.b.stats().denied_additions, row.granted ? 0u : 1u);
    EXPECT_THAT(p.at_b.added, SizeIs(times));
  }
}

TEST(AddStreams, WhoAsksForIncomingOnesTakesThem) {
  TestPair p({}, {.incoming_streams = 4}, Few(4));
  p.Connect();
  ASSERT_OK(p.b.AddStreams(p.pair.now(), 1, 0));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(p.a.stats().denied_additions, 1u);
  EXPECT_EQ(p.a.stats().terms->incoming_streams, 4);
  ASSERT_OK(p.a.AddStreams(p.pair.now(), 0, 3));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(p.a.stats().denied_additions, 1u);
  EXPECT_EQ(p.a.stats().terms->incoming_streams, 7);
}

// A peer that answers by hand.
class Asked : public testing::Test {
 protected:
  explicit Asked(const Options& options = {.outgoing_streams = 10})
      : p(options) {}

  void SetUp() override {
    internal::InitChunk init = p.MakeInit();
    init.outbound_streams = 10;
    ASSERT_TRUE(p.Connect(init));
    p.Events();
  }
  template <typename... Parameter>
  void Send(const Parameter&... parameter) {
    ReconfigChunk chunk;
    (chunk.parameters.push_back(parameter), ...);
    p.SendChunk(chunk);
  }
  // The parameters of all RE-CONFIGs that the association sends now.
  std::vector<ReconfigParameter> Take() {
    std::vector<ReconfigParameter> all;
    for (const Puppet::Received& received : p.Drain()) {
      if (received.type() != ChunkType::kReConfig) continue;
      const auto chunk = ReconfigChunk::Parse(received.view());
      all.insert(all.end(), chunk->parameters.begin(), chunk->parameters.end());
    }
    return all;
  }
  // The results among them.
  std::vector<ReconfigResult> Results() {
    std::vector<ReconfigResult> results;
    for (const ReconfigParameter& parameter : Take()) {
      if (auto* response = std::get_if<ReconfigResponse>(&parameter)) {
        results.push_back(response->result);
      }
    }
    return results;
  }
  std::vector<StreamsAdded> Added() {
    std::vector<StreamsAdded> added;
    for (const Event& event : p.Events()) {
      if (auto* one = std::get_if<StreamsAdded>(&event)) added.push_back(*one);
    }
    return added;
  }
  uint16_t outgoing() const { return p.peer.stats().terms->outgoing_streams; }
  uint16_t incoming() const { return p.peer.stats().terms->incoming_streams; }
  // The number of the peer's request, and of ours.
  static ReconfigSn Theirs(uint32_t number) {
    return ReconfigSn(Puppet::kInitialTsn.value() + number);
  }
  ReconfigSn Ours(uint32_t number) const {
    return ReconfigSn(p.peer_initial_tsn.value() + number);
  }

  Puppet p;
};

TEST_F(Asked, AgainAnswersAgainAndAddsOnce) {
  for (int i = 0; i < 3; ++i) {
    Send(AddOutgoingStreamsRequest{Theirs(0), 5});
    EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kPerformed));
    EXPECT_EQ(incoming(), 15);
  }
  EXPECT_THAT(Added(), SizeIs(1));
  p.SendData(0, internal::DataChunk::kBegin | internal::DataChunk::kEnd, 14, 0,
             "x");
  EXPECT_THAT(p.Events(), SizeIs(1));
}

// As libusrsctp asks, where both are wanted.
TEST_F(Asked, ForBothInOneChunkAnswersBoth) {
  for (int i = 0; i < 3; ++i) {
    Send(AddOutgoingStreamsRequest{Theirs(0), 5},
         AddIncomingStreamsRequest{Theirs(1), 65535});
    const auto sent = Take();
    ASSERT_THAT(sent, SizeIs(2));
    const auto& first = std::get<ReconfigResponse>(sent[0]);
    EXPECT_EQ(first.response_sn, Theirs(0));
    EXPECT_EQ(first.result, ReconfigResult::kPerformed);
    const auto& second = std::get<ReconfigResponse>(sent[1]);
    EXPECT_EQ(second.response_sn, Theirs(1));
    EXPECT_EQ(second.result, ReconfigResult::kDenied);
  }
  EXPECT_EQ(incoming(), 15);
  EXPECT_EQ(p.peer.stats().drop_invalid_reconfig, 0u);
}

// A reset that waits for data is not forgotten for another request, which may
// come in the same chunk (RFC 6525 section 3.1).
TEST_F(Asked, AResetThatWaitsOutlivesOtherRequests) {
  Send(OutgoingResetRequest{Theirs(0), ReconfigSn(0), Puppet::kInitialTsn, {}},
       internal::IncomingResetRequest{Theirs(1), {StreamId{3}}});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kInProgress,
                                     ReconfigResult::kNothingToDo));
  Send(AddOutgoingStreamsRequest{Theirs(2), 1});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kPerformed));
  p.SendData(0, internal::DataChunk::kBegin | internal::DataChunk::kEnd, 1, 0,
             "x");
  size_t resets = 0;
  for (const Event& event : p.Events()) {
    if (std::holds_alternative<StreamsReset>(event)) ++resets;
  }
  EXPECT_EQ(resets, 1u);
}

TEST_F(Asked, ForNoneThereIsNothingToDo) {
  Send(AddOutgoingStreamsRequest{Theirs(0), 0},
       AddIncomingStreamsRequest{Theirs(1), 0});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kNothingToDo,
                                     ReconfigResult::kNothingToDo));
  EXPECT_THAT(Added(), IsEmpty());
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(Asked, ForMoreThanThereCanBeIsDenied) {
  uint32_t number = 0;
  for (uint16_t most : {uint16_t{65535}, uint16_t{65526}}) {
    Send(AddOutgoingStreamsRequest{Theirs(number++), most});
    EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kDenied));
  }
  Send(AddOutgoingStreamsRequest{Theirs(number++), 65525});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kPerformed));
  EXPECT_EQ(incoming(), 65535);
  Send(AddOutgoingStreamsRequest{Theirs(number++), 1});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kDenied));
  EXPECT_EQ(incoming(), 65535);
  EXPECT_EQ(p.peer.stats().denied_additions, 3u);
}

class AskedWithRoom : public Asked {
 protected:
  AskedWithRoom()
      : Asked({.outgoing_streams = 10,
               .max_outgoing_streams = 100,
               .max_waiting_resets = 3}) {}
};

TEST_F(AskedWithRoom, ForStreamsOfOursAsksInTurn) {
  Send(AddIncomingStreamsRequest{Theirs(0), 20});
  const auto sent = Take();
  ASSERT_THAT(sent, SizeIs(2));
  EXPECT_EQ(std::get<ReconfigResponse>(sent[0]).result,
            ReconfigResult::kPerformed);
  const auto& request = std::get<AddOutgoingStreamsRequest>(sent[1]);
  EXPECT_EQ(request.request_sn, Ours(0));
  EXPECT_EQ(request.new_streams, 20);
  // Once is enough, and another one must wait.
  Send(AddIncomingStreamsRequest{Theirs(0), 20});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kPerformed));
  Send(AddIncomingStreamsRequest{Theirs(1), 20});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kRequestInProgress));
  EXPECT_EQ(outgoing(), 10);
  Send(ReconfigResponse{Ours(0), ReconfigResult::kPerformed});
  EXPECT_EQ(outgoing(), 30);
  EXPECT_THAT(Added(), SizeIs(1));
  Send(ReconfigResponse{Ours(0), ReconfigResult::kPerformed});
  EXPECT_EQ(outgoing(), 30);
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_EQ(p.peer.NextTimeout(), p.now + absl::Seconds(30));  // The heartbeat.
}

TEST_F(AskedWithRoom, AndDeniedItselfForgetsIt) {
  uint32_t number = 0;
  for (uint32_t i = 0; i < 50; ++i) {
    Send(AddIncomingStreamsRequest{Theirs(number++), 20});
    EXPECT_THAT(Take(), SizeIs(2));
    Send(ReconfigResponse{Ours(i), ReconfigResult::kDenied});
  }
  EXPECT_EQ(outgoing(), 10);
  EXPECT_THAT(Added(), IsEmpty());
}

TEST_F(AskedWithRoom, WithoutAnOwnerThatListensIsDenied) {
  uint32_t number = 0;
  for (; number < 3; ++number) {
    Send(AddOutgoingStreamsRequest{Theirs(number), 1});
    EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kPerformed));
  }
  for (; number < 100; ++number) {
    Send(AddOutgoingStreamsRequest{Theirs(number), 1});
    EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kDenied));
    ++number;
    Send(AddIncomingStreamsRequest{Theirs(number), 1});
    EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kDenied));
  }
  EXPECT_THAT(Added(), SizeIs(3));
  Send(AddOutgoingStreamsRequest{Theirs(number), 1});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kPerformed));
}

TEST_F(Asked, ToAnswerAnOddResultIsARefusal) {
  uint32_t number = 0;
  for (uint32_t result : {0u, 2u, 3u, 4u, 5u, 7u, 0xffffffffu}) {
    SCOPED_TRACE(result);
    for (uint16_t in : {uint16_t{0}, uint16_t{1}}) {
      ASSERT_OK(p.peer.AddStreams(p.now, in == 0 ? 1 : 0, in));
      ASSERT_THAT(Take(), SizeIs(1));
      // Neither that of another request, nor something else.
      Send(ReconfigResponse{Ours(number + 7), ReconfigResult::kPerformed});
      Send(ReconfigResponse{Ours(number - 1), ReconfigResult::kPerformed});
      EXPECT_THAT(Added(), IsEmpty());
      Send(ReconfigResponse{Ours(number++),
                            static_cast<ReconfigResult>(result)});
      const auto added = Added();
      ASSERT_THAT(added, SizeIs(1));
      EXPECT_THAT(added[0].status, StatusIs(kUnavailable));
      EXPECT_EQ(added[0].direction, in != 0 ? StreamDirection::kIncoming
                                            : StreamDirection::kOutgoing);
      EXPECT_EQ(added[0].outgoing_streams, 10);
      EXPECT_EQ(added[0].incoming_streams, 10);
    }
  }
}

TEST_F(Asked, LaterIsAskedAgainAtThePaceOfTheTimer) {
  ASSERT_OK(p.peer.AddStreams(p.now, 1, 0));
  int requests = 0;
  for (int i = 0; i < 60; ++i) {
    for (const ReconfigParameter& parameter : Take()) {
      const auto& request = std::get<AddOutgoingStreamsRequest>(parameter);
      EXPECT_EQ(request.request_sn, Ours(0));
      ++requests;
    }
    for (int k = 0; k < 10; ++k) {
      Send(ReconfigResponse{Ours(0), ReconfigResult::kInProgress});
    }
    p.Wait(absl::Seconds(1));
  }
  EXPECT_GT(requests, 10);
  EXPECT_LE(requests, 61);
  Send(ReconfigResponse{Ours(0), ReconfigResult::kPerformed});
  EXPECT_EQ(outgoing(), 11);
  Take();
  p.Wait(absl::Seconds(10));
  EXPECT_THAT(Take(), IsEmpty());
}

// The timer has expired, nobody has asked for packets, and the answer comes.
TEST_F(Asked, NothingIsRepeatedThatWasAnswered) {
  ASSERT_OK(p.peer.AddStreams(p.now, 1, 0));
  ASSERT_THAT(Take(), SizeIs(1));
  p.Wait(absl::Seconds(1));
  Send(ReconfigResponse{Ours(0), ReconfigResult::kPerformed});
  EXPECT_THAT(Take(), IsEmpty());

  ASSERT_OK(p.peer.ResetStreams(p.now, {StreamId{1}}));
  ASSERT_THAT(Take(), SizeIs(1));
  p.Wait(absl::Seconds(1));
  Send(ReconfigResponse{Ours(1), ReconfigResult::kPerformed});
  EXPECT_THAT(Take(), IsEmpty());
}

// Section 5.2.6 lets a peer answer by its own request alone.
TEST_F(Asked, ForItsStreamsThePeersRequestStandsForTheAnswer) {
  ASSERT_OK(p.peer.AddStreams(p.now, 0, 6));
  ASSERT_THAT(Take(), SizeIs(1));
  Send(AddOutgoingStreamsRequest{Theirs(0), 6});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kPerformed));
  EXPECT_THAT(Added(), SizeIs(1));
  // It may have crossed ours, which was lost.
  int repeats = 0;
  for (int i = 0; i < 20; ++i) {
    p.Wait(absl::Seconds(2));
    for (const ReconfigParameter& parameter : Take()) {
      EXPECT_TRUE(std::holds_alternative<AddIncomingStreamsRequest>(parameter));
      ++repeats;
    }
  }
  EXPECT_EQ(repeats, 1);
  EXPECT_EQ(incoming(), 16);
  EXPECT_OK(p.peer.AddStreams(p.now, 0, 1));
}

TEST_F(Asked, ARestartBeginsAnew) {
  ASSERT_OK(p.peer.AddStreams(p.now, 5, 0));
  Take();
  Send(ReconfigResponse{Ours(0), ReconfigResult::kPerformed});
  Send(AddOutgoingStreamsRequest{Theirs(0), 5});
  EXPECT_EQ(outgoing(), 15);
  EXPECT_EQ(incoming(), 15);
  ASSERT_OK(p.peer.AddStreams(p.now, 5, 5));  // Under way.
  Take();
  internal::InitChunk init = p.MakeInit();
  init.initiate_tag = Puppet::kTag + 1;
  init.outbound_streams = 10;
  ASSERT_TRUE(p.Connect(init));
  EXPECT_EQ(outgoing(), 10);
  EXPECT_EQ(incoming(), 10);
  p.Wait(absl::Seconds(5));
  EXPECT_THAT(Take(), IsEmpty());
  ASSERT_OK(p.peer.AddStreams(p.now, 1, 0));
  const auto sent = Take();
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(std::get<AddOutgoingStreamsRequest>(sent[0]).request_sn, Ours(0));
  Send(AddOutgoingStreamsRequest{Theirs(0), 2});
  EXPECT_EQ(incoming(), 12);
}

}  // namespace
}  // namespace kyuu::sctp
