// Secrets of rooms, which do not belong on a command line.

#ifndef KYUU_TOOLS_KYUU_ROOM_SECRET_H_
#define KYUU_TOOLS_KYUU_ROOM_SECRET_H_

#include <string>

#include "absl/status/statusor.h"

namespace kyuu::tools {

// ReadRoomSecret returns the first line of `file`, without its end; "" for no
// file. INVALID_ARGUMENT if it cannot be read, is empty or too long.
absl::StatusOr<std::string> ReadRoomSecret(const std::string& file);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_ROOM_SECRET_H_
