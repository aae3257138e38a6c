#include "base/short_list.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace kyuu {
namespace {

TEST(ShortListTest, IsAPointer) {
  EXPECT_EQ(sizeof(ShortList<std::string>), sizeof(void*));
}

// Beside std::vector, which does the same by other means.
TEST(ShortListTest, IsAVector) {
  SeededRandom random(1);
  ShortList<std::string> list;
  std::vector<std::string> model;
  for (int i = 0; i < 20'000; ++i) {
    const std::string value =
        "a string that is on the heap, number " + std::to_string(i);
    const size_t at = random.Below(model.size() + 1);
    const auto offset = static_cast<std::ptrdiff_t>(at);
    switch (random.Below(8)) {
      case 0:
      case 1:
        list.push_back(value);
        model.push_back(value);
        break;
      case 2:
        EXPECT_EQ(*list.insert(list.begin() + at, value), value);
        model.insert(model.begin() + offset, value);
        break;
      case 3:
      case 4:
        if (at == model.size()) break;
        EXPECT_EQ(list.erase(list.begin() + at) - list.begin(), offset);
        model.erase(model.begin() + offset);
        break;
      case 5: {
        const auto odd = [](const std::string& s) { return s.back() == '7'; };
        EXPECT_EQ(list.EraseIf(odd), std::erase_if(model, odd));
        break;
      }
      case 6: {
        ShortList<std::string> copy = list;
        list = std::move(copy);
        break;
      }
      default:
        if (at + 5 < model.size()) break;
        list.Truncate(at);
        model.resize(at);
    }
    ASSERT_EQ(list.size(), model.size());
    ASSERT_EQ(list.empty(), model.empty());
    ASSERT_TRUE(
        std::equal(list.begin(), list.end(), model.begin(), model.end()));
    if (model.empty()) continue;
    ASSERT_EQ(list.front(), model.front());
    ASSERT_EQ(list.back(), model.back());
  }
}

TEST(ShortListTest, HasNoMemoryWhileItIsEmpty) {
  ShortList<std::string> list;
  EXPECT_EQ(list.capacity(), 0u);
  list.push_back("a");
  list.push_back("b");
  list.push_back("c");
  EXPECT_EQ(list.capacity(), 3u);
  list.erase(list.begin());
  EXPECT_EQ(list.capacity(), 3u);
  list.EraseIf([](const std::string&) { return true; });
  EXPECT_EQ(list.capacity(), 0u);
  EXPECT_EQ(list.begin(), list.end());
}

TEST(ShortListTest, TakesAnElementOfItself) {
  ShortList<std::string> list = {"a string that is on the heap"};
  while (list.size() < 9) list.push_back(list.front());
  EXPECT_EQ(list.back(), list.front());
}

TEST(ShortListTest, HoldsWhatCanOnlyBeMoved) {
  ShortList<std::unique_ptr<int>> list;
  for (int i = 0; i < 5; ++i) list.push_back(std::make_unique<int>(i));
  ShortList<std::unique_ptr<int>> other = std::move(list);
  EXPECT_TRUE(list.empty());  // NOLINT(bugprone-use-after-move): it is empty.
  EXPECT_EQ(*other.back(), 4);
}

TEST(ShortListTest, KeepsWhatIsAligned) {
  struct alignas(16) Wide {
    char bytes[16];
  };
  ShortList<Wide> list;
  for (int i = 0; i < 3; ++i) list.emplace_back();
  for (const Wide& wide : list) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&wide) % 16, 0u);
  }
}

}  // namespace
}  // namespace kyuu
