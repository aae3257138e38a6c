#include "base/crc32c.h"

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"

namespace kyuu {
namespace {

struct Vector {
  const char* name;
  std::vector<uint8_t> bytes;
  uint32_t crc;
};

// RFC 3720 appendix B.4, and the usual check value.
std::vector<Vector> Vectors() {
  std::vector<uint8_t> up(32), down(32);
  for (uint8_t i = 0; i < 32; ++i) {
    up[i] = i;
    down[i] = static_cast<uint8_t>(31 - i);
  }
  return {{"zeros", std::vector<uint8_t>(32, 0), 0x8a9136aa},
          {"ones", std::vector<uint8_t>(32, 0xff), 0x62a8ab43},
          {"up", up, 0x46dd794e},
          {"down", down, 0x113fdb5c},
          {"digits", FromHex("31 32 33 34 35 36 37 38 39"), 0xe3069283},
          {"empty", {}, 0}};
}

TEST(Crc32c, MatchesPublishedVectors) {
  for (const Vector& v : Vectors()) {
    SCOPED_TRACE(v.name);
    EXPECT_EQ(Crc32c(v.bytes), v.crc);
    for (internal::Crc32cMethod method : internal::Crc32cMethods()) {
      EXPECT_EQ(method(v.bytes, 0), v.crc);
    }
  }
}

TEST(Crc32c, EveryMethodAgreesOnEverySizeAndSplit) {
  SeededRandom random(11);
  // Beyond several blocks of each method.
  std::vector<uint8_t> bytes(2500);
  random.Fill(absl::MakeSpan(bytes));
  for (size_t size = 0; size <= bytes.size(); size += size < 600 ? 1 : 29) {
    const auto part = absl::MakeConstSpan(bytes).first(size);
    const uint32_t whole = internal::Crc32cTable(part, 0);
    ASSERT_EQ(Crc32c(part), whole) << size;
    for (internal::Crc32cMethod method : internal::Crc32cMethods()) {
      ASSERT_EQ(method(part, 0), whole) << size;
      ASSERT_EQ(method(part.subspan(size / 3), method(part.first(size / 3), 0)),
                whole)
          << size;
    }
  }
}

}  // namespace
}  // namespace kyuu
