// Tests of what keeps an agent small.

#include "ice/internal/compact.h"

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "absl/time/time.h"
#include "base/deadline_queue.h"
#include "base/random.h"
#include "base/testing.h"

namespace kyuu::ice::internal {
namespace {

// Beside a map that does the same.
TEST(NumberTable, FindsWhatIsThere) {
  SeededRandom random(1);
  std::vector<uint32_t> keys(200);
  const auto key_of = [&keys](uint16_t number) { return keys[number]; };
  NumberTable table;
  std::unordered_map<uint32_t, uint16_t> map;
  for (int step = 0; step < 20'000; ++step) {
    const auto number = static_cast<uint16_t>(random.Below(keys.size()));
    const auto known = map.find(keys[number]);
    if (known != map.end() && known->second == number) {
      table.Remove(number, key_of);
      map.erase(known);
    } else {
      // Of some keys there are two, of which the first one counts.
      if (known == map.end()) {
        keys[number] = static_cast<uint32_t>(random.Below(150));
      }
      table.Add(number, key_of);
      map.try_emplace(keys[number], number);
    }
    ASSERT_EQ(table.size(), map.size());
    for (uint32_t key = 0; key < 150; ++key) {
      const auto in_map = map.find(key);
      const std::optional<uint16_t> found = table.Find(key, key_of);
      ASSERT_EQ(found.has_value(), in_map != map.end()) << step << " " << key;
      if (found) {
        ASSERT_EQ(*found, in_map->second);
      }
    }
  }
}

TEST(NumberTable, IsEmptyAtFirstAndWhenCleared) {
  const auto key_of = [](uint16_t number) { return number; };
  NumberTable table;
  EXPECT_FALSE(table.Find(uint16_t{1}, key_of));
  table.Remove(1, key_of);
  table.Add(1, key_of);
  EXPECT_EQ(table.Find(uint16_t{1}, key_of), 1);
  table.Remove(2, key_of);
  EXPECT_EQ(table.size(), 1u);
  table.Clear();
  EXPECT_FALSE(table.Find(uint16_t{1}, key_of));
}

// Beside a queue that does the same.
TEST(DeadlineHeap, TellsTheEarliest) {
  SeededRandom random(1);
  DeadlineHeap heap;
  DeadlineQueue<uint16_t> queue;
  EXPECT_FALSE(heap.FirstDue(absl::InfiniteFuture()));
  for (int step = 0; step < 20'000; ++step) {
    const auto number = static_cast<uint16_t>(random.Below(60));
    // Some are equal, and a third of them end.
    const uint64_t second = random.Below(60);
    const absl::Time deadline = second < 20
                                    ? absl::InfiniteFuture()
                                    : absl::UnixEpoch() + absl::Seconds(second);
    heap.Set(number, deadline);
    queue.Set(number, deadline);
    const absl::Time next = queue.NextTimeout();
    ASSERT_EQ(heap.NextTimeout(), next) << step;
    EXPECT_FALSE(heap.FirstDue(next - absl::Nanoseconds(1)));
    if (queue.empty()) continue;
    DeadlineQueue<uint16_t> copy = queue;
    ASSERT_EQ(heap.FirstDue(next), copy.PopDue(next)) << step;
  }
}

TEST(Append, LeavesLittleRoom) {
  std::vector<int> list;
  for (int i = 0; i < 1000; ++i) {
    Append(list, i);
    EXPECT_LE(list.capacity(), list.size() + 1 + list.size() / 4);
  }
  EXPECT_EQ(list.size(), 1000u);
  EXPECT_EQ(list.back(), 999);
}

}  // namespace
}  // namespace kyuu::ice::internal
