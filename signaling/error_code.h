// Why something is refused: the stable codes of `error`
// (docs/signaling_protocol.md, "Errors").

#ifndef KYUU_SIGNALING_ERROR_CODE_H_
#define KYUU_SIGNALING_ERROR_CODE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace kyuu::signaling {

enum class ErrorCode : uint8_t {
  kBadMessage,          // Not JSON, a field missing or of a wrong type.
  kUnknownType,         // `type` is none of ours.
  kUnsupportedVersion,  // In `hello`.
  kTooLarge,            // A message or a field beyond its limit.
  kRateLimited,         // Dropped; `retry_after_ms` tells when to go on.
  kBadState,            // Out of order: before `welcome`, a call's state, ...
  kNotJoined,
  kInvalidName,
  kNameTaken,
  kNotFound,  // Nobody of that name is in the room.
  kUnknownCall,
  kTooManyCalls,
  kRoomFull,
  kServerFull,
  kUnauthorized,  // A token is needed, or the one that was shown is no good.
  kTokenExpired,  // Another one is needed.
  kForbidden,     // The token does not allow it.
  kWrongSecret,   // The room has another secret, or none.
  kUnknown,       // Only in a client: a code newer than this list.
};

absl::string_view ErrorCodeName(ErrorCode code);  // "name_taken"
// kUnknown for a name that is not in the list.
ErrorCode ErrorCodeFrom(absl::string_view name);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_ERROR_CODE_H_
