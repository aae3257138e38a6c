#include "signaling/token/room_patterns.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace kyuu::signaling {
namespace {

TEST(RoomPatternsTest, AllowsAllAsItIsMadeAndNoneWithoutPatterns) {
  EXPECT_TRUE(RoomPatterns().AllowsRoom("lobby"));
  EXPECT_TRUE(RoomPatterns().AllowsTopic(""));
  EXPECT_TRUE(RoomPatterns().allows_all());
  const auto none = RoomPatterns::Of({});
  EXPECT_FALSE(none->AllowsRoom("lobby"));
  EXPECT_FALSE(none->AllowsTopic("lobby"));
  EXPECT_FALSE(none->allows_all());
  EXPECT_TRUE(RoomPatterns::Of({"*"})->allows_all());
  EXPECT_EQ(RoomPatterns::Of({"a", "b*"})->patterns(),
            (std::vector<std::string>{"a", "b*"}));
}

TEST(RoomPatternsTest, MatchesNamesAsTheProtocolComparesThem) {
  struct Row {
    const char* pattern;
    const char* room;
    bool room_allowed;
    bool topic_allowed;
  };
  const Row kRows[] = {
      {"lobby", "lobby", true, true},
      {"lobby", "LOBBY", true, false},
      {"lobby", " lobby ", true, false},
      {"lobby", "lobby2", false, false},
      {"team-*", "team-a", true, true},
      {"team-*", "TEAM-A", true, false},
      {"team-*", "team-", true, true},
      {"team-*", "tea", false, false},
      {"te*am", "team", false, false},  // Only at the end is it a pattern.
      {"te*am", "te*am", true, true},
      // The blank is a part of how the name begins.
      {"team *", "team a", true, true},
      {"team *", "teams", false, false},
      // Composed and decomposed are one name, and no letter begins another.
      {"caf\xc3\xa9", "cafe\xcc\x81", true, false},
      {"cafe*", "caf\xc3\xa9", false, false},
      {"cafe*", "cafe\xcc\x81s", false, true},
      // What is no name allows no room.
      {"a\xe2\x80\x8b*", "a", false, false},
      {"", "", false, true},
      {"x", "", false, false},
      {"x*", "\xff", false, false},
  };
  for (const Row& row : kRows) {
    const auto patterns = RoomPatterns::Of({row.pattern});
    ASSERT_TRUE(patterns.has_value());
    EXPECT_EQ(patterns->AllowsRoom(row.room), row.room_allowed)
        << row.pattern << " of room " << row.room;
    EXPECT_EQ(patterns->AllowsTopic(row.room), row.topic_allowed)
        << row.pattern << " of topic " << row.room;
  }
}

TEST(RoomPatternsTest, AreBounded) {
  EXPECT_TRUE(RoomPatterns::Of(
                  std::vector<std::string>(RoomPatterns::kMaxPatterns, "a"))
                  .has_value());
  EXPECT_FALSE(RoomPatterns::Of(std::vector<std::string>(
                                    RoomPatterns::kMaxPatterns + 1, "a"))
                   .has_value());
  EXPECT_TRUE(RoomPatterns::Of({std::string(256, 'a')}).has_value());
  EXPECT_FALSE(RoomPatterns::Of({std::string(257, 'a')}).has_value());
}

}  // namespace
}  // namespace kyuu::signaling
