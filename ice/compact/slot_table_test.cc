// Tests of the table that finds records by hashes.

#include "ice/compact/slot_table.h"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/random.h"
#include "base/testing.h"

namespace kyuu::ice::internal {
namespace {

// Beside a map that does the same, with few hashes, so that many are equal.
TEST(SlotTable, FindsWhatIsThere) {
  SeededRandom random(1);
  // Of each number the key that it has.
  std::vector<std::optional<uint32_t>> keys(300);
  const auto hash = [](uint32_t key) { return key % 50 * 0x01000001; };
  SlotTable table;
  std::map<uint32_t, uint32_t> map;
  for (int step = 0; step < 20'000; ++step) {
    const auto number = static_cast<uint32_t>(random.Below(keys.size()));
    std::optional<uint32_t>& key = keys[number];
    if (key) {
      table.Remove(hash(*key), number);
      map.erase(*key);
      key.reset();
    } else {
      const auto wanted = static_cast<uint32_t>(random.Below(400));
      if (!map.try_emplace(wanted, number).second) continue;
      key = wanted;
      table.Add(hash(wanted), number);
    }
    ASSERT_EQ(table.size(), map.size());
    for (uint32_t asked = 0; asked < 400; asked += 7) {
      const auto in_map = map.find(asked);
      const std::optional<uint32_t> found = table.Find(
          hash(asked), [&](uint32_t other) { return keys[other] == asked; });
      ASSERT_EQ(found.has_value(), in_map != map.end()) << step << asked;
      if (found) {
        ASSERT_EQ(*found, in_map->second);
      }
    }
  }
}

TEST(SlotTable, WhatIsNotThereIsNotTakenOut) {
  SlotTable table;
  table.Remove(1, 0);
  table.Add(1, 0);
  table.Remove(1, 1);
  table.Remove(2, 0);
  EXPECT_EQ(table.size(), 1u);
  const auto any = [](uint32_t) { return true; };
  EXPECT_EQ(table.Find(1, any), 0u);
  EXPECT_EQ(table.Find(2, any), std::nullopt);
  EXPECT_EQ(table.Find(1, [](uint32_t) { return false; }), std::nullopt);
}

}  // namespace
}  // namespace kyuu::ice::internal
