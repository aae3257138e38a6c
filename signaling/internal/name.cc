#include "signaling/internal/name.h"

#include <algorithm>

#include "signaling/internal/utf8.h"

namespace kyuu::signaling::internal {

bool IsValidName(absl::string_view name, size_t max_bytes) {
  if (name.empty() || name.size() > max_bytes || !IsUtf8(name)) {
    return false;
  }
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  return name.front() != ' ' && name.back() != ' ' &&
         std::none_of(name.begin(), name.end(), is_control);
}

}  // namespace kyuu::signaling::internal
