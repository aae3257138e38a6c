#include "sdp/codecs.h"

#include <string>

#include "base/testing.h"
#include "sdp/description.h"
#include "sdp/testing/testdata.h"

namespace kyuu::sdp {
namespace {

TEST(CodecsTest, OfChromiumsVideo) {
  const auto offer =
      Description::Parse(ReadTestdata("chromium-156-offer-audio-video-data"));
  ASSERT_OK(offer);
  const std::vector<Codec> codecs = Codecs(offer->media(1));
  ASSERT_GT(codecs.size(), 2u);
  EXPECT_EQ(codecs[0].payload_type, 96);
  EXPECT_EQ(codecs[0].encoding, "VP8");
  EXPECT_EQ(codecs[0].clock_rate, 90000u);
  EXPECT_TRUE(codecs[0].parameters.empty());
  ASSERT_EQ(codecs[0].feedback.size(), 5u);
  EXPECT_EQ(codecs[0].feedback[4].kind, "nack");
  EXPECT_EQ(codecs[0].feedback[4].parameters, "pli");
  EXPECT_EQ(codecs[1].encoding, "rtx");
  EXPECT_EQ(codecs[1].parameters.Get("apt"), "96");
  EXPECT_TRUE(Codecs(offer->media(2)).empty());
}

TEST(CodecsTest, StaticTypesNeedNoRtpmapAndStrangeOnesAreLeftOut) {
  const auto description = Description::Parse(
      "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
      "m=audio 9 RTP/AVP 0 10 0 99 200 x\r\na=rtpmap:12 opus/48000/2\r\n"
      "a=fmtp:99 a=1\r\na=fmtp:99 a=2\r\na=rtcp-fb:* nack\r\n");
  ASSERT_OK(description);
  const std::vector<Codec> codecs = Codecs(description->media(0));
  ASSERT_EQ(codecs.size(), 3u);
  EXPECT_EQ(codecs[0].encoding, "PCMU");
  EXPECT_EQ(codecs[0].clock_rate, 8000u);
  EXPECT_EQ(codecs[1].encoding, "L16");
  EXPECT_EQ(codecs[1].channels, 2u);
  EXPECT_EQ(codecs[2].payload_type, 99);
  EXPECT_EQ(codecs[2].encoding, "");
  EXPECT_EQ(codecs[2].parameters.Get("a"), "1");
  EXPECT_TRUE(codecs[2].feedback.empty());
}

}  // namespace
}  // namespace kyuu::sdp
