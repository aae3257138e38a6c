// What the association tells the peer about its mistakes, and what it keeps to
// itself.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/testing/puppet.h"

namespace kyuu::sctp::internal {
namespace {

using Received = Puppet::Received;

// The cause of the ERROR among `chunks`, and its information.
std::optional<ErrorCause> CauseIn(const std::vector<Received>& chunks) {
  for (const Received& chunk : chunks) {
    if (chunk.type() != ChunkType::kError) continue;
    Reader reader(chunk.view().value);
    return static_cast<ErrorCause>(reader.U16());
  }
  return std::nullopt;
}

// RFC 9260 section 3.2.2: a parameter whose type begins with 11 is passed over
// and reported, in an INIT ACK by an ERROR beside the COOKIE ECHO.
TEST(Reports, UnknownParameterOfAnInitAckBesideTheCookie) {
  Puppet p;
  ASSERT_OK(p.peer.Connect(p.now));
  const auto init = InitChunk::Parse(p.DrainFor(ChunkType::kInit)->view());
  p.peer_tag = init->initiate_tag;
  p.Send([&](Writer& writer) {
    ChunkWriter chunk(writer, ChunkType::kInitAck);
    writer.U32(Puppet::kTag);
    writer.U32(1 << 20);
    writer.U16(100);
    writer.U16(100);
    writer.U32(Puppet::kInitialTsn.value());
    writer.U16(7);  // State Cookie
    writer.U16(8);
    writer.U32(0x12345678);
    writer.U16(0xc123);
    writer.U16(8);
    writer.U32(0);
  });
  const std::vector<Received> chunks = p.Drain();
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].type(), ChunkType::kCookieEcho);
  EXPECT_EQ(CauseIn(chunks), ErrorCause::kUnrecognizedParameters);
}

// Section 6.5.
TEST(Reports, DataOnAStreamThatWasNotAgreed) {
  Options options;
  options.incoming_streams = 10;
  Puppet p(options);
  ASSERT_TRUE(p.Connect());
  p.SendData(0, DataChunk::kBegin | DataChunk::kEnd, 10, 0, "x");
  EXPECT_EQ(CauseIn(p.Drain()), ErrorCause::kInvalidStreamIdentifier);
  EXPECT_EQ(p.peer.stats().drop_data_invalid_stream, 1u);
}

// Each would cost an HMAC; only the first chunk of a packet may be one.
TEST(Reports, OneCookieEchoAPacket) {
  Puppet p;
  const std::vector<uint8_t> cookie = p.GetCookie(p.MakeInit());
  p.Send([&](Writer& writer) {
    for (int i = 0; i < 13; ++i) CookieEchoChunk{cookie}.Write(writer);
  });
  EXPECT_TRUE(p.peer.is_connected());
  EXPECT_EQ(p.peer.stats().drop_unexpected_chunk, 7u);
  EXPECT_EQ(p.peer.stats().drop_excess_chunks, 1u);
}

TEST(Reports, CookiesDoNotTellTheTime) {
  std::vector<uint64_t> times;
  for (uint64_t seed : {1, 2}) {
    Puppet p({}, seed);
    const std::vector<uint8_t> cookie = p.GetCookie(p.MakeInit());
    Reader reader(cookie);
    reader.U32();
    times.push_back(reader.U64());
    EXPECT_NE(times.back(), static_cast<uint64_t>(absl::ToUnixNanos(p.now)));
    // They still expire by it.
    p.now += absl::Seconds(61);
    p.SendChunk(CookieEchoChunk{cookie});
    EXPECT_FALSE(p.peer.is_connected());
  }
  EXPECT_NE(times[0], times[1]);
}

TEST(Acknowledgement, OfTheFirstPacketIsNotDelayed) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  p.SendData(0, DataChunk::kBegin | DataChunk::kEnd, 0, 0, "x");
  EXPECT_TRUE(p.DrainFor(ChunkType::kSack));
  p.SendData(1, DataChunk::kBegin | DataChunk::kEnd, 0, 1, "x");
  EXPECT_FALSE(p.DrainFor(ChunkType::kSack));
}

// An owner that does not poll is not filled up by the peer.
constexpr uint8_t kWhole = DataChunk::kBegin | DataChunk::kEnd;

// RFC 7053 section 5.2.
TEST(SackImmediately, IsNotDelayed) {
  for (const uint8_t flag : {uint8_t{0}, DataChunk::kImmediate}) {
    SCOPED_TRACE(int{flag});
    Puppet p;
    ASSERT_TRUE(p.Connect());
    // The very first packet is answered at once anyway.
    p.SendData(0, kWhole, 0, 0, "x");
    ASSERT_TRUE(p.DrainFor(ChunkType::kSack));
    p.SendData(1, kWhole | flag, 0, 1, "x");
    EXPECT_EQ(p.DrainFor(ChunkType::kSack).has_value(), flag != 0);
    p.Wait(Options().sack_delay);
    EXPECT_EQ(p.DrainFor(ChunkType::kSack).has_value(), flag == 0);
  }
}

// RFC 7053 section 4: where no second packet would call for the SACK, or a
// delayed one would stop a small window.
TEST(SackImmediately, IsAskedForWhereTheAnswerIsWaitedFor) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  const auto asked = [&] {
    std::vector<bool> of_each;
    for (const Received& chunk : p.Drain()) {
      if (chunk.type() != ChunkType::kData) continue;
      of_each.push_back(DataChunk::Parse(chunk.view())->immediate());
    }
    return of_each;
  };
  const auto send = [&](size_t size) {
    const Message message{StreamId{1}, Ppid{53}, std::vector<uint8_t>(size)};
    ASSERT_OK(p.peer.Send(p.now, Message(message)));
  };
  send(10);
  EXPECT_EQ(asked(), std::vector<bool>({true}));
  // The second packet has the first one's answer come.
  send(3000);
  EXPECT_EQ(asked(), std::vector<bool>({false, false, false}));
  // After a timeout one packet is all that may be in flight.
  p.Wait(absl::Seconds(10));
  const std::vector<bool> again = asked();
  EXPECT_THAT(again, ::testing::Contains(true));
}

TEST(Resets, ThatWaitToBePolledAreBounded) {
  Options options;
  options.max_waiting_resets = 3;
  Puppet p(options);
  ASSERT_TRUE(p.Connect());
  p.Events();
  uint32_t number = Puppet::kInitialTsn.value();
  const auto ask = [&]() -> std::optional<ReconfigResult> {
    ReconfigChunk request;
    request.parameters.push_back(
        OutgoingResetRequest{.request_sn = ReconfigSn(number),
                             .last_assigned_tsn = Puppet::kInitialTsn - 1,
                             .streams = {StreamId{1}}});
    p.SendChunk(request);
    const auto answer = p.DrainFor(ChunkType::kReConfig);
    if (!answer) return std::nullopt;
    const auto parsed = ReconfigChunk::Parse(answer->view());
    return std::get<ReconfigResponse>(parsed->parameters.back()).result;
  };
  for (int i = 0; i < 3; ++i, ++number) {
    EXPECT_EQ(ask(), ReconfigResult::kPerformed);
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ask(), ReconfigResult::kInProgress);
  EXPECT_EQ(p.peer.stats().deferred_resets, 100u);
  EXPECT_EQ(p.Events().size(), 3u);
  EXPECT_EQ(ask(), ReconfigResult::kPerformed);
}

}  // namespace
}  // namespace kyuu::sctp::internal
