// What a remote description may not say (RFC 9429 section 5.8.3, and the rows
// S14 to S17 of the audit history).

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/testing.h"
#include "sdp/session.h"
#include "sdp/testing/session_fixture.h"
#include "sdp/testing/testdata.h"

namespace kyuu::sdp {
namespace {

using ::testing::HasSubstr;

const auto kInvalid = StatusIs(absl::StatusCode::kInvalidArgument);
using Edits = std::vector<std::pair<std::string, std::string>>;

std::string FingerprintLine() {
  return absl::StrCat("a=fingerprint:", FingerprintOf('r').ToString(), "\r\n");
}

const char kMediaLines[] =
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
    "c=IN IP4 0.0.0.0\r\n";

struct Row {
  const char* name;
  Edits edits;
  const char* message;  // Part of the error.
};

TEST(SessionRefusalsTest, S16AndOtherOffers) {
  const Row rows[] = {
      {"no ufrag", {{"a=ice-ufrag:rem1\r\n", ""}}, "ice-ufrag missing"},
      {"no password",
       {{"a=ice-pwd:remoteremoteremotermt1\r\n", ""}},
       "ice-pwd missing"},
      {"no fingerprint", {{FingerprintLine(), ""}}, "fingerprint missing"},
      {"SHA-1 alone",
       {{FingerprintLine(),
         "a=fingerprint:sha-1 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"
         "00:11:22:33\r\n"}},
       "acceptable hash"},
      {"short digest",
       {{FingerprintLine(), "a=fingerprint:sha-256 00:11\r\n"}},
       "RFC 8122"},
      {"weak media level over strong session level",
       {{FingerprintLine(), "a=fingerprint:md5 00\r\n"},
        {"t=0 0\r\n", "t=0 0\r\n" + FingerprintLine()}},
       "acceptable hash"},
      {"no setup", {{"a=setup:actpass\r\n", ""}}, "setup missing"},
      {"holdconn", {{"actpass", "holdconn"}}, "setup:holdconn"},
      {"sctp-port 65536", {{":5000", ":65536"}}, "sctp-port must be"},
      {"unknown setup", {{"actpass", "both"}}, "setup is no role"},
      {"group names a stranger",
       {{"BUNDLE 0", "BUNDLE 0 1"}},
       "which no m= section has"},
      {"mid missing though bundled",
       {{"a=mid:0\r\n", ""}},
       "which no m= section has"},
      {"bundled twice", {{"BUNDLE 0", "BUNDLE 0 0"}}, "bundled twice"},
      {"mid twice",
       {{"m=application", "m=audio 9 X 0\r\na=mid:0\r\nm=application"}},
       "used twice"},
      {"bundle-only alone",
       {{"a=group:BUNDLE 0\r\n", ""}, {"a=mid:0", "a=bundle-only\r\na=mid:0"}},
       "bundle-only outside"},
      {"SDES",
       {{"a=mid:0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\na=mid:0"}},
       "a=crypto"},
      {"short password in a bundle-only section",
       {{"application 9", "application 0"},
        {"a=mid:0", "a=bundle-only\r\na=mid:0"},
        {"remoteremoteremotermt1", "short"}},
       "ice-pwd malformed"},
  };
  for (const Row& row : rows) {
    SeededRandom random(1);
    Session session({}, random);
    const auto change = session.SetRemote(
        SdpType::kOffer, absl::StrReplaceAll(ForeignOffer(), row.edits));
    ASSERT_THAT(change, kInvalid) << row.name;
    EXPECT_THAT(std::string(change.status().message()), HasSubstr(row.message))
        << row.name;
    EXPECT_TRUE(PositionOf(change.status())) << row.name;
    EXPECT_EQ(session.state(), SignalingState::kStable) << row.name;
  }
}

TEST(SessionRefusalsTest, Answers) {
  const Row rows[] = {
      {"too many sections",
       {{"m=application", "m=audio 0 X 0\r\nm=application"}},
       "2 m= sections answer an offer of 1"},
      {"other media", {{"m=application", "m=audio"}}, "media type differs"},
      {"other protocol", {{"UDP/DTLS", "TCP/DTLS"}}, "protocol differs"},
      {"other format", {{"webrtc-datachannel", "x"}}, "not the data channel"},
      {"other mid",
       {{"a=group:BUNDLE 0\r\n", ""}, {"a=mid:0", "a=mid:1"}},
       "mid differs"},
      {"rejected and bundled",
       {{"application 9", "application 0"}},
       "is in the BUNDLE group"},
      {"actpass", {{"setup:active", "setup:actpass"}}, "setup:actpass"},
      {"holdconn", {{"setup:active", "setup:holdconn"}}, "setup:holdconn"},
      {"no fingerprint", {{FingerprintLine(), ""}}, "fingerprint missing"},
      {"no ufrag", {{"a=ice-ufrag:rem1\r\n", ""}}, "ice-ufrag missing"},
      {"no sections",
       {{"a=group:BUNDLE 0\r\n", ""}, {kMediaLines, ""}},
       "0 m= sections answer an offer of 1"},
  };
  const std::string answer =
      absl::StrReplaceAll(ForeignOffer(), {{"actpass", "active"}});
  for (const Row& row : rows) {
    SeededRandom random(1);
    Session session({}, random);
    ASSERT_OK(session.CreateOffer(TransportOf('a')));
    ASSERT_OK(session.SetLocal(SdpType::kOffer));
    for (const SdpType type : {SdpType::kPranswer, SdpType::kAnswer}) {
      const auto change =
          session.SetRemote(type, absl::StrReplaceAll(answer, row.edits));
      ASSERT_THAT(change, kInvalid) << row.name;
      EXPECT_THAT(std::string(change.status().message()),
                  HasSubstr(row.message))
          << row.name;
    }
    EXPECT_EQ(session.state(), SignalingState::kHaveLocalOffer) << row.name;
    // The right answer is still taken (CVE-2021-21375).
    EXPECT_OK(session.SetRemote(SdpType::kAnswer, answer)) << row.name;
  }
}

TEST(SessionRefusalsTest, ARejectedSectionStaysRejectedInTheAnswer) {
  SeededRandom random(1);
  Session session({}, random);
  const std::string offer = absl::StrReplaceAll(
      ForeignOffer(),
      {{"m=application",
        "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:a\r\nm=application"}});
  ASSERT_OK(session.SetRemote(SdpType::kOffer, offer));
  ASSERT_OK(session.CreateAnswer(TransportOf('a')));
  ASSERT_OK(session.SetLocal(SdpType::kAnswer));
  ASSERT_OK(session.CreateOffer(TransportOf('a')));
  ASSERT_OK(session.SetLocal(SdpType::kOffer));
  const std::string answer =
      absl::StrReplaceAll(offer, {{"actpass", "passive"}});
  const auto change = session.SetRemote(SdpType::kAnswer, answer);
  ASSERT_THAT(change, kInvalid);
  EXPECT_THAT(std::string(change.status().message()), HasSubstr("port 0"));
  EXPECT_OK(session.SetRemote(
      SdpType::kAnswer,
      absl::StrReplaceAll(answer, {{"m=audio 9", "m=audio 0"}})));
}

// A session that has answered ForeignOffer() in the active role.
void Answered(Session& session) {
  ASSERT_OK(session.SetRemote(SdpType::kOffer, ForeignOffer()));
  ASSERT_OK(session.CreateAnswer(TransportOf('a')));
  ASSERT_OK(session.SetLocal(SdpType::kAnswer));
}

const char kNewUfrag[] = "a=ice-ufrag:rem2\r\n";
const char kNewPwd[] = "a=ice-pwd:remoteremoteremotermt2\r\n";

TEST(SessionRefusalsTest, LaterOffers) {
  const std::pair<std::string, std::string> ufrag = {"a=ice-ufrag:rem1\r\n",
                                                     kNewUfrag};
  const std::pair<std::string, std::string> pwd = {
      "a=ice-pwd:remoteremoteremotermt1\r\n", kNewPwd};
  const std::pair<std::string, std::string> certificate = {
      FingerprintOf('r').ToString(), FingerprintOf('s').ToString()};
  const Row rows[] = {
      {"fewer sections",
       {{"a=group:BUNDLE 0\r\n", ""}, {kMediaLines, ""}},
       "offer has 0 m= sections"},
      {"other media",
       {{"m=application", "m=audio"}},
       "media type was application"},
      {"other mid",
       {{"BUNDLE 0", "BUNDLE 1"}, {"a=mid:0", "a=mid:1"}},
       "mid differs"},
      {"ufrag without password", {ufrag}, "only one of"},
      {"password without ufrag", {pwd}, "only one of"},
      {"other certificate", {certificate}, "without an ICE restart"},
      {"one more certificate",
       {{"a=setup",
         "a=fingerprint:" + FingerprintOf('s').ToString() + "\r\na=setup"}},
       "without an ICE restart"},
      {"ice-lite",
       {{"t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n"}},
       "ice-lite changed"},
      {"role", {{"actpass", "active"}}, "conflicts with the role"},
      {"role with an ICE restart alone",
       {ufrag, pwd, {"actpass", "active"}},
       "conflicts with the role"},
  };
  for (const Row& row : rows) {
    SeededRandom random(1);
    Session session({}, random);
    Answered(session);
    const auto change = session.SetRemote(
        SdpType::kOffer, absl::StrReplaceAll(ForeignOffer(), row.edits));
    ASSERT_THAT(change, kInvalid) << row.name;
    EXPECT_THAT(std::string(change.status().message()), HasSubstr(row.message))
        << row.name;
    EXPECT_EQ(session.remote()->ice_ufrag, "rem1") << row.name;
  }
  const Row allowed[] = {
      {"the same", {}, ""},
      {"our role confirmed", {{"actpass", "passive"}}, ""},
      {"ICE restart", {ufrag, pwd}, ""},
      {"restart with certificate", {ufrag, pwd, certificate}, ""},
      {"restart with certificate and role",
       {ufrag, pwd, certificate, {"actpass", "active"}},
       ""},
      {"restart with ice-lite",
       {ufrag, pwd, {"t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n"}},
       ""},
      {"rejected now",
       {{"a=group:BUNDLE 0\r\n", ""}, {"application 9", "application 0"}},
       ""},
  };
  for (const Row& row : allowed) {
    SeededRandom random(1);
    Session session({}, random);
    Answered(session);
    EXPECT_OK(session.SetRemote(SdpType::kOffer,
                                absl::StrReplaceAll(ForeignOffer(), row.edits)))
        << row.name;
  }
}

TEST(SessionRefusalsTest, LaterAnswers) {
  const std::string answer =
      absl::StrReplaceAll(ForeignOffer(), {{"actpass", "passive"}});
  const std::string renewed = absl::StrReplaceAll(
      answer, {{"a=ice-ufrag:rem1\r\n", kNewUfrag},
               {"a=ice-pwd:remoteremoteremotermt1\r\n", kNewPwd}});
  for (const char generation : {'1', '2'}) {
    SeededRandom random(1);
    Session session({}, random);
    Answered(session);
    ASSERT_OK(session.CreateOffer(TransportOf('a', generation)));
    ASSERT_OK(session.SetLocal(SdpType::kOffer));
    const bool restart = generation == '2';
    // Old credentials answer a restart, or new ones something else.
    EXPECT_THAT(session.SetRemote(SdpType::kAnswer, restart ? answer : renewed),
                kInvalid);
    EXPECT_OK(session.SetRemote(SdpType::kAnswer, restart ? renewed : answer));
  }
}

TEST(SessionRefusalsTest, TlsIdChangesOnlyWithARestart) {
  SeededRandom random(1);
  Session session({}, random);
  const std::string first = ForeignOffer("a=tls-id:aaaaaaaaaaaaaaaaaaaa\r\n");
  const std::string second = ForeignOffer("a=tls-id:bbbbbbbbbbbbbbbbbbbb\r\n");
  ASSERT_OK(session.SetRemote(SdpType::kOffer, first));
  ASSERT_OK(session.CreateAnswer(TransportOf('a')));
  ASSERT_OK(session.SetLocal(SdpType::kAnswer));
  EXPECT_THAT(session.SetRemote(SdpType::kOffer, second), kInvalid);
  const auto change = session.SetRemote(
      SdpType::kOffer,
      absl::StrReplaceAll(second,
                          {{"a=ice-ufrag:rem1\r\n", kNewUfrag},
                           {"a=ice-pwd:remoteremoteremotermt1\r\n", kNewPwd}}));
  ASSERT_OK(change);
  EXPECT_TRUE(change->data().dtls_restart);
}

TEST(SessionRefusalsTest, FingerprintsAreBounded) {
  std::string many;
  for (int i = 0; i < 16; ++i) many += FingerprintLine();
  SeededRandom random(1);
  Session session({}, random);
  EXPECT_THAT(session.SetRemote(SdpType::kOffer, ForeignOffer(many)), kInvalid);
}

// S15.
TEST(SessionRefusalsTest, LimitsReachTheParser) {
  SeededRandom random(1);
  Session session({.limits = {.bytes_max = 100}}, random);
  EXPECT_THAT(session.SetRemote(SdpType::kOffer, ForeignOffer()),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

// Whatever a bit does to an offer, the session takes it or refuses it, and
// answers only what it took.
TEST(SessionRefusalsTest, EveryFlippedBitOfAnOffer) {
  const std::string text = ReadTestdata("chromium-156-offer-data-mdns");
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    SeededRandom random(1);
    Session session({}, random);
    if (!session.SetRemote(SdpType::kOffer, flipped).ok()) {
      EXPECT_EQ(session.state(), SignalingState::kStable) << bit;
      continue;
    }
    const auto answer = session.CreateAnswer(TransportOf('a'));
    ASSERT_OK(answer) << bit;
    EXPECT_OK(session.SetLocal(SdpType::kAnswer)) << bit;
    EXPECT_EQ(Description::Parse(*answer)->media_count(),
              session.current_remote_description()->media_count());
  }
}

TEST(SessionRefusalsTest, EveryTruncationOfAnOffer) {
  const std::string text = ReadTestdata("firefox-153-offer-audio-video-data");
  for (size_t size = 0; size < text.size(); ++size) {
    SeededRandom random(1);
    Session session({}, random);
    if (!session.SetRemote(SdpType::kOffer, text.substr(0, size)).ok())
      continue;
    EXPECT_OK(session.CreateAnswer(TransportOf('a'))) << size;
    EXPECT_OK(session.SetLocal(SdpType::kAnswer)) << size;
  }
}

}  // namespace
}  // namespace kyuu::sdp
