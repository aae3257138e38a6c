#include "sctp/dcep.h"

#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::sctp {
namespace {

using Bytes = std::vector<uint8_t>;

// What Chromium sends for createDataChannel("chat", {protocol: "p"}).
constexpr char kChromiumOpen[] = "03000100 00000000 00040001 63686174 70";

DcepOpen Full() {
  return {.ordering = Ordering::kUnordered,
          .reliability = DcepOpen::Reliability::kTimed,
          .reliability_parameter = 0x01020304,
          .priority = 1024,
          .label =
              "l\xc3\xa4"
              "bel",
          .protocol = "proto"};
}

TEST(DcepOpen, FromCapture) {
  absl::StatusOr<DcepMessage> message = ParseDcep(FromHex(kChromiumOpen));
  ASSERT_OK(message);
  const DcepOpen& open = std::get<DcepOpen>(*message);
  EXPECT_EQ(open, (DcepOpen{.label = "chat", .protocol = "p"}));
  EXPECT_EQ(open.Serialize(), FromHex(kChromiumOpen));
}

TEST(DcepOpen, RoundTripOfEveryChannelType) {
  for (Ordering ordering : {Ordering::kOrdered, Ordering::kUnordered}) {
    for (DcepOpen::Reliability reliability :
         {DcepOpen::Reliability::kReliable, DcepOpen::Reliability::kRetransmits,
          DcepOpen::Reliability::kTimed}) {
      DcepOpen open = Full();
      open.ordering = ordering;
      open.reliability = reliability;
      absl::StatusOr<DcepMessage> message = ParseDcep(open.Serialize());
      ASSERT_OK(message);
      EXPECT_EQ(std::get<DcepOpen>(*message), open);
    }
  }
}

// RFC 8832 section 8.2.2.
TEST(DcepAck, RoundTrip) {
  EXPECT_EQ(DcepAck{}.Serialize(), Bytes{2});
  absl::StatusOr<DcepMessage> message = ParseDcep(Bytes{2});
  ASSERT_OK(message);
  EXPECT_TRUE(std::holds_alternative<DcepAck>(*message));
}

TEST(Dcep, EveryTruncationIsRefused) {
  const Bytes bytes = Full().Serialize();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ParseDcep(absl::MakeConstSpan(bytes).first(size)).ok())
        << size;
  }
}

TEST(Dcep, EveryFlippedBitParsesOrFailsButNeverCrashes) {
  const Bytes bytes = Full().Serialize();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes flipped = bytes;
    flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    absl::StatusOr<DcepMessage> message = ParseDcep(flipped);
    if (!message.ok() || !std::holds_alternative<DcepOpen>(*message)) continue;
    const Bytes again = std::get<DcepOpen>(*message).Serialize();
    EXPECT_EQ(again, Bytes(flipped.begin(), flipped.begin() + again.size()));
  }
}

TEST(Dcep, RefusesWhatIsNotDefined) {
  const struct {
    const char* name;
    const char* hex;
  } kRows[] = {
      {"type 0", "00"},
      {"type 1 (reserved)", "01"},
      {"type 255", "ff"},
      {"channel type 3", "03030100 00000000 00000000"},
      {"channel type 0x7f", "037f0100 00000000 00000000"},
      {"channel type 0x83", "03830100 00000000 00000000"},
      {"label longer than the message", "03000100 00000000 ffff0000 61"},
      {"both lengths 65535", "03000100 00000000 ffffffff 6161"},
      {"label not UTF-8", "03000100 00000000 00010000 ff"},
      {"overlong UTF-8", "03000100 00000000 00020000 c080"},
      {"surrogate", "03000100 00000000 00030000 eda080"},
      {"beyond U+10FFFF", "03000100 00000000 00040000 f4908080"},
      {"cut character", "03000100 00000000 00010000 c3"},
      {"protocol not UTF-8", "03000100 00000000 00000001 80"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(ParseDcep(FromHex(row.hex)),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << row.name;
  }
}

TEST(Dcep, LongestLabelAndProtocolPass) {
  const DcepOpen open{.label = std::string(65535, 'a'),
                      .protocol = std::string(65535, 'b')};
  absl::StatusOr<DcepMessage> message = ParseDcep(open.Serialize());
  ASSERT_OK(message);
  EXPECT_EQ(std::get<DcepOpen>(*message), open);
}

TEST(Dcep, BytesAfterTheEndAreIgnored) {
  EXPECT_OK(ParseDcep(Bytes{2, 0, 0}));
  Bytes bytes = Full().Serialize();
  bytes.push_back(0);
  EXPECT_OK(ParseDcep(bytes));
}

}  // namespace
}  // namespace kyuu::sctp
