#include "base/status_macros.h"

#include <string>

#include "base/check.h"
#include "base/testing.h"

namespace kyuu {
namespace {

absl::StatusOr<int> Half(int x) {
  if (x % 2 != 0) return absl::InvalidArgumentError("odd");
  return x / 2;
}

absl::StatusOr<std::string> Quarter(int x) {
  KYUU_ASSIGN_OR_RETURN(const int half, Half(x));
  KYUU_ASSIGN_OR_RETURN(const int quarter, Half(half));
  KYUU_RETURN_IF_ERROR(quarter > 100 ? absl::OutOfRangeError("large")
                                     : absl::OkStatus());
  return std::to_string(quarter);
}

TEST(StatusMacros, ReturnEarlyWithTheFirstError) {
  ASSERT_OK(Quarter(8));
  EXPECT_EQ(*Quarter(8), "2");
  EXPECT_THAT(Quarter(6), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Quarter(800), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST(Check, AbortsWithTheCondition) {
  KYUU_CHECK(1 + 1 == 2);
  EXPECT_DEATH(KYUU_CHECK(1 + 1 == 3), "check failed: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace kyuu
