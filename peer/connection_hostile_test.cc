// Bad input at every entrance of a peer connection: counted, dropped, and
// without effect on what goes on.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/counters.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "peer/connection.h"
#include "peer/testing/call.h"
#include "sim/clock_override.h"
#include "sim/network.h"

namespace kyuu::peer {
namespace {

using testing::Call;
using testing::Side;
using Bytes = std::vector<uint8_t>;

const TransportAddress kA{IpAddress::V4(192, 0, 2, 1), 5001};
const TransportAddress kB{IpAddress::V4(192, 0, 2, 2), 5002};
const TransportAddress kStranger{IpAddress::V4(192, 0, 2, 66), 666};

struct Attacked {
  explicit Attacked(const testing::CallOptions& options = {})
      : clock(network.clock()),
        host_a(network.AddHost("a", {sim::kInternet, {kA.ip}})),
        host_b(network.AddHost("b", {sim::kInternet, {kB.ip}})),
        call(network, options),
        a(call.a),
        b(call.b) {
    call.Attach(host_a, {kA}, host_b, {kB});
  }
  absl::Time now() const { return network.now(); }
  // Hands `bytes` to b as if they came from `remote`.
  void AtB(const TransportAddress& remote, const Bytes& bytes) {
    b.connection.HandlePacket(now(), {{kB, remote}, bytes});
  }

  sim::Network network;
  sim::ScopedClockOverride clock;
  sim::HostId host_a;
  sim::HostId host_b;
  Call call;
  Side& a;
  Side& b;
};

uint64_t Discarded(const Connection& connection) {
  const ConnectionStats s = connection.stats();
  const ice::AgentStats& i = s.ice;
  return s.counters.discarded_unknown + s.transport.drop_unknown_path +
         s.transport.drop_unknown_protocol + s.counters.discarded_early_dtls +
         i.drop_not_stun + i.drop_wrong_method + i.drop_bad_fingerprint +
         i.drop_no_integrity + i.drop_wrong_username + i.drop_wrong_integrity +
         i.drop_unknown_transaction + i.drop_malformed + i.drop_unknown_local +
         i.drop_asymmetric + s.dtls.discarded_malformed +
         s.dtls.discarded_epoch + s.dtls.discarded_forged +
         s.dtls.discarded_replayed + s.dtls.discarded_excess;
}

// Each datagram to b is followed by a copy with one bit flipped, a copy cut
// short, and noise that begins like it, from the peer's own address.
TEST(ConnectionHostile, NoiseOnThePathChangesNothing) {
  Attacked t;
  SeededRandom random(3);
  const ChannelId c = *t.a.connection.CreateDataChannel(t.now(), {});
  uint64_t noise = 0;
  t.network.set_filter([&](const Datagram& d) {
    if (d.path.remote != kB) return true;
    // Handshake records are in the clear: who is on the path can end a
    // handshake (dtls/README.md).
    if (d.bytes[0] >= 20 && d.bytes[0] <= 22) return true;
    const Bytes real(d.bytes.begin(), d.bytes.end());
    t.network.After(absl::Milliseconds(12), [&, real] {
      Bytes flipped = real;
      flipped[1 + random.Below(real.size() - 1)] ^=
          static_cast<uint8_t>(1 << random.Below(8));
      Bytes cut(real.begin(),
                real.begin() + static_cast<long>(random.Below(real.size())));
      Bytes garbage(random.Below(1400) + 1);
      random.Fill(absl::MakeSpan(garbage));
      garbage[0] = real[0];
      for (const Bytes& bytes : {flipped, cut, garbage}) {
        t.AtB(kA, bytes);
        ++noise;
      }
    });
    return true;
  });
  t.call.Negotiate(t.a);
  ASSERT_TRUE(t.call.Connected()) << t.call.DebugString();
  for (int i = 0; i < 50; ++i) {
    t.network.RunFor(absl::Milliseconds(100));
    ASSERT_OK(t.a.connection.Send(t.now(), c, PayloadType::kBinary,
                                  Bytes(3000, static_cast<uint8_t>(i))));
  }
  t.network.RunFor(absl::Seconds(2));
  ASSERT_EQ(t.b.messages.size(), 50u);
  for (size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(t.b.messages[i].payload, Bytes(3000, static_cast<uint8_t>(i)));
  }
  EXPECT_GT(noise, 400u);
  // A flipped bit may hit what is covered by nothing (a STUN attribute after
  // MESSAGE-INTEGRITY); nearly all must show in a counter.
  EXPECT_GT(Discarded(t.b.connection) * 100, noise * 95);
}

TEST(ConnectionHostile, EveryFirstByteFromAStrangerIsCounted) {
  Attacked t;
  t.call.Negotiate(t.a);
  ASSERT_TRUE(t.call.Connected());
  const uint64_t before = Discarded(t.b.connection);
  for (int first = 0; first < 256; ++first) {
    for (size_t size : {1u, 12u, 13u, 19u, 20u, 100u, 1200u}) {
      Bytes bytes(size, 0);
      bytes[0] = static_cast<uint8_t>(first);
      t.AtB(kStranger, bytes);
    }
  }
  t.AtB(kStranger, {});
  EXPECT_EQ(Discarded(t.b.connection) - before, 256u * 7 + 1);
  // DTLS and RTP (RFC 7983 section 7).
  EXPECT_EQ(t.b.connection.stats().transport.drop_unknown_path, (44u + 64) * 7);
  EXPECT_TRUE(t.b.connected());
}

TEST(ConnectionHostile, S5DtlsOfAStrangerNeverReachesTheSession) {
  Attacked t;
  t.call.Negotiate(t.a);
  ASSERT_TRUE(t.call.Connected());
  t.network.RunFor(absl::Seconds(1));
  const uint64_t before = t.b.connection.stats().dtls.datagrams_received;
  // A record of the connection itself, from elsewhere.
  Bytes record;
  t.network.set_filter([&](const Datagram& d) {
    if (d.path.remote == kB && d.bytes[0] == 23) {
      record.assign(d.bytes.begin(), d.bytes.end());
      return false;
    }
    return true;
  });
  const ChannelId c = *t.a.connection.CreateDataChannel(t.now(), {});
  t.network.RunFor(absl::Milliseconds(100));
  ASSERT_FALSE(record.empty());
  t.AtB(kStranger, record);
  EXPECT_EQ(t.b.connection.stats().dtls.datagrams_received, before);
  EXPECT_NE(t.a.connection.stats().channels.channels_opened, 0u);
  (void)c;
}

// What DTLS carries is SCTP, whatever it begins with: here the port, with a
// first byte of each kind that RFC 7983 section 7 tells apart. (RTP and STUN
// were once looked for in there.)
TEST(ConnectionHostile, H33WhatDtlsCarriesIsNotLookedAtAgain) {
  for (const uint8_t first :
       Bytes{0, 1, 3, 16, 20, 22, 23, 63, 64, 79, 128, 191}) {
    SCOPED_TRACE(int{first});
    const auto port = static_cast<uint16_t>(first << 8 | 7);
    testing::CallOptions options;
    for (Options* side : {&options.a, &options.b}) {
      side->sdp.sctp_port = port;
      side->channels.association.local_port = port;
    }
    Attacked t(options);
    const ChannelId c = *t.a.connection.CreateDataChannel(t.now(), {});
    t.call.Negotiate(t.a);
    ASSERT_TRUE(t.call.Connected()) << t.call.DebugString();
    t.network.RunFor(absl::Seconds(1));
    const uint64_t before = Discarded(t.b.connection);
    ASSERT_OK(t.a.connection.Send(t.now(), c, PayloadType::kBinary,
                                  Bytes(3000, first)));
    t.network.RunFor(absl::Seconds(1));
    ASSERT_EQ(t.b.messages.size(), 1u);
    EXPECT_EQ(t.b.messages[0].payload, Bytes(3000, first));
    EXPECT_EQ(Discarded(t.b.connection), before);
  }
}

TEST(ConnectionHostile, EarlyDtlsIsBounded) {
  Attacked t;
  // b's checks reach a, but a's own are never answered: the path is known, and
  // DTLS cannot begin.
  t.network.set_filter([](const Datagram& d) {
    return !(d.path.local == kB && d.bytes.size() > 1 && d.bytes[0] == 1 &&
             d.bytes[1] == 1);
  });
  t.call.Negotiate(t.a);
  t.network.RunFor(absl::Seconds(2));
  for (int i = 0; i < 50; ++i) {
    t.a.connection.HandlePacket(
        t.now(),
        {{kA, kB}, Bytes{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}});
  }
  const ConnectionCounters counters = t.a.connection.stats().counters;
  EXPECT_GE(counters.discarded_early_dtls, 34u);
  // Once checks pass, what was kept does no harm.
  t.network.set_filter(nullptr);
  EXPECT_TRUE(t.call.Connected());
}

// What each counter counts, and that nothing else grows with it.
TEST(ConnectionHostile, EveryCounterCountsWhatItsNameSays) {
  using Names = std::vector<absl::string_view>;
  constexpr absl::string_view kIn = "datagrams_received";
  constexpr absl::string_view kInBytes = "bytes_received";
  Attacked t;
  Names seen;
  ConnectionCounters before;
  const auto grown = [&] {
    const ConnectionCounters now = t.b.connection.stats().counters;
    Names names = NonzeroCounters(CountersSince(before, now));
    before = now;
    seen.insert(seen.end(), names.begin(), names.end());
    return names;
  };
  // b has no answer yet, but a check of a came its way.
  t.call.trickle = false;
  const std::string offer = *t.b.connection.CreateOffer();
  ASSERT_OK(t.b.connection.SetLocalDescription(t.now(), SdpType::kOffer));
  ASSERT_OK(
      t.a.connection.SetRemoteDescription(t.now(), SdpType::kOffer, offer));
  const std::string answer = *t.a.connection.CreateAnswer();
  ASSERT_OK(t.a.connection.SetLocalDescription(t.now(), SdpType::kAnswer));
  ASSERT_OK(t.a.connection.AddIceCandidate(
      t.now(), "candidate:1 1 udp 2122260223 192.0.2.2 5002 typ host", "0", 0));
  t.network.RunFor(absl::Milliseconds(300));
  EXPECT_EQ(grown(), (Names{kIn, kInBytes, "datagrams_sent", "bytes_sent"}));
  const Bytes dtls = {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  for (size_t i = 0; i < Options{}.early_dtls_datagrams_max; ++i) {
    t.AtB(kA, dtls);
  }
  EXPECT_EQ(grown(), (Names{kIn, kInBytes}));
  t.AtB(kA, dtls);
  EXPECT_EQ(grown(), (Names{kIn, kInBytes, "discarded_early_dtls"}));

  ASSERT_OK(
      t.b.connection.SetRemoteDescription(t.now(), SdpType::kAnswer, answer));
  ASSERT_TRUE(t.call.Connected()) << t.call.DebugString();
  t.network.RunFor(absl::Seconds(1));
  grown();
  t.AtB(kA, {128, 0, 0, 0});
  EXPECT_EQ(grown(), (Names{kIn, kInBytes, "discarded_unknown"}));
  ASSERT_OK(t.b.connection.AddIceCandidate(
      t.now(), "candidate:1 1 udp 1 192.0.2.1 9 typ host", "of nobody", 7));
  EXPECT_EQ(grown(), Names{"ignored_candidates"});
  t.b.connection.Close(t.now());
  t.AtB(kA, {23, 0xfe, 0xfd, 0});
  EXPECT_EQ(grown(), (Names{kIn, kInBytes, "discarded_closed"}));

  for (const auto& counter : ConnectionCounters::kCounters) {
    EXPECT_NE(std::find(seen.begin(), seen.end(), counter.name), seen.end())
        << counter.name << " was not seen to count";
  }
}

TEST(ConnectionHostile, MalformedDescriptionsAreRefusedWithoutEffect) {
  Attacked t;
  const std::string offer = *t.a.connection.CreateOffer();
  ASSERT_OK(t.a.connection.SetLocalDescription(t.now(), SdpType::kOffer));
  Connection& b = t.b.connection;
  EXPECT_FALSE(b.SetRemoteDescription(t.now(), SdpType::kOffer, "").ok());
  EXPECT_FALSE(b.SetRemoteDescription(t.now(), SdpType::kAnswer, offer).ok());
  EXPECT_FALSE(b.SetRemoteDescription(t.now(), SdpType::kOffer,
                                      std::string(1 << 20, 'a'))
                   .ok());
  EXPECT_FALSE(b.CreateAnswer().ok());
  EXPECT_FALSE(b.SetLocalDescription(t.now(), SdpType::kAnswer).ok());
  EXPECT_FALSE(b.Rollback(t.now()).ok());
  EXPECT_FALSE(b.LocalDescription().ok());
  // The offer without each of its lines, in turn.
  size_t refused = 0;
  for (size_t begin = 0; begin < offer.size();) {
    const size_t end = offer.find('\n', begin) + 1;
    std::string cut = offer;
    cut.erase(begin, end - begin);
    Connection other(testing::CertificateOf(1), {}, t.b.random);
    refused += !other.SetRemoteDescription(t.now(), SdpType::kOffer, cut).ok();
    begin = end;
  }
  EXPECT_GT(refused, 5u);
  EXPECT_EQ(b.signaling_state(), SignalingState::kStable);
  // Nothing of that is in the way of the real one.
  ASSERT_OK(b.SetRemoteDescription(t.now(), SdpType::kOffer, offer));
  const std::string answer = *b.CreateAnswer();
  ASSERT_OK(b.SetLocalDescription(t.now(), SdpType::kAnswer));
  ASSERT_OK(
      t.a.connection.SetRemoteDescription(t.now(), SdpType::kAnswer, answer));
  EXPECT_TRUE(t.call.Connected());
}

TEST(ConnectionHostile, DataTakenAwayUnderUseEndsTheConnection) {
  Attacked t;
  ASSERT_OK(t.a.connection.CreateDataChannel(t.now(), {}));
  t.call.Negotiate(t.a);
  ASSERT_TRUE(t.call.Connected());
  t.network.RunFor(absl::Seconds(1));
  ASSERT_OK(t.a.connection.CreateOffer());
  ASSERT_OK(t.a.connection.SetLocalDescription(t.now(), SdpType::kOffer));
  const std::string refusal =
      "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
      "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"
      "c=IN IP4 0.0.0.0\r\na=mid:0\r\n";
  ASSERT_OK(
      t.a.connection.SetRemoteDescription(t.now(), SdpType::kAnswer, refusal));
  t.network.RunFor(absl::Seconds(2));
  ASSERT_TRUE(t.a.closed.has_value());
  EXPECT_THAT(*t.a.closed, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(t.a.channels_closed.size(), 1u);
}

TEST(ConnectionHostile, ChangedCertificateEndsTheConnection) {
  Attacked t;
  ASSERT_OK(t.a.connection.CreateDataChannel(t.now(), {}));
  t.call.Negotiate(t.a);
  ASSERT_TRUE(t.call.Connected());
  t.network.RunFor(absl::Seconds(1));
  const std::string real = testing::CertificateOf(1).fingerprint().ToString();
  const std::string other = testing::CertificateOf(0).fingerprint().ToString();
  // Without an ICE restart it is against the rules, and nothing happens.
  std::string offer = *t.b.connection.CreateOffer();
  offer.replace(offer.find(real), real.size(), other);
  EXPECT_THAT(
      t.a.connection.SetRemoteDescription(t.now(), SdpType::kOffer, offer),
      StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(t.a.connected());
  // With one it would be a new DTLS association.
  offer = *t.b.connection.CreateOffer(IceRestart::kYes);
  offer.replace(offer.find(real), real.size(), other);
  ASSERT_OK(
      t.a.connection.SetRemoteDescription(t.now(), SdpType::kOffer, offer));
  t.network.RunFor(absl::Seconds(2));
  ASSERT_TRUE(t.a.closed.has_value());
  EXPECT_THAT(*t.a.closed, StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST(ConnectionHostile, ClosedIsDeafAndQuiet) {
  Attacked t;
  t.call.Negotiate(t.a);
  ASSERT_TRUE(t.call.Connected());
  t.b.connection.Close(t.now());
  t.network.RunFor(absl::Seconds(2));
  ASSERT_TRUE(t.b.closed.has_value());
  for (int first : {0, 20, 23, 64, 200}) {
    t.AtB(kA, Bytes(100, static_cast<uint8_t>(first)));
  }
  t.b.connection.HandleTimeout(t.now() + absl::Hours(1));
  Bytes out(Connection::kDatagramMax);
  EXPECT_EQ(t.b.connection.PollTransmit(t.now(), absl::MakeSpan(out)),
            std::nullopt);
  EXPECT_EQ(t.b.connection.PollEvent(), std::nullopt);
  EXPECT_EQ(t.b.connection.NextTimeout(), absl::InfiniteFuture());
  EXPECT_EQ(t.b.after_closed, 0);
}

TEST(ConnectionHostile, TinyBuffersYieldNothingAndLoseNothing) {
  Attacked t;
  const ChannelId c = *t.a.connection.CreateDataChannel(t.now(), {});
  t.call.Negotiate(t.a);
  ASSERT_TRUE(t.network.RunUntil([&] { return !t.a.opened.empty(); },
                                 absl::Seconds(30)));
  ASSERT_OK(t.a.connection.Send(t.now(), c, PayloadType::kBinary, Bytes(5000)));
  for (size_t size : {0u, 1u, 100u, 1000u}) {
    Bytes out(size);
    t.a.connection.PollTransmit(t.now(), absl::MakeSpan(out));
  }
  EXPECT_TRUE(t.network.RunUntil([&] { return t.b.messages.size() == 1; },
                                 absl::Seconds(5)));
}

}  // namespace
}  // namespace kyuu::peer
