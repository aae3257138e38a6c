#include "stun/classic.h"

#include <array>
#include <string>
#include <vector>

#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::stun {
namespace {

const TransportAddress kClient{IpAddress::V4(203, 0, 113, 7), 41000};
// RFC 3489 section 11.1: type, length, 16 bytes of transaction id.
constexpr absl::string_view kBare =
    "0001 0000 00112233 445566778899aabbccddeeff";

std::string Answer(absl::string_view hex) {
  std::array<uint8_t, 600> out;
  const std::vector<uint8_t> bytes = FromHex(hex);
  const auto request = ReadClassicBinding(bytes);
  if (!request) return "none";
  return ToHex(WriteClassicAnswer(*request, kClient, absl::MakeSpan(out)));
}

// RFC 5389 section 12.2: what stands in the cookie's place is copied, and the
// address is not masked.
TEST(ClassicTest, IsAnsweredWithMappedAddressIn32Bytes) {
  EXPECT_EQ(Answer(kBare),
            "0101000c00112233445566778899aabbccddeeff"
            "000100080001a028cb007107");
}

// As clients of that time send it: a CHANGE-REQUEST without a flag.
TEST(ClassicTest, ChangeRequestForNoChangeAsksForNothing) {
  EXPECT_EQ(Answer("0001 0008 00112233 445566778899aabbccddeeff"
                   "0003 0004 00000000"),
            Answer(kBare));
}

TEST(ClassicTest, WhatIsNotDoneIsRefusedWithItsList) {
  EXPECT_EQ(Answer("0001 0014 00112233 445566778899aabbccddeeff"
                   "0003 0004 00000002"
                   "0002 0008 0001 0007 08080808"),
            "0111001000112233445566778899aabbccddeeff"
            "0009000400000414000a000400030002");
}

TEST(ClassicTest, OtherMessagesAreNoise) {
  for (const absl::string_view hex :
       {"", "0001", "0001 0000 00112233 445566778899aabbccddee",
        // Today's cookie, another length, another method, an indication, a
        // response, an attribute over the end.
        "0001 0000 2112a442 445566778899aabbccddeeff",
        "0001 0004 00112233 445566778899aabbccddeeff",
        "0003 0000 00112233 445566778899aabbccddeeff",
        "0011 0000 00112233 445566778899aabbccddeeff",
        "0101 0000 00112233 445566778899aabbccddeeff",
        "0001 0004 00112233 445566778899aabbccddeeff 0003 0004"}) {
    EXPECT_EQ(Answer(hex), "none") << hex;
  }
}

}  // namespace
}  // namespace kyuu::stun
