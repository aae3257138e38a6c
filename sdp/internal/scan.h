// Small readers over SDP text, shared by the parsers of lines and attributes.

#ifndef KYUU_SDP_INTERNAL_SCAN_H_
#define KYUU_SDP_INTERNAL_SCAN_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "sdp/syntax.h"

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
  // Most tokens are shorter than what a search for their end costs to begin.
  constexpr size_t kShort = 16;
  const size_t near = std::min(kShort, rest.size());
  size_t blank = 0;
  while (blank < near && rest[blank] != ' ') ++blank;
  if (blank == kShort) blank = std::min(rest.find(' ', blank), rest.size());
  const absl::string_view token = rest.substr(0, blank);
  rest.remove_prefix(std::min(blank + 1, rest.size()));
  return token;
}

// Words takes a value apart at its blanks, and knows where it is.
class Words {
 public:
  Words(absl::string_view value, absl::string_view rule)
      : size_(value.size()), rest_(value), rule_(rule) {}

  absl::string_view Take() {
    offset_ = size_ - rest_.size();
    return TakeToken(rest_);
  }
  // All that is left, blanks included.
  absl::string_view TakeRest() {
    offset_ = size_ - rest_.size();
    const absl::string_view all = rest_;
    rest_.remove_prefix(rest_.size());
    return all;
  }
  bool done() const { return rest_.empty(); }
  // An error at what was taken last, `into` bytes behind its begin.
  SyntaxError Wrong(absl::string_view message, size_t into = 0) const {
    return {message, rule_, offset_ + into};
  }

 private:
  size_t size_;
  size_t offset_ = 0;
  absl::string_view rest_;
  absl::string_view rule_;
};

// ParseDecimal reads `<integer>` or `<integer>.<digits>`, greater than 0 and at
// most 10^9: `non-zero-int-or-real` of RFC 8866 section 9.
inline std::optional<double> ParseDecimal(absl::string_view text) {
  const size_t point = text.find('.');
  const auto whole = ParseDigits(text.substr(0, point), 1'000'000'000);
  if (!whole) return std::nullopt;
  auto value = static_cast<double>(*whole);
  if (point != absl::string_view::npos) {
    const absl::string_view digits = text.substr(point + 1);
    if (digits.empty()) return std::nullopt;
    double unit = 1;
    for (const char c : digits) {
      if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) {
        return std::nullopt;
      }
      unit /= 10;
      value += unit * (c - '0');
    }
  }
  if (value <= 0) return std::nullopt;
  return value;
}

// `token-char` of RFC 8866 section 9: visible ASCII but for "(),/:;<=>?@[\].
inline constexpr std::array<bool, 256> kTokenChars = [] {
  std::array<bool, 256> table{};
  for (unsigned char c = '!'; c <= '~'; ++c) table[c] = true;
  for (const char* other = "\"(),/:;<=>?@[\\]"; *other != 0; ++other) {
    table[static_cast<unsigned char>(*other)] = false;
  }
  return table;
}();

inline bool IsTokenChar(char c) {
  return kTokenChars[static_cast<unsigned char>(c)];
}

inline bool IsToken(absl::string_view text) {
  for (const char c : text) {
    if (!IsTokenChar(c)) return false;
  }
  return !text.empty();
}

}  // namespace kyuu::sdp::internal

#endif  // KYUU_SDP_INTERNAL_SCAN_H_
