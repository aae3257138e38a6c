#include "signaling/internal/utf8.h"

#include <cstddef>
#include <cstring>

namespace kyuu::signaling::internal {

bool Utf8Validator::Feed(absl::string_view piece) {
  size_t i = 0;
  while (i < piece.size()) {
    if (pending_ == 0) {
      // Signaling is nearly all ASCII: 32 or eight bytes at a time.
      uint64_t words[4];
      while (piece.size() - i >= sizeof words) {
        std::memcpy(words, piece.data() + i, sizeof words);
        const uint64_t all = words[0] | words[1] | words[2] | words[3];
        if ((all & 0x8080808080808080u) != 0) break;
        i += sizeof words;
      }
      uint64_t word;
      while (piece.size() - i >= sizeof word) {
        std::memcpy(&word, piece.data() + i, sizeof word);
        if ((word & 0x8080808080808080u) != 0) break;
        i += sizeof word;
      }
      if (i == piece.size()) return true;
    }
    const uint8_t b = static_cast<uint8_t>(piece[i++]);
    if (pending_ > 0) {
      if (b < low_ || b > high_) return false;
      --pending_;
      low_ = 0x80;
      high_ = 0xbf;
    } else if (b < 0x80) {
      continue;
    } else if (b >= 0xc2 && b <= 0xdf) {
      pending_ = 1;
    } else if (b >= 0xe0 && b <= 0xef) {
      pending_ = 2;
      if (b == 0xe0) low_ = 0xa0;
      if (b == 0xed) high_ = 0x9f;
    } else if (b >= 0xf0 && b <= 0xf4) {
      pending_ = 3;
      if (b == 0xf0) low_ = 0x90;
      if (b == 0xf4) high_ = 0x8f;
    } else {
      return false;
    }
  }
  return true;
}

bool IsUtf8(absl::string_view text) {
  Utf8Validator validator;
  return validator.Feed(text) && validator.complete();
}

}  // namespace kyuu::signaling::internal
