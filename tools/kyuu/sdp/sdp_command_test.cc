#include "tools/kyuu/sdp/sdp_command.h"

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/testing.h"
#include "sdp/testing/testdata.h"

namespace kyuu::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr absl::string_view kOdd =
    "v=0\r\no=- 7 3 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=rtcp-mux\r\n"
    "a=rtpmap:96 VP8/90000\r\na=rid:h send pt=96\r\n"
    "a=simulcast:send h,~l\r\na=ptime:x\r\n";

TEST(SdpCommandTest, TellsChromiumsOfferInWords) {
  const SdpReport report =
      ReportSdp({.file = "offer.sdp"},
                sdp::ReadTestdata("chromium-156-offer-audio-video-data"));
  EXPECT_EQ(report.status, 0);
  EXPECT_THAT(report.error, IsEmpty());
  for (const char* part :
       {"session 5004748406021572429, version 2, by - at 127.0.0.1, 3 sections",
        "  BUNDLE 0 1 2\n",
        "0: audio, mid 0, sendrecv, UDP/TLS/RTP/SAVPF port ",
        "    111 opus/48000/2  minptime=10;useinbandfec=1  feedback "
        "transport-cc\n",
        "    96 VP8/90000  feedback goog-remb, transport-cc, ccm fir, nack, "
        "nack pli\n",
        "    97 rtx/90000  apt=96\n", "  header extensions\n",
        "urn:ietf:params:rtp-hdrext:sdes:mid", "  RTCP: muxed, reduced size",
        "2: application, mid 2, UDP/DTLS/SCTP port 33088\n",
        "  SCTP: port 5000, messages of at most 262144 bytes\n",
        "  ICE: ufrag QXyC, options trickle, candidates ",
        "  DTLS: setup actpass, fingerprint sha-256 "}) {
    EXPECT_THAT(report.out, HasSubstr(part));
  }
  // The password is nobody's business.
  EXPECT_THAT(report.out, Not(HasSubstr("WqCE+ufgh0mZnkdzbetxoFrK")));
}

TEST(SdpCommandTest, FindingsNameFileLineAndColumn) {
  SdpReport report = ReportSdp({.file = "odd.sdp"}, kOdd);
  EXPECT_EQ(report.status, 0);
  EXPECT_THAT(report.out, HasSubstr("simulcast: send h or l (paused)\n"));
  EXPECT_THAT(report.out, HasSubstr("odd.sdp:11:20: reference: simulcast: no "
                                    "rid has this id (RFC 8853 section 5.2)\n"
                                    "odd.sdp:12:9: attribute-value: ptime: "));
  report = ReportSdp({.file = "-", .strict = true}, kOdd);
  EXPECT_EQ(report.status, 1);
  EXPECT_EQ(report.error, "stdin: 2 findings");
  EXPECT_THAT(report.out, HasSubstr("\nstdin:11:20: "));
}

TEST(SdpCommandTest, RefusalsSayWhere) {
  const SdpReport report = ReportSdp(
      {.file = "no.sdp"}, absl::StrReplaceAll(kOdd, {{"t=0 0\r\n", ""}}));
  EXPECT_EQ(report.status, 1);
  EXPECT_EQ(report.error,
            "no.sdp:5:1: error: t= expected before the first m= (RFC 8866 "
            "section 9)");
  EXPECT_THAT(report.out, IsEmpty());
  EXPECT_EQ(ReportSdp({.file = "x"}, std::string(6 << 20, 'a')).status, 1);
}

TEST(SdpCommandTest, JsonSaysTheSame) {
  const SdpReport report = ReportSdp({.file = "x", .json = true}, kOdd);
  const auto json = nlohmann::json::parse(report.out);
  EXPECT_EQ(json["session_id"], 7);
  EXPECT_EQ(json["groups"][0]["mids"][0], "0");
  const auto& video = json["sections"][0];
  EXPECT_EQ(video["mid"], "0");
  EXPECT_EQ(video["codecs"][0]["name"], "VP8");
  EXPECT_EQ(video["codecs"][0]["clock_rate"], 90000);
  EXPECT_EQ(video["simulcast"]["send"][0][1]["rid"], "l");
  EXPECT_EQ(video["simulcast"]["send"][0][1]["paused"], true);
  ASSERT_EQ(json["findings"].size(), 2u);
  EXPECT_EQ(json["findings"][0]["code"], "reference");
  EXPECT_EQ(json["findings"][0]["line"], 11);
}

TEST(SdpCommandTest, StrangersTextCannotDriveTheTerminal) {
  const std::string text = absl::StrReplaceAll(
      kOdd, {{"VP8/90000", "VP8/90000\r\na=fmtp:96 \x1b[31m\xff\u202e"}});
  const SdpReport words = ReportSdp({.file = "a\nb"}, text);
  EXPECT_THAT(words.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(words.out, HasSubstr("\ufffd[31m\ufffd<U+202E>"));
  EXPECT_THAT(words.out, Not(HasSubstr("a\nb")));
  const SdpReport json = ReportSdp({.file = "x", .json = true}, text);
  for (const char c : json.out)
    EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 0x7f));
}

TEST(SdpCommandTest, ReadsFiles) {
  const std::string name = absl::StrCat(::testing::TempDir(), "/one.sdp");
  {
    std::ofstream file(name, std::ios::binary);
    file << kOdd;
  }
  const auto text = ReadSdp(name);
  ASSERT_OK(text);
  EXPECT_EQ(*text, kOdd);
  EXPECT_EQ(RunSdp({.file = name}), 0);
  EXPECT_EQ(RunSdp({.file = name, .strict = true}), 1);
  EXPECT_FALSE(ReadSdp(absl::StrCat(name, ".none")).ok());
  EXPECT_FALSE(ReadSdp(::testing::TempDir()).ok());
}

}  // namespace
}  // namespace kyuu::tools
