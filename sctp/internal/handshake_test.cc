// The unexpected in the handshake: collisions, restarts, repeated and stale
// cookies (RFC 9260 section 5.2), packets out of the blue (section 8.4).

#include <cstdint>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/testing/puppet.h"

namespace kyuu::sctp::internal {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint8_t kWhole = DataChunk::kBegin | DataChunk::kEnd;

// Brings the association to COOKIE-WAIT and learns its INIT.
void BeginConnect(Puppet& p) {
  ASSERT_OK(p.peer.Connect(p.now));
  const auto init = InitChunk::Parse(p.DrainFor(ChunkType::kInit)->view());
  p.peer_tag = init->initiate_tag;
  p.peer_initial_tsn = init->initial_tsn;
}

void SendInitAck(Puppet& p) {
  InitChunk ack = p.MakeInit();
  ack.type = ChunkType::kInitAck;
  const std::vector<uint8_t> cookie(100, 'c');
  ack.cookie = cookie;
  p.SendChunk(ack);
}

// Section 5.2.1: the answer to an INIT that crossed ours repeats our own.
TEST(Collision, InitInCookieWaitIsAnsweredWithOurOwnTag) {
  Puppet p;
  BeginConnect(p);
  const uint32_t tag = p.peer_tag;
  const Tsn tsn = p.peer_initial_tsn;
  const std::vector<uint8_t> cookie = p.GetCookie(p.MakeInit());
  EXPECT_EQ(p.peer_tag, tag);
  EXPECT_EQ(p.peer_initial_tsn, tsn);
  p.SendChunk(CookieEchoChunk{cookie});
  EXPECT_TRUE(p.DrainFor(ChunkType::kCookieAck));
  EXPECT_TRUE(p.peer.is_connected());
}

TEST(Collision, ConnectAfterTheInitAckWasSentLosesNoRoundTrip) {
  Puppet p;
  const std::vector<uint8_t> cookie = p.GetCookie(p.MakeInit());
  ASSERT_OK(p.peer.Connect(p.now));
  p.Drain();
  p.SendChunk(CookieEchoChunk{cookie});
  EXPECT_TRUE(p.DrainFor(ChunkType::kCookieAck));
  EXPECT_TRUE(p.peer.is_connected());
}

TEST(Collision, CookieEchoInCookieEchoedConnects) {
  Puppet p;
  BeginConnect(p);
  const std::vector<uint8_t> cookie = p.GetCookie(p.MakeInit());
  SendInitAck(p);
  EXPECT_TRUE(p.DrainFor(ChunkType::kCookieEcho));
  p.SendChunk(CookieEchoChunk{cookie});
  EXPECT_TRUE(p.DrainFor(ChunkType::kCookieAck));
  EXPECT_TRUE(p.peer.is_connected());
}

TEST(Collision, ALaterInitOfThePeerCounts) {
  Puppet p;
  BeginConnect(p);
  SendInitAck(p);
  p.Drain();
  InitChunk init = p.MakeInit();
  init.initiate_tag = 0x22222222;
  const std::vector<uint8_t> cookie = p.GetCookie(init);
  p.SendChunk(CookieEchoChunk{cookie});
  const auto ack = p.DrainFor(ChunkType::kCookieAck);
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->tag, 0x22222222u);
}

TEST(CookieEchoed, DataProvesThatTheCookieWasAccepted) {
  Puppet p;
  BeginConnect(p);
  SendInitAck(p);
  p.Drain();
  p.SendData(0, kWhole, 1, 0, "before the COOKIE ACK");
  EXPECT_THAT(p.Events(), SizeIs(2));
  p.Send([](Writer& w) { WriteEmptyChunk(w, ChunkType::kCookieAck); });
  EXPECT_THAT(p.Events(), IsEmpty());
}

// The DATA chunks that the association sends now.
std::vector<DataChunk> DrainData(Puppet& p,
                                 std::vector<Puppet::Received>& chunks) {
  chunks = p.Drain();
  std::vector<DataChunk> data;
  for (const Puppet::Received& chunk : chunks) {
    if (chunk.type() == ChunkType::kData) {
      data.push_back(*DataChunk::Parse(chunk.view()));
    }
  }
  return data;
}

void Send(Puppet& p, size_t size, const SendOptions& how = {}) {
  ASSERT_OK(p.peer.Send(
      p.now, Message{StreamId{1}, Ppid{51}, std::vector<uint8_t>(size, 1)},
      how));
}

// Section 5.1 D: nothing leaves but that one packet, and T1 repeats all of it.
TEST(CookieEchoed, OnlyThePacketOfTheCookieCarriesData) {
  Puppet p;
  Send(p, 10);
  Send(p, 5000);  // Not torn: it could not be put off any more.
  BeginConnect(p);
  SendInitAck(p);
  std::vector<Puppet::Received> chunks;
  std::vector<DataChunk> data = DrainData(p, chunks);
  ASSERT_THAT(data, SizeIs(1));
  EXPECT_EQ(chunks[0].type(), ChunkType::kCookieEcho);
  EXPECT_EQ(data[0].tsn, p.peer_initial_tsn);
  EXPECT_EQ(data[0].payload.size(), 10u);
  EXPECT_THAT(p.Drain(), IsEmpty());
  p.Wait(absl::Seconds(1));
  data = DrainData(p, chunks);
  ASSERT_THAT(data, SizeIs(1));
  EXPECT_EQ(chunks[0].type(), ChunkType::kCookieEcho);
  EXPECT_EQ(data[0].tsn, p.peer_initial_tsn);
  // The COOKIE ACK lets the rest go.
  p.SendRaw(11, 0, {});
  EXPECT_THAT(DrainData(p, chunks), SizeIs(5));
}

// The peer has thrown away what came behind a stale cookie, so it comes again
// behind the next one, under the same TSN.
TEST(CookieEchoed, WhatRodeBehindAStaleCookieGoesAgain) {
  for (bool refused : {true, false}) {
    Puppet p;
    Send(p, 10);
    BeginConnect(p);
    SendInitAck(p);
    std::vector<Puppet::Received> chunks;
    ASSERT_THAT(DrainData(p, chunks), SizeIs(1));
    if (refused) {
      p.Send([](Writer& writer) {
        const uint8_t staleness[] = {0, 0, 0, 1};
        WriteCauseChunk(writer, ChunkType::kError, 0, ErrorCause::kStaleCookie,
                        staleness);
      });
      EXPECT_TRUE(p.DrainFor(ChunkType::kInit));
      SendInitAck(p);
    } else {
      // A collision: the peer has begun anew, with another tag.
      InitChunk init = p.MakeInit();
      init.initiate_tag = Puppet::kTag + 1;
      p.SendChunk(CookieEchoChunk{p.GetCookie(init)});
    }
    const std::vector<DataChunk> data = DrainData(p, chunks);
    ASSERT_THAT(data, SizeIs(1)) << refused;
    EXPECT_EQ(data[0].tsn, p.peer_initial_tsn);
    EXPECT_EQ(data[0].ssn, Ssn(0));
    EXPECT_EQ(chunks[0].tag, refused ? Puppet::kTag : Puppet::kTag + 1);
  }
}

TEST(CookieEchoed, WhatIsLimitedMayBeGivenUpThere) {
  Puppet p;
  Send(p, 10, {.max_retransmits = 0});
  BeginConnect(p);
  SendInitAck(p);
  std::vector<Puppet::Received> chunks;
  ASSERT_THAT(DrainData(p, chunks), SizeIs(1));
  p.Wait(absl::Seconds(1));
  EXPECT_THAT(DrainData(p, chunks), IsEmpty());
  p.SendRaw(11, 0, {});
  EXPECT_TRUE(p.DrainFor(ChunkType::kForwardTsn));
}

TEST(CookieEcho, DataBehindItIsTaken) {
  Puppet p;
  const std::vector<uint8_t> cookie = p.GetCookie(p.MakeInit());
  DataChunk data;
  data.flags = kWhole;
  data.tsn = Puppet::kInitialTsn;
  data.payload = AsBytes("first");
  for (int i = 0; i < 2; ++i) {  // And its repetition.
    p.Send([&](Writer& writer) {
      CookieEchoChunk{cookie}.Write(writer);
      data.Write(writer);
    });
    std::vector<Puppet::Received> chunks = p.Drain();
    ASSERT_THAT(chunks, SizeIs(2));
    EXPECT_EQ(chunks[0].type(), ChunkType::kCookieAck);
    EXPECT_EQ(chunks[1].type(), ChunkType::kSack);
  }
  EXPECT_EQ(p.peer.stats().messages_received, 1u);
}

TEST(CookieWait, AnInitAckWithoutCookieEndsIt) {
  Puppet p;
  BeginConnect(p);
  InitChunk ack = p.MakeInit();
  ack.type = ChunkType::kInitAck;
  p.SendChunk(ack);
  EXPECT_EQ(p.ClosedStatus()->code(), absl::StatusCode::kAborted);
  const auto abort = p.DrainFor(ChunkType::kAbort);
  ASSERT_TRUE(abort);
  EXPECT_EQ(abort->tag, Puppet::kTag);
  EXPECT_TRUE(HasCause(abort->view(), ErrorCause::kMissingMandatoryParameter));
}

TEST(CookieWait, AnInitAckWithTagZeroEndsIt) {
  Puppet p;
  BeginConnect(p);
  InitChunk ack = p.MakeInit();
  ack.type = ChunkType::kInitAck;
  ack.initiate_tag = 0;
  p.SendChunk(ack);
  EXPECT_EQ(p.ClosedStatus()->code(), absl::StatusCode::kAborted);
}

TEST(CookieWait, ACookieThatFitsNoPacketEndsIt) {
  Puppet p;
  BeginConnect(p);
  InitChunk ack = p.MakeInit();
  ack.type = ChunkType::kInitAck;
  const std::vector<uint8_t> cookie(1180, 'c');
  ack.cookie = cookie;
  p.SendChunk(ack);
  EXPECT_TRUE(p.ClosedStatus());
}

TEST(InitAck, NamesUnrecognizedParameters) {
  Puppet p;
  InitChunk init = p.MakeInit();
  const std::vector<uint8_t> unknown = {0xca, 0xbc, 0, 5, 7};
  init.unrecognized.push_back(unknown);
  p.SendTagged(0, [&](Writer& w) { init.Write(w); });
  const auto ack = p.DrainFor(ChunkType::kInitAck);
  ASSERT_TRUE(ack);
  EXPECT_THAT(ToHex(ack->bytes), ::testing::HasSubstr("00080009cabc000507"));
}

// Section 5.2.4 action A.
TEST(Restart, APeerThatLostItsStateBeginsAnew) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  p.SendData(0, kWhole, 1, 0, "old");
  ASSERT_OK(p.peer.Send(p.now, Message{StreamId{1}, Ppid{53}, {1}}));
  p.Drain();
  const uint32_t old_tag = p.peer_tag;
  InitChunk init = p.MakeInit();
  init.initiate_tag = 0x33333333;
  const std::vector<uint8_t> cookie = p.GetCookie(init);
  EXPECT_NE(p.peer_tag, old_tag);
  p.Events();
  p.SendChunk(CookieEchoChunk{cookie});
  const auto ack = p.DrainFor(ChunkType::kCookieAck);
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->tag, 0x33333333u);
  const std::vector<Event> events = p.Events();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_TRUE(std::holds_alternative<Restarted>(events[0]));
  // Streams begin at 0 again, both ways, and nothing of before is in flight.
  EXPECT_EQ(p.peer.stats().flight_bytes, 0u);
  p.SendData(0, kWhole, 1, 0, "new");
  EXPECT_THAT(p.Events(), SizeIs(1));
  ASSERT_OK(p.peer.Send(p.now, Message{StreamId{1}, Ppid{53}, {2}}));
  const auto data = DataChunk::Parse(p.DrainFor(ChunkType::kData)->view());
  EXPECT_EQ(data->tsn, p.peer_initial_tsn);
  EXPECT_EQ(data->ssn, Ssn(0));
}

TEST(Restart, WhileShuttingDownIsRefused) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  InitChunk init = p.MakeInit();
  init.initiate_tag = 0x33333333;
  const uint32_t tag = p.peer_tag;
  const std::vector<uint8_t> cookie = p.GetCookie(init);
  const uint32_t new_tag = p.peer_tag;
  p.peer_tag = tag;
  p.SendChunk(ShutdownChunk{p.peer_initial_tsn - 1});
  EXPECT_TRUE(p.DrainFor(ChunkType::kShutdownAck));
  p.SendTagged(new_tag, [&](Writer& w) { CookieEchoChunk{cookie}.Write(w); });
  const auto chunks = p.Drain();
  ASSERT_THAT(chunks, SizeIs(2));
  EXPECT_TRUE(
      HasCause(chunks[0].view(), ErrorCause::kCookieReceivedWhileShuttingDown));
  EXPECT_EQ(chunks[1].type(), ChunkType::kShutdownAck);
}

// Action C: a cookie from before the association, without tie tags.
TEST(Cookie, ADelayedOneIsDiscarded) {
  Puppet p;
  InitChunk init = p.MakeInit();
  init.initiate_tag = 0x44444444;
  const std::vector<uint8_t> early = p.GetCookie(init);
  const uint32_t early_tag = p.peer_tag;
  ASSERT_TRUE(p.Connect());
  p.SendTagged(early_tag, [&](Writer& w) { CookieEchoChunk{early}.Write(w); });
  EXPECT_EQ(p.peer.stats().drop_bad_cookie, 1u);
  EXPECT_TRUE(p.peer.is_connected());
}

TEST(OutOfTheBlue, IsAnsweredAsSection8_4Says) {
  struct Case {
    ChunkType type;
    bool answered;
    ChunkType answer;
  };
  for (const Case& c :
       {Case{ChunkType::kData, true, ChunkType::kAbort},
        Case{ChunkType::kSack, true, ChunkType::kAbort},
        Case{ChunkType::kShutdownAck, true, ChunkType::kShutdownComplete},
        Case{ChunkType::kAbort, false, {}},
        Case{ChunkType::kCookieAck, false, {}},
        Case{ChunkType::kShutdownComplete, false, {}},
        Case{ChunkType::kError, false, {}}}) {
    SCOPED_TRACE(static_cast<int>(c.type));
    Puppet p;
    p.SendTagged(77, [&](Writer& w) { WriteEmptyChunk(w, c.type); });
    const auto chunks = p.Drain();
    ASSERT_THAT(chunks, SizeIs(c.answered ? 1 : 0));
    if (!c.answered) continue;
    EXPECT_EQ(chunks[0].type(), c.answer);
    EXPECT_EQ(chunks[0].view().flags, kReflectedTag);
    EXPECT_EQ(chunks[0].tag, 77u);
  }
}

TEST(OutOfTheBlue, AnEndedAssociationRefusesNewOnes) {
  Puppet p;
  ASSERT_TRUE(p.Connect());
  p.peer.Close(p.now);
  p.Drain();
  p.SendTagged(0, [&](Writer& w) { p.MakeInit().Write(w); });
  const auto abort = p.DrainFor(ChunkType::kAbort);
  ASSERT_TRUE(abort);
  EXPECT_EQ(abort->tag, Puppet::kTag);
}

// Any driver may be late, early or repetitive.
TEST(Driver, EarlyAndRepeatedTimeoutsDoNothing) {
  Puppet p;
  BeginConnect(p);
  for (int i = 0; i < 100; ++i) p.peer.HandleTimeout(p.now);
  p.peer.HandleTimeout(p.now - absl::Hours(1));
  EXPECT_THAT(p.Drain(), IsEmpty());
  p.now = p.peer.NextTimeout();
  p.peer.HandleTimeout(p.now);
  p.peer.HandleTimeout(p.now);
  EXPECT_THAT(p.Drain(), SizeIs(1));
}

TEST(Driver, ABufferThatIsTooSmallLosesNothing) {
  Puppet p;
  ASSERT_OK(p.peer.Connect(p.now));
  std::vector<uint8_t> small(100);
  EXPECT_FALSE(p.peer.PollTransmit(p.now, absl::MakeSpan(small)));
  EXPECT_TRUE(p.DrainFor(ChunkType::kInit));
}

// RFC 9653: agreed by both, but for the packets that must be sure.
TEST(Handshake, ZeroChecksumIsUsedWhereBothAgree) {
  for (const bool ours : {false, true}) {
    for (const bool theirs : {false, true}) {
      SCOPED_TRACE(testing::Message() << ours << theirs);
      Puppet p(Options{.zero_checksum = ours});
      InitChunk init = p.MakeInit();
      init.extensions.zero_checksum = theirs;
      EXPECT_TRUE(p.Connect(init));
      const int agreed = ours && theirs ? 1 : 0;
      EXPECT_EQ(p.unchecked_packets, agreed) << "COOKIE ACK";
      p.checksums = false;
      p.SendData(0, DataChunk::kBegin | DataChunk::kEnd, 1, 0, "x");
      EXPECT_EQ(p.peer.stats().drop_bad_checksum, 1u - agreed);
      EXPECT_EQ(p.peer.stats().messages_received, 0u + agreed);
      // An INIT and a cookie must have theirs.
      const uint64_t before = p.peer.stats().drop_bad_checksum;
      p.SendTagged(0, [&](Writer& writer) { init.Write(writer); });
      p.SendChunk(CookieEchoChunk{{}});
      EXPECT_EQ(p.peer.stats().drop_bad_checksum, before + 2);
      EXPECT_EQ(p.peer.stats().drop_bad_cookie, 0u);
    }
  }
}

// As the opener: INIT and COOKIE ECHO with theirs, then none; and peers that
// take no unknown parameter get an INIT without it.
TEST(Handshake, ZeroChecksumIsOfferedOnce) {
  Puppet p(Options{.zero_checksum = true});
  ASSERT_OK(p.peer.Connect(p.now));
  const auto first = p.DrainFor(ChunkType::kInit);
  ASSERT_TRUE(first);
  const auto init = InitChunk::Parse(first->view());
  EXPECT_TRUE(init->extensions.zero_checksum);
  p.Wait(absl::Seconds(1));
  const auto again = p.DrainFor(ChunkType::kInit);
  ASSERT_TRUE(again);
  EXPECT_FALSE(InitChunk::Parse(again->view())->extensions.zero_checksum);
  // The answer may be to the first, and have no checksum.
  p.peer_tag = init->initiate_tag;
  InitChunk ack = p.MakeInit();
  ack.type = ChunkType::kInitAck;
  ack.extensions.zero_checksum = true;
  const std::vector<uint8_t> cookie(40, 'c');
  ack.cookie = cookie;
  p.checksums = false;
  p.SendChunk(ack);
  EXPECT_TRUE(p.DrainFor(ChunkType::kCookieEcho));
  EXPECT_EQ(p.unchecked_packets, 0);
  p.Send([](Writer& w) { WriteEmptyChunk(w, ChunkType::kCookieAck); });
  EXPECT_TRUE(p.peer.is_connected());
  ASSERT_OK(p.peer.Send(p.now, Message{StreamId{1}, Ppid{51}, {1}}));
  EXPECT_TRUE(p.DrainFor(ChunkType::kData));
  EXPECT_EQ(p.unchecked_packets, 1);
}

}  // namespace
}  // namespace kyuu::sctp::internal
