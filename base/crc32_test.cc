#include "base/crc32.h"

#include <vector>

#include "base/bytes.h"
#include "gtest/gtest.h"

namespace kyuu {
namespace {

TEST(Crc32Test, MatchesTheCheckValue) {
  EXPECT_EQ(Crc32({}), 0u);
  EXPECT_EQ(Crc32(AsBytes("123456789")), 0xcbf43926u);
}

TEST(Crc32Test, GoesOnFromAnyPart) {
  std::vector<uint8_t> bytes(67);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(i * 37);
  }
  const absl::Span<const uint8_t> all = bytes;
  for (size_t split = 0; split <= all.size(); ++split) {
    EXPECT_EQ(Crc32(all.subspan(split), Crc32(all.first(split))), Crc32(all));
  }
}

}  // namespace
}  // namespace kyuu
