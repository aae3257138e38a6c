#include "sdp/session.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/testing.h"
#include "sdp/testing/session_fixture.h"
#include "sdp/testing/testdata.h"

namespace kyuu::sdp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const auto kWrongState = StatusIs(absl::StatusCode::kFailedPrecondition);
const auto kInvalid = StatusIs(absl::StatusCode::kInvalidArgument);

ice::Candidate CandidateOf(absl::string_view line) {
  return ice::Candidate::Parse(line).value();
}

TEST(SessionTest, OfferSaysWhatJsepAsksFor) {
  SeededRandom random(5);
  Session session({}, random);
  const auto offer = session.CreateOffer(TransportOf('a'));
  ASSERT_OK(offer);
  const auto description = Description::Parse(*offer);
  ASSERT_OK(description);
  const std::string id = absl::StrCat(description->origin().session_id);
  EXPECT_LT(description->origin().session_id, uint64_t{1} << 63);
  EXPECT_EQ(*offer,
            absl::StrCat("v=0\r\no=- ", id,
                         " 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
                         "a=group:BUNDLE 0\r\n"
                         "a=ice-options:trickle ice2\r\n"
                         "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
                         "c=IN IP4 0.0.0.0\r\n"
                         "a=mid:0\r\n"
                         "a=ice-ufrag:aaa1\r\n"
                         "a=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaa1\r\n"
                         "a=fingerprint:",
                         FingerprintOf('a').ToString(),
                         "\r\na=setup:actpass\r\n"
                         "a=sctp-port:5000\r\n"
                         "a=max-message-size:262144\r\n"));
}

// The option of ICE that says SPED (draft-hancke-webrtc-sped).
TEST(SessionTest, SpedIsSaidByBothWhoHaveIt) {
  for (const bool ours : {true, false}) {
    for (const bool theirs : {true, false}) {
      Couple couple;
      LocalTransport a = TransportOf('a');
      LocalTransport b = TransportOf('b');
      a.sped = ours;
      b.sped = theirs;
      couple.Negotiate(couple.a, a, couple.b, b);
      EXPECT_EQ(couple.b.remote()->sped, ours);
      EXPECT_EQ(couple.a.remote()->sped, ours && theirs);
      EXPECT_TRUE(couple.a.remote()->trickle && couple.a.remote()->ice2);
    }
  }
}

TEST(SessionTest, OptionsAreWritten) {
  SeededRandom random(5);
  Session session({.max_message_size = 0,
                   .sctp_port = 6000,
                   .ice_pacing = absl::Milliseconds(5),
                   .msid_semantic = true},
                  random);
  const std::string offer = session.CreateOffer(TransportOf('a')).value();
  EXPECT_THAT(offer, HasSubstr("a=max-message-size:0\r\n"));
  EXPECT_THAT(offer, HasSubstr("a=sctp-port:6000\r\n"));
  EXPECT_THAT(offer, HasSubstr("a=ice-pacing:5\r\n"));
  EXPECT_THAT(offer, HasSubstr("a=msid-semantic: WMS\r\n"));
}

TEST(SessionTest, CandidatesAndDefaultDestinationAreWritten) {
  SeededRandom random(5);
  Session session({}, random);
  LocalTransport local = TransportOf('a');
  local.candidates = {
      CandidateOf("candidate:1 1 udp 2130706431 fd00::1 1000 typ host"),
      CandidateOf("candidate:2 1 udp 2130706430 10.0.0.1 1001 typ host"),
      CandidateOf("candidate:3 1 udp 1694498815 192.0.2.1 1002 typ srflx "
                  "raddr 0.0.0.0 rport 0"),
      CandidateOf("candidate:4 1 tcp 99 192.0.2.9 9 typ relay raddr 0.0.0.0 "
                  "rport 0 tcptype active"),
  };
  local.end_of_candidates = true;
  const std::string offer = session.CreateOffer(local).value();
  EXPECT_THAT(offer, HasSubstr("m=application 1002 UDP/DTLS/SCTP "
                               "webrtc-datachannel\r\nc=IN IP4 192.0.2.1\r\n"));
  EXPECT_THAT(offer, HasSubstr("a=candidate:2 1 udp 2130706430 10.0.0.1 1001 "
                               "typ host\r\n"));
  EXPECT_TRUE(absl::EndsWith(offer, "a=end-of-candidates\r\n"));

  // A hidden address stays hidden.
  local.candidates = {
      CandidateOf("candidate:1 1 udp 2130706431 x.local 1000 typ host")};
  EXPECT_THAT(session.CreateOffer(local).value(),
              HasSubstr("m=application 9 UDP/DTLS/SCTP "
                        "webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"));
}

TEST(SessionTest, ALiteAgentSaysSoInOffersAndAnswers) {
  Couple couple;
  LocalTransport a = TransportOf('a'), b = TransportOf('b');
  a.ice_lite = b.ice_lite = true;
  const std::string offer = couple.a.CreateOffer(a).value();
  // Of the session (RFC 8839 section 5.3).
  EXPECT_LT(offer.find("a=ice-lite\r\n"), offer.find("m="));
  EXPECT_EQ(couple.a.CreateOffer(TransportOf('a')).value().find("ice-lite"),
            std::string::npos);
  ASSERT_OK(couple.b.SetRemote(SdpType::kOffer, offer));
  EXPECT_TRUE(couple.b.remote()->ice_lite);
  const std::string answer = couple.b.CreateAnswer(b).value();
  EXPECT_LT(answer.find("a=ice-lite\r\n"), answer.find("m="));
}

TEST(SessionTest, TwoSessionsAgree) {
  Couple couple;
  const std::string offer = couple.a.CreateOffer(TransportOf('a')).value();
  const Change offered = couple.a.SetLocal(SdpType::kOffer).value();
  EXPECT_EQ(offered.state, SignalingState::kHaveLocalOffer);
  EXPECT_TRUE(offered.data().local_ice);
  EXPECT_FALSE(offered.data().ice_restart);
  EXPECT_FALSE(offered.data().answered);
  EXPECT_FALSE(couple.a.remote());
  EXPECT_TRUE(couple.a.offerer());
  EXPECT_EQ(couple.a.tag_mid(), "0");

  const Change got = couple.b.SetRemote(SdpType::kOffer, offer).value();
  EXPECT_TRUE(got.data().remote_ice);
  EXPECT_FALSE(got.data().local_ice);
  ASSERT_TRUE(couple.b.remote());
  EXPECT_EQ(couple.b.remote()->ice_ufrag, "aaa1");
  EXPECT_EQ(couple.b.remote()->tag, "0");
  EXPECT_EQ(couple.b.remote()->local_setup, std::nullopt);
  EXPECT_TRUE(couple.b.remote()->trickle);
  EXPECT_TRUE(couple.b.remote()->ice2);
  EXPECT_FALSE(couple.b.offerer());

  const std::string answer = couple.b.CreateAnswer(TransportOf('b')).value();
  EXPECT_THAT(answer, HasSubstr("a=group:BUNDLE 0\r\n"));
  EXPECT_THAT(answer, HasSubstr("a=ice-options:trickle ice2\r\n"));
  EXPECT_THAT(answer, HasSubstr("a=setup:active\r\n"));
  const Change answered = couple.b.SetLocal(SdpType::kAnswer).value();
  EXPECT_TRUE(answered.data().answered);
  EXPECT_TRUE(answered.data().local_ice);
  EXPECT_EQ(couple.b.remote()->local_setup, sdp::Setup::kActive);

  const Change done = couple.a.SetRemote(SdpType::kAnswer, answer).value();
  EXPECT_TRUE(done.data().answered);
  EXPECT_TRUE(done.data().remote_ice);
  EXPECT_FALSE(done.data().ice_restart);
  EXPECT_FALSE(done.data().dtls_restart);
  EXPECT_FALSE(done.data().ended);
  const TransportParameters& remote = *couple.a.remote();
  EXPECT_EQ(remote.local_setup, sdp::Setup::kPassive);
  EXPECT_EQ(remote.ice_pwd, TransportOf('b').ice_pwd);
  EXPECT_THAT(remote.fingerprints, ElementsAre(FingerprintOf('b')));
  EXPECT_EQ(remote.max_message_size, 262144u);
  EXPECT_EQ(remote.sctp_port, 5000);
  EXPECT_TRUE(couple.a.offerer());
  EXPECT_FALSE(couple.b.offerer());
  EXPECT_EQ(couple.a.pending_local_description(), nullptr);
  EXPECT_EQ(couple.a.current_local_description()->ToString(), offer);
  EXPECT_EQ(couple.a.current_remote_description()->ToString(), answer);
}

TEST(SessionTest, BrowsersOffersAreAnsweredWithMediaParked) {
  for (const absl::string_view name : kBrowserOffers) {
    SeededRandom random(5);
    Session session({}, random);
    const std::string text = ReadTestdata(name);
    const auto change = session.SetRemote(SdpType::kOffer, text);
    ASSERT_OK(change) << name;
    EXPECT_TRUE(change->data().remote_ice && change->data().remote_candidates)
        << name;
    const auto answer = session.CreateAnswer(TransportOf('b'));
    ASSERT_OK(answer) << name;
    const Description offered = Description::Parse(text).value();
    const Description ours = Description::Parse(*answer).value();
    ASSERT_EQ(ours.media_count(), offered.media_count()) << name;
    const size_t last = ours.media_count() - 1;
    for (size_t i = 0; i <= last; ++i) {
      const MediaSection section = ours.media(i);
      EXPECT_EQ(section.media(), offered.media(i).media()) << name;
      EXPECT_EQ(section.protocol(), offered.media(i).protocol()) << name;
      EXPECT_EQ(section.formats(), offered.media(i).formats()) << name;
      EXPECT_EQ(section.mid(), offered.media(i).mid()) << name;
      EXPECT_EQ(section.port(), 9) << name;
      EXPECT_EQ(section.Has(AttributeType::kInactive), i != last) << name;
      EXPECT_EQ(section.Has(AttributeType::kRtcpMux), i != last) << name;
      EXPECT_EQ(section.ice_ufrag(), "bbb1") << name;
      EXPECT_EQ(section.setup(), sdp::Setup::kActive) << name;
    }
    EXPECT_EQ(ours.BundleGroups(), offered.BundleGroups()) << name;
    EXPECT_TRUE(ours.session().HasIceOption("trickle"));
    EXPECT_FALSE(ours.session().HasIceOption("ice2"));
    EXPECT_EQ(ours.media(last).setup(), sdp::Setup::kActive);
    ASSERT_OK(session.SetLocal(SdpType::kAnswer));
    EXPECT_EQ(session.tag_mline_index(), 0u);
    EXPECT_EQ(session.sections().at(last).use, Section::Use::kAccepted);
  }
}

TEST(SessionTest, ReadsBrowsersTransports) {
  SeededRandom random(5);
  Session chromium({}, random);
  ASSERT_OK(chromium.SetRemote(SdpType::kOffer,
                               ReadTestdata("chromium-156-offer-data-mdns")));
  EXPECT_EQ(chromium.remote()->ice_ufrag, "c/Tc");
  ASSERT_EQ(chromium.remote()->candidates.size(), 2u);
  EXPECT_TRUE(chromium.remote()->candidates.Get()[0].is_mdns());
  EXPECT_FALSE(chromium.remote()->end_of_candidates);
  EXPECT_EQ(chromium.remote()->max_message_size, 262144u);

  Session firefox({}, random);
  ASSERT_OK(firefox.SetRemote(SdpType::kOffer,
                              ReadTestdata("firefox-153-offer-data-plain")));
  EXPECT_EQ(firefox.remote()->ice_ufrag, "f7428797");
  EXPECT_EQ(firefox.remote()->candidates.size(), 4u);
  EXPECT_TRUE(firefox.remote()->end_of_candidates);
  EXPECT_EQ(firefox.remote()->max_message_size, 1073741823u);
  EXPECT_EQ(firefox.remote()->fingerprints.size(), 1u);
}

// RFC 9429 section 7.2: the data section is bundle-only, and its transport
// stands with the tagged section a1.
TEST(SessionTest, JsepExampleB1) {
  SeededRandom random(5);
  Session session({}, random);
  ASSERT_OK(
      session.SetRemote(SdpType::kOffer, ReadTestdata("rfc9429-offer-B1")));
  const TransportParameters& remote = *session.remote();
  EXPECT_EQ(session.sections().at(1).mid, "d1");
  EXPECT_EQ(session.sections().at(1).use, Section::Use::kAccepted);
  EXPECT_EQ(remote.ice_ufrag, "ATEn");
  EXPECT_EQ(remote.ice_pwd, "AtSK0WpNtpUjkY4+86js7ZQl");
  EXPECT_EQ(remote.tls_id, "17f0f4ba8a5f1213faca591b58ba52a7");
  EXPECT_EQ(remote.max_message_size, 65536u);
  const std::string answer = session.CreateAnswer(TransportOf('b')).value();
  EXPECT_EQ(remote.tag, "a1");
  EXPECT_THAT(answer, HasSubstr("a=group:BUNDLE a1 d1\r\n"));
  EXPECT_THAT(
      answer,
      HasSubstr(absl::StrCat(
          "m=audio 9 UDP/TLS/RTP/SAVPF 96 0 8 97 98\r\nc=IN IP4 0.0.0.0\r\n"
          "a=mid:a1\r\na=inactive\r\na=rtpmap:96 opus/48000/2\r\n"
          "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
          "a=rtpmap:97 telephone-event/8000\r\n"
          "a=rtpmap:98 telephone-event/48000\r\na=fmtp:97 0-15\r\n"
          "a=fmtp:98 0-15\r\na=rtcp-mux\r\na=ice-ufrag:bbb1\r\n"
          "a=ice-pwd:bbbbbbbbbbbbbbbbbbbbbbb1\r\na=fingerprint:",
          FingerprintOf('b').ToString(),
          "\r\na=setup:active\r\nm=application 9 ")));
  EXPECT_THAT(answer, HasSubstr("m=application 9 UDP/DTLS/SCTP"));
  EXPECT_THAT(answer, Not(HasSubstr("bundle-only")));
  EXPECT_OK(session.SetLocal(SdpType::kAnswer));
}

// Its candidates come under mid a1, index 0; and under d1 they would be meant
// for the same transport.
TEST(SessionTest, CandidatesBelongToTheTransportNotToTheSection) {
  SeededRandom random(5);
  Session session({}, random);
  EXPECT_FALSE(session.Shares("a1", 0));
  ASSERT_OK(
      session.SetRemote(SdpType::kOffer, ReadTestdata("rfc9429-offer-B1")));
  EXPECT_TRUE(session.Shares("a1", 0));
  EXPECT_TRUE(session.Shares("d1", 7));
  EXPECT_TRUE(session.Shares("", 0));
  EXPECT_TRUE(session.Shares("", 1));
  EXPECT_FALSE(session.Shares("", 2));
  EXPECT_FALSE(session.Shares("v1", 0));
  // Ours are told, and written, with the tagged section.
  ASSERT_OK(session.CreateAnswer(TransportOf('b')));
  ASSERT_OK(session.SetLocal(SdpType::kAnswer));
  EXPECT_EQ(session.tag_mid(), "a1");
  EXPECT_EQ(session.tag_mline_index(), 0u);
  const auto ours = Description::Parse(
      session
          .LocalDescriptionWith(
              {*ice::Candidate::Parse("1 1 udp 7 192.0.2.1 5 typ host")}, true)
          .value());
  EXPECT_TRUE(ours->media(0).Has(AttributeType::kCandidate));
  EXPECT_EQ(ours->media(0).port(), 5);
  EXPECT_FALSE(ours->media(1).Has(AttributeType::kCandidate));
}

TEST(SessionTest, EmbeddedCandidatesOfTheTaggedSectionAreTheTransports) {
  SeededRandom random(5);
  Session session({}, random);
  // Chromium's balanced offer has ports of its own for each section, which go
  // with the bundle; Firefox's credentials stand with each section.
  for (const absl::string_view name : {"chromium-156-offer-audio-video-data",
                                       "firefox-153-offer-audio-video-data"}) {
    ASSERT_OK(session.SetRemote(SdpType::kOffer, ReadTestdata(name)));
    const Description offer = *Description::Parse(ReadTestdata(name));
    const uint16_t port = offer.media(0).port();
    ASSERT_FALSE(session.remote()->candidates.empty());
    EXPECT_EQ(session.remote()->candidates.Get()[0].address.port, port) << name;
    EXPECT_EQ(session.remote()->tag, "0") << name;
  }
}

TEST(SessionTest, SectionsSayWhatTheyAreUsedFor) {
  SeededRandom random(5);
  Session session({}, random);
  EXPECT_TRUE(session.sections().empty());
  ASSERT_OK(session.SetRemote(
      SdpType::kOffer,
      absl::StrReplaceAll(ReadTestdata("chromium-156-offer-audio-video-data"),
                          {{"BUNDLE 0 1 2", "BUNDLE 0 2"}})));
  ASSERT_OK(session.CreateAnswer(TransportOf('b')));
  ASSERT_OK(session.SetLocal(SdpType::kAnswer));
  const std::vector<Section> sections = session.sections();
  ASSERT_EQ(sections.size(), 3u);
  EXPECT_EQ(sections[0].use, Section::Use::kParked);
  EXPECT_EQ(sections[0].media, "audio");
  EXPECT_EQ(sections[0].direction, Direction::kInactive);
  EXPECT_EQ(sections[0].transport, "0");
  EXPECT_EQ(sections[1].use, Section::Use::kRejected);
  EXPECT_EQ(sections[1].transport, "");
  EXPECT_EQ(sections[2].use, Section::Use::kAccepted);
  EXPECT_EQ(sections[2].transport, "0");
}

TEST(SessionTest, TheFormFromBeforeTheRfcIsAnsweredInKind) {
  SeededRandom random(5);
  Session session({}, random);
  // aiortc 1.4 writes so.
  ASSERT_OK(session.SetRemote(
      SdpType::kOffer,
      absl::StrReplaceAll(
          ForeignOffer("a=sctpmap:5000 webrtc-datachannel 65535\r\n",
                       "m=application 9 DTLS/SCTP 5000\r\n"),
          {{"a=sctp-port:5000\r\n", ""}})));
  EXPECT_EQ(session.remote()->sctp_port, 5000);
  EXPECT_EQ(session.remote()->max_message_size, 65536u);
  const std::string answer = session.CreateAnswer(TransportOf('b')).value();
  EXPECT_THAT(answer, HasSubstr("m=application 9 DTLS/SCTP 5000\r\n"));
  EXPECT_THAT(answer, HasSubstr("a=sctpmap:5000 webrtc-datachannel 65535\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("sctp-port")));
  ASSERT_OK(session.SetLocal(SdpType::kAnswer));
  // And offered in kind later.
  EXPECT_THAT(session.CreateOffer(TransportOf('b')).value(),
              HasSubstr("m=application 9 DTLS/SCTP 5000\r\n"));
}

TEST(SessionTest, OffersWithoutBundleMidOrTrickleAreAnsweredSo) {
  SeededRandom random(5);
  Session session({}, random);
  ASSERT_OK(session.SetRemote(
      SdpType::kOffer,
      absl::StrReplaceAll(ForeignOffer(), {{"a=group:BUNDLE 0\r\n", ""},
                                           {"a=mid:0\r\n", ""}})));
  EXPECT_EQ(session.remote()->tag, "");
  EXPECT_FALSE(session.remote()->trickle);
  const std::string answer = session.CreateAnswer(TransportOf('b')).value();
  EXPECT_THAT(answer, Not(HasSubstr("a=group")));
  EXPECT_THAT(answer, Not(HasSubstr("a=mid")));
  EXPECT_THAT(answer, Not(HasSubstr("a=ice-options")));
}

TEST(SessionTest, TheAnswerTakesTheRoleThatIsLeft) {
  struct Row {
    const char* offered;
    sdp::Setup option;
    sdp::Setup answered;
  };
  for (const Row& row :
       {Row{"actpass", sdp::Setup::kActive, sdp::Setup::kActive},
        Row{"actpass", sdp::Setup::kPassive, sdp::Setup::kPassive},
        Row{"active", sdp::Setup::kActive, sdp::Setup::kPassive},
        Row{"passive", sdp::Setup::kPassive, sdp::Setup::kActive}}) {
    SeededRandom random(5);
    Session session({.answer_setup = row.option}, random);
    ASSERT_OK(session.SetRemote(
        SdpType::kOffer,
        absl::StrReplaceAll(ForeignOffer(), {{"actpass", row.offered}})));
    ASSERT_OK(session.CreateAnswer(TransportOf('b')));
    ASSERT_OK(session.SetLocal(SdpType::kAnswer));
    EXPECT_EQ(session.remote()->local_setup, row.answered) << row.offered;
  }
}

TEST(SessionTest, ReadsEveryTransportAttribute) {
  SeededRandom random(5);
  Session session({}, random);
  ASSERT_OK(session.SetRemote(
      SdpType::kOffer,
      absl::StrReplaceAll(
          ForeignOffer("a=tls-id:0123456789abcdefghij\r\n"
                       "a=sctp-init:AQAAFA==\r\n"
                       "a=max-message-size:0\r\n"
                       "a=ice-options:ice2,trickle\r\n"
                       "a=candidate:1 1 udp 99 192.0.2.1 9 typ host\r\n"
                       "a=candidate:1 2 udp 98 192.0.2.1 9 typ host\r\n"
                       "a=candidate:1 1 ssltcp 9 192.0.2.1 9 typ host\r\n"
                       "a=candidate:1 1 udp 9 192.0.2.1 9 typ future\r\n"
                       "a=end-of-candidates\r\n"),
          {{"t=0 0\r\n", "t=0 0\r\na=ice-lite\r\na=ice-pacing:20\r\n"}})));
  const TransportParameters& remote = *session.remote();
  EXPECT_EQ(remote.tls_id, "0123456789abcdefghij");
  EXPECT_EQ(remote.sctp_init, "AQAAFA==");
  EXPECT_EQ(remote.max_message_size, 0u);
  EXPECT_TRUE(remote.ice_lite && remote.trickle && remote.ice2);
  EXPECT_EQ(remote.ice_pacing, absl::Milliseconds(20));
  EXPECT_EQ(remote.candidates.size(), 1u);
  EXPECT_TRUE(remote.end_of_candidates);
  EXPECT_EQ(session.stats().candidates_ignored, 3u);
}

TEST(SessionTest, CandidatesBeyondTheBoundAreDropped) {
  SeededRandom random(5);
  Session session({.candidates_max = 3}, random);
  std::string candidates;
  for (int i = 0; i < 10; ++i) {
    absl::StrAppend(&candidates, "a=candidate:", i,
                    " 1 udp 99 192.0.2.1 9 typ host\r\n");
  }
  ASSERT_OK(session.SetRemote(SdpType::kOffer, ForeignOffer(candidates)));
  EXPECT_EQ(session.remote()->candidates.size(), 3u);
  EXPECT_EQ(session.stats().candidates_dropped, 7u);
}

TEST(SessionTest, SessionVersionMovesWithTheContents) {
  SeededRandom random(5);
  Session session({}, random);
  const auto version = [](const std::string& text) {
    return Description::Parse(text)->origin().session_version;
  };
  const std::string first = session.CreateOffer(TransportOf('a')).value();
  EXPECT_EQ(version(first), 1u);
  EXPECT_EQ(session.CreateOffer(TransportOf('a')).value(), first);
  const std::string second = session.CreateOffer(TransportOf('a', '2')).value();
  EXPECT_EQ(version(second), 2u);
  // Also when an offer was rolled back (RFC 9429 section 5.2.2).
  ASSERT_OK(session.SetLocal(SdpType::kOffer));
  ASSERT_OK(session.Rollback());
  EXPECT_EQ(version(session.CreateOffer(TransportOf('a', '3')).value()), 3u);
}

TEST(SessionTest, OnlyTheCreatedDescriptionCanBeSet) {
  SeededRandom random(5);
  Session session({}, random);
  EXPECT_THAT(session.SetLocal(SdpType::kOffer), kWrongState);
  const std::string offer = session.CreateOffer(TransportOf('a')).value();
  EXPECT_THAT(session.SetLocal(SdpType::kOffer, offer + "a=x\r\n"), kInvalid);
  EXPECT_EQ(session.state(), SignalingState::kStable);
  EXPECT_OK(session.SetLocal(SdpType::kOffer, offer));
  // Again, and no other.
  EXPECT_OK(session.SetLocal(SdpType::kOffer, offer));
  EXPECT_THAT(session.SetLocal(SdpType::kOffer, offer + "a=x\r\n"), kInvalid);
  // W3C: an offer outlives a rollback, and the peer's that is taken back.
  ASSERT_OK(session.Rollback());
  ASSERT_OK(session.SetRemote(SdpType::kOffer, ForeignOffer()));
  ASSERT_OK(session.Rollback());
  EXPECT_OK(session.SetLocal(SdpType::kOffer, offer));
  ASSERT_OK(session.SetRemote(SdpType::kOffer, ForeignOffer()));
  const std::string answer = session.CreateAnswer(TransportOf('a')).value();
  ASSERT_OK(session.Rollback());
  EXPECT_THAT(session.SetLocal(SdpType::kOffer, offer), kWrongState);
  ASSERT_OK(session.SetRemote(SdpType::kOffer, ForeignOffer()));
  EXPECT_THAT(session.SetLocal(SdpType::kAnswer, answer), kWrongState);
}

TEST(SessionTest, LocalDescriptionGathersItsCandidates) {
  Couple couple;
  EXPECT_THAT(couple.a.LocalDescriptionWith({}, true), kWrongState);
  couple.Negotiate();
  const std::vector<ice::Candidate> candidates = {
      CandidateOf("candidate:2 1 udp 2130706430 10.0.0.1 1001 typ host")};
  const std::string before = couple.b.current_local_description()->ToString();
  EXPECT_EQ(couple.b.LocalDescriptionWith({}, false).value(), before);
  const std::string with =
      couple.b.LocalDescriptionWith(candidates, true).value();
  EXPECT_EQ(
      with,
      absl::StrCat(absl::StrReplaceAll(
                       before, {{"application 9 ", "application 1001 "},
                                {"0.0.0.0\r\na=mid", "10.0.0.1\r\na=mid"}}),
                   "a=candidate:2 1 udp 2130706430 10.0.0.1 1001 typ host\r\n"
                   "a=end-of-candidates\r\n"));
  // The peer that hears it again learns the candidates.
  Couple late;
  const std::string offer = late.a.CreateOffer(TransportOf('a')).value();
  ASSERT_OK(late.a.SetLocal(SdpType::kOffer));
  ASSERT_OK(late.b.SetRemote(SdpType::kOffer, offer));
  const Change change =
      late.b
          .SetRemote(SdpType::kOffer,
                     late.a.LocalDescriptionWith(candidates, true).value())
          .value();
  EXPECT_TRUE(change.data().remote_candidates);
  EXPECT_FALSE(change.data().remote_ice);
  EXPECT_EQ(late.b.remote()->candidates.Get(), candidates);
}

TEST(SessionTest, WhatCannotBeWrittenIsRefused) {
  SeededRandom random(5);
  Session session({}, random);
  LocalTransport local = TransportOf('a');
  local.fingerprints.clear();
  EXPECT_THAT(session.CreateOffer(local), kInvalid);
  for (const char* ufrag : {"", "abc", "abcd\r\na=ice-lite", "ab\ncd"}) {
    local = TransportOf('a');
    local.ice_ufrag = ufrag;
    EXPECT_THAT(session.CreateOffer(local), kInvalid) << ufrag;
  }
  local = TransportOf('a');
  local.ice_pwd = std::string("0123456789012345678901\0", 23);
  EXPECT_THAT(session.CreateOffer(local), kInvalid);
}

TEST(SessionTest, ClosedIsTheEnd) {
  Couple couple;
  couple.Negotiate();
  couple.a.Close();
  EXPECT_EQ(couple.a.state(), SignalingState::kClosed);
  EXPECT_THAT(couple.a.CreateOffer(TransportOf('a')), kWrongState);
  EXPECT_THAT(couple.a.CreateAnswer(TransportOf('a')), kWrongState);
  EXPECT_THAT(couple.a.SetRemote(SdpType::kOffer, ForeignOffer()), kWrongState);
  EXPECT_THAT(couple.a.Rollback(), kWrongState);
}

TEST(SessionTest, TypeNames) {
  for (const SdpType type :
       {SdpType::kOffer, SdpType::kPranswer, SdpType::kAnswer}) {
    EXPECT_EQ(ParseSdpType(SdpTypeName(type)), type);
  }
  EXPECT_EQ(ParseSdpType("rollback"), std::nullopt);
  EXPECT_EQ(SignalingStateName(SignalingState::kHaveRemotePranswer),
            "have-remote-pranswer");
}

}  // namespace
}  // namespace kyuu::sdp
