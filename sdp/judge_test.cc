// Rules over several lines, which docs/sdp_verdicts.md has below its table.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "sdp/description.h"

namespace kyuu::sdp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::string_view kSession =
    "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";

// "<line>:<column> <code> <rule>" of each.
std::vector<std::string> FindingsOf(absl::string_view sections,
                                    absl::string_view session = kSession) {
  const auto description = Description::Parse(absl::StrCat(session, sections));
  EXPECT_OK(description);
  std::vector<std::string> found;
  if (!description.ok()) return found;
  for (const Finding& finding : description->Judge().kept) {
    found.push_back(absl::StrCat(finding.line, ":", finding.column, " ",
                                 FindingCodeName(finding.code), " ",
                                 finding.rule));
  }
  return found;
}

TEST(JudgeTest, MidsAreUnique) {
  EXPECT_THAT(FindingsOf("m=audio 9 RTP/AVP 0\r\na=mid:x\r\n"
                         "m=audio 9 RTP/AVP 0\r\na=mid:x\r\n"),
              ElementsAre("7:1 repeated RFC 5888 section 4"));
}

TEST(JudgeTest, TheFirstMediaOfABundleHasRtcpMux) {
  const std::string bundle = absl::StrCat(kSession, "a=group:BUNDLE d a b\r\n");
  const auto sections = [](absl::string_view first, absl::string_view second) {
    return absl::StrCat(
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\n"
        "a=sctp-port:5000\r\nm=audio 9 RTP/AVP 0\r\na=mid:a\r\n",
        first, "m=audio 9 RTP/AVP 0\r\na=mid:b\r\n", second);
  };
  EXPECT_THAT(FindingsOf(sections("a=rtcp-mux\r\n", ""), bundle), IsEmpty());
  EXPECT_THAT(FindingsOf(sections("a=rtcp-mux-only\r\n", ""), bundle),
              IsEmpty());
  EXPECT_THAT(FindingsOf(sections("", "a=rtcp-mux\r\n"), bundle),
              ElementsAre("9:1 missing RFC 9143 section 9.3"));
  EXPECT_THAT(FindingsOf(sections("", "")), IsEmpty());
}

TEST(JudgeTest, PayloadTypesDoNotLookLikeRtcp) {
  const auto mapped = [](int type) {
    return absl::StrCat("m=audio 9 RTP/AVP ", type, "\r\na=rtpmap:", type,
                        " x/8000\r\n");
  };
  EXPECT_THAT(FindingsOf(mapped(64)), IsEmpty());
  for (const int type : {64, 95}) {
    EXPECT_THAT(FindingsOf(mapped(type) + "a=rtcp-mux\r\n"),
                ElementsAre("5:19 line RFC 5761 section 4"));
  }
  for (const int type : {63, 96}) {
    EXPECT_THAT(FindingsOf(mapped(type) + "a=rtcp-mux\r\n"), IsEmpty());
  }
}

TEST(JudgeTest, DataChannelsHaveAPort) {
  const std::string data =
      "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
  EXPECT_THAT(FindingsOf(data),
              ElementsAre("5:1 sctp-port RFC 8841 section 5"));
  EXPECT_THAT(FindingsOf(data + "a=sctp-port:0\r\n"),
              ElementsAre("5:1 sctp-port RFC 8841 section 5"));
  EXPECT_THAT(
      FindingsOf("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"),
      IsEmpty());
}

TEST(JudgeTest, OriginAndTiming) {
  EXPECT_THAT(
      FindingsOf("", "v=0\r\no=- x 2 IN IP4 0.0.0.0\r\ns=-\r\nt=a 0\r\n"),
      ElementsAre("2:5 line RFC 8866 section 5.2",
                  "4:3 line RFC 8866 section 5.9"));
}

// The order is that of the lines, whichever rule finds first.
TEST(JudgeTest, FindingsAreInTheOrderOfTheLines) {
  EXPECT_THAT(FindingsOf("m=video 9 RTP/AVP 97\r\na=rid:a both\r\n"
                         "a=rtpmap:96 VP8/90000\r\na=ptime:0\r\n"),
              ElementsAre("5:19 missing RFC 8866 section 6.6",
                          "6:9 attribute-value RFC 8851 section 10",
                          "7:10 reference RFC 8866 section 6.6",
                          "8:9 attribute-value RFC 8866 section 6.4"));
}

}  // namespace
}  // namespace kyuu::sdp
