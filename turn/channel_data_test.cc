#include "turn/channel_data.h"

#include <array>
#include <vector>

#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::turn {
namespace {

TEST(ChannelDataTest, ReadsWhatItWrites) {
  std::array<uint8_t, 7> bytes = {0, 0, 0, 0, 'a', 'b', 'c'};
  WriteChannelHeader(0x4001, 3, absl::MakeSpan(bytes));
  EXPECT_EQ(ToHex(bytes), "40010003616263");
  const auto data = ReadChannelData(bytes);
  ASSERT_TRUE(data);
  EXPECT_EQ(data->channel, 0x4001);
  EXPECT_EQ(ToHex(data->payload), "616263");
  EXPECT_EQ(data->payload.data(), bytes.data() + 4);
}

// RFC 8656 section 12.5: padding over UDP is allowed, and no part of the data.
TEST(ChannelDataTest, PaddingIsLeftOut) {
  const std::vector<uint8_t> bytes = FromHex("40 00 00 01 61 00 00 00");
  const auto data = ReadChannelData(bytes);
  ASSERT_TRUE(data);
  EXPECT_EQ(ToHex(data->payload), "61");
}

TEST(ChannelDataTest, AnEmptyPayloadIsData) {
  const auto data = ReadChannelData(FromHex("4fff 0000"));
  ASSERT_TRUE(data);
  EXPECT_TRUE(data->payload.empty());
}

TEST(ChannelDataTest, NoTruncationReads) {
  const std::vector<uint8_t> bytes = FromHex("40 00 00 05 01 02 03 04 05");
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + size);
    EXPECT_FALSE(ReadChannelData(cut)) << size;
  }
}

TEST(ChannelDataTest, OnlyChannelNumbersRead) {
  for (uint32_t number = 0; number <= 0xffff; ++number) {
    const std::array<uint8_t, 4> bytes = {static_cast<uint8_t>(number >> 8),
                                          static_cast<uint8_t>(number), 0, 0};
    const bool is_channel = number >= 0x4000 && number <= 0x7fff;
    EXPECT_EQ(ReadChannelData(bytes).has_value(), is_channel) << number;
    EXPECT_EQ(IsChannelData(bytes), is_channel) << number;
  }
  EXPECT_FALSE(IsChannelData({}));
}

}  // namespace
}  // namespace kyuu::turn
