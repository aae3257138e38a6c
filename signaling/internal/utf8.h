// UTF-8 validation (RFC 3629), byte by byte across fragments.

#ifndef KYUU_SIGNALING_INTERNAL_UTF8_H_
#define KYUU_SIGNALING_INTERNAL_UTF8_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace kyuu::signaling::internal {

// Utf8Validator accepts a text in pieces cut anywhere.
class Utf8Validator {
 public:
  // False at the first byte that no valid text can contain at its place; the
  // validator is then of no more use until Reset().
  bool Feed(absl::string_view piece);
  // True if the text may end here: no character is incomplete.
  bool complete() const { return pending_ == 0; }
  void Reset() { *this = Utf8Validator(); }

 private:
  uint8_t pending_ = 0;  // Continuation bytes still to come.
  // The range of the next continuation byte: narrower than 80..BF behind E0,
  // ED, F0 and F4 (overlong forms, surrogates, beyond U+10FFFF).
  uint8_t low_ = 0x80;
  uint8_t high_ = 0xbf;
};

// True if `text` is valid UTF-8.
bool IsUtf8(absl::string_view text);

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_UTF8_H_
