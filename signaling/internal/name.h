// Names of peers and rooms.

#ifndef KYUU_SIGNALING_INTERNAL_NAME_H_
#define KYUU_SIGNALING_INTERNAL_NAME_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace kyuu::signaling::internal {

// True if `name` may name a peer or a room: valid UTF-8, not empty, at most
// `max_bytes`, no control characters, no blank at either end.
bool IsValidName(absl::string_view name, size_t max_bytes);

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_NAME_H_
