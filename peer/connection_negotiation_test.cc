// Where descriptions and ICE meet: what sdp takes, ICE takes; what is taken
// back is undone in both; a candidate belongs to the transport.

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "peer/connection.h"
#include "peer/testing/call.h"
#include "sim/clock_override.h"
#include "sim/network.h"

namespace kyuu::peer {
namespace {

using testing::Call;
using testing::CallOptions;
using testing::Side;

const TransportAddress kA{IpAddress::V4(192, 0, 2, 1), 5001};
const TransportAddress kB{IpAddress::V4(192, 0, 2, 2), 5002};

struct Direct {
  explicit Direct(CallOptions options = {})
      : network({.seed = options.seed}),
        clock(network.clock()),
        call(network, options),
        a(call.a),
        b(call.b) {
    call.Attach(network.AddHost("a", {sim::kInternet, {kA.ip}}), {kA},
                network.AddHost("b", {sim::kInternet, {kB.ip}}), {kB});
  }
  absl::Time now() const { return network.now(); }
  std::string Offer(Side& side) {
    const auto offer = side.connection.CreateOffer();
    EXPECT_OK(offer);
    EXPECT_OK(side.connection.SetLocalDescription(now(), SdpType::kOffer));
    return offer.value_or("");
  }
  absl::Status SetRemote(Side& side, SdpType type, const std::string& sdp) {
    return side.connection.SetRemoteDescription(now(), type, sdp);
  }
  std::string Answer(Side& side, SdpType type = SdpType::kAnswer) {
    const auto answer = side.connection.CreateAnswer();
    EXPECT_OK(answer);
    EXPECT_OK(side.connection.SetLocalDescription(now(), type));
    return answer.value_or("");
  }

  sim::Network network;
  sim::ScopedClockOverride clock;
  Call call;
  Side& a;
  Side& b;
};

// A browser's page with media: data shares the transport of audio.
std::string WithAudio(const std::string& sdp) {
  const size_t at = sdp.find("a=ice-ufrag");
  const size_t end = sdp.find("a=sctp-port");
  const std::string transport = sdp.substr(at, end - at);
  return absl::StrReplaceAll(
      sdp, {{"a=group:BUNDLE 0", "a=group:BUNDLE a 0"},
            {"m=application",
             absl::StrCat("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
                          "c=IN IP4 0.0.0.0\r\na=mid:a\r\na=sendrecv\r\n"
                          "a=rtpmap:111 opus/48000/2\r\na=rtcp-mux\r\n",
                          transport, "m=application")}});
}

TEST(ConnectionNegotiation, CredentialsThatBrowsersTakeReachIce) {
  for (const char* ufrag : {"ab-cd_ef", "abc=", "abc#", "a+b/"}) {
    Direct t;
    ASSERT_OK(t.a.connection.CreateDataChannel(t.now(), {}));
    t.Offer(t.a);
    const std::string answer = absl::StrCat(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
        "c=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:",
        ufrag, "\r\na=ice-pwd:", ufrag, "0123456789012345678901\r\n",
        "a=fingerprint:", testing::CertificateOf(1).fingerprint().ToString(),
        "\r\na=setup:active\r\na=sctp-port:5000\r\n"
        "a=candidate:1 1 udp 7 192.0.2.2 5002 typ host\r\n");
    ASSERT_OK(t.SetRemote(t.a, SdpType::kAnswer, answer));
    t.network.RunFor(absl::Seconds(1));
    EXPECT_EQ(t.a.connection.connection_state(), ConnectionState::kConnecting);
    EXPECT_GT(t.a.connection.stats().ice.checks_sent, 0u) << ufrag;
  }
}

// Two offers cross each other, and each may restart ICE: who yields has taken
// his own back when he looks whether the other one does.
TEST(ConnectionNegotiation, OfTwoOffersThatCollideOneCounts) {
  for (const IceRestart own : {IceRestart::kNo, IceRestart::kYes}) {
    for (const IceRestart others : {IceRestart::kNo, IceRestart::kYes}) {
      for (const bool a_yields : {true, false}) {
        Direct t;
        const auto channel = t.a.connection.CreateDataChannel(t.now(), {});
        ASSERT_OK(channel);
        t.call.Negotiate(t.a);
        ASSERT_TRUE(t.call.Connected(absl::Seconds(5)));
        t.network.RunFor(absl::Seconds(1));
        Side& yields = a_yields ? t.a : t.b;
        Side& stays = a_yields ? t.b : t.a;
        ASSERT_OK(yields.connection.CreateOffer(own));
        ASSERT_OK(
            yields.connection.SetLocalDescription(t.now(), SdpType::kOffer));
        const auto offer = stays.connection.CreateOffer(others);
        ASSERT_OK(offer);
        ASSERT_OK(
            stays.connection.SetLocalDescription(t.now(), SdpType::kOffer));
        t.network.RunFor(absl::Milliseconds(100));
        ASSERT_OK(t.SetRemote(yields, SdpType::kOffer, *offer));
        ASSERT_OK(t.SetRemote(stays, SdpType::kAnswer, t.Answer(yields)));
        ASSERT_OK(t.a.connection.Send(t.now(), *channel, PayloadType::kText,
                                      {'h', 'i'}));
        t.network.RunFor(absl::Seconds(2));
        EXPECT_EQ(t.b.messages.size(), 1u);
        for (Side* side : {&t.a, &t.b}) {
          EXPECT_EQ(side->connection.signaling_state(),
                    SignalingState::kStable);
          EXPECT_TRUE(side->connected());
          EXPECT_TRUE(t.network.RunUntil(
              [&] {
                return side->connection.stats().ice_state ==
                       ice::AgentState::kCompleted;
              },
              absl::Seconds(30)))
              << (own == IceRestart::kYes) << (others == IceRestart::kYes)
              << a_yields << (side == &t.a) << side->connection.DebugString();
        }
      }
    }
  }
}

// A page that was reloaded offers anew; what its former self said is undone.
TEST(ConnectionNegotiation, AfterARollbackAnotherPeersOfferConnects) {
  for (const bool provisional : {false, true}) {
    Direct t;
    SeededRandom random(99);
    Connection former(testing::CertificateOf(0), {}, random);
    ASSERT_OK(
        former.AddLocalAddress(t.now(), {{IpAddress::V4(192, 0, 2, 9), 9}}));
    ASSERT_OK(former.CreateDataChannel(t.now(), {}));
    const std::string first = *former.CreateOffer();
    if (!provisional) t.Offer(t.b);
    ASSERT_OK(t.SetRemote(t.b, SdpType::kOffer, first));
    ASSERT_OK(t.b.connection.AddIceCandidate(
        t.now(), "candidate:1 1 udp 7 192.0.2.9 9 typ host", "0", 0));
    if (provisional) t.Answer(t.b, SdpType::kPranswer);
    t.network.RunFor(absl::Seconds(1));
    ASSERT_OK(t.b.connection.Rollback(t.now()));
    ASSERT_OK(t.a.connection.CreateDataChannel(t.now(), {}));
    t.call.Negotiate(t.a);
    EXPECT_TRUE(t.call.Connected(absl::Seconds(5))) << t.call.DebugString();
    EXPECT_EQ(t.b.connection.stats().ice.drop_wrong_username, 0u);
  }
}

// The second answer is another endpoint's: ours is known to both by one offer.
TEST(ConnectionNegotiation, AnAnswerMayComeFromAnotherThanTheProvisionalOne) {
  Direct t;
  SeededRandom random(99);
  Connection fork(testing::CertificateOf(1), {}, random);
  ASSERT_OK(t.a.connection.CreateDataChannel(t.now(), {}));
  const std::string offer = t.Offer(t.a);
  ASSERT_OK(fork.SetRemoteDescription(t.now(), SdpType::kOffer, offer));
  ASSERT_OK(t.SetRemote(t.a, SdpType::kPranswer, *fork.CreateAnswer()));
  t.network.RunFor(absl::Seconds(1));
  ASSERT_OK(t.SetRemote(t.b, SdpType::kOffer, offer));
  ASSERT_OK(t.SetRemote(t.a, SdpType::kAnswer, t.Answer(t.b)));
  EXPECT_TRUE(t.call.Connected(absl::Seconds(5))) << t.call.DebugString();
}

// The peer offers a restart, thinks better of it, and offers without one.
TEST(ConnectionNegotiation, AnOfferOfARestartMayBeReplacedByOneWithoutIt) {
  Direct direct;
  Side &a = direct.a, &b = direct.b;
  ASSERT_OK(a.connection.CreateDataChannel(direct.now(), {.label = "x"}));
  direct.call.Negotiate(a);
  ASSERT_TRUE(direct.call.Connected()) << direct.call.DebugString();
  const std::string before = b.connection.local_ufrag();
  const auto restart = a.connection.CreateOffer(IceRestart::kYes);
  ASSERT_OK(restart);
  ASSERT_OK(a.connection.SetLocalDescription(direct.now(), SdpType::kOffer));
  ASSERT_OK(direct.SetRemote(b, SdpType::kOffer, *restart));
  ASSERT_OK(b.connection.CreateAnswer());
  ASSERT_OK(a.connection.Rollback(direct.now()));

  ASSERT_OK(direct.SetRemote(b, SdpType::kOffer, direct.Offer(a)));
  ASSERT_OK(direct.SetRemote(a, SdpType::kAnswer, direct.Answer(b)));
  EXPECT_EQ(b.connection.local_ufrag(), before);
  ASSERT_TRUE(direct.call.Connected()) << direct.call.DebugString();
}

// Nothing of the offer is accepted: its candidates, whether they came before it
// or after the answer, are counted and gone, and keep no room from those of a
// later one, which has data.
TEST(ConnectionNegotiation, CandidatesOfARefusedDescriptionAreIgnored) {
  Direct t({.b = {.pending_candidates_max = 3}});
  t.call.trickle = false;
  Connection& b = t.b.connection;
  const auto add = [&](const std::string& ufrag) {
    return b.AddIceCandidate(
        t.now(), "candidate:1 1 udp 7 192.0.2.9 9 typ host", "0", 0, ufrag);
  };
  ASSERT_OK(add("gone"));
  ASSERT_OK(add(""));
  ASSERT_OK(add("next"));
  ASSERT_OK(t.SetRemote(
      t.b, SdpType::kOffer,
      "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
      "m=application 9 TCP/TLS/BFCP *\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
      "a=ice-ufrag:gone\r\na=ice-pwd:0123456789abcdefghijklmn\r\n"
      "a=setup:actpass\r\na=fingerprint:sha-256 " +
          absl::StrCat(absl::StrJoin(std::vector<std::string>(32, "AA"), ":"),
                       "\r\n")));
  EXPECT_EQ(b.stats().counters.ignored_candidates, 0u);
  EXPECT_TRUE(absl::StrContains(t.Answer(t.b), "m=application 0 "));
  EXPECT_EQ(b.signaling_state(), SignalingState::kStable);
  EXPECT_EQ(b.stats().counters.ignored_candidates, 2u);  // "next" waits.
  for (int i = 0; i < 10; ++i) EXPECT_OK(add(i % 2 ? "gone" : ""));
  EXPECT_EQ(b.stats().counters.ignored_candidates, 12u);
  // What waits for ever has its bound.
  EXPECT_OK(add("never"));
  EXPECT_OK(add("never"));
  EXPECT_TRUE(absl::IsResourceExhausted(add("never")));
}

TEST(ConnectionNegotiation, CandidatesWaitForTheDescriptionTheyName) {
  Direct t;
  t.call.trickle = false;
  ASSERT_OK(t.a.connection.CreateDataChannel(t.now(), {}));
  t.call.Negotiate(t.a);
  t.network.RunFor(absl::Seconds(1));
  ASSERT_OK(t.b.connection.AddIceCandidate(
      t.now(), "candidate:1 1 udp 7 192.0.2.9 9 typ host ufrag next1", "0", 0));
  // It is neither used nor lost: bounded, and beyond the bound counted.
  for (int i = 0; i < 150; ++i) {
    EXPECT_OK(t.b.connection.AddIceCandidate(
        t.now(), "candidate:1 1 udp 7 192.0.2.9 9 typ host ufrag next1", "0",
        0));
  }
  EXPECT_EQ(t.b.connection.stats().counters.ignored_candidates, 51u);
}

// Candidates that say no generation come between our restart's offer and its
// answer: late ones of before, or such as have overtaken the answer.
class ConnectionRestartTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(t_.a.connection.CreateDataChannel(t_.now(), {}));
    t_.call.Negotiate(t_.a);
    ASSERT_TRUE(t_.call.Connected());
    t_.network.RunFor(absl::Seconds(1));
    t_.call.trickle = false;
    offer_ = *t_.a.connection.CreateOffer(IceRestart::kYes);
    ASSERT_OK(t_.a.connection.SetLocalDescription(t_.now(), SdpType::kOffer));
    ASSERT_OK(t_.SetRemote(t_.b, SdpType::kOffer, offer_));
    answer_ = Without(t_.Answer(t_.b));
    asked_.clear();
  }
  // Candidates and their end.
  static std::string Without(const std::string& sdp) {
    std::string rest;
    for (const absl::string_view line : absl::StrSplit(sdp, "\r\n")) {
      if (line.empty() || absl::StartsWith(line, "a=candidate") ||
          line == "a=end-of-candidates") {
        continue;
      }
      absl::StrAppend(&rest, line, "\r\n");
    }
    return rest;
  }
  absl::Status Tell(absl::string_view candidate) {
    return t_.a.connection.AddIceCandidate(t_.now(), candidate, "0", 0);
  }
  // Whether the peer had told all, each time that our agent thought about a
  // nomination.
  static ice::NominationAnswer Ask(const void* asked,
                                   const ice::NominationQuestion& question) {
    auto* const* vector = static_cast<std::vector<bool>* const*>(asked);
    (*vector)->push_back(question.remote_done);
    return ice::DefaultNomination(question);
  }

  std::vector<bool> asked_;
  std::vector<bool>* const asked_of_ = &asked_;
  Direct t_{
      {.a = {.ice = {.policy = {.context = &asked_of_, .nominate = &Ask}}}}};
  std::string offer_;
  std::string answer_;
};

TEST_F(ConnectionRestartTest, AnEndBeforeTheAnswerIsNotThatOfTheNewCandidates) {
  ASSERT_OK(Tell(""));
  ASSERT_OK(t_.SetRemote(t_.a, SdpType::kAnswer, answer_));
  ASSERT_TRUE(
      t_.network.RunUntil([&] { return !asked_.empty(); }, absl::Seconds(5)));
  EXPECT_FALSE(asked_[0]);
  ASSERT_OK(Tell(""));
  t_.network.RunFor(absl::Seconds(1));
  EXPECT_TRUE(t_.a.connected());
}

TEST_F(ConnectionRestartTest, ACandidateBeforeTheAnswerIsCheckedAfterIt) {
  const uint64_t before = t_.a.connection.stats().ice.checks_sent;
  ASSERT_OK(Tell("candidate:9 1 udp 7 192.0.2.77 9 typ host"));
  t_.network.RunFor(absl::Milliseconds(500));
  EXPECT_EQ(t_.a.connection.stats().ice.checks_sent, before)
      << "the generation of before does not ask it";
  ASSERT_OK(t_.SetRemote(t_.a, SdpType::kAnswer, answer_));
  const auto asked = [&] {
    for (const ice::PairInfo& pair : t_.a.connection.stats().pairs) {
      if (pair.path.remote.ip == IpAddress::V4(192, 0, 2, 77)) {
        return pair.checks_sent > 0;
      }
    }
    return false;
  };
  EXPECT_TRUE(t_.network.RunUntil(asked, absl::Seconds(5)));
  EXPECT_TRUE(t_.call.Connected());
}

TEST(ConnectionNegotiation, MediaThatSharesTheTransportIsParkedAndDataFlows) {
  Direct t;
  t.call.trickle = false;
  const ChannelId chat =
      *t.a.connection.CreateDataChannel(t.now(), {.label = "chat"});
  t.Offer(t.a);
  t.network.RunFor(absl::Seconds(1));  // Gathered.
  const std::string offer = WithAudio(*t.a.connection.LocalDescription());
  ASSERT_OK(t.SetRemote(t.b, SdpType::kOffer, offer));
  const std::string answer = t.Answer(t.b);
  EXPECT_TRUE(absl::StrContains(answer, "a=group:BUNDLE a 0\r\n"));
  EXPECT_TRUE(absl::StrContains(answer, "m=audio 9 UDP/TLS/RTP/SAVPF 111"));
  EXPECT_TRUE(absl::StrContains(answer, "a=inactive\r\n"));
  // Under any mid of the bundle.
  for (const char* mid : {"a", "0"}) {
    ASSERT_OK(t.b.connection.AddIceCandidate(
        t.now(),
        absl::StrCat("candidate:9 1 udp 7 ", kA.ip.ToString(), " ", kA.port,
                     " typ host"),
        mid, 0));
  }
  EXPECT_EQ(t.b.connection.stats().counters.ignored_candidates, 0u);
  // Ours has data alone, so it is answered so.
  const size_t audio = answer.find("m=audio");
  const size_t data = answer.find("m=application");
  std::string ours = answer;
  ours.erase(audio, data - audio);
  ASSERT_OK(
      t.SetRemote(t.a, SdpType::kAnswer,
                  absl::StrReplaceAll(ours, {{"BUNDLE a 0", "BUNDLE 0"}})));
  ASSERT_TRUE(t.call.Connected()) << t.call.DebugString();
  t.network.RunFor(absl::Seconds(1));
  EXPECT_OK(t.a.connection.Send(t.now(), chat, PayloadType::kText, {'x'}));
  EXPECT_TRUE(t.network.RunUntil([&] { return t.b.messages.size() == 1; },
                                 absl::Seconds(1)));
}

TEST(ConnectionNegotiation, AnAnswerWithoutDataClosesNothing) {
  Direct t;
  ASSERT_OK(t.a.connection.CreateDataChannel(t.now(), {}));
  t.Offer(t.a);
  ASSERT_OK(t.SetRemote(t.a, SdpType::kAnswer,
                        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
                        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"
                        "c=IN IP4 0.0.0.0\r\na=mid:0\r\n"));
  t.network.RunFor(absl::Seconds(2));
  EXPECT_FALSE(t.a.closed);
  EXPECT_EQ(t.a.connection.signaling_state(), SignalingState::kStable);
  // It was asked, and not in vain for ever: the next offer brings it.
  EXPECT_FALSE(t.a.connection.TakeNegotiationNeeded());
  t.call.Negotiate(t.a);
  EXPECT_TRUE(t.call.Connected()) << t.call.DebugString();
}

TEST(ConnectionNegotiation, OneDescriptionMayBeSetSeveralTimes) {
  Direct t;
  ASSERT_OK(t.a.connection.CreateDataChannel(t.now(), {}));
  const std::string offer = t.Offer(t.a);
  ASSERT_OK(
      t.a.connection.SetLocalDescription(t.now(), SdpType::kOffer, offer));
  ASSERT_OK(t.SetRemote(t.b, SdpType::kOffer, offer));
  const std::string answer = t.Answer(t.b, SdpType::kPranswer);
  ASSERT_OK(
      t.b.connection.SetLocalDescription(t.now(), SdpType::kAnswer, answer));
  ASSERT_OK(t.SetRemote(t.a, SdpType::kPranswer, answer));
  ASSERT_OK(t.SetRemote(t.a, SdpType::kAnswer, answer));
  EXPECT_TRUE(t.call.Connected());
}

// A page hears of its channels' ends before that of the connection.
TEST(ConnectionNegotiation, ChannelsEndBeforeTheirConnection) {
  Direct t;
  ASSERT_OK(t.a.connection.CreateDataChannel(t.now(), {}));
  t.call.Negotiate(t.a);
  ASSERT_TRUE(t.call.Connected());
  t.network.RunFor(absl::Seconds(1));
  t.a.connection.Close(t.now());
  std::vector<std::string> order;
  while (const auto event = t.a.connection.PollEvent()) {
    if (std::holds_alternative<sctp::ChannelClosed>(*event)) {
      order.push_back("channel");
    } else if (std::holds_alternative<ConnectionStateChanged>(*event)) {
      order.push_back("connection");
    }
  }
  EXPECT_EQ(order, (std::vector<std::string>{"channel", "connection"}));
}

// What a description promises is what is kept, and nothing else is.
TEST(ConnectionNegotiation, OneNumberSaysWhatIsTaken) {
  CallOptions options;
  options.b.max_message_size = 1 << 20;
  options.b.sdp.max_message_size = 5;  // Not heeded.
  Direct t(options);
  const ChannelId c = *t.a.connection.CreateDataChannel(t.now(), {});
  t.call.Negotiate(t.a);
  ASSERT_TRUE(t.call.Connected());
  t.network.RunFor(absl::Seconds(1));
  EXPECT_EQ(t.a.connection.session().remote()->max_message_size, 1u << 20);
  EXPECT_OK(t.a.connection.Send(t.now(), c, PayloadType::kBinary,
                                std::vector<uint8_t>(1 << 20)));
  EXPECT_TRUE(t.network.RunUntil([&] { return t.b.messages.size() == 1; },
                                 absl::Seconds(30)));
  EXPECT_TRUE(t.a.connected() && t.b.connected());
}

// The least time between two checks that `ours` makes, of which nobody answers
// one, when the peer's offer says `theirs`.
absl::Duration Pacing(std::optional<absl::Duration> ours,
                      std::optional<absl::Duration> theirs) {
  CallOptions options;
  options.a.sdp.ice_pacing = theirs;
  options.b.sdp.ice_pacing = ours;
  Direct t(options);
  t.call.trickle = false;
  std::vector<absl::Time> sent;
  t.network.set_filter([&](const Datagram& d) {
    if (d.path.local == kB) sent.push_back(t.now());
    return false;
  });
  EXPECT_OK(t.a.connection.CreateDataChannel(t.now(), {}));
  EXPECT_OK(t.SetRemote(t.b, SdpType::kOffer, t.Offer(t.a)));
  t.Answer(t.b);
  for (int i = 0; i < 8; ++i) {
    EXPECT_OK(t.b.connection.AddIceCandidate(
        t.now(),
        absl::StrCat("candidate:", i, " 1 udp 2122260223 198.51.100.", i + 1,
                     " 9 typ host"),
        "0", 0));
  }
  t.network.RunFor(absl::Seconds(2));
  absl::Duration least = absl::InfiniteDuration();
  for (size_t i = 1; i < sent.size(); ++i) {
    least = std::min(least, sent[i] - sent[i - 1]);
  }
  return least;
}

// RFC 8839 section 5.5: whoever says nothing wants 50 ms.
TEST(ConnectionNegotiation, ChecksKeepToTheSlowerPacingOfBoth) {
  const auto ms = [](int n) { return absl::Milliseconds(n); };
  EXPECT_EQ(Pacing(std::nullopt, std::nullopt), ms(50));
  EXPECT_EQ(Pacing(std::nullopt, ms(120)), ms(120));
  EXPECT_EQ(Pacing(ms(120), std::nullopt), ms(120));
  EXPECT_EQ(Pacing(ms(5), std::nullopt), ms(50));
  EXPECT_EQ(Pacing(ms(5), ms(20)), ms(20));
  EXPECT_EQ(Pacing(ms(5), ms(5)), ms(5));
}

constexpr char kSctpInit[] = "a=sctp-init:";

// How long `d` takes from the offer until the answerer knows of a channel.
absl::Duration TimeToChannel(Direct& d) {
  EXPECT_OK(d.a.connection.CreateDataChannel(d.now(), {.label = "chat"}));
  const absl::Time start = d.now();
  d.call.Negotiate(d.a);
  EXPECT_TRUE(d.network.RunUntil(
      [&] { return !d.b.incoming.empty() && !d.a.opened.empty(); },
      absl::Seconds(5)));
  return d.now() - start;
}

TEST(Snap, SparesTheHandshakeOfSctp) {
  absl::Duration with_handshake;
  {
    Direct plain;
    with_handshake = TimeToChannel(plain);
  }
  Direct d({.a = {.snap = true}, .b = {.snap = true}});
  // One round trip of 20 ms: our data rides behind the cookie. Where it does
  // not, it is two.
  EXPECT_LE(TimeToChannel(d), with_handshake - absl::Milliseconds(19));
  ASSERT_EQ(d.b.incoming.size(), 1u);
  EXPECT_EQ(d.b.incoming[0].config.label, "chat");
  ASSERT_OK(d.b.connection.Send(d.now(), d.b.incoming[0].channel,
                                PayloadType::kText, {'h', 'i'}));
  d.network.RunFor(absl::Seconds(1));
  EXPECT_EQ(d.a.messages.size(), 1u);
  EXPECT_EQ(d.a.connection.stats().sctp.restarts, 0u);
}

// Whatever the other side makes of it, a channel opens.
TEST(Snap, FallsBackToTheHandshake) {
  for (const bool offered : {true, false}) {
    Direct d({.a = {.snap = offered}, .b = {.snap = !offered}});
    TimeToChannel(d);
    EXPECT_EQ(d.b.incoming.size(), 1u) << offered;
    EXPECT_EQ(absl::StrContains(*d.a.connection.LocalDescription(), kSctpInit),
              offered);
    EXPECT_FALSE(
        absl::StrContains(*d.b.connection.LocalDescription(), kSctpInit));
  }
}

// Row H35 of the hostile inputs; and libdatachannel, which sends back in its
// answer what it does not know.
TEST(Snap, H35IgnoresWhatIsNoInit) {
  for (const char* value : {"AAAA", "AQAAFA==", "%%", "AQ"}) {
    SCOPED_TRACE(value);
    Direct d({.a = {.snap = true}, .b = {.snap = true}});
    ASSERT_OK(d.a.connection.CreateDataChannel(d.now(), {}));
    std::string offer = d.Offer(d.a);
    const size_t at = offer.find(kSctpInit) + strlen(kSctpInit);
    offer.replace(at, offer.find('\r', at) - at, value);
    ASSERT_OK(d.SetRemote(d.b, SdpType::kOffer, offer));
    const std::string answer = d.Answer(d.b);
    EXPECT_FALSE(absl::StrContains(answer, kSctpInit));
    ASSERT_OK(d.SetRemote(d.a, SdpType::kAnswer, answer));
    EXPECT_TRUE(d.network.RunUntil([&] { return !d.b.incoming.empty(); },
                                   absl::Seconds(5)));
  }
}

TEST(Snap, AnAnswerThatRepeatsOursMeansNothing) {
  Direct d({.a = {.snap = true}});
  ASSERT_OK(d.a.connection.CreateDataChannel(d.now(), {}));
  const std::string offer = d.Offer(d.a);
  const size_t at = offer.find(kSctpInit);
  ASSERT_OK(d.SetRemote(d.b, SdpType::kOffer, offer));
  const std::string answer =
      d.Answer(d.b) + offer.substr(at, offer.find('\n', at) + 1 - at);
  ASSERT_OK(d.SetRemote(d.a, SdpType::kAnswer, answer));
  EXPECT_TRUE(d.network.RunUntil([&] { return !d.b.incoming.empty(); },
                                 absl::Seconds(5)));
}

TEST(Snap, StaysThroughAnIceRestart) {
  Direct d({.a = {.snap = true}, .b = {.snap = true}});
  TimeToChannel(d);
  ASSERT_TRUE(d.call.Connected());
  d.call.Negotiate(d.b, IceRestart::kYes);
  d.network.RunFor(absl::Seconds(2));
  EXPECT_EQ(d.a.connection.signaling_state(), SignalingState::kStable);
  ASSERT_OK(
      d.a.connection.Send(d.now(), d.a.opened[0], PayloadType::kText, {'x'}));
  d.network.RunFor(absl::Seconds(1));
  EXPECT_EQ(d.b.messages.size(), 1u);
  EXPECT_EQ(d.a.connection.stats().sctp.restarts, 0u);
}

absl::Duration TimeToChannel(bool snap, bool sped) {
  const Options options{.snap = snap, .sped = sped};
  Direct d({.a = options, .b = options});
  const absl::Duration time = TimeToChannel(d);
  EXPECT_TRUE(d.call.Connected());
  EXPECT_EQ(d.a.connection.stats().sctp.restarts, 0u);
  return time;
}

// A round trip takes 20 ms, the descriptions as long both together, and twice
// that with the delay of signaling.
TEST(Sped, SparesTheRoundTripOfTheChecks) {
  const absl::Duration plain = TimeToChannel(false, false);
  EXPECT_LE(TimeToChannel(false, true), plain - absl::Milliseconds(19));
  EXPECT_LE(TimeToChannel(true, true), plain - 2 * absl::Milliseconds(19));
}

TEST(Sped, AndSnapOpenAChannelInTwoRoundTrips) {
  CallOptions options{.a = {.snap = true, .sped = true},
                      .b = {.snap = true, .sped = true},
                      .signaling_delay = absl::ZeroDuration()};
  Direct d(options);
  EXPECT_LE(TimeToChannel(d), 2 * absl::Milliseconds(20));
}

TEST(Sped, WithOneSideOnlyItIsAsBefore) {
  for (const bool offerer : {true, false}) {
    SCOPED_TRACE(offerer);
    Direct d({.a = {.sped = offerer}, .b = {.sped = !offerer}});
    TimeToChannel(d);
    EXPECT_TRUE(d.call.Connected());
    EXPECT_EQ(d.b.incoming.size(), 1u);
  }
}

// The flights that nobody acknowledged go again by themselves.
TEST(Sped, SurvivesLossOfTheFirstPackets) {
  for (int lost = 1; lost <= 12; ++lost) {
    SCOPED_TRACE(lost);
    Direct d(
        {.a = {.snap = true, .sped = true}, .b = {.snap = true, .sped = true}});
    int count = 0;
    d.network.set_filter([&](const auto&) { return ++count != lost; });
    TimeToChannel(d);
    EXPECT_TRUE(d.call.Connected());
    EXPECT_EQ(d.b.incoming.size(), 1u);
  }
}

}  // namespace
}  // namespace kyuu::peer
