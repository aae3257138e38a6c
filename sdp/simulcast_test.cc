#include "sdp/simulcast.h"

#include <string>
#include <vector>

#include "base/testing.h"

namespace kyuu::sdp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<absl::string_view> All(const Pieces& pieces) {
  return {pieces.begin(), pieces.end()};
}

TEST(SimulcastTest, Rid) {
  const auto rid = Rid::Parse("h-1_a send pt=97,98;max-width=1280;max-fps=30");
  ASSERT_TRUE(rid.ok());
  EXPECT_EQ(rid->id, "h-1_a");
  EXPECT_TRUE(rid->send);
  EXPECT_THAT(All(rid->formats()), ElementsAre("97", "98"));
  EXPECT_EQ(rid->restrictions.Get("max-width"), "1280");
  const auto bare = Rid::Parse("1 recv");
  ASSERT_TRUE(bare.ok());
  EXPECT_FALSE(bare->send);
  EXPECT_TRUE(bare->restrictions.empty());
  EXPECT_THAT(All(bare->formats()), IsEmpty());
  for (const char* wrong : {"", "1", "1 both", "a.b send", " send",
                            "1 send pt=x", "1 send pt=128", "1 send a b=1"}) {
    EXPECT_FALSE(Rid::Parse(wrong).ok()) << wrong;
  }
}

TEST(SimulcastTest, IdsOfAnyLength) {
  for (size_t size = 1; size < 40; ++size) {
    const std::string id(size, 'i');
    const std::string value = id + " recv max-fps=30";
    const auto rid = Rid::Parse(value);
    ASSERT_TRUE(rid.ok()) << size;
    EXPECT_EQ(rid->id, id);
    EXPECT_EQ(rid->restrictions.Get("max-fps"), "30");
    EXPECT_FALSE(Rid::Parse(id).ok());
  }
}

// The example of RFC 8853 section 5.1, with alternatives and a paused stream.
TEST(SimulcastTest, StreamsAlternativesAndPauses) {
  const auto simulcast = Simulcast::Parse("send 1,~4;2;3 recv c");
  ASSERT_TRUE(simulcast.ok());
  EXPECT_FALSE(simulcast->draft);
  EXPECT_THAT(All(simulcast->send), ElementsAre("1,~4", "2", "3"));
  EXPECT_THAT(All(simulcast->recv), ElementsAre("c"));
  std::vector<SimulcastId> ids;
  for (const absl::string_view id : SimulcastAlternatives("1,~4")) {
    ids.push_back(ParseSimulcastId(id));
  }
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_EQ(ids[0].rid, "1");
  EXPECT_FALSE(ids[0].paused);
  EXPECT_EQ(ids[1].rid, "4");
  EXPECT_TRUE(ids[1].paused);
  EXPECT_THAT(All(Simulcast::Parse("recv a;b")->recv), ElementsAre("a", "b"));
}

TEST(SimulcastTest, DraftsAreRead) {
  for (const char* value :
       {" send rid=1;2", "send rid=1;2", " send 1;2", " recv 3 send rid=1;2"}) {
    const auto simulcast = Simulcast::Parse(value);
    ASSERT_TRUE(simulcast.ok()) << value;
    EXPECT_TRUE(simulcast->draft) << value;
    EXPECT_THAT(All(simulcast->send), ElementsAre("1", "2")) << value;
  }
}

TEST(SimulcastTest, RefusesWhatIsNone) {
  for (const char* wrong :
       {"", " ", "1;2", "send", "send ", "send ;", "send 1;", "send 1,;2",
        "send 1;;2", "send ~", "send 1 2", "send 1 send 2", "send 1 recv",
        "send 1  recv 2", "send a=b", "both 1"}) {
    EXPECT_FALSE(Simulcast::Parse(wrong).ok()) << wrong;
  }
}

// The examples of RFC 6236 section 3.1.
TEST(SimulcastTest, ImageAttribute) {
  const auto image = ImageAttribute::Parse(
      "97 send [x=800,y=640,sar=1.1,q=0.6] [x=480,y=320] recv "
      "[x=330,y=250]");
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(image->payload_type, 97);
  EXPECT_EQ(image->recv, "[x=330,y=250]");
  absl::string_view sets = image->send;
  const auto first = TakeImageSet(sets);
  ASSERT_TRUE(first);
  EXPECT_EQ(ImageSetValue(*first, "x"), "800");
  EXPECT_EQ(ImageSetValue(*first, "q"), "0.6");
  EXPECT_EQ(ImageSetValue(*first, "z"), std::nullopt);
  EXPECT_EQ(TakeImageSet(sets), "x=480,y=320");
  EXPECT_EQ(TakeImageSet(sets), std::nullopt);

  const auto ranges = ImageAttribute::Parse(
      "* recv [x=[480:16:800],y=[320:16:640],par=[1.2-1.3]] send *");
  ASSERT_TRUE(ranges.ok());
  EXPECT_EQ(ranges->payload_type, std::nullopt);
  EXPECT_EQ(ranges->send, "*");
  absl::string_view list = ranges->recv;
  EXPECT_EQ(ImageSetValue(TakeImageSet(list).value_or(""), "y"),
            "[320:16:640]");
  for (const char* wrong :
       {"", "97", "97 send", "97 send ", "97 send x", "97 send [x=1",
        "97 send [x=[[1]]]", "97 send [x=1]recv *", "128 send *", "97 both *",
        "97 send * send *", "97 send [x=1] y"}) {
    EXPECT_FALSE(ImageAttribute::Parse(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace kyuu::sdp
