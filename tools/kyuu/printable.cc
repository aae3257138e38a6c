#include "tools/kyuu/printable.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

namespace kyuu::tools {

std::string Printable(absl::string_view text) {
  static constexpr char kReplacement[] = "\xef\xbf\xbd";
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    // U+0080 to U+009F are C2 80 to C2 9F.
    const bool c1 = byte == 0xc2 && i + 1 < text.size() &&
                    static_cast<uint8_t>(text[i + 1]) < 0xa0;
    if (byte == '\n') {
      absl::StrAppend(&result, "\n  ");
    } else if (byte == '\t') {
      result.push_back(' ');
    } else if (byte < 0x20 || byte == 0x7f || c1) {
      absl::StrAppend(&result, kReplacement);
      if (c1) ++i;
    } else {
      result.push_back(text[i]);
    }
  }
  return result;
}

}  // namespace kyuu::tools
