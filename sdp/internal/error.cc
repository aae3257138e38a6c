#include "sdp/internal/error.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace kyuu::sdp::internal {

absl::Status ErrorAt(size_t line, size_t column, absl::string_view message,
                     absl::string_view rule) {
  absl::Status status = absl::InvalidArgumentError(absl::StrCat(
      "SDP line ", line, " column ", column, ": ", message, " (", rule, ")"));
  status.SetPayload(kPositionUrl,
                    absl::Cord(absl::StrCat(line, " ", column, " ", rule)));
  return status;
}

}  // namespace kyuu::sdp::internal
