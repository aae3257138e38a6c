#include "sdp/section.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "sdp/description.h"
#include "sdp/testing/testdata.h"

namespace kyuu::sdp {
namespace {

using ::testing::ElementsAre;

TEST(SectionTest, ReadsTheMediaOfChromium) {
  const auto offer =
      Description::Parse(ReadTestdata("chromium-156-offer-audio-video-data"));
  ASSERT_OK(offer);
  const MediaSection audio = offer->media(0);
  EXPECT_TRUE(audio.is_rtp());
  std::vector<std::string> codecs;
  for (const Rtpmap& map : audio.All<Rtpmap>()) {
    codecs.push_back(absl::StrCat(map.payload_type, " ", map.encoding, "/",
                                  map.clock_rate, "/", map.channels()));
  }
  EXPECT_THAT(
      codecs,
      ElementsAre("111 opus/48000/2", "63 red/48000/2", "9 G722/8000/1",
                  "0 PCMU/8000/1", "8 PCMA/8000/1", "13 CN/8000/1",
                  "110 telephone-event/48000/1", "126 telephone-event/8000/1"));
  const auto fmtp = audio.Get<Fmtp>();
  ASSERT_TRUE(fmtp);
  EXPECT_EQ(fmtp->format, "111");
  EXPECT_EQ(fmtp->parameters.Get("useinbandfec"), "1");
  const auto rtcp = audio.Get<Rtcp>();
  ASSERT_TRUE(rtcp);
  EXPECT_EQ(rtcp->address_type, "IP4");
  const auto connection = audio.Get<Connection>();
  ASSERT_TRUE(connection);
  EXPECT_EQ(connection->network_type, "IN");
  EXPECT_FALSE(audio.Get<Simulcast>());
  const auto group = offer->session().Get<Group>();
  ASSERT_TRUE(group);
  EXPECT_EQ(group->mids.count(), 3u);
  EXPECT_EQ(offer->media(2).is_rtp(), false);
}

TEST(SectionTest, LinesThatCannotBeReadAreLeftOut) {
  const auto description = Description::Parse(
      "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nb=AS\r\nb=AS:64\r\nt=0 0\r\n"
      "m=audio 9 RTP/AVP 0\r\na=extmap:0 urn:a\r\na=extmap:1 urn:b\r\n"
      "a=extmap:x\r\na=extmap\r\na=extmap:2 urn:c\r\na=extmap:3\r\n");
  ASSERT_OK(description);
  std::vector<std::string> uris;
  for (const Extmap& map : description->media(0).All<Extmap>()) {
    uris.emplace_back(map.uri);
  }
  EXPECT_THAT(uris, ElementsAre("urn:b", "urn:c"));
  const auto bandwidth = description->session().Get<Bandwidth>();
  ASSERT_TRUE(bandwidth);
  EXPECT_EQ(bandwidth->value, 64u);
  EXPECT_FALSE(description->media(0).Get<Bandwidth>());
}

TEST(SectionTest, ViewsSurviveAMoveOfTheDescription) {
  auto parsed =
      Description::Parse(ReadTestdata("chromium-156-offer-data-mdns"));
  ASSERT_OK(parsed);
  const MediaSection before = parsed->media(0);
  const auto ufrag = before.ice_ufrag();
  const Description moved = *std::move(parsed);
  EXPECT_EQ(before.ice_ufrag(), moved.media(0).ice_ufrag());
  EXPECT_EQ(ufrag->data(), moved.media(0).ice_ufrag()->data());
  EXPECT_TRUE(parsed->empty());
  EXPECT_EQ(parsed->text(), "");
  EXPECT_EQ(parsed->ToString(), "");
}

}  // namespace
}  // namespace kyuu::sdp
