#include "tools/kyuu/media_use/media_use.h"

#include <vector>

#include "CLI/CLI.hpp"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kyuu::tools {
namespace {

using Use = sdp::MediaCapability::Use;
using ::testing::HasSubstr;

TEST(MediaUse, EachAnswerIsTaken) {
  CLI::App app;
  std::vector<sdp::MediaCapability> media;
  AddMediaUse(app, media);
  app.parse("--media audio=opus/48000/2,PCMU/8000 --media video=reject");
  ASSERT_EQ(media.size(), 2u);
  EXPECT_EQ(media[0].media, "audio");
  EXPECT_EQ(media[0].use, Use::kAccept);
  ASSERT_EQ(media[0].codecs.size(), 2u);
  EXPECT_EQ(media[0].codecs[1].encoding, "PCMU/8000");
  EXPECT_EQ(media[1].use, Use::kReject);
  EXPECT_EQ(ParseMediaUse("video=park")->use, Use::kPark);
}

TEST(MediaUse, NonsenseIsToldWithItsReason) {
  for (const auto& [words, why] :
       {std::pair("text=park", "neither audio nor video"),
        std::pair("audio", "no codec"), std::pair("audio=opus", "no codec"),
        std::pair("audio=opus/48000/2,", "no codec"),
        std::pair("audio=/8000", "no codec"),
        std::pair("video=VP8/fast", "no codec")}) {
    const auto parsed = ParseMediaUse(words);
    ASSERT_FALSE(parsed.ok()) << words;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(why));
  }
}

}  // namespace
}  // namespace kyuu::tools
