// Early return on a failed absl::Status or absl::StatusOr.

#ifndef KYUU_BASE_STATUS_MACROS_H_
#define KYUU_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define KYUU_CONCAT_INNER(a, b) a##b
#define KYUU_CONCAT(a, b) KYUU_CONCAT_INNER(a, b)

// Returns the status of `expression` from the calling function unless it is OK.
#define KYUU_RETURN_IF_ERROR(expression)                              \
  do {                                                                \
    if (absl::Status kyuu_status = (expression); !kyuu_status.ok()) { \
      return kyuu_status;                                             \
    }                                                                 \
  } while (false)

// Declares or assigns `target` from the value of `expression`, a StatusOr, or
// returns its status from the calling function.
#define KYUU_ASSIGN_OR_RETURN(target, expression)                      \
  KYUU_ASSIGN_OR_RETURN_INNER(KYUU_CONCAT(kyuu_or_, __LINE__), target, \
                              expression)
#define KYUU_ASSIGN_OR_RETURN_INNER(holder, target, expression) \
  auto holder = (expression);                                   \
  if (!holder.ok()) return std::move(holder).status();          \
  target = *std::move(holder)

#endif  // KYUU_BASE_STATUS_MACROS_H_
