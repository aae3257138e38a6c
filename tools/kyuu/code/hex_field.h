// Bytes in hexadecimal, as messages have them.

#ifndef KYUU_TOOLS_KYUU_CODE_HEX_FIELD_H_
#define KYUU_TOOLS_KYUU_CODE_HEX_FIELD_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "nlohmann/json.hpp"

namespace kyuu::tools {

// The `size` bytes that stand under `key` of an object; nullopt if it is none,
// or has nothing of the kind.
inline std::optional<std::string> HexField(const nlohmann::json& message,
                                           const char* key, size_t size) {
  if (!message.is_object()) return std::nullopt;
  const auto it = message.find(key);
  if (it == message.end() || !it->is_string()) return std::nullopt;
  const auto& hex = it->get_ref<const std::string&>();
  if (hex.size() != 2 * size) return std::nullopt;
  for (const char c : hex) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) {
      return std::nullopt;
    }
  }
  return absl::HexStringToBytes(hex);
}

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CODE_HEX_FIELD_H_
