#include "signaling/backplane/node_message.h"

#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::signaling::node {
namespace {

std::vector<Message> OneOfEach() {
  const PeerId a{NodeId{1}, 2}, b{NodeId{3}, 4};
  Moved moved{9, a, "session", "secret", 5, 6, {"one", "", "three"}};
  moved.unfinished = {"text"};
  moved.blocked = {"eve"};
  moved.homes = {NodeId{1}, NodeId{8}};
  moved.messages_left = 199000;
  moved.is_in_room = true;
  moved.epoch = 77;
  moved.room = "lobby";
  moved.name = "ada";
  moved.meta = "{}";
  moved.calls = {{"c1", b, true, false, true}, {"c2", b, false, true, false}};
  return {Here{a, 7, "lobby", "ada", R"({"x":1})", "lock"},
          Gone{a},
          Rings{"c", a, b, "{}"},
          Accepted{"c", a, b},
          Rejected{"c", a, b, "busy"},
          Ended{"c", a, b, "hangup"},
          Signalled{"c", a, b, "{}"},
          Wanted{1, "session", "secret", 3, 2, "user"},
          NotHere{1},
          Moving{a, NodeId{5}, 6},
          Held{a, 6},
          Over{"session"},
          Published{"{}"},
          OfPeerJs{"text"},
          Said{a, b, "{}"},
          moved};
}

TEST(NodeMessageTest, EachIsReadAsItWasWritten) {
  const std::vector<Message> all = OneOfEach();
  ASSERT_EQ(all.size(), std::variant_size_v<Message>);
  for (const Message& message : all) {
    const std::string bytes = Write(message);
    const absl::StatusOr<Message> read = Parse(bytes);
    ASSERT_OK(read) << message.index();
    EXPECT_EQ(read->index(), message.index());
    EXPECT_EQ(Write(*read), bytes);
  }
  const auto read = Parse(Write(all.back()));
  const Moved& moved = std::get<Moved>(*read);
  EXPECT_EQ(moved.kept[2], "three");
  EXPECT_EQ(moved.calls[1].call, "c2");
  EXPECT_TRUE(moved.calls[1].is_accepted);
}

TEST(NodeMessageTest, NoPartAndNothingLongerIsOne) {
  for (const Message& message : OneOfEach()) {
    const std::string bytes = Write(message);
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(Parse(bytes.substr(0, size)).ok()) << size;
    }
    EXPECT_FALSE(Parse(bytes + "x").ok());
  }
  EXPECT_FALSE(Parse(std::string(1, '\0')).ok());
  EXPECT_FALSE(Parse(std::string(1, '\x40')).ok());
}

TEST(NodeMessageTest, ACountThatCannotBeAsksForNoMemory) {
  std::string bytes = Write(OneOfEach().back());
  const size_t kept = bytes.find("secret") + 6 + 16;
  for (size_t i = 0; i < 4; ++i) bytes[kept + i] = '\xff';
  EXPECT_FALSE(Parse(bytes).ok());
}

}  // namespace
}  // namespace kyuu::signaling::node
