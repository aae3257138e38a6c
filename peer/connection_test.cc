#include "peer/connection.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "peer/testing/call.h"
#include "sim/clock_override.h"
#include "sim/network.h"

namespace kyuu::peer {
namespace {

using testing::Call;
using testing::CallOptions;
using testing::Side;
using Bytes = std::vector<uint8_t>;

Bytes Text(absl::string_view text) { return Bytes(text.begin(), text.end()); }

const TransportAddress kA{IpAddress::V4(192, 0, 2, 1), 5001};
const TransportAddress kB{IpAddress::V4(192, 0, 2, 2), 5002};

// Two hosts on the internet, 10 ms from each other.
struct Direct {
  explicit Direct(CallOptions options = {})
      : network({.seed = options.seed}),
        clock(network.clock()),
        host_a(network.AddHost("a", {sim::kInternet, {kA.ip}})),
        host_b(network.AddHost("b", {sim::kInternet, {kB.ip}})),
        call(network, options) {
    call.Attach(host_a, {kA}, host_b, {kB});
  }
  bool Connect() {
    call.Negotiate(call.a);
    return call.Connected();
  }
  absl::Time now() const { return network.now(); }

  sim::Network network;
  sim::ScopedClockOverride clock;
  sim::HostId host_a;
  sim::HostId host_b;
  Call call;
};

TEST(Connection, TwoFindEachOtherAndTalk) {
  Direct direct;
  Side& a = direct.call.a;
  Side& b = direct.call.b;
  const ChannelId chat =
      *a.connection.CreateDataChannel(direct.now(), {.label = "chat"});
  ASSERT_TRUE(direct.Connect()) << direct.call.DebugString();
  ASSERT_TRUE(direct.network.RunUntil(
      [&] { return !a.opened.empty() && !b.incoming.empty(); },
      absl::Seconds(5)));
  EXPECT_EQ(b.incoming[0].config.label, "chat");
  // The answerer is DTLS's client, so the offerer's ids are odd.
  EXPECT_EQ(b.incoming[0].stream, sctp::StreamId{1});
  ASSERT_OK(
      a.connection.Send(direct.now(), chat, PayloadType::kText, Text("hello")));
  ASSERT_OK(b.connection.Send(direct.now(), b.incoming[0].channel,
                              PayloadType::kBinary, Text("back")));
  ASSERT_TRUE(direct.network.RunUntil(
      [&] { return a.messages.size() == 1 && b.messages.size() == 1; },
      absl::Seconds(5)));
  EXPECT_EQ(b.messages[0].payload, Text("hello"));
  EXPECT_EQ(a.messages[0].payload, Text("back"));
  EXPECT_EQ(a.states,
            (std::vector<ConnectionState>{ConnectionState::kConnecting,
                                          ConnectionState::kConnected}));
  EXPECT_EQ(a.connection.signaling_state(), SignalingState::kStable);
  EXPECT_EQ(a.connection.gathering_state(), GatheringState::kComplete);
}

TEST(Connection, StatsTellHowTheTwoAreConnected) {
  Direct direct;
  ASSERT_TRUE(direct.Connect());
  direct.network.RunFor(absl::Seconds(10));
  const ConnectionStats stats = direct.call.a.connection.stats();
  ASSERT_TRUE(stats.selected.has_value());
  EXPECT_EQ(stats.selected->path.local, kA);
  EXPECT_EQ(stats.selected->path.remote, kB);
  EXPECT_FALSE(stats.selected->relayed());
  ASSERT_TRUE(stats.rtt.has_value());
  EXPECT_NEAR(absl::ToDoubleMilliseconds(*stats.rtt), 20, 5);
  EXPECT_EQ(stats.dtls_session->version, "DTLSv1.2");
  EXPECT_EQ(stats.dtls_session->remote_fingerprint,
            testing::CertificateOf(1).fingerprint());
  EXPECT_GT(stats.counters.datagrams_sent, 5u);
  EXPECT_GT(stats.sctp.packets_sent, 0u);
  EXPECT_EQ(stats.ice.path_changes, 1u);
  // All that was sent and came, by pairs.
  uint64_t sent = 0, received = 0, answers = 0, sent_bytes = 0;
  for (const ice::PairInfo& pair : stats.pairs) {
    sent += pair.traffic.packets_sent;
    received += pair.traffic.packets_received;
    answers += pair.traffic.responses_sent;
    sent_bytes += pair.traffic.bytes_sent;
    EXPECT_EQ(pair.rtt_sum == absl::ZeroDuration(),
              pair.responses_received == 0);
  }
  EXPECT_EQ(sent, stats.transport.payloads_sent);
  EXPECT_EQ(received, stats.transport.payloads_received);
  // Answers are of checks for consent, too, but not of those that came before
  // there was a pair.
  EXPECT_GE(answers, 1u);
  EXPECT_LE(answers, stats.ice.responses_sent);
  EXPECT_GT(sent_bytes, 0u);
  EXPECT_LT(sent_bytes, stats.counters.bytes_sent);
}

TEST(Connection, ConnectsWithoutTrickle) {
  Direct direct;
  direct.call.trickle = false;
  Connection& a = direct.call.a.connection;
  Connection& b = direct.call.b.connection;
  ASSERT_OK(a.CreateOffer());
  ASSERT_OK(a.SetLocalDescription(direct.now(), SdpType::kOffer));
  direct.network.RunFor(absl::Seconds(1));
  const std::string offer = *a.LocalDescription();
  EXPECT_NE(offer.find("a=candidate:"), std::string::npos);
  EXPECT_NE(offer.find("a=end-of-candidates"), std::string::npos);
  ASSERT_OK(b.SetRemoteDescription(direct.now(), SdpType::kOffer, offer));
  ASSERT_OK(b.CreateAnswer());
  ASSERT_OK(b.SetLocalDescription(direct.now(), SdpType::kAnswer));
  direct.network.RunFor(absl::Seconds(1));
  ASSERT_OK(a.SetRemoteDescription(direct.now(), SdpType::kAnswer,
                                   *b.LocalDescription()));
  EXPECT_TRUE(direct.call.Connected());
}

TEST(Connection, SlowAnswerMeetsDtlsThatWaited) {
  // Signaling of 3 s: the answerer's checks and hello come long before the
  // offerer knows whom it talks to.
  Direct direct({.signaling_delay = absl::Seconds(3)});
  direct.call.Negotiate(direct.call.a);
  ASSERT_TRUE(direct.call.Connected()) << direct.call.DebugString();
  EXPECT_LE(direct.now() - absl::FromUnixSeconds(1'700'000'000),
            absl::Milliseconds(6500));
}

TEST(Connection, CandidatesMayComeBeforeTheirDescription) {
  Direct direct({.a = {.pending_candidates_max = 3}});
  Connection& a = direct.call.a.connection;
  const std::string line =
      absl::StrCat("candidate:1 1 udp 2130706431 ", kB.ip.ToString(), " ",
                   kB.port, " typ host");
  for (int i = 0; i < 3; ++i) {
    EXPECT_OK(a.AddIceCandidate(direct.now(), line, "0", 0));
  }
  EXPECT_THAT(a.AddIceCandidate(direct.now(), line, "0", 0),
              StatusIs(absl::StatusCode::kResourceExhausted));
  direct.call.trickle = false;
  ASSERT_TRUE(direct.Connect());
}

TEST(Connection, BadCandidatesAreRefusedOrIgnored) {
  Direct direct;
  Connection& a = direct.call.a.connection;
  ASSERT_TRUE(direct.Connect());
  for (absl::string_view line :
       {"x", "candidate:", "candidate:1 1 udp 1 192.0.2.9 70000 typ host",
        "candidate:1 1 udp 1 192.0.2.9 7 typ\r\nhost"}) {
    EXPECT_THAT(a.AddIceCandidate(direct.now(), line, "0", 0),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << line;
  }
  // A type of the future, and another section's.
  EXPECT_OK(a.AddIceCandidate(
      direct.now(), "candidate:1 1 udp 1 192.0.2.9 7 typ teleport", "0", 0));
  EXPECT_OK(a.AddIceCandidate(
      direct.now(), "candidate:1 1 udp 1 192.0.2.9 7 typ host", "video", 1));
  EXPECT_EQ(a.stats().counters.ignored_candidates, 2u);
}

TEST(Connection, WrongFingerprintNeverConnects) {
  Direct direct;
  Side& a = direct.call.a;
  Side& b = direct.call.b;
  const std::string offer = *a.connection.CreateOffer();
  ASSERT_OK(a.connection.SetLocalDescription(direct.now(), SdpType::kOffer));
  ASSERT_OK(
      b.connection.SetRemoteDescription(direct.now(), SdpType::kOffer, offer));
  std::string answer = *b.connection.CreateAnswer();
  ASSERT_OK(b.connection.SetLocalDescription(direct.now(), SdpType::kAnswer));
  // Somebody in the middle of signaling puts another certificate in.
  const std::string real = testing::CertificateOf(1).fingerprint().ToString();
  const size_t at = answer.find(real);
  ASSERT_NE(at, std::string::npos);
  answer.replace(at, real.size(),
                 testing::CertificateOf(0).fingerprint().ToString());
  ASSERT_OK(a.connection.SetRemoteDescription(direct.now(), SdpType::kAnswer,
                                              answer));
  ASSERT_TRUE(direct.network.RunUntil([&] { return a.closed && b.closed; },
                                      absl::Seconds(30)));
  EXPECT_THAT(*a.closed, StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_FALSE(b.closed->ok());
  for (const Side* side : {&a, &b}) {
    EXPECT_EQ(std::count(side->states.begin(), side->states.end(),
                         ConnectionState::kConnected),
              0);
    EXPECT_EQ(std::count(side->states.begin(), side->states.end(),
                         ConnectionState::kFailed),
              1);
    EXPECT_EQ(side->after_closed, 0);
  }
}

TEST(Connection, ClosesFromEitherSideWithinARoundTrip) {
  for (bool offerer : {true, false}) {
    Direct direct;
    Side& a = direct.call.a;
    Side& b = direct.call.b;
    ASSERT_OK(a.connection.CreateDataChannel(direct.now(), {}));
    ASSERT_TRUE(direct.Connect());
    ASSERT_TRUE(direct.network.RunUntil([&] { return !b.incoming.empty(); },
                                        absl::Seconds(5)));
    direct.network.RunFor(absl::Seconds(5));
    const absl::Time start = direct.now();
    (offerer ? a : b).connection.Close(direct.now());
    (offerer ? a : b).connection.Close(direct.now());
    ASSERT_TRUE(direct.network.RunUntil([&] { return a.closed && b.closed; },
                                        absl::Seconds(30)))
        << direct.call.DebugString();
    EXPECT_LE(direct.now() - start, absl::Milliseconds(20));
    EXPECT_OK(*(offerer ? a : b).closed);
    EXPECT_THAT(*(offerer ? b : a).closed,
                StatusIs(absl::StatusCode::kAborted));
    for (const Side* side : {&a, &b}) {
      EXPECT_EQ(side->channels_closed.size(), 1u);
      EXPECT_EQ(side->states.back(), ConnectionState::kClosed);
      EXPECT_EQ(side->after_closed, 0);
    }
    ASSERT_TRUE(direct.network.RunUntilIdle()) << "a timer was left behind";
  }
}

TEST(Connection, CloseBeforeAnythingHappened) {
  Direct direct;
  Side& a = direct.call.a;
  ASSERT_OK(a.connection.CreateDataChannel(direct.now(), {}));
  a.connection.Close(direct.now());
  ASSERT_TRUE(direct.network.RunUntilIdle());
  EXPECT_OK(*a.closed);
  EXPECT_EQ(a.channels_closed.size(), 1u);
  EXPECT_FALSE(a.connection.CreateOffer().ok());
  EXPECT_FALSE(a.connection.CreateDataChannel(direct.now(), {}).ok());
  EXPECT_FALSE(a.connection.AddLocalAddress(direct.now(), {kA}).ok());
  EXPECT_FALSE(a.connection.AddIceCandidate(direct.now(), "", "0", 0).ok());
}

TEST(Connection, CloseInEveryPhaseOfASetup) {
  for (int ms = 0; ms < 400; ms += 7) {
    Direct direct;
    Side& a = direct.call.a;
    Side& b = direct.call.b;
    ASSERT_OK(a.connection.CreateDataChannel(direct.now(), {}));
    direct.call.Negotiate(a);
    direct.network.RunFor(absl::Milliseconds(ms));
    // The rest of signaling must find an open peer; b is closed, not a.
    if (b.connection.signaling_state() != SignalingState::kStable ||
        a.connection.signaling_state() != SignalingState::kStable) {
      continue;
    }
    a.connection.Close(direct.now());
    direct.network.RunFor(absl::Seconds(2));
    ASSERT_TRUE(a.closed.has_value()) << "closed after ms " << ms;
    EXPECT_EQ(a.after_closed, 0);
    b.connection.Close(direct.now());
    ASSERT_TRUE(direct.network.RunUntilIdle());
    ASSERT_TRUE(b.closed.has_value());
  }
}

TEST(Connection, IceRestartKeepsTheChannel) {
  for (bool offerer : {true, false}) {
    Direct direct;
    Side& a = direct.call.a;
    Side& b = direct.call.b;
    const ChannelId c = *a.connection.CreateDataChannel(direct.now(), {});
    ASSERT_TRUE(direct.Connect());
    direct.network.RunFor(absl::Seconds(1));
    direct.call.Negotiate(offerer ? a : b, IceRestart::kYes);
    direct.network.RunFor(absl::Seconds(10));
    EXPECT_TRUE(a.connected());
    EXPECT_TRUE(b.connected());
    ASSERT_OK(
        a.connection.Send(direct.now(), c, PayloadType::kText, Text("x")));
    ASSERT_TRUE(direct.network.RunUntil([&] { return !b.messages.empty(); },
                                        absl::Seconds(5)));
    EXPECT_FALSE(a.closed || b.closed);
  }
}

TEST(Connection, RenegotiationChangesNothing) {
  Direct direct;
  ASSERT_TRUE(direct.Connect());
  for (Side* side : {&direct.call.b, &direct.call.a}) {
    direct.call.Negotiate(*side);
    direct.network.RunFor(absl::Seconds(1));
    EXPECT_TRUE(direct.call.a.connected());
    EXPECT_TRUE(direct.call.b.connected());
  }
  EXPECT_EQ(direct.call.a.paths.size(), 1u);
}

TEST(Connection, GlareYieldsByRollback) {
  Direct direct;
  Side& a = direct.call.a;
  Side& b = direct.call.b;
  // Both offer; b is polite and takes a's offer instead of its own.
  const std::string offer_a = *a.connection.CreateOffer();
  ASSERT_OK(a.connection.SetLocalDescription(direct.now(), SdpType::kOffer));
  ASSERT_OK(b.connection.CreateOffer());
  ASSERT_OK(b.connection.SetLocalDescription(direct.now(), SdpType::kOffer));
  ASSERT_OK(b.connection.SetRemoteDescription(direct.now(), SdpType::kOffer,
                                              offer_a));
  const std::string answer = *b.connection.CreateAnswer();
  ASSERT_OK(b.connection.SetLocalDescription(direct.now(), SdpType::kAnswer));
  ASSERT_OK(a.connection.SetRemoteDescription(direct.now(), SdpType::kAnswer,
                                              answer));
  EXPECT_TRUE(direct.call.Connected()) << direct.call.DebugString();
}

TEST(Connection, RestartOfferTakenBackLeavesTheConnectionAlone) {
  Direct direct;
  Side& a = direct.call.a;
  Side& b = direct.call.b;
  const ChannelId c = *a.connection.CreateDataChannel(direct.now(), {});
  ASSERT_TRUE(direct.Connect());
  direct.network.RunFor(absl::Seconds(1));
  ASSERT_OK(a.connection.CreateOffer(IceRestart::kYes));
  ASSERT_OK(a.connection.SetLocalDescription(direct.now(), SdpType::kOffer));
  direct.network.RunFor(absl::Milliseconds(100));
  ASSERT_OK(a.connection.Rollback(direct.now()));
  direct.network.RunFor(absl::Seconds(60));
  EXPECT_TRUE(a.connected()) << direct.call.DebugString();
  ASSERT_OK(a.connection.Send(direct.now(), c, PayloadType::kText, Text("x")));
  EXPECT_TRUE(direct.network.RunUntil([&] { return !b.messages.empty(); },
                                      absl::Seconds(5)));
  // And a later restart still works.
  direct.call.Negotiate(b, IceRestart::kYes);
  direct.network.RunFor(absl::Seconds(5));
  EXPECT_TRUE(a.connected() && b.connected());
}

TEST(Connection, LostPeerIsNoticed) {
  Direct direct;
  Side& a = direct.call.a;
  ASSERT_TRUE(direct.Connect());
  direct.network.RunFor(absl::Seconds(1));
  sim::LinkOptions dead;
  dead.loss = 1;
  direct.network.SetLinks(direct.host_b, dead);
  EXPECT_TRUE(direct.network.RunUntil(
      [&] {
        return a.connection.connection_state() ==
               ConnectionState::kDisconnected;
      },
      absl::Seconds(20)));
  direct.network.SetLinks(direct.host_b, {});
  EXPECT_TRUE(
      direct.network.RunUntil([&] { return a.connected(); }, absl::Seconds(20)))
      << a.connection.DebugString();
  direct.network.SetLinks(direct.host_b, dead);
  EXPECT_TRUE(direct.network.RunUntil(
      [&] {
        return a.connection.connection_state() == ConnectionState::kFailed;
      },
      absl::Seconds(90)));
}

TEST(Connection, MessageSizesOfTheDescriptionAreKept) {
  CallOptions options;
  options.b.max_message_size = 1000;
  Direct direct(options);
  Side& a = direct.call.a;
  const ChannelId c = *a.connection.CreateDataChannel(direct.now(), {});
  ASSERT_TRUE(direct.Connect());
  direct.network.RunFor(absl::Seconds(1));
  EXPECT_OK(
      a.connection.Send(direct.now(), c, PayloadType::kBinary, Bytes(1000)));
  EXPECT_THAT(
      a.connection.Send(direct.now(), c, PayloadType::kBinary, Bytes(1001)),
      StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(Connection, ChatSurvivesLossReorderingAndDuplication) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    CallOptions options;
    options.seed = seed;
    Direct direct(options);
    sim::LinkOptions bad;
    bad.loss = 0.2;
    bad.reorder = 0.2;
    bad.duplicate = 0.2;
    direct.network.SetLinks(direct.host_a, bad);
    Side& a = direct.call.a;
    Side& b = direct.call.b;
    const ChannelId c = *a.connection.CreateDataChannel(direct.now(), {});
    ASSERT_TRUE(direct.Connect()) << "seed " << seed << "\n"
                                  << direct.call.DebugString();
    ASSERT_TRUE(direct.network.RunUntil([&] { return !b.incoming.empty(); },
                                        absl::Seconds(20)));
    for (int i = 0; i < 50; ++i) {
      ASSERT_OK(a.connection.Send(direct.now(), c, PayloadType::kText,
                                  Text(absl::StrCat("message ", i))));
      ASSERT_OK(b.connection.Send(direct.now(), b.incoming[0].channel,
                                  PayloadType::kText,
                                  Text(absl::StrCat("reply ", i))));
      direct.network.RunFor(absl::Milliseconds(50));
    }
    ASSERT_TRUE(direct.network.RunUntil(
        [&] { return a.messages.size() == 50 && b.messages.size() == 50; },
        absl::Minutes(2)))
        << "seed " << seed;
    for (size_t i = 0; i < 50; ++i) {
      EXPECT_EQ(b.messages[i].payload, Text(absl::StrCat("message ", i)));
      EXPECT_EQ(a.messages[i].payload, Text(absl::StrCat("reply ", i)));
    }
  }
}

TEST(Connection, BulkLeavesInRunsOfEqualDatagrams) {
  CallOptions options;
  options.a.max_datagram_bytes = 0;
  Direct direct(options);
  Side& a = direct.call.a;
  const ChannelId c = *a.connection.CreateDataChannel(direct.now(), {});
  ASSERT_TRUE(direct.Connect());
  direct.network.RunFor(absl::Seconds(1));
  std::vector<size_t> sizes;
  direct.network.set_filter([&](const Datagram& d) {
    if (d.path.local == kA && d.bytes[0] == 23) sizes.push_back(d.bytes.size());
    return true;
  });
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(
        a.connection.Send(direct.now(), c, PayloadType::kBinary, Bytes(50000)));
  }
  direct.network.RunFor(absl::Seconds(2));
  size_t largest = 0;
  for (size_t size : sizes) largest = std::max(largest, size);
  const auto full = std::count(sizes.begin(), sizes.end(), largest);
  EXPECT_GT(full * 100, static_cast<long>(sizes.size()) * 90);
  EXPECT_LE(largest, 1228u);
}

// RFC 8899: packets grow to what the path carries, and only what asks for that
// must not be fragmented.
TEST(Connection, PacketsGrowToWhatTheDirectPathCarries) {
  struct Row {
    const char* name;
    size_t link;    // What it carries, IP and UDP included.
    size_t option;  // max_datagram_bytes.
    size_t least, most;
  } const rows[] = {
      {"jumbo frames", 9000, 8192, 8100, 8192},
      {"Ethernet", 1500, 8192, 1400, 1472},
      {"the default", 9000, CallOptions().a.max_datagram_bytes, 1460, 1472},
      {"not wanted", 9000, 0, 1200, 1230},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    CallOptions options;
    options.a.max_datagram_bytes = row.option;
    Direct direct(options);
    for (const sim::HostId host : {direct.host_a, direct.host_b}) {
      direct.network.SetLinks(
          host, {.delay = absl::Milliseconds(5), .mtu = row.link});
    }
    size_t largest = 0, probes = 0;
    direct.network.set_filter([&](const Datagram& datagram) {
      if (datagram.dont_fragment) {
        ++probes;
      } else {
        largest = std::max(largest, datagram.bytes.size());
      }
      return true;
    });
    const ChannelId channel =
        *direct.call.a.connection.CreateDataChannel(direct.now(), {});
    ASSERT_TRUE(direct.Connect());
    direct.network.RunFor(absl::Seconds(1));
    for (int i = 0; i < 60; ++i) {
      ASSERT_OK(direct.call.a.connection.Send(
          direct.now(), channel, PayloadType::kBinary, Bytes(40'000)));
      direct.network.RunFor(absl::Milliseconds(500));
    }
    EXPECT_EQ(direct.call.b.messages.size(), 60u);
    EXPECT_GE(largest, row.least);
    EXPECT_LE(largest, row.most);
    EXPECT_EQ(probes > 0, row.option > 0);
  }
}

// As two programs find out in the middle of a call that they know each other.
TEST(Connection, PacketsGrowOnThePathInUseWhenMoreIsAllowed) {
  Direct direct;
  for (const sim::HostId host : {direct.host_a, direct.host_b}) {
    direct.network.SetLinks(host,
                            {.delay = absl::Milliseconds(5), .mtu = 9000});
  }
  size_t largest = 0;
  direct.network.set_filter([&](const Datagram& datagram) {
    largest = std::max(largest, datagram.bytes.size());
    return true;
  });
  Side& a = direct.call.a;
  const ChannelId channel = *a.connection.CreateDataChannel(direct.now(), {});
  ASSERT_TRUE(direct.Connect());
  direct.network.RunFor(absl::Seconds(1));
  const auto send = [&] {
    for (int i = 0; i < 20; ++i) {
      ASSERT_OK(a.connection.Send(direct.now(), channel, PayloadType::kBinary,
                                  Bytes(40'000)));
      direct.network.RunFor(absl::Milliseconds(500));
    }
  };
  send();
  EXPECT_LE(largest, Options().max_datagram_bytes);
  a.connection.SetMaxDatagramBytes(direct.now(), 8192);
  send();
  EXPECT_GT(largest, 8100u);
  a.connection.SetMaxDatagramBytes(direct.now(), 0);
  direct.network.RunFor(absl::Seconds(1));
  largest = 0;
  send();
  EXPECT_LE(largest, 1230u);
  EXPECT_EQ(direct.call.b.messages.size(), 60u);
}

}  // namespace
}  // namespace kyuu::peer
