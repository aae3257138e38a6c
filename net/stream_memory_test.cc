#include "net/stream_memory.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/testing.h"

namespace kyuu::net {
namespace {

using Holders = std::vector<std::pair<size_t, std::string>>;

TEST(StreamMemoryTest, TellsWhenItIsExceededAndNotWhenItShrinks) {
  int told = 0;
  StreamMemory memory(100, [&] { ++told; });
  std::optional<MemoryShare> first(&memory), second(&memory);
  first->Hold(100);
  EXPECT_EQ(told, 0);
  EXPECT_FALSE(memory.over());
  second->Hold(50);
  EXPECT_EQ(told, 1);
  second->Hold(10);  // Still over, but on the way down.
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(memory.over());
  first.reset();
  EXPECT_EQ(memory.used_bytes(), 10u);
}

TEST(StreamMemoryTest, WhoHoldsMostIsCutFirstAndNoMoreThanNeeded) {
  const Holders holders = {{10, "a"}, {40, "b"}, {20, "c"}, {30, "d"}};
  EXPECT_THAT(LargestHolders(holders, 100, 100), testing::IsEmpty());
  EXPECT_EQ(LargestHolders(holders, 100, 99), (Holders{{40, "b"}}));
  EXPECT_EQ(LargestHolders(holders, 100, 60), (Holders{{40, "b"}}));
  EXPECT_EQ(LargestHolders(holders, 100, 59), (Holders{{40, "b"}, {30, "d"}}));
  EXPECT_EQ(LargestHolders(holders, 100, 0).size(), 4u);
  // More than they hold is held elsewhere: all of them, and then it ends.
  EXPECT_EQ(LargestHolders(holders, 1000, 0).size(), 4u);
}

}  // namespace
}  // namespace kyuu::net
