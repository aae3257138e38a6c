#include "dtls/session.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "dtls/testing/two.h"
#include "gtest/gtest.h"
#include "sim/clock_override.h"
#include "sim/pair.h"

namespace kyuu::dtls {
namespace {

TEST(Session, ConnectsAndCarriesData) {
  Two two;
  two.Trust();
  ASSERT_TRUE(two.Connect());
  EXPECT_EQ(two.log_a.connected->version, "DTLSv1.2");
  EXPECT_EQ(two.log_a.connected->cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
  EXPECT_EQ(two.log_a.connected->remote_fingerprint,
            CertificateOf(1).fingerprint());
  EXPECT_EQ(two.log_b.connected->remote_fingerprint,
            CertificateOf(0).fingerprint());
  // Two round trips for the client; no timer is left behind.
  EXPECT_EQ(two.a.NextTimeout(), absl::InfiniteFuture());
  EXPECT_EQ(two.b.NextTimeout(), absl::InfiniteFuture());

  const Bytes to_b = Seal(two.a, "to b");
  EXPECT_EQ(to_b.size(), 4 + kRecordOverheadMax);
  two.b.HandlePacket(two.pair.now(), to_b);
  EXPECT_EQ(Read(two.b), "to b");
  EXPECT_EQ(Read(two.b), std::nullopt);
  two.a.HandlePacket(two.pair.now(), Seal(two.b, "to a"));
  EXPECT_EQ(Read(two.a), "to a");
}

TEST(Session, FlightsKeepToTheMtu) {
  for (size_t mtu : {300u, 600u, 1200u}) {
    Two two(1, {.mtu_bytes = mtu});
    two.Trust();
    size_t largest = 0;
    auto see = [&](absl::Span<const uint8_t> p) {
      largest = std::max(largest, p.size());
      return true;
    };
    two.pair.keep_a_to_b = see;
    two.pair.keep_b_to_a = see;
    ASSERT_TRUE(two.Connect()) << mtu;
    EXPECT_LE(largest, mtu);
    EXPECT_EQ(two.a.stats().retransmissions, 0u);
  }
}

// Every single datagram of the handshake is lost once, in turn.
TEST(Session, SurvivesTheLossOfEachDatagram) {
  for (int lost = 0;; ++lost) {
    Two two(1, {.retransmission_timeout = absl::Milliseconds(50)});
    two.Trust();
    int count = 0;
    bool hit = false;
    auto keep = [&](absl::Span<const uint8_t>) {
      hit |= count == lost;
      return count++ != lost;
    };
    two.pair.keep_a_to_b = keep;
    two.pair.keep_b_to_a = keep;
    const absl::Time start = two.pair.now();
    ASSERT_TRUE(two.Connect()) << "lost datagram " << lost;
    if (!hit) {
      EXPECT_GE(lost, 4) << "a handshake has four flights";
      break;
    }
    EXPECT_LE(two.pair.now() - start, absl::Milliseconds(200)) << lost;
    two.b.HandlePacket(two.pair.now(), Seal(two.a, "x"));
    EXPECT_EQ(Read(two.b), "x");
  }
}

// The times at which a flight that nobody answers is sent.
TEST(Session, FlightsAreRepeatedByTheEnginesClockAlone) {
  // How far the wall clock steps after each second: not, an hour ahead, back.
  for (absl::Duration step :
       {absl::ZeroDuration(), absl::Hours(1), -absl::Hours(1)}) {
    SCOPED_TRACE(absl::FormatDuration(step));
    sim::Clock wall;
    sim::ScopedClockOverride clock(wall);
    Session session(Role::kClient, CertificateOf(0),
                    {.retransmission_timeout = absl::Milliseconds(50),
                     .handshake_timeout = absl::InfiniteDuration()});
    const absl::Time start = absl::FromUnixSeconds(5);
    absl::Time now = start;
    std::vector<int64_t> sent_ms;
    session.Start(now);
    while (now < start + absl::Minutes(10)) {
      if (!Drain(session, now).empty()) {
        sent_ms.push_back(absl::ToInt64Milliseconds(now - start));
      }
      now = session.NextTimeout();
      ASSERT_FALSE(session.closed());
      if (step > absl::ZeroDuration()) wall.AdvanceTo(wall.now() + step);
      session.HandleTimeout(now);
    }
    sent_ms.resize(10);
    EXPECT_EQ(sent_ms, (std::vector<int64_t>{0, 50, 150, 350, 750, 1550, 3150,
                                             6150, 9150, 12150}));
    EXPECT_GE(session.stats().retransmissions, 200u);
  }
}

// The path may be known only after the first flight has left.
TEST(Session, ARunningTimerFollowsANewTimeout) {
  Session session(Role::kClient, CertificateOf(0), {});
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  session.Start(now);
  EXPECT_EQ(session.NextTimeout(), now + absl::Seconds(1));
  session.SetRetransmissionTimeout(now, absl::Milliseconds(60));
  EXPECT_EQ(session.NextTimeout(), now + absl::Milliseconds(60));
  session.HandleTimeout(now + absl::Milliseconds(60));
  EXPECT_EQ(session.stats().retransmissions, 1u);
  EXPECT_EQ(session.NextTimeout(), now + absl::Milliseconds(180));
}

// A long outage in the middle of the handshake, wherever that is.
TEST(Session, AnOutageDelaysTheHandshakeAndNoMore) {
  for (int after = 0; after < 6; ++after) {
    SCOPED_TRACE(absl::StrCat("after ", after, " datagrams"));
    Two two(1, {.retransmission_timeout = absl::Milliseconds(50),
                .handshake_timeout = absl::InfiniteDuration()});
    two.Trust();
    int count = 0;
    bool cut = true;
    const auto keep = [&](absl::Span<const uint8_t>) {
      return !cut || count++ < after;
    };
    two.pair.keep_a_to_b = keep;
    two.pair.keep_b_to_a = keep;
    two.Connect(absl::Seconds(40));
    cut = false;
    EXPECT_TRUE(two.Connect(absl::Seconds(30)));
  }
}

TEST(Session, HeavyLossCostsSecondsNotAMinute) {
  std::vector<absl::Duration> times;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    Two two(seed, {.retransmission_timeout = absl::Milliseconds(50)});
    two.Trust();
    two.pair.a_to_b.options().loss = two.pair.b_to_a.options().loss = 0.3;
    const absl::Time start = two.pair.now();
    ASSERT_TRUE(two.Connect()) << "seed " << seed;
    times.push_back(two.pair.now() - start);
  }
  std::sort(times.begin(), times.end());
  EXPECT_LE(times[94], absl::Milliseconds(3500));
  EXPECT_LE(times[98], absl::Seconds(10));
}

TEST(Session, SurvivesHeavyLossReorderingAndDuplication) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Two two(seed, {.mtu_bytes = 400,
                   .retransmission_timeout = absl::Milliseconds(50)});
    two.Trust();
    for (sim::Link* link : {&two.pair.a_to_b, &two.pair.b_to_a}) {
      link->options().loss = 0.2;
      link->options().reorder = 0.3;
      link->options().duplicate = 0.3;
    }
    ASSERT_TRUE(two.Connect()) << "seed " << seed << " " << two.a.DebugString()
                               << " " << two.b.DebugString();
  }
}

TEST(Session, SameSeedSameBytes) {
  uint64_t hashes[2];
  for (uint64_t& hash : hashes) {
    sim::ScopedSeededOpenssl seeded(7);
    Two two(7);
    two.pair.a_to_b.options().loss = 0.3;
    two.Trust();
    ASSERT_TRUE(two.Connect());
    hash = two.pair.transcript().hash();
  }
  EXPECT_EQ(hashes[0], hashes[1]);
}

// Cuts a datagram that holds one handshake message (RFC 6347 section 4.2.2)
// into two, each a record with a fragment of it.
std::vector<Bytes> CutInTwo(const Bytes& datagram) {
  Reader r(datagram);
  const absl::Span<const uint8_t> record = r.Bytes(5);
  const uint64_t sequence = r.U48();
  r.U16();
  const absl::Span<const uint8_t> message = r.Bytes(6);  // Type, length, seq.
  r.Skip(6);
  const absl::Span<const uint8_t> body = r.Rest();
  std::vector<Bytes> parts;
  for (size_t i = 0; i < 2; ++i) {
    const size_t begin = i == 0 ? 0 : body.size() / 2;
    const size_t end = i == 0 ? body.size() / 2 : body.size();
    Bytes part(25 + end - begin);
    Writer w(absl::MakeSpan(part));
    w.Bytes(record);
    w.U48(sequence + i * 40);  // The client uses the next ones itself.
    w.U16(static_cast<uint16_t>(12 + end - begin));
    w.Bytes(message);
    w.U24(static_cast<uint32_t>(begin));
    w.U24(static_cast<uint32_t>(end - begin));
    w.Bytes(body.subspan(begin, end - begin));
    EXPECT_TRUE(w.ok());
    parts.push_back(part);
  }
  return parts;
}

// Browsers send their hello in two datagrams: its post-quantum key share alone
// fills one.
TEST(Session, ClientHelloInTwoDatagramsOfAnyOrder) {
  for (bool reversed : {false, true}) {
    Two two;
    two.Trust();
    two.a.Start(two.pair.now());
    const std::vector<Bytes> hello = Drain(two.a, two.pair.now());
    ASSERT_EQ(hello.size(), 1u);
    std::vector<Bytes> parts = CutInTwo(hello[0]);
    if (reversed) std::reverse(parts.begin(), parts.end());
    two.b.HandlePacket(two.pair.now(), parts[0]);
    EXPECT_TRUE(Drain(two.b, two.pair.now()).empty()) << "answered a part";
    two.b.HandlePacket(two.pair.now(), parts[1]);
    // The client's Finished covers the message, not its fragments.
    EXPECT_TRUE(two.Connect(absl::Milliseconds(500))) << reversed;
  }
}

// H34 is the next ones, and those of weak and broken ones in fingerprint_test.
TEST(Session, H34WrongFingerprintEndsBothSides) {
  for (bool client_is_wrong : {false, true}) {
    Two two;
    const Fingerprint wrong = CertificateOf(2).fingerprint();
    ASSERT_OK(two.a.SetRemoteFingerprints(
        two.pair.now(),
        {client_is_wrong ? wrong : CertificateOf(1).fingerprint()}));
    ASSERT_OK(two.b.SetRemoteFingerprints(
        two.pair.now(),
        {client_is_wrong ? CertificateOf(0).fingerprint() : wrong}));
    EXPECT_FALSE(two.Connect(absl::Seconds(1)));
    const Log& judge = client_is_wrong ? two.log_a : two.log_b;
    const Log& judged = client_is_wrong ? two.log_b : two.log_a;
    ASSERT_TRUE(judge.closed.has_value());
    EXPECT_THAT(*judge.closed, StatusIs(absl::StatusCode::kUnauthenticated));
    ASSERT_TRUE(judged.closed.has_value()) << "the alert tells the peer";
    EXPECT_THAT(*judged.closed, StatusIs(absl::StatusCode::kUnavailable));
  }
}

TEST(Session, H34StrongestHashAloneDecides) {
  // A matching SHA-256 beside a SHA-512 that does not match is a mismatch.
  Two two;
  std::string text = "sha-512 00";
  for (int i = 1; i < 64; ++i) text += ":00";
  ASSERT_OK(two.a.SetRemoteFingerprints(
      two.pair.now(),
      {CertificateOf(1).fingerprint(), *Fingerprint::Parse(text)}));
  ASSERT_OK(two.b.SetRemoteFingerprints(two.pair.now(),
                                        {CertificateOf(0).fingerprint()}));
  EXPECT_FALSE(two.Connect(absl::Seconds(1)));
  EXPECT_THAT(*two.log_a.closed, StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST(Session, OneOfSeveralFingerprintsIsEnough) {
  Two two;
  two.Trust();
  ASSERT_OK(two.a.SetRemoteFingerprints(
      two.pair.now(),
      {CertificateOf(2).fingerprint(), CertificateOf(1).fingerprint()}));
  EXPECT_TRUE(two.Connect());
}

TEST(Session, LateFingerprintOpensTheGate) {
  Two two;
  ASSERT_OK(two.a.SetRemoteFingerprints(two.pair.now(),
                                        {CertificateOf(1).fingerprint()}));
  two.a.Start(two.pair.now());
  ASSERT_TRUE(
      two.pair.RunUntil([&] { return two.a.connected(); }, absl::Seconds(5)));
  two.pair.RunFor(absl::Seconds(1));
  EXPECT_FALSE(two.b.connected());
  two.b.HandlePacket(two.pair.now(), Seal(two.a, "early"));
  EXPECT_EQ(Read(two.b), std::nullopt) << "delivered before verification";
  std::array<uint8_t, 128> out;
  EXPECT_THAT(two.b.Seal(AsBytes("x"), absl::MakeSpan(out)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(two.b.SetRemoteFingerprints(two.pair.now(),
                                        {CertificateOf(0).fingerprint()}));
  EXPECT_TRUE(two.b.connected());
  EXPECT_EQ(Read(two.b), "early");
}

TEST(Session, LateWrongFingerprintDropsWhatWasKept) {
  Two two;
  ASSERT_OK(two.a.SetRemoteFingerprints(two.pair.now(),
                                        {CertificateOf(1).fingerprint()}));
  two.a.Start(two.pair.now());
  two.pair.RunFor(absl::Seconds(1));
  two.b.HandlePacket(two.pair.now(), Seal(two.a, "early"));
  ASSERT_OK(two.b.SetRemoteFingerprints(two.pair.now(),
                                        {CertificateOf(2).fingerprint()}));
  EXPECT_EQ(Read(two.b), std::nullopt);
  two.pair.RunFor(absl::Seconds(1));
  EXPECT_THAT(*two.log_b.closed, StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_OK(*two.log_a.closed);
}

TEST(Session, H34MissingFingerprintRunsIntoTheDeadline) {
  Two two(1, {.handshake_timeout = absl::Seconds(7)});
  const absl::Time start = two.pair.now();
  EXPECT_FALSE(two.Connect(absl::Seconds(20)));
  ASSERT_TRUE(two.log_a.closed && two.log_b.closed);
  EXPECT_THAT(*two.log_a.closed, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(*two.log_b.closed, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_GE(two.pair.now() - start, absl::Seconds(7));
}

TEST(Session, SilentPeerRunsIntoTheDeadline) {
  Two two;
  two.Trust();
  two.pair.a_to_b.options().loss = 1;
  EXPECT_FALSE(two.Connect(absl::Seconds(31)));
  EXPECT_THAT(*two.log_a.closed, StatusIs(absl::StatusCode::kDeadlineExceeded));
  // After 1 s, 3 s, and then every 3 s.
  EXPECT_EQ(two.a.stats().retransmissions, 11u);
  EXPECT_EQ(two.a.NextTimeout(), absl::InfiniteFuture());
}

TEST(Session, H34RefusesAnotherIdentityOnceConnected) {
  Two two;
  two.Trust();
  ASSERT_TRUE(two.Connect());
  EXPECT_THAT(two.a.SetRemoteFingerprints(two.pair.now(),
                                          {CertificateOf(2).fingerprint()}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_TRUE(two.a.connected());
  EXPECT_THAT(two.a.SetRemoteFingerprints(two.pair.now(), {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(Session, ReplaysAndForgeriesAreDroppedAndCounted) {
  Two two;
  two.Trust();
  ASSERT_TRUE(two.Connect());
  const Bytes record = Seal(two.a, "once");
  two.b.HandlePacket(two.pair.now(), record);
  EXPECT_EQ(Read(two.b), "once");
  for (int i = 0; i < 50; ++i) two.b.HandlePacket(two.pair.now(), record);
  EXPECT_EQ(Read(two.b), std::nullopt);
  EXPECT_EQ(two.b.stats().discarded_replayed, 50u);

  // Each byte of a fresh record flipped, then the record itself.
  const Bytes fresh = Seal(two.a, "fresh");
  for (size_t i = 0; i < fresh.size(); ++i) {
    Bytes forged = fresh;
    forged[i] ^= 0x55;
    two.b.HandlePacket(two.pair.now(), forged);
    EXPECT_EQ(Read(two.b), std::nullopt) << "byte " << i;
    two.b.HandlePacket(two.pair.now(), absl::MakeConstSpan(fresh).first(i));
    EXPECT_EQ(Read(two.b), std::nullopt) << "cut at " << i;
  }
  two.b.HandlePacket(two.pair.now(), fresh);
  EXPECT_EQ(Read(two.b), "fresh");
  EXPECT_GT(two.b.stats().discarded_malformed, 0u);
  EXPECT_TRUE(two.b.connected());
}

TEST(Session, UnauthenticatedAlertsAfterTheHandshakeAreNoise) {
  Two two;
  two.Trust();
  ASSERT_TRUE(two.Connect());
  for (const uint8_t level : Bytes{1, 2}) {
    for (const uint8_t description : Bytes{0, 10, 40, 42, 80, 90, 100}) {
      // An alert in the clear, of epoch 0, with a sequence number ahead.
      const Bytes alert = {21, 0xfe, 0xfd, 0, 0, 0,     0,          0,
                           0,  1,    0,    0, 2, level, description};
      two.b.HandlePacket(two.pair.now(), alert);
    }
  }
  EXPECT_TRUE(two.b.connected());
  two.b.HandlePacket(two.pair.now(), Seal(two.a, "still here"));
  EXPECT_EQ(Read(two.b), "still here");
}

TEST(Session, GarbageIsDroppedInEveryState) {
  SeededRandom random(5);
  Two two;
  two.Trust();
  auto pelt = [&](Session& session) {
    for (int i = 0; i < 200; ++i) {
      Bytes garbage(random.Below(200));
      random.Fill(absl::MakeSpan(garbage));
      session.HandlePacket(two.pair.now(), garbage);
    }
    session.HandlePacket(two.pair.now(), {});
  };
  pelt(two.b);
  two.a.Start(two.pair.now());
  for (int i = 0; i < 8; ++i) {
    pelt(two.a);
    pelt(two.b);
    two.pair.RunFor(absl::Milliseconds(8));
  }
  EXPECT_TRUE(two.a.connected());
  EXPECT_TRUE(two.b.connected());
  EXPECT_GT(two.b.stats().discarded_malformed, 1000u);
}

TEST(Session, DataThatOvertakesFinishedIsKept) {
  Two two;
  two.Trust();
  // The server's last flight arrives at the client after the server's data.
  std::vector<Bytes> held;
  two.pair.keep_b_to_a = [&](absl::Span<const uint8_t> p) {
    if (!two.b.connected()) return true;
    held.emplace_back(p.begin(), p.end());
    return false;
  };
  two.a.Start(two.pair.now());
  ASSERT_TRUE(
      two.pair.RunUntil([&] { return two.b.connected(); }, absl::Seconds(1)));
  ASSERT_FALSE(held.empty());
  two.a.HandlePacket(two.pair.now(), Seal(two.b, "first"));
  two.a.HandlePacket(two.pair.now(), Seal(two.b, "second"));
  EXPECT_FALSE(two.a.connected());
  EXPECT_EQ(Read(two.a), std::nullopt);
  for (const Bytes& datagram : held) {
    two.a.HandlePacket(two.pair.now(), datagram);
  }
  EXPECT_TRUE(two.a.connected());
  EXPECT_EQ(Read(two.a), "first");
  EXPECT_EQ(Read(two.a), "second");
}

TEST(Session, SeveralRecordsInOneDatagramAreAllRead) {
  Two two;
  two.Trust();
  ASSERT_TRUE(two.Connect());
  Bytes joined;
  for (absl::string_view text : {"one", "two", "three"}) {
    const Bytes record = Seal(two.a, text);
    joined.insert(joined.end(), record.begin(), record.end());
  }
  joined.push_back(23);  // The beginning of a fourth that is none.
  two.b.HandlePacket(two.pair.now(), joined);
  EXPECT_EQ(Read(two.b), "one");
  EXPECT_EQ(Read(two.b), "two");
  EXPECT_EQ(Read(two.b), "three");
  EXPECT_EQ(Read(two.b), std::nullopt);
}

TEST(Session, ReadingLateLosesNothingWithinTheBound) {
  Two two(1, {.kept_plaintext_bytes_max = 1000});
  two.Trust();
  ASSERT_TRUE(two.Connect());
  for (int i = 0; i < 20; ++i) {
    two.b.HandlePacket(two.pair.now(), Seal(two.a, std::string(100, 'a')));
  }
  int read = 0;
  while (Read(two.b)) ++read;
  EXPECT_EQ(read, 10);
  EXPECT_EQ(two.b.stats().discarded_plaintexts, 10u);
  EXPECT_EQ(two.b.stats().records_opened, 10u);
}

TEST(Session, LargestRecordPassesAndSmallBuffersDropOne) {
  Two two;
  two.Trust();
  ASSERT_TRUE(two.Connect());
  const std::string largest(kPlaintextMax, 'z');
  two.b.HandlePacket(two.pair.now(), Seal(two.a, largest));
  EXPECT_EQ(Read(two.b), largest);
  two.b.HandlePacket(two.pair.now(), Seal(two.a, std::string(500, 'y')));
  std::array<uint8_t, 100> small;
  EXPECT_EQ(two.b.ReadPlaintext(absl::MakeSpan(small)), std::nullopt);
  EXPECT_EQ(two.b.stats().discarded_plaintexts, 1u);
  two.b.HandlePacket(two.pair.now(), Seal(two.a, "after"));
  EXPECT_EQ(Read(two.b), "after");
}

TEST(Session, SealRefusesTheCallersMistakes) {
  Two two;
  two.Trust();
  Bytes out(kPlaintextMax + 200);
  EXPECT_THAT(two.a.Seal(AsBytes("x"), absl::MakeSpan(out)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_TRUE(two.Connect());
  EXPECT_THAT(two.a.Seal({}, absl::MakeSpan(out)),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(two.a.Seal(Bytes(kPlaintextMax + 1), absl::MakeSpan(out)),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(two.a.Seal(Bytes(100), absl::MakeSpan(out).first(136)),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_OK(two.a.Seal(Bytes(100), absl::MakeSpan(out).first(137)));
}

TEST(Session, CloseTellsThePeerOnce) {
  for (bool client_closes : {true, false}) {
    Two two;
    two.Trust();
    ASSERT_TRUE(two.Connect());
    Session& closer = client_closes ? two.a : two.b;
    two.pair.RunFor(absl::Seconds(1));
    const uint64_t before = closer.stats().datagrams_sent;
    closer.Close(two.pair.now());
    closer.Close(two.pair.now());
    ASSERT_TRUE(two.pair.RunUntilIdle());
    EXPECT_EQ(closer.stats().datagrams_sent - before, 1u);
    ASSERT_TRUE(two.log_a.closed && two.log_b.closed);
    EXPECT_OK(*two.log_a.closed);
    EXPECT_OK(*two.log_b.closed);
    EXPECT_EQ(two.log_a.events_after_close + two.log_b.events_after_close, 0);
    EXPECT_TRUE(two.a.closed());
    EXPECT_TRUE(two.b.closed());
  }
}

TEST(Session, DataBeforeCloseIsDelivered) {
  Two two;
  two.Trust();
  ASSERT_TRUE(two.Connect());
  const Bytes last = Seal(two.a, "last words");
  two.a.Close(two.pair.now());
  const std::vector<Bytes> alert = Drain(two.a, two.pair.now());
  ASSERT_EQ(alert.size(), 1u);
  two.b.HandlePacket(two.pair.now(), last);
  two.b.HandlePacket(two.pair.now(), alert[0]);
  EXPECT_TRUE(two.b.closed());
  EXPECT_EQ(Read(two.b), "last words");
}

TEST(Session, ClosedIsDeafAndQuiet) {
  Two two;
  two.a.Close(two.pair.now());
  EXPECT_TRUE(two.pair.RunUntilIdle());
  EXPECT_OK(*two.log_a.closed);
  two.a.Start(two.pair.now());
  two.a.HandlePacket(two.pair.now(), Bytes{22, 0xfe, 0xfd});
  two.a.HandleTimeout(two.pair.now() + absl::Hours(1));
  EXPECT_EQ(two.a.stats().discarded_after_close, 1u);
  EXPECT_TRUE(Drain(two.a, two.pair.now()).empty());
  EXPECT_EQ(two.a.PollEvent(), std::nullopt);
  EXPECT_THAT(two.a.SetRemoteFingerprints(two.pair.now(),
                                          {CertificateOf(1).fingerprint()}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(Session, TwoClientsNeverConnect) {
  Session a(Role::kClient, CertificateOf(0), {});
  Session b(Role::kClient, CertificateOf(1), {});
  sim::Pair<Session> pair(a, b);
  sim::ScopedClockOverride clock(pair.clock());
  a.Start(pair.now());
  b.Start(pair.now());
  ASSERT_TRUE(pair.RunUntilIdle());
  EXPECT_TRUE(a.closed());
  EXPECT_TRUE(b.closed());
}

TEST(Session, OutgoingDatagramsAreBounded) {
  Session server(Role::kServer, CertificateOf(1),
                 {.mtu_bytes = 300, .outgoing_datagrams_max = 1});
  Session client(Role::kClient, CertificateOf(0), {});
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  client.Start(now);
  for (const Bytes& d : Drain(client, now)) server.HandlePacket(now, d);
  EXPECT_EQ(Drain(server, now).size(), 1u);
  EXPECT_GT(server.stats().discarded_outgoing, 0u);
}

TEST(Session, EarlyAndRepeatedTimeoutsDoNothing) {
  Two two;
  two.Trust();
  two.a.Start(two.pair.now());
  EXPECT_FALSE(Drain(two.a, two.pair.now()).empty());
  for (int i = 0; i < 5; ++i) two.a.HandleTimeout(two.pair.now());
  EXPECT_TRUE(Drain(two.a, two.pair.now()).empty());
  EXPECT_EQ(two.a.NextTimeout(), two.pair.now() + absl::Seconds(1));
}

}  // namespace
}  // namespace kyuu::dtls
