#include "signaling/error_code.h"

#include <array>

namespace kyuu::signaling {
namespace {

struct CodeName {
  ErrorCode code;
  absl::string_view name;
};
constexpr std::array<CodeName, 19> kCodeNames = {{
    {ErrorCode::kBadMessage, "bad_message"},
    {ErrorCode::kUnknownType, "unknown_type"},
    {ErrorCode::kUnsupportedVersion, "unsupported_version"},
    {ErrorCode::kTooLarge, "too_large"},
    {ErrorCode::kRateLimited, "rate_limited"},
    {ErrorCode::kBadState, "bad_state"},
    {ErrorCode::kNotJoined, "not_joined"},
    {ErrorCode::kInvalidName, "invalid_name"},
    {ErrorCode::kNameTaken, "name_taken"},
    {ErrorCode::kNotFound, "not_found"},
    {ErrorCode::kUnknownCall, "unknown_call"},
    {ErrorCode::kTooManyCalls, "too_many_calls"},
    {ErrorCode::kRoomFull, "room_full"},
    {ErrorCode::kServerFull, "server_full"},
    {ErrorCode::kUnauthorized, "unauthorized"},
    {ErrorCode::kTokenExpired, "token_expired"},
    {ErrorCode::kForbidden, "forbidden"},
    {ErrorCode::kWrongSecret, "wrong_secret"},
    {ErrorCode::kUnknown, "unknown"},
}};

}  // namespace

absl::string_view ErrorCodeName(ErrorCode code) {
  for (const CodeName& entry : kCodeNames) {
    if (entry.code == code) return entry.name;
  }
  return "unknown";
}

ErrorCode ErrorCodeFrom(absl::string_view name) {
  for (const CodeName& entry : kCodeNames) {
    if (entry.name == name) return entry.code;
  }
  return ErrorCode::kUnknown;
}

}  // namespace kyuu::signaling
