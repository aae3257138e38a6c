// Small readers over SDP text, shared by the parsers of lines and attributes.

#ifndef KYUU_SDP_INTERNAL_SCAN_H_
#define KYUU_SDP_INTERNAL_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"

namespace kyuu::sdp::internal {

// ParseDigits reads one or more decimal digits and nothing else; nullopt if
// there is anything else, or the value exceeds `max`.
inline std::optional<uint64_t> ParseDigits(
    absl::string_view text,
    uint64_t max = std::numeric_limits<uint64_t>::max()) {
  if (text.empty()) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) {
      return std::nullopt;
    }
    const uint64_t digit = static_cast<uint64_t>(c - '0');
    if (value > (max - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

// TakeToken cuts what stands before the next blank off `rest`, and the blank
// with it. Empty at the end, or where two blanks stand side by side.
inline absl::string_view TakeToken(absl::string_view& rest) {
  const size_t blank = rest.find(' ');
  const absl::string_view token = rest.substr(0, blank);
  rest.remove_prefix(blank == absl::string_view::npos ? rest.size()
                                                      : blank + 1);
  return token;
}

// `token-char` of RFC 8866 section 9: visible ASCII but for "(),/:;<=>?@[\].
inline bool IsTokenChar(char c) {
  if (c <= ' ' || c > '~') return false;
  return absl::string_view("\"(),/:;<=>?@[\\]").find(c) ==
         absl::string_view::npos;
}

inline bool IsToken(absl::string_view text) {
  for (const char c : text) {
    if (!IsTokenChar(c)) return false;
  }
  return !text.empty();
}

}  // namespace kyuu::sdp::internal

#endif  // KYUU_SDP_INTERNAL_SCAN_H_
