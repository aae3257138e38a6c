#include "base/queue.h"

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "base/random.h"
#include "gtest/gtest.h"

namespace kyuu {
namespace {

TEST(QueueTest, WhatNobodyUsesHasNoMemory) {
  const Queue<std::string> queue;
  EXPECT_EQ(queue.heap_bytes(), 0u);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.begin(), queue.end());
}

// Beside std::deque, which does the same by other means.
TEST(QueueTest, IsADeque) {
  SeededRandom random(1);
  Queue<std::string> queue;
  std::deque<std::string> model;
  for (int i = 0; i < 20'000; ++i) {
    const std::string value =
        "a string that is on the heap, number " + std::to_string(i);
    switch (random.Below(9)) {
      case 0:
      case 1:
      case 2:
        queue.push_back(value);
        model.push_back(value);
        break;
      case 3:
        queue.push_front(value);
        model.push_front(value);
        break;
      case 4:
      case 5:
        if (model.empty()) break;
        queue.pop_front();
        model.pop_front();
        break;
      case 6:
        if (model.empty()) break;
        queue.pop_back();
        model.pop_back();
        break;
      case 7: {
        const size_t size = random.Below(model.size() + 1);
        if (size + 5 < model.size()) break;
        queue.Truncate(size);
        model.resize(size);
        break;
      }
      default:
        if (random.Below(50) != 0) break;
        queue.clear();
        model.clear();
    }
    ASSERT_EQ(queue.size(), model.size());
    ASSERT_EQ(queue.empty(), model.empty());
    ASSERT_TRUE(
        std::equal(queue.begin(), queue.end(), model.begin(), model.end()));
    if (model.empty()) continue;
    ASSERT_EQ(queue.front(), model.front());
    ASSERT_EQ(queue.back(), model.back());
  }
}

TEST(QueueTest, KeepsLittleWhenItIsEmpty) {
  Queue<std::array<char, 100>> queue;
  // A few that come and go allocate nothing.
  for (int i = 0; i < 3; ++i) queue.emplace_back();
  queue.clear();
  const size_t kept = queue.heap_bytes();
  EXPECT_EQ(kept, 400u);
  for (int i = 0; i < 3; ++i) queue.emplace_back();
  EXPECT_EQ(queue.heap_bytes(), kept);
  for (int i = 0; i < 1000; ++i) queue.emplace_back();
  EXPECT_GE(queue.heap_bytes(), 100'300u);
  while (queue.size() > 1) queue.pop_front();
  EXPECT_GE(queue.heap_bytes(), 100'300u);
  queue.pop_front();
  EXPECT_EQ(queue.heap_bytes(), 0u);
}

TEST(QueueTest, KeepsNothingWhereThatIsAskedFor) {
  Queue<std::array<char, 100>, 0> queue;
  for (int i = 0; i < 3; ++i) queue.emplace_back();
  EXPECT_EQ(queue.heap_bytes(), 400u);
  queue.clear();
  EXPECT_EQ(queue.heap_bytes(), 0u);
}

TEST(QueueTest, TakesElementsOfItsOwn) {
  Queue<std::string> queue;
  queue.push_back("a string that is on the heap");
  for (int i = 0; i < 100; ++i) queue.emplace_back(queue.front());
  for (const std::string& element : queue) {
    EXPECT_EQ(element, "a string that is on the heap");
  }
}

TEST(QueueTest, TakesWhatCannotBeCopied) {
  Queue<std::unique_ptr<int>> queue;
  for (int i = 0; i < 10; ++i) queue.push_back(std::make_unique<int>(i));
  Queue<std::unique_ptr<int>> other = std::move(queue);
  EXPECT_TRUE(queue.empty());  // NOLINT(bugprone-use-after-move)
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(*other.front(), i);
    other.pop_front();
  }
  other.push_back(std::make_unique<int>(7));
  other = std::move(queue);
  EXPECT_TRUE(other.empty());
}

TEST(QueueTest, IsCopied) {
  Queue<std::string> queue;
  for (int i = 0; i < 5; ++i) queue.push_back(std::to_string(i));
  queue.pop_front();
  queue.push_back("5");
  Queue<std::string> copy = queue;
  queue.clear();
  EXPECT_EQ(copy.size(), 5u);
  EXPECT_EQ(copy[4], "5");
  queue = copy;
  EXPECT_TRUE(std::equal(queue.begin(), queue.end(), copy.begin(), copy.end()));
}

TEST(QueueTest, IteratorsAreForAlgorithms) {
  Queue<int> queue;
  for (const int i : {5, 3, 9, 1}) queue.push_back(i);
  queue.pop_front();
  queue.push_back(4);
  std::sort(queue.begin(), queue.end());
  EXPECT_TRUE(std::is_sorted(queue.begin(), queue.end()));
  EXPECT_EQ(std::find(queue.begin(), queue.end(), 9) - queue.begin(), 3);
  EXPECT_EQ(queue.begin()[1], 3);
  EXPECT_EQ(queue.EraseIf([](int i) { return i > 3; }), 2u);
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(queue.back(), 3);
}

TEST(QueueDeathTest, SaysWhatIsNotThere) {
  Queue<int> queue;
  EXPECT_DEATH(queue.front(), "check failed");
  EXPECT_DEATH(queue.pop_front(), "check failed");
}

}  // namespace
}  // namespace kyuu
