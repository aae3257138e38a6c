// SNAP (draft-hancke-tsvwg-snap): an association without a handshake.

#include "sctp/out_of_band.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/testing/puppet.h"
#include "sctp/testing/test_pair.h"

namespace kyuu::sctp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// The example of the draft: tag 0x896cdd1d, 5 MiB, 65535 streams, FORWARD TSN
// and RE-CONFIG.
constexpr absl::string_view kOfTheDraft =
    "AQAAHols3R0AUAAA/////+B5ZR3AAAAEgAgABoLA";

std::vector<uint8_t> FromBase64(absl::string_view text) {
  std::string bytes;
  EXPECT_TRUE(absl::Base64Unescape(text, &bytes));
  return {bytes.begin(), bytes.end()};
}

// Connects both sides of `p` at the same time, without a packet.
void ConnectWithInits(TestPair& p, const Options& options_a = {},
                      const Options& options_b = {}) {
  const std::vector<uint8_t> a = MakeInit(options_a, p.random);
  const std::vector<uint8_t> b = MakeInit(options_b, p.random);
  ASSERT_OK(p.a.ConnectWith(p.pair.now(), {.local = a, .remote = b}));
  ASSERT_OK(p.b.ConnectWith(p.pair.now(), {.local = b, .remote = a}));
}

TEST(OutOfBand, AMessageTakesHalfARoundTripFromTheStart) {
  TestPair p({.a_to_b = {.delay = absl::Milliseconds(50)},
              .b_to_a = {.delay = absl::Milliseconds(50)}});
  ConnectWithInits(p);
  const absl::Time start = p.pair.now();
  ASSERT_OK(p.SendText(p.a, 1, "hello"));
  ASSERT_OK(p.SendText(p.b, 2, "world"));
  ASSERT_TRUE(p.pair.RunUntil(
      [&] { return !p.at_a.messages.empty() && !p.at_b.messages.empty(); },
      absl::Seconds(1)));
  EXPECT_EQ(p.pair.now() - start, absl::Milliseconds(50));
  EXPECT_THAT(p.at_b.Texts(1), ElementsAre("hello"));
  EXPECT_THAT(p.at_a.Texts(2), ElementsAre("world"));
}

TEST(OutOfBand, AllThatAHandshakeAgreesOnIsAgreed) {
  for (const bool theirs : {true, false}) {
    const Options a{
        .outgoing_streams = 100, .incoming_streams = 50, .zero_checksum = true};
    const Options b{.outgoing_streams = 10,
                    .incoming_streams = 20,
                    .interleaving = theirs,
                    .zero_checksum = theirs};
    TestPair packets({}, a, b);
    packets.Connect();
    TestPair p({}, a, b);
    ConnectWithInits(p, a, b);
    p.pair.RunFor(absl::Seconds(1));
    ASSERT_TRUE(p.both_connected());
    for (const auto& [with, without] :
         {std::pair(packets.at_a.connected, p.at_a.connected),
          std::pair(packets.at_b.connected, p.at_b.connected)}) {
      EXPECT_EQ(with->outgoing_streams, without->outgoing_streams);
      EXPECT_EQ(with->incoming_streams, without->incoming_streams);
      EXPECT_EQ(with->partial_reliability, without->partial_reliability);
      EXPECT_EQ(with->stream_reset, without->stream_reset);
      EXPECT_EQ(with->interleaving, without->interleaving);
      EXPECT_EQ(with->zero_checksum, without->zero_checksum);
      EXPECT_EQ(without->interleaving, theirs);
    }
    EXPECT_EQ(p.a.stats().terms->outgoing_streams, 20);
    EXPECT_EQ(p.a.stats().terms->interleaving, theirs);
    p.a.Close(p.pair.now());
    EXPECT_FALSE(p.a.stats().terms);
  }
}

TEST(OutOfBand, WhatWasSentBeforeGoesAtOnce) {
  TestPair p;
  ASSERT_OK(p.SendText(p.a, 1, "early"));
  ConnectWithInits(p);
  p.pair.RunFor(absl::Milliseconds(100));
  EXPECT_THAT(p.at_b.Texts(1), ElementsAre("early"));
}

// One side is slower with its DTLS handshake than the other: what comes before
// is lost there, and comes again.
TEST(OutOfBand, TheSlowerSideMissesNothing) {
  TestPair p;
  const std::vector<uint8_t> a = MakeInit({}, p.random);
  const std::vector<uint8_t> b = MakeInit({}, p.random);
  ASSERT_OK(p.a.ConnectWith(p.pair.now(), {.local = a, .remote = b}));
  ASSERT_OK(p.SendText(p.a, 1, "first"));
  p.pair.keep_a_to_b = [](auto) { return false; };
  p.pair.RunFor(absl::Milliseconds(30));
  p.pair.keep_a_to_b = nullptr;
  ASSERT_OK(p.b.ConnectWith(p.pair.now(), {.local = b, .remote = a}));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_THAT(p.at_b.Texts(1), ElementsAre("first"));
}

// Which side has a whole answer and which only half of it cannot always be
// known: a handshake in packets is answered all the same, as a restart.
TEST(OutOfBand, APeerThatShakesHandsAllTheSameIsAnswered) {
  TestPair p;
  const std::vector<uint8_t> a = MakeInit({}, p.random);
  const std::vector<uint8_t> b = MakeInit({}, p.random);
  ASSERT_OK(p.a.ConnectWith(p.pair.now(), {.local = a, .remote = b}));
  ASSERT_OK(p.b.Connect(p.pair.now()));
  p.pair.RunFor(absl::Seconds(1));
  ASSERT_TRUE(p.both_connected());
  EXPECT_EQ(p.at_a.restarts, 1);
  ASSERT_OK(p.SendText(p.a, 1, "after"));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_THAT(p.at_b.Texts(1), ElementsAre("after"));
}

TEST(OutOfBand, TheExampleOfTheDraftConnects) {
  SeededRandom random(1);
  internal::Puppet p;
  ASSERT_OK(p.peer.ConnectWith(p.now, {.local = MakeInit({}, random),
                                       .remote = FromBase64(kOfTheDraft)}));
  const std::vector<Event> events = p.Events();
  ASSERT_THAT(events, SizeIs(1));
  const auto& connected = std::get<Connected>(events[0]);
  EXPECT_EQ(connected.outgoing_streams, 65535);
  EXPECT_TRUE(connected.stream_reset);
  EXPECT_FALSE(connected.interleaving);
  ASSERT_OK(p.peer.Send(p.now, {StreamId{1}, Ppid{51}, {'x'}}));
  const auto data = p.DrainFor(internal::ChunkType::kData);
  ASSERT_TRUE(data);
  EXPECT_EQ(data->tag, 0x896cdd1du);
}

// Row H35 of the hostile inputs.
TEST(OutOfBand, H35WhatIsNoInitIsRefusedWithTheReason) {
  SeededRandom random(1);
  const std::vector<uint8_t> good = MakeInit({}, random);
  const auto changed = [&](size_t at, std::vector<uint8_t> bytes) {
    std::vector<uint8_t> init = good;
    std::copy(bytes.begin(), bytes.end(), init.begin() + at);
    return init;
  };
  const auto longer = [&](size_t by) {
    std::vector<uint8_t> init = FromBase64(kOfTheDraft);
    init.resize(init.size() + by);
    return init;
  };
  EXPECT_OK(ValidateInit(good));
  EXPECT_OK(ValidateInit(longer(2)));  // Its padding.
  const struct {
    const char* name;
    std::vector<uint8_t> init;
    const char* reason;
  } rows[] = {
      {"nothing", {}, "not a whole chunk"},
      {"half a header", {1, 0, 0}, "not a whole chunk"},
      {"cut off", {good.begin(), good.end() - 1}, "not a whole chunk"},
      {"a length of 0", changed(2, {0, 0}), "not a whole chunk"},
      {"another chunk", changed(0, {2}), "other than INIT"},
      {"no room for the fixed part", {1, 0, 0, 8, 1, 1, 1, 1}, "malformed"},
      {"tag 0", changed(4, {0, 0, 0, 0}), "tag or streams of 0"},
      {"no outbound streams", changed(12, {0, 0}), "tag or streams of 0"},
      {"no inbound streams", changed(14, {0, 0}), "tag or streams of 0"},
      {"a parameter that does not fit", changed(22, {0, 200}), "malformed"},
      {"trailing bytes", longer(3), "bytes behind"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const absl::Status status = ValidateInit(row.init);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.reason));
    internal::Puppet p;
    EXPECT_EQ(p.peer.ConnectWith(p.now, {.local = good, .remote = row.init}),
              status);
    EXPECT_EQ(p.peer.ConnectWith(p.now, {.local = row.init, .remote = good}),
              status);
    // Nothing has happened: the handshake in packets is still to be had.
    EXPECT_TRUE(p.Connect());
  }
}

TEST(OutOfBand, OnlyAnAssociationThatHasNotBegunTakesIt) {
  SeededRandom random(1);
  const OutOfBandInits inits{.local = MakeInit({}, random),
                             .remote = MakeInit({}, random)};
  internal::Puppet begun;
  ASSERT_OK(begun.peer.Connect(begun.now));
  internal::Puppet connected;
  ASSERT_OK(connected.peer.ConnectWith(connected.now, inits));
  internal::Puppet ended;
  ended.peer.Close(ended.now);
  for (internal::Puppet* p : {&begun, &connected, &ended}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(p->peer.ConnectWith(p->now, inits)));
  }
  EXPECT_TRUE(connected.peer.is_connected());
}

TEST(OutOfBand, EveryInitHasItsOwnTag) {
  SeededRandom random(1);
  EXPECT_NE(MakeInit({}, random), MakeInit({}, random));
  SeededRandom again(1);
  SeededRandom once_more(1);
  EXPECT_EQ(MakeInit({}, again), MakeInit({}, once_more));
}

}  // namespace
}  // namespace kyuu::sctp
