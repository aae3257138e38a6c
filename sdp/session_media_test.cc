// Audio and video of a peer, answered as the application says (RFC 9429 section
// 5.3.1): refused, parked, or accepted with the codec lines that it supplies.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/testing.h"
#include "sdp/codecs.h"
#include "sdp/session.h"
#include "sdp/testing/session_fixture.h"
#include "sdp/testing/testdata.h"

namespace kyuu::sdp {
namespace {

using Use = MediaCapability::Use;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kMid[] = "urn:ietf:params:rtp-hdrext:sdes:mid";

MediaCapability Audio() {
  return {.media = "audio",
          .use = Use::kAccept,
          .codecs = {{.encoding = "OPUS/48000/2",
                      .parameters = "minptime=20",
                      .feedback = {"transport-cc", "nack"}},
                     {.encoding = "PCMU/8000"}},
          .extensions = {kMid, "urn:nobody"}};
}

MediaCapability Video() {
  return {.media = "video",
          .use = Use::kAccept,
          .direction = Direction::kRecvonly,
          .codecs = {{.encoding = "H264/90000",
                      .required = "packetization-mode=1",
                      .feedback = {"nack", "nack pli"}},
                     {.encoding = "rtx/90000"}}};
}

// What a session with these capabilities answers to `offer`.
std::string AnswerTo(const std::string& offer,
                     std::vector<MediaCapability> media) {
  SeededRandom random(5);
  Session session({.media = std::move(media)}, random);
  EXPECT_OK(session.SetRemote(SdpType::kOffer, offer));
  const auto answer = session.CreateAnswer(TransportOf('b'));
  EXPECT_OK(answer);
  EXPECT_OK(session.SetLocal(SdpType::kAnswer));
  return answer.value_or("");
}

std::string ChromiumsOffer() {
  return ReadTestdata("chromium-156-offer-audio-video-data");
}

TEST(SessionMediaTest, IsAcceptedWithTheLinesOfTheApplication) {
  const std::string answer = AnswerTo(ChromiumsOffer(), {Audio(), Video()});
  EXPECT_THAT(answer, HasSubstr("a=group:BUNDLE 0 1 2\r\n"));
  EXPECT_THAT(
      answer,
      HasSubstr("m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\n"
                "a=mid:0\r\na=sendrecv\r\na=rtpmap:111 opus/48000/2\r\n"
                "a=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=20\r\n"
                "a=rtpmap:0 PCMU/8000\r\na=rtcp-mux\r\n"));
  EXPECT_THAT(answer, HasSubstr(absl::StrCat(" ", kMid, "\r\n")));
  EXPECT_THAT(answer, Not(HasSubstr("urn:nobody")));
  const auto description = Description::Parse(answer);
  ASSERT_OK(description);
  EXPECT_OK(description->Strict());
  const MediaSection video = description->media(1);
  EXPECT_EQ(video.direction(), Direction::kRecvonly);
  const std::vector<Codec> codecs = Codecs(video);
  ASSERT_FALSE(codecs.empty());
  std::vector<std::string> repaired;
  for (const Codec& codec : codecs) {
    if (codec.encoding == "H264") {
      EXPECT_EQ(codec.parameters.Get("packetization-mode"), "1");
      EXPECT_EQ(codec.feedback.size(), 2u);
    } else {
      EXPECT_EQ(codec.encoding, "rtx");
      repaired.emplace_back(codec.parameters.Get("apt").value());
    }
  }
  // Each of the others is repaired, and nothing that was not accepted.
  ASSERT_EQ(repaired.size() * 2, codecs.size());
  for (size_t i = 0; i < repaired.size(); ++i) {
    EXPECT_EQ(repaired[i], absl::StrCat(codecs[i].payload_type));
  }
}

TEST(SessionMediaTest, DirectionIsWhatTheOfferLeaves) {
  struct Row {
    absl::string_view offered;
    Direction ours;
    absl::string_view answered;
  };
  for (const Row& row : {
           Row{"sendrecv", Direction::kSendrecv, "sendrecv"},
           Row{"sendrecv", Direction::kSendonly, "sendonly"},
           Row{"sendonly", Direction::kSendrecv, "recvonly"},
           Row{"recvonly", Direction::kSendrecv, "sendonly"},
           Row{"recvonly", Direction::kRecvonly, "inactive"},
           Row{"inactive", Direction::kSendrecv, "inactive"},
       }) {
    MediaCapability audio = Audio();
    audio.direction = row.ours;
    std::string offer = ChromiumsOffer();
    const auto before = Description::Parse(offer)->media(0).direction();
    offer = absl::StrReplaceAll(
        offer, {{absl::StrCat("a=", DirectionName(before.value()), "\r\n"),
                 absl::StrCat("a=", row.offered, "\r\n")}});
    EXPECT_THAT(AnswerTo(offer, {audio}),
                HasSubstr(absl::StrCat("a=mid:0\r\na=", row.answered, "\r\n")))
        << row.offered;
  }
}

TEST(SessionMediaTest, IsParkedWhereNothingIsInCommonOrNothingIsSaid) {
  for (const std::vector<MediaCapability>& media :
       {std::vector<MediaCapability>{},
        {{.media = "audio", .use = Use::kPark}},
        {{.media = "audio",
        .use = Use::kAccept,
        .codecs = {{.encoding = "speex/8000"}}}},
        {Video()}}) {
    const std::string answer = AnswerTo(ChromiumsOffer(), media);
    EXPECT_THAT(answer, HasSubstr("a=group:BUNDLE 0 1 2\r\n"));
    EXPECT_THAT(answer, HasSubstr("a=mid:0\r\na=inactive\r\n"));
  }
}

TEST(SessionMediaTest, IsRefusedUnlessItCarriesTheTransport) {
  const std::vector<MediaCapability> neither = {
      {.media = "audio", .use = Use::kReject},
      {.media = "video", .use = Use::kReject}};
  const std::string answer = AnswerTo(ChromiumsOffer(), neither);
  EXPECT_THAT(answer, HasSubstr("a=group:BUNDLE 0 2\r\n"));
  EXPECT_THAT(answer, HasSubstr("a=mid:0\r\na=inactive\r\n"));
  EXPECT_THAT(answer, HasSubstr("m=video 0 "));
  EXPECT_OK(Description::Parse(answer)->Strict());
}

TEST(SessionMediaTest, OtherTransportsAreRefusedWhateverIsSaid) {
  const std::string answer = AnswerTo(
      absl::StrReplaceAll(ChromiumsOffer(), {{"BUNDLE 0 1 2", "BUNDLE 1 2"}}),
      {Audio(), Video()});
  EXPECT_THAT(answer, HasSubstr("m=audio 0 "));
  EXPECT_THAT(answer, HasSubstr("a=mid:1\r\na=recvonly\r\n"));
}

TEST(SessionMediaTest, LinesThatWouldBeSeveralAreRefused) {
  SeededRandom random(5);
  MediaCapability audio = Audio();
  audio.codecs[0].parameters = "a\r\na=evil";
  Session session({.media = {audio}}, random);
  ASSERT_OK(session.SetRemote(SdpType::kOffer, ChromiumsOffer()));
  EXPECT_THAT(session.CreateAnswer(TransportOf('b')),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(SessionMediaTest, WhatIsTheSessionsToSayIsRefused) {
  for (const char* line :
       {"mid:7", "ice-ufrag:abcd", "sendonly", "setup:active",
        "candidate:1 1 udp 7 192.0.2.1 5 typ host", ""}) {
    SeededRandom random(5);
    MediaCapability audio = Audio();
    audio.attributes = {line};
    Session session({.media = {audio}}, random);
    ASSERT_OK(session.SetRemote(SdpType::kOffer, ChromiumsOffer()));
    EXPECT_THAT(session.CreateAnswer(TransportOf('b')),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << line;
  }
}

// RFC 9429 section 7.2: what Bob's browser says of his microphone, |answer-B1|.
TEST(SessionMediaTest, BobsAnswerIsThatOfTheRfc) {
  const auto lines_of = [](const std::string& text) {
    std::vector<std::string> lines;
    const auto description = Description::Parse(text);
    const MediaSection audio = description->media(0);
    for (size_t i = 0; i < audio.line_count(); ++i) {
      switch (audio.attribute(i)) {
        // Those of Bob's transport, and what we leave out.
        case AttributeType::kIceUfrag:
        case AttributeType::kIcePwd:
        case AttributeType::kFingerprint:
        case AttributeType::kTlsId:
          break;
        default:
          lines.emplace_back(audio.line(i).value);
      }
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  };
  const std::string answer = AnswerTo(
      ReadTestdata("rfc9429-offer-B1"),
      {{.media = "audio",
        .use = Use::kAccept,
        .codecs = {{.encoding = "opus/48000/2"},
                   {.encoding = "PCMU/8000"},
                   {.encoding = "PCMA/8000"},
                   {.encoding = "telephone-event/8000"},
                   {.encoding = "telephone-event/48000"}},
        .extensions = {kMid, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"},
        .attributes = {"msid:71317484-2ed4-49d7-9eb7-1414322a7aae",
                       "maxptime:120", "rtcp-mux-only", "rtcp-rsize"}}});
  EXPECT_EQ(lines_of(answer), lines_of(ReadTestdata("rfc9429-answer-B1")));
}

// What was accepted stays so in later offers of ours, and another offer of the
// peer is answered anew.
TEST(SessionMediaTest, StaysThroughRenegotiation) {
  SeededRandom random(5);
  Session session({.media = {Audio(), Video()}}, random);
  ASSERT_OK(session.SetRemote(SdpType::kOffer, ChromiumsOffer()));
  const std::string answer = session.CreateAnswer(TransportOf('b')).value();
  ASSERT_OK(session.SetLocal(SdpType::kAnswer));
  std::vector<Section::Use> uses;
  for (const Section& section : session.sections()) uses.push_back(section.use);
  EXPECT_THAT(uses,
              ElementsAre(Section::Use::kAccepted, Section::Use::kAccepted,
                          Section::Use::kAccepted));
  EXPECT_EQ(session.sections()[1].direction, Direction::kRecvonly);

  const auto media_of = [](const std::string& text) {
    std::string lines;
    const auto description = Description::Parse(text);
    for (size_t i = 0; i < 2; ++i) {
      const MediaSection media = description->media(i);
      for (size_t line = 0; line < media.line_count(); ++line) {
        const absl::string_view value = media.line(line).value;
        if (!absl::StartsWith(value, "setup:")) {
          absl::StrAppend(&lines, value, "\n");
        }
      }
    }
    return lines;
  };
  const std::string offer = session.CreateOffer(TransportOf('b')).value();
  EXPECT_EQ(media_of(offer), media_of(answer));
  EXPECT_OK(Description::Parse(offer)->Strict());

  ASSERT_OK(session.SetRemote(
      SdpType::kOffer,
      absl::StrReplaceAll(ChromiumsOffer(), {{"a=sendrecv", "a=recvonly"},
                                             {" opus/", " other/"}})));
  EXPECT_THAT(session.CreateAnswer(TransportOf('b')).value(),
              HasSubstr("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"));
}

}  // namespace
}  // namespace kyuu::sdp
