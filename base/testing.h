// Matchers and small tools for tests.

#ifndef KYUU_BASE_TESTING_H_
#define KYUU_BASE_TESTING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kyuu {

namespace internal {
inline const absl::Status& GetStatus(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& GetStatus(const absl::StatusOr<T>& status) {
  return status.status();
}
}  // namespace internal

// EXPECT_THAT(Parse(x), IsOk());
MATCHER(IsOk, "is OK") {
  const absl::Status& status = internal::GetStatus(arg);
  if (!status.ok()) *result_listener << status.ToString();
  return status.ok();
}

// EXPECT_THAT(Parse(x), StatusIs(absl::StatusCode::kInvalidArgument));
MATCHER_P(StatusIs, code, "has the given code") {
  const absl::Status& status = internal::GetStatus(arg);
  *result_listener << status.ToString();
  return status.code() == code;
}

// FromHex turns "00 01 ab" into bytes; blanks and newlines are ignored.
inline std::vector<uint8_t> FromHex(absl::string_view hex) {
  const std::string bytes = absl::HexStringToBytes(
      absl::StrReplaceAll(hex, {{" ", ""}, {"\n", ""}, {"\t", ""}}));
  return std::vector<uint8_t>(bytes.begin(), bytes.end());
}

// ToHex is the inverse of FromHex, without blanks.
inline std::string ToHex(absl::Span<const uint8_t> bytes) {
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

}  // namespace kyuu

#define ASSERT_OK(expression) ASSERT_THAT((expression), ::kyuu::IsOk())
#define EXPECT_OK(expression) EXPECT_THAT((expression), ::kyuu::IsOk())

#endif  // KYUU_BASE_TESTING_H_
