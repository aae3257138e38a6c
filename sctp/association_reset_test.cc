// A reset of the association, SSNs and TSNs of both sides (RFC 6525 sections
// 4.3, 5.1.4, 5.2.4 and 5.2.7): between two associations, and with a peer that
// does as it likes.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/association.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/testing/puppet.h"
#include "sctp/testing/test_pair.h"

namespace kyuu::sctp {
namespace {

using internal::ChunkType;
using internal::DataChunk;
using internal::IncomingResetRequest;
using internal::OutgoingResetRequest;
using internal::Puppet;
using internal::ReconfigChunk;
using internal::ReconfigParameter;
using internal::ReconfigResponse;
using internal::ReconfigResult;
using internal::ReconfigSn;
using internal::SsnTsnResetRequest;
using internal::Tsn;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::StatusCode kPrecondition =
    absl::StatusCode::kFailedPrecondition;
constexpr absl::StatusCode kUnavailable = absl::StatusCode::kUnavailable;
constexpr uint8_t kWhole = DataChunk::kBegin | DataChunk::kEnd;

Options Granting() { return {.grant_association_reset = true}; }
Options Interleaved() {
  Options options = Granting();
  options.interleaving = true;
  return options;
}

// The TSN of the first DATA chunk in a packet.
std::optional<Tsn> FirstTsn(absl::Span<const uint8_t> packet) {
  const auto view =
      internal::ParsePacket(packet, internal::ZeroChecksum::kAccepted);
  Reader reader(view.chunks);
  while (auto chunk = internal::NextChunk(reader)) {
    if (chunk->type != ChunkType::kData && chunk->type != ChunkType::kIData) {
      continue;
    }
    if (auto data = DataChunk::Parse(*chunk)) return data->tsn;
  }
  return std::nullopt;
}

size_t Granted(const Report& report) {
  return static_cast<size_t>(
      std::count_if(report.whole_resets.begin(), report.whole_resets.end(),
                    [](const AssociationReset& r) { return r.status.ok(); }));
}

TEST(AssociationReset, BothStartOverOnceAllIsDelivered) {
  for (const Options& options : {Granting(), Interleaved()}) {
    TestPair p({}, options, options);
    p.Connect();
    std::optional<Tsn> last_a;
    std::vector<Tsn> jumps;
    p.pair.keep_a_to_b = [&](absl::Span<const uint8_t> packet) {
      const auto tsn = FirstTsn(packet);
      // A chunk that is sent again is only a little behind.
      const uint32_t ahead = tsn && last_a ? *tsn - *last_a : 0;
      if (ahead > 1u << 30 && ahead < 3u << 30) jumps.push_back(*tsn);
      if (tsn) last_a = tsn;
      return true;
    };
    ASSERT_OK(p.SendText(p.a, 5, std::string(200'000, 'x')));
    ASSERT_OK(p.SendText(p.a, 5, "one"));
    ASSERT_OK(p.SendText(p.b, 5, std::string(200'000, 'y')));
    ASSERT_OK(p.SendText(p.b, 6, "two"));
    ASSERT_OK(p.a.ResetAssociation(p.pair.now()));
    ASSERT_OK(p.SendText(p.a, 5, "after"));
    p.pair.RunFor(absl::Seconds(5));
    ASSERT_FALSE(p.at_b.closed) << *p.at_b.closed << p.a.DebugString();
    ASSERT_OK(p.SendText(p.b, 5, "answer"));
    p.pair.RunFor(absl::Seconds(5));
    ASSERT_THAT(p.at_a.whole_resets, SizeIs(1));
    EXPECT_OK(p.at_a.whole_resets[0].status);
    ASSERT_THAT(p.at_b.whole_resets, SizeIs(1));
    EXPECT_OK(p.at_b.whole_resets[0].status);
    EXPECT_THAT(p.at_b.Texts(5),
                ElementsAre(std::string(200'000, 'x'), "one", "after"));
    EXPECT_THAT(p.at_a.Texts(5),
                ElementsAre(std::string(200'000, 'y'), "answer"));
    EXPECT_THAT(p.at_a.Texts(6), ElementsAre("two"));
    // Section 5.2.4: our TSNs go on half the range away.
    EXPECT_THAT(jumps, SizeIs(1));
  }
}

// Whatever is lost, in whatever order it comes: each side has what was sent, in
// order, and each reset is told of once.
TEST(AssociationReset, LosesAndMixesNothing) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    const Options options = seed % 2 == 0 ? Granting() : Interleaved();
    const sim::LinkOptions link{.delay = absl::Milliseconds(20),
                                .jitter = absl::Milliseconds(15),
                                .loss = 0.15,
                                .duplicate = 0.05,
                                .reorder = 0.1};
    TestPair p({.seed = seed, .a_to_b = link, .b_to_a = link}, options,
               options);
    p.Connect();
    int sent = 0;
    const auto send = [&] {
      const std::string text = absl::StrCat(sent++);
      for (int stream : {0, 7}) {
        ASSERT_OK(p.SendText(p.a, stream, text));
        ASSERT_OK(p.SendText(p.b, stream, text));
      }
    };
    for (int round = 0; round < 6; ++round) {
      for (int i = 0; i < 5; ++i) {
        send();
        p.pair.RunFor(
            absl::Milliseconds(static_cast<int>(p.pair.random().Below(30))));
      }
      Association& asker = round % 3 == 1 ? p.b : p.a;
      // Refused while one is under way, and then another round asks.
      const absl::Status asked = asker.ResetAssociation(p.pair.now());
      if (!asked.ok()) {
        EXPECT_THAT(asked, StatusIs(kPrecondition));
      }
      send();
      // Sometimes the next is asked for as soon as this one is through.
      p.pair.RunFor(absl::Milliseconds(400) * (1 + round % 2));
    }
    p.pair.RunFor(absl::Seconds(60));
    // Where both asked before either knew, neither reset.
    EXPECT_GE(Granted(p.at_a), 2u);
    EXPECT_EQ(Granted(p.at_a), Granted(p.at_b));
    std::vector<std::string> all;
    all.reserve(static_cast<size_t>(sent));
    for (int i = 0; i < sent; ++i) all.push_back(absl::StrCat(i));
    for (int stream : {0, 7}) {
      EXPECT_EQ(p.at_a.Texts(stream), all);
      EXPECT_EQ(p.at_b.Texts(stream), all);
    }
  }
}

TEST(AssociationReset, SaysWhenItCannotBeAskedFor) {
  TestPair p({}, Granting(), Granting());
  EXPECT_THAT(p.a.ResetAssociation(p.pair.now()), StatusIs(kPrecondition));
  p.Connect();
  ASSERT_OK(p.SendText(p.a, 1, "x"));
  ASSERT_OK(p.a.ResetStreams(p.pair.now(), {StreamId{1}}));
  EXPECT_THAT(p.a.ResetAssociation(p.pair.now()), StatusIs(kPrecondition));
  p.pair.RunFor(absl::Seconds(1));
  ASSERT_OK(p.a.ResetAssociation(p.pair.now()));
  EXPECT_THAT(p.a.ResetAssociation(p.pair.now()), StatusIs(kPrecondition));
  EXPECT_THAT(p.a.ResetStreams(p.pair.now(), {StreamId{1}}),
              StatusIs(kPrecondition));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_OK(p.a.ResetStreams(p.pair.now(), {StreamId{1}}));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_THAT(p.at_a.resets, SizeIs(2));
}

TEST(AssociationReset, GoesOnAsBeforeWhereThePeerRefuses) {
  TestPair p;
  p.Connect();
  ASSERT_OK(p.SendText(p.a, 3, "before"));
  ASSERT_OK(p.a.ResetAssociation(p.pair.now()));
  ASSERT_OK(p.SendText(p.a, 3, "after"));
  p.pair.RunFor(absl::Seconds(2));
  ASSERT_THAT(p.at_a.whole_resets, SizeIs(1));
  EXPECT_THAT(p.at_a.whole_resets[0].status, StatusIs(kUnavailable));
  EXPECT_THAT(p.at_b.whole_resets, IsEmpty());
  EXPECT_THAT(p.at_b.Texts(3), ElementsAre("before", "after"));
  EXPECT_OK(p.a.ResetAssociation(p.pair.now()));
}

// Neither waits for the other for ever.
TEST(AssociationReset, OfBothSidesAtOnceComesToNothing) {
  TestPair p({}, Granting(), Granting());
  p.Connect();
  ASSERT_OK(p.a.ResetAssociation(p.pair.now()));
  ASSERT_OK(p.b.ResetAssociation(p.pair.now()));
  p.pair.RunFor(absl::Seconds(5));
  ASSERT_THAT(p.at_a.whole_resets, SizeIs(1));
  ASSERT_THAT(p.at_b.whole_resets, SizeIs(1));
  EXPECT_THAT(p.at_a.whole_resets[0].status, StatusIs(kUnavailable));
  EXPECT_THAT(p.at_b.whole_resets[0].status, StatusIs(kUnavailable));
  ASSERT_OK(p.a.ResetAssociation(p.pair.now()));
  p.pair.RunFor(absl::Seconds(5));
  EXPECT_THAT(p.at_b.whole_resets, SizeIs(2));
}

// An open message is waited for, at both ends.
TEST(AssociationReset, WaitsForMessagesThatAreOpen) {
  TestPair p({}, Granting(), Granting());
  p.Connect();
  for (Association* open : {&p.a, &p.b}) {
    Report& at_other = open == &p.a ? p.at_b : p.at_a;
    const size_t before = p.at_a.whole_resets.size();
    ASSERT_OK(open->BeginMessage(p.pair.now(), StreamId{2}, Ppid{51}, {}));
    ASSERT_OK(
        open->SendPart(p.pair.now(), StreamId{2}, {'a', 'b'}, Part::kMore));
    ASSERT_OK(p.a.ResetAssociation(p.pair.now()));
    p.pair.RunFor(absl::Seconds(5));
    EXPECT_THAT(p.at_a.whole_resets, SizeIs(before));
    ASSERT_OK(open->SendPart(p.pair.now(), StreamId{2}, {'c'}, Part::kLast));
    p.pair.RunFor(absl::Seconds(5));
    ASSERT_THAT(p.at_a.whole_resets, SizeIs(before + 1));
    EXPECT_OK(p.at_a.whole_resets.back().status);
    EXPECT_THAT(at_other.Texts(2), ElementsAre("abc"));
  }
}

// The peer must know of the reset before it takes what was sent after it: the
// answer, lost, comes again with the data, and with word of data given up.
TEST(AssociationReset, WhatIsSentAfterItNeverComesWithoutTheAnswer) {
  for (bool given_up : {false, true}) {
    TestPair p({}, Granting(), Granting());
    p.Connect();
    for (int i = 0; i < 3; ++i) ASSERT_OK(p.SendText(p.b, 4, "old"));
    p.pair.RunFor(absl::Seconds(1));
    // All is lost that leaves at the moment of the reset.
    bool cut = true;
    p.pair.keep_b_to_a = [&](absl::Span<const uint8_t>) { return !cut; };
    ASSERT_OK(p.a.ResetAssociation(p.pair.now()));
    ASSERT_TRUE(p.pair.RunUntil([&] { return !p.at_b.whole_resets.empty(); },
                                absl::Seconds(5)));
    if (given_up) {
      ASSERT_OK(p.SendText(p.b, 4, "never", {.max_retransmits = 0}));
      p.pair.RunFor(absl::Milliseconds(30));
    }
    ASSERT_THAT(p.at_a.whole_resets, IsEmpty());
    cut = false;
    // T3 tells that it was given up.
    if (given_up) p.pair.RunFor(absl::Seconds(2));
    ASSERT_OK(p.SendText(p.b, 4, "new"));
    ASSERT_TRUE(p.pair.RunUntil([&] { return p.at_a.messages.size() == 4; },
                                absl::Seconds(2)));
    EXPECT_THAT(p.at_a.whole_resets, SizeIs(1));
    EXPECT_THAT(p.at_a.Texts(4), ElementsAre("old", "old", "old", "new"));
  }
}

// Sizes around that of a packet, which the answer in front makes smaller.
TEST(AssociationReset, WhatFillsAPacketFollowsIt) {
  for (const Options& options : {Granting(), Interleaved()}) {
    for (size_t size = 1100; size < 1240; size += 3) {
      SCOPED_TRACE(size);
      TestPair p({}, options, options);
      p.Connect();
      ASSERT_OK(p.a.ResetAssociation(p.pair.now()));
      ASSERT_TRUE(p.pair.RunUntil([&] { return !p.at_b.whole_resets.empty(); },
                                  absl::Seconds(5)));
      const std::vector<std::string> texts(3, std::string(size, 'x'));
      for (const std::string& text : texts) ASSERT_OK(p.SendText(p.b, 1, text));
      p.pair.RunFor(absl::Seconds(1));
      EXPECT_EQ(p.at_a.Texts(1), texts);
    }
  }
}

// The window of the peer is closed: what waits for it makes no packets.
TEST(AssociationReset, WhatCannotBeSentMakesNoPackets) {
  Options small = Granting();
  small.max_message_in = small.initial_receive_window_bytes = 60'000;
  small.receive_window_bytes = 60'000;
  TestPair p({}, small, Granting());
  p.Connect();
  ASSERT_OK(p.a.ResetAssociation(p.pair.now()));
  ASSERT_TRUE(p.pair.RunUntil([&] { return !p.at_b.whole_resets.empty(); },
                              absl::Seconds(5)));
  p.at_a.reading = false;
  for (int i = 0; i < 4; ++i) {
    ASSERT_OK(p.SendText(p.b, 1, std::string(50'000, 'x')));
  }
  const uint64_t before = p.b.stats().packets_sent;
  p.pair.RunFor(absl::Seconds(10));
  EXPECT_LT(p.b.stats().packets_sent - before, 150u);
  p.at_a.reading = true;
  p.pair.RunFor(absl::Seconds(60));
  EXPECT_THAT(p.at_a.Texts(1), SizeIs(4));
}

// A peer that asks and answers by hand.
class ResetByHand : public testing::Test {
 protected:
  explicit ResetByHand(const Options& options = Granting()) : p(options) {}

  void SetUp() override {
    ASSERT_TRUE(p.Connect());
    p.Events();
  }
  void Send(const ReconfigParameter& parameter) {
    ReconfigChunk chunk;
    chunk.parameters.push_back(parameter);
    p.SendChunk(chunk);
  }
  std::vector<ReconfigResponse> Answers() {
    std::vector<ReconfigResponse> answers;
    for (const Puppet::Received& received : p.Drain()) {
      if (received.type() != ChunkType::kReConfig) continue;
      const auto chunk = ReconfigChunk::Parse(received.view());
      for (const ReconfigParameter& parameter : chunk->parameters) {
        if (auto* answer = std::get_if<ReconfigResponse>(&parameter)) {
          answers.push_back(*answer);
        }
      }
    }
    return answers;
  }
  std::vector<ReconfigResult> Results() {
    std::vector<ReconfigResult> results;
    for (const auto& answer : Answers()) results.push_back(answer.result);
    return results;
  }
  std::vector<AssociationReset> Resets() {
    std::vector<AssociationReset> resets;
    for (const Event& event : p.Events()) {
      if (auto* one = std::get_if<AssociationReset>(&event)) {
        resets.push_back(*one);
      }
    }
    return resets;
  }
  // Lets the association ask, and returns the number of its request.
  std::optional<ReconfigSn> Ask() {
    EXPECT_OK(p.peer.ResetAssociation(p.now));
    const auto chunk = p.DrainFor(ChunkType::kReConfig);
    if (!chunk) return std::nullopt;
    const auto reconfig = ReconfigChunk::Parse(chunk->view());
    return std::get<SsnTsnResetRequest>(reconfig->parameters[0]).request_sn;
  }
  static ReconfigSn Theirs(uint32_t number) {
    return ReconfigSn(Puppet::kInitialTsn.value() + number);
  }

  Puppet p;
};

TEST_F(ResetByHand, AgainAnswersTheSameAgain) {
  p.SendData(0, kWhole, 1, 0, "x");
  p.Drain();
  p.Events();
  for (int i = 0; i < 3; ++i) {
    Send(SsnTsnResetRequest{Theirs(0)});
    const auto answers = Answers();
    ASSERT_THAT(answers, SizeIs(1));
    EXPECT_EQ(answers[0].result, ReconfigResult::kPerformed);
    ASSERT_TRUE(answers[0].next_tsns);
    EXPECT_EQ(answers[0].next_tsns->sender, p.peer_initial_tsn);
    EXPECT_EQ(answers[0].next_tsns->receiver,
              Puppet::kInitialTsn + 1 + (1u << 31));
    EXPECT_THAT(Resets(), SizeIs(i == 0 ? 1 : 0));
  }
  // Old numbers are outside of the window, new ones begin at SSN 0.
  p.SendData(1, kWhole, 1, 1, "old");
  EXPECT_THAT(p.Events(), IsEmpty());
  p.SendData(1 + (1u << 31), kWhole, 1, 0, "new");
  EXPECT_THAT(p.Events(), SizeIs(1));
}

// What has a hole, or no end, was not all sent before.
TEST_F(ResetByHand, IsDeniedWhileWhatCameIsIncomplete) {
  p.SendData(0, DataChunk::kBegin, 1, 0, "x");
  Send(SsnTsnResetRequest{Theirs(0)});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kDenied));
  p.SendData(1, DataChunk::kEnd, 1, 0, "y");
  p.SendData(3, kWhole, 1, 2, "z");
  Send(SsnTsnResetRequest{Theirs(1)});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kDenied));
  p.SendData(2, kWhole, 1, 1, "z");
  Send(SsnTsnResetRequest{Theirs(2)});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kPerformed));
}

// A reset of streams that waits for data says that data is under way, too.
TEST_F(ResetByHand, IsDeniedWhileAResetWaitsForData) {
  Send(OutgoingResetRequest{Theirs(0), ReconfigSn(0), Puppet::kInitialTsn, {}});
  Send(SsnTsnResetRequest{Theirs(1)});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kInProgress,
                                     ReconfigResult::kDenied));
  p.SendData(0, kWhole, 1, 0, "x");
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kPerformed));
}

// Of a peer that does not wait for its data: what a reset waited for counts as
// arrived once the association was reset.
TEST_F(ResetByHand, AResetThatWaitsIsPerformedWithThatOfTheAssociation) {
  Send(OutgoingResetRequest{Theirs(0), ReconfigSn(0), Puppet::kInitialTsn, {}});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kInProgress));
  const auto request = Ask();
  ASSERT_TRUE(request);
  Send(ReconfigResponse{
      *request, ReconfigResult::kPerformed,
      ReconfigResponse::NextTsns{Puppet::kInitialTsn + 1, Tsn(77)}});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kPerformed));
  EXPECT_THAT(Resets(), SizeIs(1));
}

// What the association has sent arrives first; another request ends the wait.
TEST_F(ResetByHand, WaitsForItsOwnDataUnlessTheNextRequestComes) {
  ASSERT_OK(p.peer.Send(p.now, {StreamId{1}, Ppid{51}, {'x'}}));
  p.Drain();
  Send(SsnTsnResetRequest{Theirs(0)});
  EXPECT_THAT(Results(), IsEmpty());
  Send(SsnTsnResetRequest{Theirs(0)});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kInProgress));
  EXPECT_THAT(Resets(), IsEmpty());
  EXPECT_THAT(p.peer.ResetAssociation(p.now), StatusIs(kPrecondition));
  ASSERT_OK(p.peer.Send(p.now, {StreamId{1}, Ppid{51}, {'y'}}));
  EXPECT_FALSE(p.DrainFor(ChunkType::kData));
  Send(IncomingResetRequest{Theirs(1), {StreamId{9}}});
  EXPECT_TRUE(p.DrainFor(ChunkType::kData));
  EXPECT_THAT(Resets(), IsEmpty());
}

TEST_F(ResetByHand, IsAnsweredByItselfOnceItsDataIsAcknowledged) {
  ASSERT_OK(p.peer.Send(p.now, {StreamId{1}, Ppid{51}, {'x'}}));
  p.Drain();
  Send(SsnTsnResetRequest{Theirs(0)});
  EXPECT_THAT(Results(), IsEmpty());
  Send(SsnTsnResetRequest{Theirs(0)});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kInProgress));
  internal::SackChunk sack;
  sack.cumulative_tsn_ack = p.peer_initial_tsn;
  sack.a_rwnd = 1 << 20;
  p.SendChunk(sack);
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kPerformed));
  EXPECT_THAT(Resets(), SizeIs(1));
}

TEST_F(ResetByHand, WaitsForRoomAmongTheEvents) {
  for (uint32_t i = 0; i < Options{}.max_waiting_resets; ++i) {
    Send(SsnTsnResetRequest{Theirs(i)});
    EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kPerformed));
  }
  const uint32_t next = Options{}.max_waiting_resets;
  Send(SsnTsnResetRequest{Theirs(next)});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kInProgress));
  EXPECT_THAT(Resets(), SizeIs(next));
  Send(SsnTsnResetRequest{Theirs(next)});
  EXPECT_THAT(Results(), ElementsAre(ReconfigResult::kPerformed));
}

// Without the TSNs to go on with, nobody could.
TEST_F(ResetByHand, AnAnswerWithoutTsnsIsNone) {
  const auto request = Ask();
  ASSERT_TRUE(request);
  Send(ReconfigResponse{*request, ReconfigResult::kPerformed, {}});
  EXPECT_THAT(Resets(), IsEmpty());
  EXPECT_EQ(p.peer.stats().drop_invalid_reconfig, 1u);
  // It asks again, with the same number.
  p.Wait(absl::Seconds(3));
  EXPECT_TRUE(p.DrainFor(ChunkType::kReConfig));
  const ReconfigResponse whole{
      *request, ReconfigResult::kPerformed,
      ReconfigResponse::NextTsns{Puppet::kInitialTsn, Tsn(77)}};
  Send(whole);
  EXPECT_THAT(Resets(), SizeIs(1));
  // Another copy means nothing.
  Send(whole);
  EXPECT_THAT(Resets(), IsEmpty());
  ASSERT_OK(p.peer.Send(p.now, {StreamId{1}, Ppid{51}, {'x'}}));
  const auto data = p.DrainFor(ChunkType::kData);
  ASSERT_TRUE(data);
  EXPECT_EQ(DataChunk::Parse(data->view())->tsn, Tsn(77));
}

// TSNs of a peer that says anything: what comes after is judged by them, and
// the association goes on or ends in order.
TEST_F(ResetByHand, AnyTsnsAreTakenAsTheyAre) {
  SeededRandom random(5);
  for (int i = 0; i < 200; ++i) {
    const auto request = Ask();
    ASSERT_TRUE(request);
    const Tsn next(static_cast<uint32_t>(random.U64()));
    Send(ReconfigResponse{*request, ReconfigResult::kPerformed,
                          ReconfigResponse::NextTsns{
                              next, Tsn(static_cast<uint32_t>(random.U64()))}});
    ASSERT_THAT(Resets(), SizeIs(1));
    p.SendData(next - Puppet::kInitialTsn, kWhole, 1, 0, "x");
    EXPECT_THAT(p.Events(), SizeIs(1));
    ASSERT_OK(p.peer.Send(p.now, {StreamId{1}, Ppid{51}, {'y'}}));
    const auto data = p.DrainFor(ChunkType::kData);
    ASSERT_TRUE(data);
    internal::SackChunk sack;
    sack.cumulative_tsn_ack = DataChunk::Parse(data->view())->tsn;
    sack.a_rwnd = 1 << 20;
    p.SendChunk(sack);
  }
  EXPECT_TRUE(p.peer.is_connected());
}

}  // namespace
}  // namespace kyuu::sctp
