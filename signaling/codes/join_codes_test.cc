#include "signaling/codes/join_codes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing.h"

namespace kyuu::signaling {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1000);

IpAddress Address(int number) {
  return *IpAddress::Parse(absl::StrCat("192.0.2.", number));
}

TEST(JoinCodesTest, ACodeTellsItsRoomAFewTimesAndForMinutes) {
  SeededRandom random(1);
  JoinCodes codes({.uses = 2}, random);
  const auto code = codes.Make(kNow, Address(1), "Garden");
  ASSERT_OK(code);
  EXPECT_EQ(code->digits.size(), 6u);
  EXPECT_EQ(code->until, kNow + absl::Minutes(5));
  EXPECT_EQ(*codes.Use(kNow, Address(2), code->digits), "Garden");
  EXPECT_EQ(*codes.Use(kNow, Address(3), code->digits), "Garden");
  EXPECT_THAT(codes.Use(kNow, Address(4), code->digits),
              StatusIs(absl::StatusCode::kNotFound));
  const auto other = codes.Make(kNow, Address(1), "");
  ASSERT_OK(other);
  const absl::Time late = kNow + absl::Minutes(5);
  EXPECT_EQ(*codes.Use(late - absl::Seconds(1), Address(2), other->digits), "");
  EXPECT_THAT(codes.Use(late, Address(2), other->digits),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(codes.size(), 0u);
  EXPECT_EQ(codes.stats().unknown, 2u);
}

TEST(JoinCodesTest, WhatIsNoNameOfARoomGetsNone) {
  SeededRandom random(1);
  JoinCodes codes({}, random);
  for (const std::string& room :
       {std::string(65, 'x'), std::string("a\nb"), std::string("\xff")}) {
    EXPECT_THAT(codes.Make(kNow, Address(1), room),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  for (const char* digits : {"", "1", "1234567", "12345x", "000000"}) {
    EXPECT_THAT(codes.Use(kNow, Address(1), digits),
                StatusIs(absl::StatusCode::kNotFound));
  }
}

TEST(JoinCodesTest, WhoTriesManyIsRefusedWhateverHeTries) {
  SeededRandom random(1);
  JoinCodes codes({}, random);
  const auto code = codes.Make(kNow, Address(1), "Garden");
  ASSERT_OK(code);
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(codes.Use(kNow, Address(2), "none"),
                StatusIs(absl::StatusCode::kNotFound));
  }
  EXPECT_THAT(codes.Use(kNow, Address(2), code->digits),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(codes.Use(kNow, Address(2), "none"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  // Others may, and the same one later.
  EXPECT_OK(codes.Use(kNow, Address(3), code->digits));
  EXPECT_OK(codes.Use(kNow + absl::Seconds(30), Address(2), code->digits));
}

TEST(JoinCodesTest, ManySourcesTogetherTryNoMoreThanAllMay) {
  SeededRandom random(1);
  JoinCodes codes({.tried_by_all = {.per_second = 1, .burst = 3}}, random);
  for (int i = 1; i <= 3; ++i) {
    EXPECT_THAT(codes.Use(kNow, Address(i), "none"),
                StatusIs(absl::StatusCode::kNotFound));
  }
  EXPECT_THAT(codes.Use(kNow, Address(4), "none"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(codes.Use(kNow + absl::Seconds(1), Address(4), "none"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(JoinCodesTest, CodesAreBoundedForEachSourceAndForAll) {
  SeededRandom random(1);
  JoinCodes codes({.max_codes = 8,
                   .max_codes_per_source = 3,
                   .made = {.per_second = 1, .burst = 4}},
                  random);
  std::set<std::string> digits;
  for (int i = 0; i < 3; ++i) {
    digits.insert(codes.Make(kNow, Address(1), "a")->digits);
  }
  EXPECT_THAT(codes.Make(kNow, Address(1), "a"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  // Who is not known has no share of his own, and no rate.
  for (int i = 0; i < 5; ++i) {
    digits.insert(codes.Make(kNow, IpAddress(), "a")->digits);
  }
  EXPECT_THAT(codes.Make(kNow, Address(2), "a"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(digits.size(), 8u);
  EXPECT_EQ(codes.stats().limited, 2u);
  EXPECT_OK(codes.Make(kNow + absl::Minutes(5), Address(1), "a"));
  EXPECT_EQ(codes.size(), 1u);
}

TEST(JoinCodesTest, ARateOfMakingHoldsAlsoWhereCodesWereUsedUp) {
  SeededRandom random(1);
  JoinCodes codes({.uses = 1, .made = {.per_second = 1, .burst = 2}}, random);
  for (int i = 0; i < 2; ++i) {
    const auto code = codes.Make(kNow, Address(1), "a");
    ASSERT_OK(code);
    EXPECT_OK(codes.Use(kNow, Address(2), code->digits));
  }
  EXPECT_THAT(codes.Make(kNow, Address(1), "a"),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace kyuu::signaling
