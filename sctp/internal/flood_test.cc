// Packets that are full of the smallest chunks there are: what they make an
// association do is bounded for each packet.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/internal/chunk/sack_chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/interleaved_reassembly.h"
#include "sctp/internal/reassembly.h"
#include "sctp/testing/puppet.h"

namespace kyuu::sctp::internal {
namespace {

constexpr uint64_t kMost = 8;  // Of chunks without data.
constexpr uint8_t kWhole = DataChunk::kBegin | DataChunk::kEnd;

DataChunk Data(uint32_t offset, uint16_t ssn) {
  static constexpr uint8_t kByte[] = {1};
  DataChunk data;
  data.flags = kWhole;
  data.tsn = Puppet::kInitialTsn + offset;
  data.ssn = Ssn(ssn);
  data.payload = kByte;
  return data;
}

// 290 of them asked for 290 reports.
TEST(Flood, ControlChunksAreBoundedForEachPacket) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  p.Send([](Writer& writer) {
    for (int i = 0; i < 290; ++i) {
      WriteEmptyChunk(writer, static_cast<ChunkType>(0xc5));
    }
  });
  EXPECT_EQ(p.peer.stats().drop_unknown_chunk, kMost);
  EXPECT_EQ(p.peer.stats().drop_excess_chunks, 1u);
  // The next packet has its own.
  p.Send([](Writer& writer) {
    for (uint64_t i = 0; i < kMost; ++i) {
      WriteEmptyChunk(writer, static_cast<ChunkType>(0xc5));
    }
  });
  EXPECT_EQ(p.peer.stats().drop_unknown_chunk, 2 * kMost);
  EXPECT_EQ(p.peer.stats().drop_excess_chunks, 1u);
}

// Each acknowledges one more.
TEST(Flood, SacksAreBoundedForEachPacket) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK(p.peer.Send(
        p.now, Message{StreamId{1}, Ppid{51}, std::vector<uint8_t>(1000)}));
    p.Drain();
  }
  const size_t one = p.peer.stats().flight_bytes / 10;
  p.Send([&](Writer& writer) {
    for (uint32_t i = 0; i < 10; ++i) {
      SackChunk sack;
      sack.cumulative_tsn_ack = p.peer_initial_tsn + i;
      sack.a_rwnd = 1 << 20;
      sack.Write(writer);
    }
  });
  EXPECT_EQ(p.peer.stats().flight_bytes, (10 - kMost) * one);
  EXPECT_EQ(p.peer.stats().drop_excess_chunks, 1u);
}

// What is too short to be DATA is none.
TEST(Flood, DataIsNotBoundedBesideControlChunks) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  const auto pads = [](Writer& writer, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      WriteEmptyChunk(writer, ChunkType::kPad);
    }
  };
  p.Send([&](Writer& writer) {
    for (uint16_t i = 0; i < 50; ++i) {
      if (i < kMost) pads(writer, 1);
      Data(i, i).Write(writer);
    }
  });
  EXPECT_EQ(p.peer.stats().messages_received, 50u);
  EXPECT_EQ(p.peer.stats().drop_excess_chunks, 0u);
  p.Send([&](Writer& writer) {
    for (int i = 0; i < 60; ++i) WriteEmptyChunk(writer, ChunkType::kData);
    Data(50, 50).Write(writer);
  });
  EXPECT_EQ(p.peer.stats().drop_malformed_chunk, kMost);
  EXPECT_EQ(p.peer.stats().messages_received, 50u);
}

// As after each reset of 570 streams, whoever they are.
TEST(Flood, AResetOfStreamsThatNothingCameOnTakesNoMemory) {
  const Options options;
  Stats stats;
  EventQueue events(options.held_overhead_bytes);
  Reassembly plain(options, Puppet::kInitialTsn, events, stats);
  InterleavedReassembly mixed(options, events, stats);
  std::vector<StreamId> streams;
  for (uint32_t i = 0; i < 65'535; ++i) {
    streams.push_back(static_cast<StreamId>(i));
  }
  plain.ResetStreams(streams);
  mixed.ResetStreams(streams);
  EXPECT_EQ(plain.streams_known(), 0u);
  EXPECT_EQ(mixed.streams_known(), 0u);
  ASSERT_EQ(plain.Add(Data(0, 0), Puppet::kInitialTsn),
            Reassembly::Outcome::kOk);
  plain.ResetStreams(streams);
  EXPECT_EQ(plain.streams_known(), 16u);
}

}  // namespace
}  // namespace kyuu::sctp::internal
