// What a hostile peer may try, by the rows H1 to H29 of the list of past
// vulnerabilities; each test states its outcome. None may crash, hang or grow.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/testing/puppet.h"

namespace kyuu::sctp::internal {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint8_t kWhole = DataChunk::kBegin | DataChunk::kEnd;

size_t CountMessages(Puppet& p) {
  size_t count = 0;
  for (const Event& event : p.Events()) {
    count += std::holds_alternative<Message>(event) ? 1 : 0;
  }
  return count;
}

// The association goes on: data passes in both directions.
void ExpectAlive(Puppet& p, uint32_t tsn_offset, uint16_t ssn) {
  p.Events();
  p.SendData(tsn_offset, kWhole, 9, ssn, "ping");
  EXPECT_EQ(CountMessages(p), 1u) << p.peer.DebugString();
}

void ExpectAborted(Puppet& p) {
  const std::optional<absl::Status> status = p.ClosedStatus();
  ASSERT_TRUE(status) << p.peer.DebugString();
  EXPECT_EQ(status->code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(p.DrainFor(ChunkType::kAbort));
  EXPECT_EQ(p.peer.NextTimeout(), absl::InfiniteFuture());
}

TEST(Hostile, H1InitWithParameterBeyondItsEndIsDropped) {
  for (uint8_t length : std::initializer_list<uint8_t>{0, 1, 2, 3, 5, 9, 255}) {
    Puppet p;
    p.SendTagged(0, [&](Writer& writer) {
      ChunkWriter chunk(writer, ChunkType::kInit);
      writer.U32(7);
      writer.U32(10000);
      writer.U16(1);
      writer.U16(1);
      writer.U32(1);
      writer.U16(5);
      writer.U16(length);
    });
    EXPECT_THAT(p.Drain(), IsEmpty()) << int{length};
    EXPECT_EQ(p.peer.stats().drop_invalid_init, 1u);
  }
}

TEST(Hostile, H2ZeroLengthParameterInInitAckTerminates) {
  for (uint16_t stop_type :
       std::initializer_list<uint16_t>{0x0009, 0x4abc, 0x8abc}) {
    Puppet p;
    ASSERT_OK(p.peer.Connect(p.now));
    p.peer_tag =
        InitChunk::Parse(p.DrainFor(ChunkType::kInit)->view())->initiate_tag;
    p.Send([&](Writer& writer) {
      ChunkWriter chunk(writer, ChunkType::kInitAck);
      writer.U32(7);
      writer.U32(10000);
      writer.U16(1);
      writer.U16(1);
      writer.U32(1);
      writer.U16(stop_type);
      writer.U16(4);
      writer.U32(0);
    });
    p.Drain();
    EXPECT_FALSE(p.peer.is_connected());
  }
}

TEST(Hostile, H3ChunkLengthsThatLie) {
  for (int type = 0; type < 256; ++type) {
    for (uint16_t length :
         std::initializer_list<uint16_t>{0, 1, 2, 3, 4, 5, 200, 65535}) {
      Puppet p;
      ASSERT_TRUE(p.Connect());
      p.Send([&](Writer& writer) {
        writer.U8(static_cast<uint8_t>(type));
        writer.U8(0);
        writer.U16(length);
        writer.U32(0);
      });
      p.Drain();
      p.Wait(absl::Seconds(1));
    }
  }
}

TEST(Hostile, H4CookieHoldsNoUnwrittenBytes) {
  // The same seed and time give the same bytes, whatever the memory held.
  Puppet one;
  const std::string noise(100'000, '\xa5');
  Puppet two;
  EXPECT_EQ(one.GetCookie(one.MakeInit()), two.GetCookie(two.MakeInit()));
}

TEST(Hostile, H5CookiesThatWereTouchedAreRefused) {
  Puppet p;
  const std::vector<uint8_t> cookie = p.GetCookie(p.MakeInit());
  uint64_t refused = 0;
  for (size_t bit = 0; bit < cookie.size() * 8; bit += 3) {
    std::vector<uint8_t> forged = cookie;
    forged[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    p.SendChunk(CookieEchoChunk{forged});
    EXPECT_EQ(p.peer.stats().drop_bad_cookie, ++refused);
  }
  for (size_t size = 0; size < cookie.size(); ++size) {
    p.SendChunk(CookieEchoChunk{absl::MakeConstSpan(cookie).subspan(0, size)});
    EXPECT_EQ(p.peer.stats().drop_bad_cookie, ++refused);
  }
  EXPECT_THAT(p.Drain(), IsEmpty());
  EXPECT_FALSE(p.peer.is_connected());
  p.SendChunk(CookieEchoChunk{cookie});
  EXPECT_TRUE(p.peer.is_connected());
}

TEST(Hostile, H5ACookieOfAnotherAssociationIsRefused) {
  Puppet one({}, 1);
  Puppet two({}, 2);
  const std::vector<uint8_t> cookie = one.GetCookie(one.MakeInit());
  two.SendTagged(one.peer_tag, [&](Writer& writer) {
    CookieEchoChunk{cookie}.Write(writer);
  });
  EXPECT_FALSE(two.peer.is_connected());
  EXPECT_EQ(two.peer.stats().drop_bad_cookie, 1u);
}

TEST(Hostile, H5AnExpiredCookieIsAnsweredStale) {
  Puppet p;
  const std::vector<uint8_t> cookie = p.GetCookie(p.MakeInit());
  p.Wait(absl::Seconds(61));
  p.SendChunk(CookieEchoChunk{cookie});
  EXPECT_FALSE(p.peer.is_connected());
  const auto error = p.DrainFor(ChunkType::kError);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->tag, Puppet::kTag);
  EXPECT_TRUE(HasCause(error->view(), ErrorCause::kStaleCookie));
}

TEST(Hostile, H5AReplayedCookieChangesNothing) {
  Puppet p;
  const std::vector<uint8_t> cookie = p.GetCookie(p.MakeInit());
  p.SendChunk(CookieEchoChunk{cookie});
  p.SendData(0, kWhole, 1, 0, "x");
  p.SendChunk(CookieEchoChunk{cookie});
  EXPECT_TRUE(p.DrainFor(ChunkType::kCookieAck));
  EXPECT_THAT(p.Events(), SizeIs(2));  // Connected once, and the message.
  ExpectAlive(p, 1, 0);
}

TEST(Hostile, H6AuthenticationParametersAreIgnored) {
  for (uint16_t type :
       std::initializer_list<uint16_t>{0x8002, 0x8003, 0x8004}) {
    for (size_t size : {0, 1, 31, 32, 260, 1000}) {
      Puppet p;
      p.SendTagged(0, [&](Writer& writer) {
        ChunkWriter chunk(writer, ChunkType::kInit);
        writer.U32(Puppet::kTag);
        writer.U32(10000);
        writer.U16(1);
        writer.U16(1);
        writer.U32(1000);
        ParameterWriter parameter(writer, type);
        writer.Zeros(size);
      });
      EXPECT_TRUE(p.DrainFor(ChunkType::kInitAck));
    }
  }
}

TEST(Hostile, H7AnInitFloodLeavesNothingBehind) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  p.Events();
  const uint32_t tag = p.peer_tag;
  for (int i = 0; i < 20'000; ++i) {
    InitChunk init = p.MakeInit();
    init.initiate_tag = static_cast<uint32_t>(i + 1);
    p.SendTagged(0, [&](Writer& writer) { init.Write(writer); });
  }
  // One answer at a time, no longer than a few INITs.
  const auto answers = p.Drain();
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_LT(answers[0].bytes.size(), 300u);
  EXPECT_THAT(p.Events(), IsEmpty());
  EXPECT_EQ(p.peer_tag, tag);
  ExpectAlive(p, 0, 0);
}

TEST(Hostile, H8InitsThatAreNotAllowed) {
  Puppet p;
  const InitChunk good = p.MakeInit();
  p.SendTagged(5, [&](Writer& writer) { good.Write(writer); });
  p.SendTagged(0, [&](Writer& writer) {
    good.Write(writer);
    good.Write(writer);
  });
  EXPECT_EQ(p.peer.stats().drop_bad_verification_tag, 2u);
  InitChunk bad = good;
  bad.initiate_tag = 0;
  p.SendTagged(0, [&](Writer& writer) { bad.Write(writer); });
  bad = good;
  bad.outbound_streams = 0;
  p.SendTagged(0, [&](Writer& writer) { bad.Write(writer); });
  bad = good;
  bad.inbound_streams = 0;
  p.SendTagged(0, [&](Writer& writer) { bad.Write(writer); });
  EXPECT_EQ(p.peer.stats().drop_invalid_init, 3u);
  EXPECT_THAT(p.Drain(), IsEmpty());
}

TEST(Hostile, H9AWrongTagIsDroppedWhateverTheChunk) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  uint64_t dropped = 0;
  for (int type = 0; type < 256; ++type) {
    if (type == 1 || type == 10) continue;  // They have rules of their own.
    p.SendTagged(p.peer_tag ^ 1, [&](Writer& writer) {
      ChunkWriter chunk(writer, static_cast<ChunkType>(type));
      writer.Zeros(16);
    });
    EXPECT_EQ(p.peer.stats().drop_bad_verification_tag, ++dropped) << type;
  }
  // The T bit does not help without the peer's own tag.
  p.SendTagged(p.peer_tag, [](Writer& writer) {
    WriteEmptyChunk(writer, ChunkType::kAbort, kReflectedTag);
  });
  EXPECT_EQ(p.peer.stats().drop_bad_verification_tag, ++dropped);
  ExpectAlive(p, 0, 0);
  p.SendTagged(Puppet::kTag, [](Writer& writer) {
    WriteEmptyChunk(writer, ChunkType::kAbort, kReflectedTag);
  });
  EXPECT_TRUE(p.ClosedStatus());
}

// Puts ten chunks in flight and returns the TSN before the first.
Tsn TenInFlight(Puppet& p) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_OK(p.peer.Send(p.now, Message{StreamId{1}, Ppid{53},
                                         std::vector<uint8_t>(1000, 'x')}));
  }
  p.Drain();
  return p.peer_initial_tsn - 1;
}

TEST(Hostile, H10SacksAboutWhatWasNeverSentAreNotApplied) {
  struct Case {
    const char* name;
    uint32_t cumulative;
    std::vector<GapAckBlock> blocks;
  };
  const Case cases[] = {
      {"end beyond the highest TSN", 2, {{2, 3}, {5, 9}}},
      {"start after end", 2, {{4, 3}}},
      {"far beyond", 0, {{65535, 65535}}},
      {"start of 0", 2, {{0, 3}}},
      {"start of 1", 2, {{1, 3}}},
      {"good block before a bad one", 0, {{2, 4}, {8, 60000}}},
      {"cumulative TSN never sent", 11, {}},
      {"cumulative TSN half around", 0x80000000, {}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Puppet p;
    ASSERT_TRUE(p.Connect());
    const Tsn base = TenInFlight(p);
    const size_t flight = p.peer.stats().flight_bytes;
    SackChunk sack;
    sack.cumulative_tsn_ack = base + c.cumulative;
    sack.a_rwnd = 12345;
    sack.gap_ack_blocks.assign(c.blocks.begin(), c.blocks.end());
    p.SendChunk(sack);
    const Stats stats = p.peer.stats();
    EXPECT_EQ(stats.drop_invalid_sack + stats.drop_stale_sack, 1u);
    EXPECT_EQ(stats.flight_bytes, flight);
    EXPECT_NE(stats.peer_rwnd_bytes, 12345u);
  }
}

TEST(Hostile, H10OverlappingBlocksCountOnce) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  const Tsn base = TenInFlight(p);
  const size_t flight = p.peer.stats().flight_bytes;
  SackChunk sack;
  sack.cumulative_tsn_ack = base;
  sack.a_rwnd = 1 << 20;
  sack.gap_ack_blocks = {{4, 6}, {2, 5}, {5, 5}, {2, 6}};
  p.SendChunk(sack);
  EXPECT_EQ(p.peer.stats().flight_bytes, flight - 6 * flight / 10);
  // An old one afterwards, with gaps that lie in the future.
  sack.cumulative_tsn_ack = base + 6;
  sack.gap_ack_blocks.clear();
  p.SendChunk(sack);
  sack.cumulative_tsn_ack = base + 1;
  sack.gap_ack_blocks = {{7, 8}};
  p.SendChunk(sack);
  EXPECT_EQ(p.peer.stats().drop_stale_sack, 1u);
}

TEST(Hostile, H11SackCountsBeyondTheChunkAreMalformed) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  for (uint16_t counts : std::initializer_list<uint16_t>{1, 1000, 65535}) {
    p.Send([&](Writer& writer) {
      ChunkWriter chunk(writer, ChunkType::kSack);
      writer.U32(p.peer_initial_tsn.value() - 1);
      writer.U32(1000);
      writer.U16(counts);
      writer.U16(counts);
    });
  }
  EXPECT_EQ(p.peer.stats().drop_malformed_chunk, 3u);
}

TEST(Hostile, H12RenegedDataIsSentAgain) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  const Tsn base = TenInFlight(p);
  SackChunk sack;
  sack.cumulative_tsn_ack = base;
  sack.a_rwnd = 1 << 20;
  sack.gap_ack_blocks = {{2, 10}};
  p.SendChunk(sack);
  p.Drain();  // The first one again.
  // Now it has the first, and has thrown the others away.
  sack.cumulative_tsn_ack = base + 1;
  sack.gap_ack_blocks.clear();
  p.SendChunk(sack);
  // They leave as what was sent again arrives: it is still the same recovery.
  const uint64_t before = p.peer.stats().chunks_retransmitted;
  for (uint64_t again = 0; again < 9;) {
    p.Drain();
    const uint64_t now = p.peer.stats().chunks_retransmitted - before;
    ASSERT_GT(now, again);
    again = now;
    sack.cumulative_tsn_ack = base + 1 + static_cast<uint32_t>(again);
    p.SendChunk(sack);
  }
  p.Drain();
  EXPECT_EQ(p.peer.stats().chunks_retransmitted - before, 9u);
  sack.cumulative_tsn_ack = base + 10;
  p.SendChunk(sack);
  EXPECT_EQ(p.peer.stats().flight_bytes, 0u);
}

TEST(Hostile, H13ManyMessagesExpireInOneTimeout) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  for (int i = 0; i < 300; ++i) {
    ASSERT_OK(p.peer.Send(
        p.now,
        Message{StreamId{static_cast<uint16_t>(i % 3)}, Ppid{53},
                std::vector<uint8_t>(3000, 'x')},
        {.max_retransmits = 0, .lifetime = absl::Milliseconds(100 + i)}));
  }
  for (int i = 0; i < 8; ++i) {
    p.Drain();
    p.Wait(absl::Milliseconds(400));
  }
  const auto forward = p.DrainFor(ChunkType::kForwardTsn);
  EXPECT_EQ(p.peer.stats().messages_abandoned, 300u);
  SackChunk sack;
  sack.a_rwnd = 1 << 20;
  sack.cumulative_tsn_ack = p.peer_initial_tsn + 20;
  p.SendChunk(sack);
  p.Drain();
  p.Wait(absl::Seconds(3));
  EXPECT_FALSE(p.ClosedStatus());
}

TEST(Hostile, H14ForwardTsnThatJumps) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  p.SendData(0, kWhole, 9, 0, "x");
  for (uint32_t jump : {100'000u, 0x7fffffffu, 0x80000000u}) {
    ForwardTsnChunk forward;
    forward.new_cumulative_tsn = Puppet::kInitialTsn + jump;
    p.SendChunk(forward);
  }
  EXPECT_GE(p.peer.stats().drop_invalid_forward_tsn, 2u);
  // Behind, and the same again: answered with a SACK (RFC 3758 section 3.6).
  p.Drain();
  ForwardTsnChunk forward;
  forward.new_cumulative_tsn = Puppet::kInitialTsn - 5;
  p.SendChunk(forward);
  EXPECT_TRUE(p.DrainFor(ChunkType::kSack));
  ExpectAlive(p, 1, 1);
}

TEST(Hostile, H15ForwardTsnWithoutAgreementAborts) {
  Puppet p;
  InitChunk init = p.MakeInit();
  init.extensions.forward_tsn = false;
  ASSERT_TRUE(p.Connect(init));
  p.SendChunk(ForwardTsnChunk{Puppet::kInitialTsn, {}});
  ExpectAborted(p);
}

// RFC 8260 section 2.2.1: where I-DATA is agreed, nothing else is.
TEST(Hostile, H15DataWhereIDataIsAgreedAborts) {
  Puppet data;
  ASSERT_TRUE(data.Connect(data.MakeMixedInit()));
  data.SendIData(0, kWhole, 1, 0, 0, "x");
  EXPECT_EQ(CountMessages(data), 1u);
  data.SendData(1, kWhole, 1, 1, "x");
  ExpectAborted(data);
  Puppet forward;
  ASSERT_TRUE(forward.Connect(forward.MakeMixedInit()));
  forward.SendChunk(ForwardTsnChunk{Puppet::kInitialTsn, {}});
  ExpectAborted(forward);
}

// H18 in I-DATA: a fragment number twice under two TSNs.
TEST(Hostile, H18IDataFragmentTwiceAborts) {
  Puppet p;
  ASSERT_TRUE(p.Connect(p.MakeMixedInit()));
  p.SendIData(0, DataChunk::kBegin, 1, 0, 0, "x");
  p.SendIData(1, 0, 1, 0, 1, "x");
  p.SendIData(2, 0, 1, 0, 1, "x");
  ExpectAborted(p);
}

// The window closes by the messages that are begun, not by their bytes (H17).
TEST(Hostile, H17BeginningsOfIDataMessagesCloseTheWindow) {
  Puppet p(Options{.receive_window_bytes = 65536});
  ASSERT_TRUE(p.Connect(p.MakeMixedInit()));
  for (uint32_t i = 0; i < 2000; ++i) {
    p.SendIData(i, DataChunk::kBegin | DataChunk::kUnordered,
                static_cast<uint16_t>(i), i, 0, "x");
  }
  EXPECT_GT(p.peer.stats().drop_data_no_buffer, 0u);
  // What fills the first hole may use as much again; one overshoots.
  EXPECT_LE(p.peer.stats().receive_held_bytes, 2u * 65536 + 200);
}

TEST(Hostile, H15IDataWithoutAgreementAborts) {
  for (uint8_t type : std::initializer_list<uint8_t>{64, 194}) {
    Puppet p;
    ASSERT_TRUE(p.Connect());
    const uint8_t value[20] = {};
    p.SendRaw(type, 3, value);
    ExpectAborted(p);
  }
}

TEST(Hostile, H16DataFarAheadIsNotHeld) {
  Options options;
  options.max_tsn_window = 1000;
  Puppet p(options);
  ASSERT_TRUE(p.Connect());
  p.SendData(1000, kWhole, 1, 0, "x");
  p.SendData(0x7ffffff0, kWhole, 1, 0, "x");
  EXPECT_EQ(p.peer.stats().drop_data_outside_window, 2u);
  EXPECT_EQ(p.peer.stats().receive_held_bytes, 0u);
  p.SendData(999, DataChunk::kEnd, 1, 0, "x");
  EXPECT_EQ(p.peer.stats().drop_data_outside_window, 2u);
  ExpectAlive(p, 0, 0);
}

TEST(Hostile, H16AsManyHolesAsAllowed) {
  Options options;
  options.max_gap_intervals = 10;
  Puppet p(options);
  ASSERT_TRUE(p.Connect());
  for (uint32_t i = 1; i <= 50; ++i) p.SendData(2 * i, 0, 1, 0, "x");
  EXPECT_EQ(p.peer.stats().drop_data_outside_window, 40u);
  const auto sack = SackChunk::Parse(p.DrainFor(ChunkType::kSack)->view());
  EXPECT_EQ(sack->gap_ack_blocks.size(), 10u);
}

// Whoever counts no overhead fills the window before its holes: they closed one
// in a round trip, the first, as everything else that was sent again was
// dropped.
TEST(Hostile, H17WhatFillsAnyHoleHasTwiceTheWindow) {
  Options options;
  options.receive_window_bytes = 100'000;
  Puppet p(options);
  ASSERT_TRUE(p.Connect());
  const std::string payload(200, 'x');
  uint32_t last = 1;
  for (; p.peer.stats().drop_data_no_buffer == 0; last += 2) {
    p.SendData(last, DataChunk::kBegin, static_cast<uint16_t>(last), 5,
               payload);
  }
  const size_t full = p.peer.stats().receive_held_bytes;
  const uint64_t had = p.peer.stats().data_chunks_received;
  for (uint32_t i = 2; i + 2 < last; i += 2) {
    p.SendData(i, DataChunk::kBegin, static_cast<uint16_t>(i), 5, payload);
  }
  EXPECT_GT(p.peer.stats().data_chunks_received, had + had / 2);
  EXPECT_GT(p.peer.stats().receive_held_bytes, full);
  EXPECT_LE(p.peer.stats().receive_held_bytes,
            2 * options.receive_window_bytes);
}

TEST(Hostile, H17TinyFragmentsCountWithTheirOverhead) {
  Options options;
  options.receive_window_bytes = 100'000;
  Puppet p(options);
  ASSERT_TRUE(p.Connect());
  // Never completed, each on another stream, with one hole in front.
  for (uint32_t i = 1; i < 30'000; ++i) {
    p.SendData(i, DataChunk::kBegin, static_cast<uint16_t>(i), 5, "x");
  }
  EXPECT_LE(p.peer.stats().receive_held_bytes, options.receive_window_bytes);
  EXPECT_GT(p.peer.stats().drop_data_no_buffer, 25'000u);
}

TEST(Hostile, H17WaitingMessagesCountToo) {
  Options options;
  options.receive_window_bytes = 100'000;
  Puppet p(options);
  ASSERT_TRUE(p.Connect());
  for (uint32_t i = 1; i < 30'000; ++i) {
    p.SendData(i, kWhole, 1, static_cast<uint16_t>(i), "x");
  }
  EXPECT_LE(p.peer.stats().receive_held_bytes, options.receive_window_bytes);
  // The same, unread by the application.
  Puppet q(options);
  ASSERT_TRUE(q.Connect());
  for (uint32_t i = 0; i < 30'000; ++i) {
    q.SendData(i, kWhole, 1, static_cast<uint16_t>(i), "x");
  }
  EXPECT_LE(q.peer.stats().receive_held_bytes,
            2 * options.receive_window_bytes);
}

TEST(Hostile, H18FragmentsThatBelongNowhere) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  p.SendData(0, DataChunk::kEnd, 1, 0, "no beginning");
  ExpectAborted(p);

  Puppet q;
  ASSERT_TRUE(q.Connect());
  q.SendData(0, DataChunk::kBegin, 1, 0, "begin");
  q.SendData(1, DataChunk::kEnd, 2, 0, "end of another stream");
  ExpectAborted(q);

  Puppet r;
  ASSERT_TRUE(r.Connect());
  r.SendData(0, DataChunk::kBegin, 1, 0, "begin");
  r.SendData(1, DataChunk::kEnd | DataChunk::kUnordered, 1, 0, "unordered");
  ExpectAborted(r);

  // Two beginnings: the first was given up. The second is whole.
  Puppet s;
  ASSERT_TRUE(s.Connect());
  s.SendData(0, DataChunk::kBegin, 1, 0, "begin");
  s.SendData(1, kWhole, 1, 1, "whole");
  EXPECT_EQ(CountMessages(s), 1u);
  EXPECT_EQ(s.peer.stats().messages_skipped, 1u);
}

TEST(Hostile, H18EndBeforeBeginWaits) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  p.SendData(2, DataChunk::kEnd, 1, 0, "c");
  p.SendData(1, 0, 1, 0, "b");
  EXPECT_EQ(CountMessages(p), 0u);
  p.SendData(0, DataChunk::kBegin, 1, 0, "a");
  EXPECT_EQ(CountMessages(p), 1u);
  EXPECT_EQ(p.peer.stats().receive_held_bytes, 0u);
}

TEST(Hostile, H18EmptyDataAborts) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  p.SendData(0, kWhole, 1, 0, "");
  const auto events = p.Events();
  ASSERT_TRUE(std::holds_alternative<Closed>(events.back()));
  const auto abort = p.DrainFor(ChunkType::kAbort);
  ASSERT_TRUE(abort);
  EXPECT_TRUE(HasCause(abort->view(), ErrorCause::kNoUserData));
}

TEST(Hostile, H18DataOnAStreamThatDoesNotExistIsPassedOver) {
  Options options;
  options.incoming_streams = 10;
  Puppet p(options);
  ASSERT_TRUE(p.Connect());
  p.SendData(1, kWhole, 10, 0, "x");
  p.SendData(0, kWhole, 60000, 0, "x");
  EXPECT_EQ(p.peer.stats().drop_data_invalid_stream, 2u);
  ExpectAlive(p, 2, 0);
}

TEST(Hostile, H19ReconfigFlood) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  std::vector<StreamId> all;
  for (uint32_t i = 0; i < 30'000; ++i) {
    all.push_back(static_cast<StreamId>(i * 2));
  }
  for (uint32_t i = 0; i < 300; ++i) {
    ReconfigChunk chunk;
    const ReconfigSn sn(Puppet::kInitialTsn.value() + i);
    if (i % 3 == 0) {
      chunk.parameters.push_back(IncomingResetRequest{sn, all});
    } else if (i % 3 == 1) {
      chunk.parameters.push_back(OutgoingResetRequest{
          sn, ReconfigSn(0), Puppet::kInitialTsn + 1'000'000, all});
    } else {
      chunk.parameters.push_back(AddOutgoingStreamsRequest{sn, 1000});
    }
    p.SendChunk(chunk);
  }
  EXPECT_LE(p.Drain().size(), 2u);  // The latest answer.
  EXPECT_THAT(p.Events(), SizeIs(1));
  ExpectAlive(p, 0, 0);
}

TEST(Hostile, H19RequestNumbersOutOfOrderAreRefused) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  for (uint32_t offset : {2u, 1000u, 0xfffffff0u}) {
    ReconfigChunk chunk;
    chunk.parameters.push_back(
        OutgoingResetRequest{ReconfigSn(Puppet::kInitialTsn.value() + offset),
                             ReconfigSn(0),
                             Puppet::kInitialTsn - 1,
                             {StreamId{1}}});
    p.SendChunk(chunk);
    const auto answer = p.DrainFor(ChunkType::kReConfig);
    ASSERT_TRUE(answer);
    const auto parsed = ReconfigChunk::Parse(answer->view());
    EXPECT_EQ(std::get<ReconfigResponse>(parsed->parameters[0]).result,
              ReconfigResult::kBadSequenceNumber);
  }
  EXPECT_EQ(p.peer.stats().drop_invalid_reconfig, 3u);
  EXPECT_THAT(p.Events(), SizeIs(1));
}

TEST(Hostile, H19InProgressForeverEndsInSilence) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  ASSERT_OK(p.peer.ResetStreams(p.now, {StreamId{1}}));
  int requests = 0;
  for (int i = 0; i < 100; ++i) {
    const auto request = p.DrainFor(ChunkType::kReConfig);
    requests += request ? 1 : 0;
    ReconfigChunk chunk;
    chunk.parameters.push_back(ReconfigResponse{
        ReconfigSn(p.peer_initial_tsn.value()), ReconfigResult::kInProgress});
    p.SendChunk(chunk);
    p.Wait(absl::Seconds(1));
  }
  // It is repeated at the pace of the timer, and never at that of the answers.
  EXPECT_GT(requests, 10);
  EXPECT_LE(requests, 101);
  EXPECT_FALSE(p.ClosedStatus());
}

TEST(Hostile, H20NothingLargerThanAPacketIsReflected) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  const std::vector<uint8_t> large(60'000, 'h');
  p.SendChunk(HeartbeatChunk{ChunkType::kHeartbeat, large});
  p.SendRaw(0xc5, 0, large);  // Unknown, to be reported.
  EXPECT_EQ(p.peer.stats().drop_oversized_reply, 2u);
  EXPECT_THAT(p.Drain(), IsEmpty());
  // Reports do not pile up.
  const std::vector<uint8_t> small(20, 'u');
  for (int i = 0; i < 1000; ++i) p.SendRaw(0xc5, 0, small);
  EXPECT_LE(p.Drain().size(), 1u);
}

TEST(Hostile, H21HeartbeatAcksThatWereNotAskedFor) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  const std::vector<uint8_t> guess(8, 0);
  p.SendChunk(HeartbeatChunk{ChunkType::kHeartbeatAck, guess});
  p.Wait(absl::Seconds(31));
  const auto heartbeat = p.DrainFor(ChunkType::kHeartbeat);
  ASSERT_TRUE(heartbeat);
  p.SendChunk(HeartbeatChunk{ChunkType::kHeartbeatAck, guess});
  EXPECT_EQ(p.peer.stats().drop_bad_heartbeat_ack, 2u);
  EXPECT_EQ(p.peer.stats().srtt, absl::ZeroDuration());
  const auto info = HeartbeatChunk::Parse(heartbeat->view())->info;
  p.now += absl::Milliseconds(80);
  p.SendChunk(HeartbeatChunk{ChunkType::kHeartbeatAck, info});
  EXPECT_EQ(p.peer.stats().srtt, absl::Milliseconds(80));
}

TEST(Hostile, H22StaleCookieErrorsCannotLoopForever) {
  Puppet p;
  ASSERT_OK(p.peer.Connect(p.now));
  int inits = 0;
  for (int i = 0; i < 50; ++i) {
    const auto init = p.DrainFor(ChunkType::kInit);
    if (!init) break;
    ++inits;
    p.peer_tag = InitChunk::Parse(init->view())->initiate_tag;
    InitChunk ack = p.MakeInit();
    ack.type = ChunkType::kInitAck;
    const std::vector<uint8_t> cookie(100, 'c');
    ack.cookie = cookie;
    p.SendChunk(ack);
    EXPECT_TRUE(p.DrainFor(ChunkType::kCookieEcho));
    p.Send([](Writer& writer) {
      const uint8_t staleness[] = {255, 255, 255, 255};
      WriteCauseChunk(writer, ChunkType::kError, 0, ErrorCause::kStaleCookie,
                      staleness);
    });
  }
  EXPECT_EQ(inits, 4);
}

TEST(Hostile, H27AWindowThatLies) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  const Tsn base = TenInFlight(p);
  SackChunk sack;
  // Closed forever: one probe per timeout, and no end.
  for (int i = 0; i < 200; ++i) {
    sack.cumulative_tsn_ack = base;
    sack.a_rwnd = 0;
    p.SendChunk(sack);
    EXPECT_LE(p.Drain().size(), 11u);
    p.Wait(absl::Seconds(3));
  }
  EXPECT_FALSE(p.ClosedStatus());
  sack.a_rwnd = 0xffffffff;
  sack.cumulative_tsn_ack = base + 10;
  p.SendChunk(sack);
  EXPECT_EQ(p.peer.stats().flight_bytes, 0u);
}

TEST(Hostile, H28BrokenCausesStillClose) {
  const std::vector<std::vector<uint8_t>> bodies = {
      {},
      {0},
      {0, 0, 0, 0},
      {0, 12, 255, 255},
      {0, 99, 0, 5, 'x'},
      std::vector<uint8_t>(60'000, 0xff),
  };
  for (const std::vector<uint8_t>& body : bodies) {
    Puppet p;
    ASSERT_TRUE(p.Connect());
    p.SendRaw(9, 0, body);  // ERROR changes nothing.
    ExpectAlive(p, 0, 0);
    p.SendRaw(6, 0, body);
    const auto status = p.ClosedStatus();
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code(), absl::StatusCode::kAborted);
  }
}

TEST(Hostile, H29ShutdownChunksInEveryState) {
  for (ChunkType type : {ChunkType::kShutdown, ChunkType::kShutdownAck,
                         ChunkType::kShutdownComplete, ChunkType::kCookieAck,
                         ChunkType::kInitAck}) {
    for (int state = 0; state < 5; ++state) {
      SCOPED_TRACE(absl::StrCat(static_cast<int>(type), " in ", state));
      Puppet p;
      if (state == 1) {
        ASSERT_OK(p.peer.Connect(p.now));
      }
      if (state >= 2) {
        ASSERT_TRUE(p.Connect());
      }
      if (state == 3) p.peer.Shutdown(p.now);
      if (state == 4) p.peer.Close(p.now);
      for (int i = 0; i < 100; ++i) {
        const std::vector<uint8_t> value(type == ChunkType::kShutdown ? 4 : 0);
        p.SendRaw(static_cast<uint8_t>(type), 0, value);
      }
      EXPECT_LE(p.Drain().size(), 2u);
      p.Wait(absl::Minutes(1));
    }
  }
}

TEST(Hostile, UnknownChunksByTheirTwoHighestBits) {
  struct Case {
    uint8_t type;
    bool rest_is_read;
    bool reported;
  };
  // RFC 9260 section 3.2.
  for (const Case& c : {Case{0x3f, false, false}, Case{0x7f, false, true},
                        Case{0xbf, true, false}, Case{0xff, true, true}}) {
    SCOPED_TRACE(int{c.type});
    Puppet p;
    ASSERT_TRUE(p.Connect());
    p.Events();
    p.Send([&](Writer& writer) {
      WriteEmptyChunk(writer, static_cast<ChunkType>(c.type));
      DataChunk data;
      data.flags = kWhole;
      data.tsn = Puppet::kInitialTsn;
      const uint8_t byte[] = {1};
      data.payload = byte;
      data.Write(writer);
    });
    EXPECT_EQ(CountMessages(p), c.rest_is_read ? 1u : 0u);
    EXPECT_EQ(p.DrainFor(ChunkType::kError).has_value(), c.reported);
    EXPECT_EQ(p.peer.stats().drop_unknown_chunk, 1u);
  }
}

TEST(Hostile, NoiseIsCountedByItsReason) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  const uint8_t five[5] = {};
  p.peer.HandlePacket(p.now, five);
  EXPECT_EQ(p.peer.stats().drop_malformed_packet, 1u);
  const uint8_t twenty[20] = {};
  p.peer.HandlePacket(p.now, twenty);
  EXPECT_EQ(p.peer.stats().drop_bad_checksum, 1u);
  std::vector<uint8_t> other_port(16);
  Writer writer(absl::MakeSpan(other_port));
  CommonHeader{5001, 5000, p.peer_tag}.Write(writer);
  WriteEmptyChunk(writer, ChunkType::kAbort);
  FinishPacket(absl::MakeSpan(other_port));
  p.peer.HandlePacket(p.now, other_port);
  EXPECT_EQ(p.peer.stats().drop_bad_port, 1u);
  ExpectAlive(p, 0, 0);
}

}  // namespace
}  // namespace kyuu::sctp::internal
