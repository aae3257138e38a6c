#include "base/deadline_queue.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/random.h"
#include "gtest/gtest.h"

namespace kyuu {
namespace {

const absl::Time kT0 = absl::FromUnixSeconds(1'000'000);

absl::Time At(int64_t ms) { return kT0 + absl::Milliseconds(ms); }

template <typename Key>
std::vector<Key> Drain(DeadlineQueue<Key>& queue, absl::Time now) {
  std::vector<Key> due;
  while (std::optional<Key> key = queue.PopDue(now)) due.push_back(*key);
  return due;
}

TEST(DeadlineQueue, EmptyNeverFallsDue) {
  DeadlineQueue<int> queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.NextTimeout(), absl::InfiniteFuture());
  EXPECT_EQ(queue.deadline(1), absl::InfiniteFuture());
  EXPECT_EQ(queue.PopDue(absl::InfiniteFuture()), std::nullopt);
  queue.Stop(1);
  EXPECT_FALSE(queue.IsSet(1));
}

TEST(DeadlineQueue, KeysFallDueByDeadlineThenByKey) {
  DeadlineQueue<std::string> queue;
  queue.Set("late", At(30));
  queue.Set("b", At(10));
  queue.Set("a", At(10));
  queue.Set("early", At(5));
  EXPECT_EQ(queue.NextTimeout(), At(5));
  EXPECT_EQ(queue.PopDue(At(4)), std::nullopt);
  EXPECT_EQ(Drain(queue, At(10)),
            (std::vector<std::string>{"early", "a", "b"}));
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(queue.NextTimeout(), At(30));
}

TEST(DeadlineQueue, SettingAgainReplaces) {
  DeadlineQueue<int> queue;
  queue.Set(1, At(10));
  queue.Set(2, At(20));
  queue.Set(1, At(30));
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(queue.deadline(1), At(30));
  EXPECT_EQ(queue.NextTimeout(), At(20));
  queue.Set(1, At(5));
  EXPECT_EQ(Drain(queue, At(40)), (std::vector<int>{1, 2}));
}

TEST(DeadlineQueue, NeverIsTheSameAsStopped) {
  DeadlineQueue<int> queue;
  queue.Set(1, At(10));
  queue.Set(2, absl::InfiniteFuture());
  EXPECT_EQ(queue.size(), 1u);
  queue.Set(1, absl::InfiniteFuture());
  EXPECT_TRUE(queue.empty());
  queue.Set(1, At(10));
  queue.Stop(1);
  EXPECT_FALSE(queue.IsSet(1));
  EXPECT_EQ(queue.PopDue(At(100)), std::nullopt);
}

// What falls due may be set again while the queue is drained.
TEST(DeadlineQueue, PoppedKeysMayBeSetAgain) {
  DeadlineQueue<int> queue;
  queue.Set(1, At(0));
  int runs = 0;
  while (std::optional<int> key = queue.PopDue(At(45))) {
    ++runs;
    queue.Set(*key, At(10 * runs));
  }
  EXPECT_EQ(runs, 5);
  EXPECT_EQ(queue.NextTimeout(), At(50));
}

TEST(DeadlineQueue, AgreesWithASimplerOneInAnyOrderOfCalls) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    SeededRandom random(seed);
    DeadlineQueue<uint64_t> queue;
    std::map<uint64_t, absl::Time> model;
    int64_t now = 0;
    for (int step = 0; step < 2000; ++step) {
      const uint64_t key = random.Below(40);
      switch (random.Below(4)) {
        case 0:
        case 1: {
          const absl::Time deadline =
              At(now + static_cast<int64_t>(random.Below(50)));
          queue.Set(key, deadline);
          model[key] = deadline;
          break;
        }
        case 2:
          queue.Stop(key);
          model.erase(key);
          break;
        default: {
          now += static_cast<int64_t>(random.Below(10));
          absl::Time last = absl::InfinitePast();
          while (std::optional<uint64_t> due = queue.PopDue(At(now))) {
            ASSERT_TRUE(model.contains(*due));
            ASSERT_LE(model[*due], At(now));
            ASSERT_GE(model[*due], last);
            last = model[*due];
            model.erase(*due);
          }
        }
      }
      absl::Time next = absl::InfiniteFuture();
      for (const auto& [k, deadline] : model) next = std::min(next, deadline);
      ASSERT_EQ(queue.NextTimeout(), next);
      ASSERT_EQ(queue.size(), model.size());
      ASSERT_EQ(queue.IsSet(key), model.contains(key));
    }
  }
}

}  // namespace
}  // namespace kyuu
