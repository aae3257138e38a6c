// Errors that say where a description is wrong, and by which rule.

#ifndef KYUU_SDP_INTERNAL_ERROR_H_
#define KYUU_SDP_INTERNAL_ERROR_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace kyuu::sdp::internal {

// The payload that PositionOf() reads: "<line> <column> <rule>".
inline constexpr absl::string_view kPositionUrl = "kyuu/sdp.Position";

// ErrorAt returns INVALID_ARGUMENT with the position in message and payload.
// `line` and `column` count from 1, `rule` names an RFC and a section.
absl::Status ErrorAt(size_t line, size_t column, absl::string_view message,
                     absl::string_view rule);

}  // namespace kyuu::sdp::internal

#endif  // KYUU_SDP_INTERNAL_ERROR_H_
