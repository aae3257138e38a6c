#include "sctp/internal/chunk/chunk.h"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/internal/chunk/rewrite.h"
#include "sctp/internal/chunk/sack_chunk.h"

namespace kyuu::sctp::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Packets of libusrsctp 0.9.5: a connection on which "hello" is sent on
// stream 3, the stream is reset, and the association shut down.
constexpr char kInit[] =
    "13881388000000004253ce0101000056fbf2a2c400020000000a08002106525dc0000004"
    "80080009c00fc18082000000800200247765d62614850f4f45ec7a4de72f156ec4823007"
    "c3d3511ef0e5ac316a153e3380040006000100008003000680c10000";
constexpr char kCookieAck[] = "13881388fbf2a2c4745965650b000004";
constexpr char kData[] =
    "138813885dacdebf5b94527a000300152106525d000300000000003368656c6c6f000000";
constexpr char kSack[] =
    "13881388fbf2a2c4e221003a030000102106525d0001fefb00000000";
constexpr char kResetRequest[] =
    "138813885dacdebfec9bce6e82000016000d00122106525deff266712106525d00030000";
constexpr char kResetResponse[] =
    "13881388fbf2a2c4c521422c820000100010000c2106525d00000001";
constexpr char kShutdown[] = "138813885dacdebfc9e5c0cb07000008eff26671";
constexpr char kShutdownAck[] = "13881388fbf2a2c44dd0470708000004";
constexpr char kShutdownComplete[] = "138813885dacdebfd8eea3440e000004";

constexpr const char* kCaptures[] = {
    kInit,     kCookieAck,    kData,
    kSack,     kResetRequest, kResetResponse,
    kShutdown, kShutdownAck,  kShutdownComplete};

// The only chunk of a captured packet, whose checksum must be right.
struct Captured {
  explicit Captured(absl::string_view hex) : bytes(FromHex(hex)) {
    const PacketView packet = ParsePacket(bytes);
    EXPECT_EQ(packet.error, PacketError::kNone);
    header = packet.header;
    Reader reader(packet.chunks);
    chunk = NextChunk(reader).value_or(ChunkView());
    EXPECT_TRUE(reader.Finish());
  }
  std::vector<uint8_t> bytes;
  CommonHeader header;
  ChunkView chunk;
};

TEST(Packet, CapturesHaveTheirChecksum) {
  for (const char* hex : kCaptures) Captured captured(hex);
  EXPECT_EQ(Captured(kData).header.verification_tag, 0x5dacdebfu);
  EXPECT_EQ(Captured(kData).header.source_port, 5000);
}

TEST(Packet, EveryFlippedBitIsFound) {
  for (const char* hex : kCaptures) {
    std::vector<uint8_t> bytes = FromHex(hex);
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      EXPECT_EQ(ParsePacket(bytes).error, PacketError::kBadChecksum);
      bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    }
  }
}

TEST(Packet, FinishWritesWhatParseChecks) {
  std::vector<uint8_t> bytes = FromHex(kSack);
  const std::vector<uint8_t> original = bytes;
  bytes[8] = bytes[9] = bytes[10] = bytes[11] = 0;
  FinishPacket(absl::MakeSpan(bytes));
  EXPECT_EQ(ToHex(bytes), ToHex(original));
}

// RFC 9653: zero is no checksum where that is agreed, and a wrong one else.
TEST(Packet, ZeroIsTakenForAChecksumOnlyWhereAgreed) {
  std::vector<uint8_t> bytes = FromHex(kSack);
  EXPECT_FALSE(ParsePacket(bytes, ZeroChecksum::kAccepted).unchecked);
  bytes[8] = bytes[9] = bytes[10] = bytes[11] = 0;
  EXPECT_EQ(ParsePacket(bytes).error, PacketError::kBadChecksum);
  const PacketView view = ParsePacket(bytes, ZeroChecksum::kAccepted);
  EXPECT_EQ(view.error, PacketError::kNone);
  EXPECT_TRUE(view.unchecked);
  bytes[8] = 1;
  EXPECT_EQ(ParsePacket(bytes, ZeroChecksum::kAccepted).error,
            PacketError::kBadChecksum);
}

TEST(Packet, TooShort) {
  const std::vector<uint8_t> bytes = FromHex(kSack);
  for (size_t size = 0; size < CommonHeader::kSize; ++size) {
    EXPECT_EQ(ParsePacket(absl::MakeConstSpan(bytes).subspan(0, size)).error,
              PacketError::kTooShort);
  }
}

TEST(InitChunk, FromCapture) {
  const Captured captured(kInit);
  const std::optional<InitChunk> init = InitChunk::Parse(captured.chunk);
  ASSERT_TRUE(init);
  EXPECT_EQ(init->initiate_tag, 0xfbf2a2c4u);
  EXPECT_EQ(init->a_rwnd, 131072u);
  EXPECT_EQ(init->outbound_streams, 10);
  EXPECT_EQ(init->inbound_streams, 2048);
  EXPECT_EQ(init->initial_tsn, Tsn(0x2106525d));
  EXPECT_TRUE(init->extensions.forward_tsn);
  EXPECT_TRUE(init->extensions.re_config);
  EXPECT_THAT(init->unrecognized, IsEmpty());
}

TEST(DataChunk, FromCapture) {
  const Captured captured(kData);
  const std::optional<DataChunk> data = DataChunk::Parse(captured.chunk);
  ASSERT_TRUE(data);
  EXPECT_TRUE(data->begin() && data->end());
  EXPECT_FALSE(data->unordered() || data->immediate());
  EXPECT_EQ(data->tsn, Tsn(0x2106525d));
  EXPECT_EQ(data->stream, StreamId{3});
  EXPECT_EQ(data->ssn, Ssn(0));
  EXPECT_EQ(data->ppid, Ppid{51});
  EXPECT_EQ(AsText(data->payload), "hello");
}

// RFC 8260 section 2.1: the payload protocol is where the fragment number is,
// but for the first fragment.
TEST(DataChunk, IDataNamesItsMessageAndItsPlace) {
  const std::vector<uint8_t> bytes = FromHex(
      "40020016 00000001 00020000 00000003 00000033 61620000"
      "40050016 00000002 00020000 00000003 00000001 63640000");
  Reader reader(bytes);
  const auto first = DataChunk::Parse(*NextChunk(reader));
  const auto last = DataChunk::Parse(*NextChunk(reader));
  ASSERT_TRUE(first && last && reader.Finish());
  EXPECT_EQ(first->type, ChunkType::kIData);
  EXPECT_EQ(first->stream, StreamId{2});
  EXPECT_EQ(first->mid, Mid(3));
  EXPECT_EQ(first->fsn, 0u);
  EXPECT_EQ(first->ppid, Ppid{51});
  EXPECT_EQ(AsText(first->payload), "ab");
  EXPECT_TRUE(last->unordered() && last->end() && !last->begin());
  EXPECT_EQ(last->fsn, 1u);
  EXPECT_EQ(last->ppid, Ppid{0});
  EXPECT_EQ(AsText(last->payload), "cd");
}

TEST(ForwardTsnChunk, IForwardTsnNamesBothKinds) {
  const std::vector<uint8_t> bytes =
      FromHex("c2000018 00000007 00010001 00000002 00030000 80000004");
  Reader reader(bytes);
  const auto forward = ForwardTsnChunk::Parse(*NextChunk(reader));
  ASSERT_TRUE(forward);
  EXPECT_EQ(forward->new_cumulative_tsn, Tsn(7));
  EXPECT_THAT(forward->skipped,
              ElementsAre(SkippedStream{StreamId{1}, Ssn(), Mid(2),
                                        Ordering::kUnordered},
                          SkippedStream{StreamId{3}, Ssn(), Mid(0x80000004)}));
}

TEST(SackChunk, FromCapture) {
  const std::optional<SackChunk> sack = SackChunk::Parse(Captured(kSack).chunk);
  ASSERT_TRUE(sack);
  EXPECT_EQ(sack->cumulative_tsn_ack, Tsn(0x2106525d));
  EXPECT_EQ(sack->a_rwnd, 0x1fefbu);
  EXPECT_THAT(sack->gap_ack_blocks, IsEmpty());
}

TEST(ReconfigChunk, FromCaptures) {
  const auto request = ReconfigChunk::Parse(Captured(kResetRequest).chunk);
  ASSERT_TRUE(request);
  ASSERT_THAT(request->parameters, SizeIs(1));
  const auto& outgoing = std::get<OutgoingResetRequest>(request->parameters[0]);
  EXPECT_EQ(outgoing.request_sn, ReconfigSn(0x2106525d));
  EXPECT_EQ(outgoing.response_sn, ReconfigSn(0xeff26671));
  EXPECT_EQ(outgoing.last_assigned_tsn, Tsn(0x2106525d));
  EXPECT_THAT(outgoing.streams, ElementsAre(StreamId{3}));

  const auto response = ReconfigChunk::Parse(Captured(kResetResponse).chunk);
  ASSERT_TRUE(response);
  const auto& answer = std::get<ReconfigResponse>(response->parameters[0]);
  EXPECT_EQ(answer.response_sn, ReconfigSn(0x2106525d));
  EXPECT_EQ(answer.result, ReconfigResult::kPerformed);
}

// RFC 6525 sections 4.5 and 4.6.
TEST(ReconfigChunk, AdditionsHaveTheirNumbersInPlace) {
  const std::vector<uint8_t> value = FromHex(
      "0011000c 00000007 0102 0000"
      "0012000c 00000008 0304 0000");
  const ChunkView view{ChunkType::kReConfig, 0, value, value};
  const auto chunk = ReconfigChunk::Parse(view);
  ASSERT_TRUE(chunk);
  ASSERT_THAT(chunk->parameters, SizeIs(2));
  const auto& out = std::get<AddOutgoingStreamsRequest>(chunk->parameters[0]);
  EXPECT_EQ(out.request_sn, ReconfigSn(7));
  EXPECT_EQ(out.new_streams, 0x102);
  const auto& in = std::get<AddIncomingStreamsRequest>(chunk->parameters[1]);
  EXPECT_EQ(in.request_sn, ReconfigSn(8));
  EXPECT_EQ(in.new_streams, 0x304);
  EXPECT_EQ(ToHex(*RewriteChunk(view)), "8200001c" + ToHex(value));
}

TEST(Chunks, CapturesAreWrittenAsTheyCame) {
  for (const char* hex :
       {kData, kSack, kResetRequest, kResetResponse, kShutdown}) {
    const Captured captured(hex);
    const auto bytes = absl::MakeConstSpan(captured.bytes);
    EXPECT_EQ(ToHex(*RewriteChunk(captured.chunk)), ToHex(bytes.subspan(12)));
  }
}

// One chunk of every codec, with all its lists filled.
std::vector<std::vector<uint8_t>> Samples() {
  std::vector<std::vector<uint8_t>> samples;
  auto add = [&](const auto& chunk) {
    samples.push_back(*Rewritten(std::optional(chunk)));
  };
  const std::vector<uint8_t> text = {'a', 'b', 'c', 'd', 'e'};
  const std::vector<uint8_t> unknown = {0xc9, 0x99, 0, 6, 1, 2};
  InitChunk init{.type = ChunkType::kInit,
                 .initiate_tag = 1,
                 .a_rwnd = 2,
                 .outbound_streams = 3,
                 .inbound_streams = 4,
                 .initial_tsn = Tsn(5),
                 .extensions = {true, true, true, true, true}};
  init.unrecognized.push_back(unknown);
  add(init);
  init.type = ChunkType::kInitAck;
  init.unrecognized.clear();
  init.cookie = text;
  add(init);
  add(DataChunk{DataChunk::kEnd, Tsn(1), StreamId{2}, Ssn(3), Ppid{4}, text});
  DataChunk mixed{DataChunk::kBegin | DataChunk::kUnordered,
                  Tsn(1),
                  StreamId{2},
                  Ssn(),
                  Ppid{4},
                  text,
                  ChunkType::kIData,
                  Mid(5)};
  add(mixed);
  mixed.flags = 0;
  mixed.fsn = 6;
  add(mixed);
  SackChunk sack;
  sack.gap_ack_blocks = {{2, 3}, {5, 9}};
  sack.duplicate_tsns = {Tsn(1), Tsn(1)};
  add(sack);
  add(HeartbeatChunk{ChunkType::kHeartbeat, text});
  add(HeartbeatChunk{ChunkType::kHeartbeatAck, text});
  add(ShutdownChunk{Tsn(9)});
  add(CookieEchoChunk{text});
  add(ForwardTsnChunk{Tsn(7), {{StreamId{1}, Ssn(2)}, {StreamId{3}, Ssn(4)}}});
  add(ForwardTsnChunk{Tsn(7),
                      {{StreamId{1}, Ssn(), Mid(2), Ordering::kUnordered},
                       {StreamId{3}, Ssn(), Mid(4)}},
                      ChunkType::kIForwardTsn});
  ReconfigChunk reconfig;
  reconfig.parameters.push_back(OutgoingResetRequest{
      ReconfigSn(1), ReconfigSn(2), Tsn(3), {StreamId{1}, StreamId{2}}});
  reconfig.parameters.push_back(
      ReconfigResponse{ReconfigSn(4), ReconfigResult::kInProgress});
  add(reconfig);
  reconfig.parameters.clear();
  reconfig.parameters.push_back(
      IncomingResetRequest{ReconfigSn(1), {StreamId{7}}});
  reconfig.parameters.push_back(
      AddOutgoingStreamsRequest{ReconfigSn(2), 0x1234});
  add(reconfig);
  reconfig.parameters.clear();
  reconfig.parameters.push_back(AddIncomingStreamsRequest{ReconfigSn(1), 5});
  reconfig.parameters.push_back(SsnTsnResetRequest{ReconfigSn(2)});
  add(reconfig);
  return samples;
}

TEST(Chunks, RoundTrip) {
  for (const std::vector<uint8_t>& sample : Samples()) {
    Reader reader(sample);
    const std::optional<ChunkView> chunk = NextChunk(reader);
    ASSERT_TRUE(chunk && reader.Finish());
    EXPECT_EQ(ToHex(RewriteChunk(*chunk).value_or(std::vector<uint8_t>())),
              ToHex(sample));
  }
}

TEST(Chunks, EveryTruncationEnds) {
  for (const std::vector<uint8_t>& sample : Samples()) {
    for (size_t size = 0; size < sample.size(); ++size) {
      // Cut in the packet ...
      const auto cut = absl::MakeConstSpan(sample).subspan(0, size);
      Reader reader(cut);
      if (auto chunk = NextChunk(reader)) RewriteChunk(*chunk);
      // ... and with a length that agrees.
      if (size < kChunkHeaderSize) continue;
      std::vector<uint8_t> shorter(cut.begin(), cut.end());
      shorter[3] = static_cast<uint8_t>(size);
      Reader again(shorter);
      if (auto chunk = NextChunk(again)) RewriteChunk(*chunk);
    }
  }
}

TEST(Chunks, EveryFlippedBitEnds) {
  for (const std::vector<uint8_t>& sample : Samples()) {
    for (size_t bit = 0; bit < 8 * sample.size(); ++bit) {
      std::vector<uint8_t> flipped = sample;
      flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      Reader reader(flipped);
      while (auto chunk = NextChunk(reader)) RewriteChunk(*chunk);
    }
  }
}

TEST(InitChunk, ReportsWhatItIsAskedTo) {
  // Types with the bits 01 stop and 11 go on; 10 is passed over in silence.
  const std::vector<uint8_t> value = FromHex(
      "00000001 00001000 0001 0001 00000001"
      "8abc0004 cabc0006aabb0000 4abc0004 c0000004");
  const ChunkView view{ChunkType::kInit, 0, value, value};
  const std::optional<InitChunk> init = InitChunk::Parse(view);
  ASSERT_TRUE(init);
  ASSERT_THAT(init->unrecognized, SizeIs(2));
  EXPECT_EQ(ToHex(init->unrecognized[0]), "cabc0006aabb");
  EXPECT_EQ(ToHex(init->unrecognized[1]), "4abc0004");
  EXPECT_FALSE(init->extensions.forward_tsn) << "read beyond a stop";
}

TEST(ErrorChunk, DescribesKnownAndUnknownCauses) {
  const std::vector<uint8_t> value =
      FromHex("000c000762796500 00630004 000d000868");
  const ChunkView view{ChunkType::kAbort, 0, value, value};
  EXPECT_EQ(DescribeCauses(view), "user-initiated abort (bye), cause 99");
  EXPECT_TRUE(HasCause(view, ErrorCause::kUserInitiatedAbort));
  EXPECT_FALSE(HasCause(view, ErrorCause::kStaleCookie));
  EXPECT_EQ(DescribeCauses(ChunkView{ChunkType::kAbort, 0, {}, {}}),
            "no cause given");
}

TEST(NextChunk, LastPaddingMayBeMissing) {
  const std::vector<uint8_t> bytes = FromHex("04000005 aa000000 0b000005 bb");
  Reader reader(bytes);
  EXPECT_EQ(NextChunk(reader)->value.size(), 1u);
  EXPECT_EQ(NextChunk(reader)->value.size(), 1u);
  EXPECT_FALSE(NextChunk(reader));
  EXPECT_TRUE(reader.ok());
}

}  // namespace
}  // namespace kyuu::sctp::internal
