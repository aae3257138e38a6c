#include "base/bytes.h"

#include <array>
#include <vector>

#include "base/testing.h"

namespace kyuu {
namespace {

TEST(Reader, ReadsBigEndianNumbersOfEverySize) {
  const std::vector<uint8_t> bytes =
      FromHex("01 0203 040506 0708090a 0b0c0d0e0f10 1112131415161718");
  Reader r(bytes);
  EXPECT_EQ(r.U8(), 0x01);
  EXPECT_EQ(r.U16(), 0x0203);
  EXPECT_EQ(r.U24(), 0x040506u);
  EXPECT_EQ(r.U32(), 0x0708090au);
  EXPECT_EQ(r.U48(), 0x0b0c0d0e0f10u);
  EXPECT_EQ(r.U64(), 0x1112131415161718u);
  EXPECT_TRUE(r.Finish());
}

TEST(Reader, StaysFailedAfterReadingPastTheEnd) {
  const std::vector<uint8_t> bytes = {1, 2, 3};
  Reader r(bytes);
  EXPECT_EQ(r.U32(), 0u);
  EXPECT_FALSE(r.ok());
  EXPECT_EQ(r.U8(), 0);
  EXPECT_TRUE(r.Bytes(1).empty());
  EXPECT_FALSE(r.Finish());
}

TEST(Reader, FinishRefusesLeftovers) {
  const std::vector<uint8_t> bytes = {1, 2};
  Reader r(bytes);
  r.U8();
  EXPECT_TRUE(r.ok());
  EXPECT_FALSE(r.Finish());
}

TEST(Reader, PeekNeitherMovesNorFails) {
  const std::vector<uint8_t> bytes = {7, 8};
  Reader r(bytes);
  EXPECT_EQ(r.Peek(1), 8);
  EXPECT_EQ(r.Peek(2), 0);
  EXPECT_EQ(r.U8(), 7);
  EXPECT_TRUE(r.ok());
}

TEST(Writer, WritesWhatReaderReads) {
  std::array<uint8_t, 64> buffer;
  Writer w(absl::MakeSpan(buffer));
  w.U8(1);
  w.U16(2);
  w.U24(3);
  w.U32(4);
  w.U48(5);
  w.U64(6);
  w.Text("ab");
  w.PadTo(4);
  ASSERT_TRUE(w.ok());
  EXPECT_EQ(w.size(), 28u);
  EXPECT_EQ(ToHex(w.written()),
            "01000200000300000004000000000005000000000000000661620000");
}

TEST(Writer, FailsWithoutWritingPastTheEnd) {
  std::array<uint8_t, 4> buffer = {9, 9, 9, 9};
  Writer w(absl::MakeSpan(buffer).first(3));
  w.U16(1);
  w.U16(2);
  EXPECT_FALSE(w.ok());
  w.U8(3);
  EXPECT_EQ(w.size(), 2u);
  EXPECT_EQ(buffer[3], 9);
}

TEST(Writer, PatchesOnlyWhatWasWritten) {
  std::array<uint8_t, 8> buffer;
  Writer w(absl::MakeSpan(buffer));
  w.U32(0);
  w.Patch16(2, 0xabcd);
  EXPECT_EQ(ToHex(w.written()), "0000abcd");
  w.Patch16(3, 1);
  EXPECT_FALSE(w.ok());
}

}  // namespace
}  // namespace kyuu
