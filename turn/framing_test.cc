#include "turn/framing.h"

#include <vector>

#include "base/bytes.h"
#include "base/testing.h"

namespace kyuu::turn {
namespace {

// What ReadFrame says of the first `count` bytes: 0 for "more", -1 for an
// error, else the message and its padding.
std::pair<int, int> Read(absl::string_view hex, size_t count) {
  const std::vector<uint8_t> bytes = FromHex(hex);
  const auto frame = ReadFrame(absl::MakeConstSpan(bytes).first(count));
  if (!frame.ok()) return {-1, 0};
  if (!frame->has_value()) return {0, 0};
  return {static_cast<int>((*frame)->message_bytes),
          static_cast<int>((*frame)->padding_bytes)};
}

TEST(FramingTest, StunIsAsLongAsItsHeaderSays) {
  constexpr char kRequest[] = "0003 0008 2112a442 0102030405060708090a0b0c";
  for (size_t count = 0; count < 8; ++count) {
    EXPECT_EQ(Read(kRequest, count), std::pair(0, 0)) << count;
  }
  for (size_t count = 8; count <= 20; ++count) {
    EXPECT_EQ(Read(kRequest, count), std::pair(28, 0)) << count;
  }
  EXPECT_EQ(Read("0101 fffc 2112a442", 8), std::pair(20 + 0xfffc, 0));
}

// RFC 8656 section 12.5: over TCP and TLS it MUST be padded.
TEST(FramingTest, ChannelDataIsPaddedToAMultipleOfFour) {
  for (size_t count = 1; count < 4; ++count) {
    EXPECT_EQ(Read("4001 0005", count), std::pair(0, 0)) << count;
  }
  EXPECT_EQ(Read("4001 0000", 4), std::pair(4, 0));
  EXPECT_EQ(Read("4001 0001", 4), std::pair(5, 3));
  EXPECT_EQ(Read("4001 0002", 4), std::pair(6, 2));
  EXPECT_EQ(Read("4fff 0003 ff", 5), std::pair(7, 1));
  EXPECT_EQ(Read("7fff 0004", 4), std::pair(8, 0));
  EXPECT_EQ(Read("4001 ffff", 4), std::pair(65539, 1));
}

TEST(FramingTest, WhatIsNeitherIsAnError) {
  EXPECT_EQ(Read("80", 1), std::pair(-1, 0));
  EXPECT_EQ(Read("c001 0004", 4), std::pair(-1, 0));
  EXPECT_EQ(Read("0003 0009 2112a442", 8), std::pair(-1, 0));  // No multiple.
  EXPECT_EQ(Read("0003 0008 2112a443", 8), std::pair(-1, 0));  // No cookie.
}

}  // namespace
}  // namespace kyuu::turn
