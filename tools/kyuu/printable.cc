#include "tools/kyuu/printable.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "unicode/uchar.h"
#include "unicode/utf8.h"

namespace kyuu::tools {
namespace {

constexpr char kReplacement[] = "\xef\xbf\xbd";
constexpr UChar32 kZeroWidthJoiner = 0x200d;

bool IsPictographic(UChar32 c) {
  return u_hasBinaryProperty(c, UCHAR_EXTENDED_PICTOGRAPHIC) != 0 ||
         u_hasBinaryProperty(c, UCHAR_EMOJI_MODIFIER) != 0;
}

// Whether `c` is part of an emoji: a joiner between two of them, or a variation
// selector behind what it selects for. Anything else hidden stays hidden.
bool BelongsToEmoji(UChar32 before, UChar32 c, UChar32 after) {
  if (c == 0xfe0e || c == 0xfe0f) {
    return u_hasBinaryProperty(before, UCHAR_EMOJI) != 0;
  }
  return c == kZeroWidthJoiner && IsPictographic(after) &&
         (IsPictographic(before) || before == 0xfe0f);
}

enum class Lines : uint8_t { kIndented, kSpelt };

std::string Make(absl::string_view text, Lines lines) {
  std::string result;
  result.reserve(text.size());
  UChar32 before = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    const UChar32 c = NextCodePoint(text, i);
    if (c == '\n' && lines == Lines::kIndented) {
      absl::StrAppend(&result, "\n  ");
    } else if (c == '\t') {
      result.push_back(' ');
    } else if (c < 0 || u_charType(c) == U_CONTROL_CHAR) {
      absl::StrAppend(&result, kReplacement);
    } else {
      size_t ahead = i;
      const UChar32 after = i < text.size() ? NextCodePoint(text, ahead) : 0;
      if (IsHidden(static_cast<uint32_t>(c)) &&
          !BelongsToEmoji(before, c, after)) {
        absl::StrAppendFormat(&result, "<U+%04X>", static_cast<uint32_t>(c));
      } else {
        result.append(text.data() + begin, i - begin);
      }
    }
    before = c;
  }
  return result;
}

size_t Width(UChar32 c) {
  if (c < 0) return 1;
  const int8_t type = u_charType(c);
  if (type == U_NON_SPACING_MARK || type == U_ENCLOSING_MARK ||
      IsHidden(static_cast<uint32_t>(c))) {
    return 0;
  }
  const int width = u_getIntPropertyValue(c, UCHAR_EAST_ASIAN_WIDTH);
  return width == U_EA_WIDE || width == U_EA_FULLWIDTH ? 2 : 1;
}

}  // namespace

// ICU's macro narrows on its way.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
int32_t NextCodePoint(absl::string_view text, size_t& i) {
  UChar32 c;
  auto at = static_cast<int64_t>(i);
  const auto size = static_cast<int64_t>(text.size());
  U8_NEXT(text.data(), at, size, c);
  i = static_cast<size_t>(at);
  return c;
}
#pragma GCC diagnostic pop

bool IsHidden(uint32_t code_point) {
  const auto c = static_cast<UChar32>(code_point);
  constexpr uint32_t kHidden = U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CS_MASK |
                               U_GC_CO_MASK | U_GC_CN_MASK | U_GC_ZL_MASK |
                               U_GC_ZP_MASK;
  return (U_GET_GC_MASK(c) & kHidden) != 0 ||
         u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) != 0;
}

std::string Printable(absl::string_view text) {
  return Make(text, Lines::kIndented);
}

std::string PrintableLine(absl::string_view text) {
  return Make(text, Lines::kSpelt);
}

size_t DisplayWidth(absl::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size();) width += Width(NextCodePoint(text, i));
  return width;
}

std::string Clip(absl::string_view text, size_t columns) {
  const size_t all = DisplayWidth(text);
  if (all <= columns) return std::string(text);
  if (columns == 0) return "";
  const size_t head = columns / 2;
  const size_t tail = columns - 1 - head;
  size_t head_end = 0, tail_begin = text.size(), width = 0;
  for (size_t i = 0; i < text.size() && all - width > tail;) {
    width += Width(NextCodePoint(text, i));
    if (width <= head) head_end = i;
    if (all - width <= tail) tail_begin = i;
  }
  return absl::StrCat(text.substr(0, head_end), "…", text.substr(tail_begin));
}

}  // namespace kyuu::tools
