#include "sdp/builder.h"

#include <string>

#include "base/testing.h"
#include "sdp/testing/testdata.h"

namespace kyuu::sdp {
namespace {

const auto kRefused = StatusIs(absl::StatusCode::kInvalidArgument);

TEST(BuilderTest, WritesWhatParseReads) {
  Builder builder;
  builder.Add('v', "0").Add('o', "- 1 1 IN IP4 0.0.0.0").Add('s', "-");
  builder.Add('t', "0 0").Add('m', "application 9 UDP/DTLS/SCTP x");
  builder.Attribute(AttributeType::kMid, "0").Flag(AttributeType::kBundleOnly);
  const auto text = builder.Finish();
  ASSERT_OK(text);
  EXPECT_EQ(*text,
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
            "m=application 9 UDP/DTLS/SCTP x\r\na=mid:0\r\na=bundle-only\r\n");
  EXPECT_OK(Description::Parse(*text));
}

TEST(BuilderTest, CopiedLinesGiveTheSameBytes) {
  const std::string text = ReadTestdata("chromium-156-offer-audio-video-data");
  const auto description = Description::Parse(text);
  ASSERT_OK(description);
  Builder builder;
  for (size_t i = 0; i < description->line_count(); ++i) {
    builder.Copy(description->line(i));
  }
  EXPECT_EQ(builder.Finish().value(), text);
}

// S17: the writer never emits a line it did not intend.
TEST(BuilderTest, S17InjectionIsRefused) {
  for (const std::string& poison :
       {std::string("x\ra=y"), std::string("x\na=y"), std::string("x\r\na=y"),
        std::string("x\0y", 3), std::string("\n"), std::string("\r")}) {
    EXPECT_THAT(Builder().Add('s', poison).Finish(), kRefused);
    EXPECT_THAT(Builder().Copy(Line{'a', poison}).Finish(), kRefused);
    for (const AttributeType attribute :
         {AttributeType::kMid, AttributeType::kIceUfrag, AttributeType::kIcePwd,
          AttributeType::kCandidate, AttributeType::kMsidSemantic,
          AttributeType::kIceOptions}) {
      EXPECT_THAT(Builder().Attribute(attribute, poison).Finish(), kRefused)
          << AttributeName(attribute);
    }
  }
  EXPECT_THAT(Builder()
                  .Attribute(AttributeType::kCandidate,
                             "1 1 udp 1 1.2.3.4 9 typ host\r\na=ice-lite")
                  .Finish(),
              kRefused);
}

TEST(BuilderTest, OneWrongLineFailsTheWhole) {
  EXPECT_THAT(Builder().Add('\n', "0").Finish(), kRefused);
  EXPECT_THAT(Builder().Add('=', "0").Finish(), kRefused);
  EXPECT_THAT(Builder().Attribute(AttributeType::kMid, "a b").Finish(),
              kRefused);
  EXPECT_THAT(Builder().Attribute(AttributeType::kUnknown, "a").Finish(),
              kRefused);
  EXPECT_THAT(Builder().Flag(AttributeType::kMid).Finish(), kRefused);
  EXPECT_THAT(Builder().Flag(AttributeType::kNone).Finish(), kRefused);
  EXPECT_THAT(
      Builder().Attribute(AttributeType::kSetup, "x").Add('s', "-").Finish(),
      kRefused);
}

}  // namespace
}  // namespace kyuu::sdp
