#include "tools/kyuu/file_name.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tools/kyuu/printable.h"

namespace kyuu::tools {
namespace {

bool IsControl(char c) { return c == 0x7f || static_cast<uint8_t>(c) < 0x20; }

// Extensions are short: of "a very long. sentence" nothing is one.
constexpr size_t kExtensionBytesMax = 32;

size_t ExtensionStart(absl::string_view name) {
  size_t dot = name.find('.', 1);
  if (dot != absl::string_view::npos &&
      name.size() - dot > kExtensionBytesMax) {
    dot = name.rfind('.');
  }
  return dot == absl::string_view::npos || dot == 0 ||
                 name.size() - dot > kExtensionBytesMax
             ? name.size()
             : dot;
}

}  // namespace

bool IsSafeFileName(absl::string_view name) {
  if (name.empty() || name.size() > kFileNameBytesMax || name == "." ||
      name == "..") {
    return false;
  }
  return std::none_of(name.begin(), name.end(), [](char c) {
    return c == '/' || c == '\\' || IsControl(c);
  });
}

std::string CleanFileName(absl::string_view name) {
  std::string clean(name);
  for (char& c : clean) {
    if (c == '/' || c == '\\' || IsControl(c)) c = '_';
  }
  return clean;
}

std::string StoredFileName(absl::string_view name) {
  std::string stored;
  stored.reserve(name.size());
  for (size_t i = 0; i < name.size();) {
    const size_t begin = i;
    const int32_t c = NextCodePoint(name, i);
    if (c < 0 || IsHidden(static_cast<uint32_t>(c))) {
      stored.push_back('_');
    } else {
      stored.append(name.data() + begin, i - begin);
    }
  }
  if (stored.front() == '.') stored.front() = '_';
  return stored;
}

std::string PortableFileName(absl::string_view name) {
  std::string portable(name);
  for (char& c : portable) {
    if (absl::string_view(":*?\"<>|").find(c) != absl::string_view::npos) {
      c = '_';
    }
  }
  if (portable.back() == '.' || portable.back() == ' ') portable.back() = '_';
  return portable;
}

absl::string_view Utf8Prefix(absl::string_view text, size_t bytes) {
  if (text.size() <= bytes) return text;
  // Back to the first byte of the character that does not fit.
  while (bytes > 0 && (static_cast<uint8_t>(text[bytes]) & 0xc0) == 0x80) {
    --bytes;
  }
  return text.substr(0, bytes);
}

std::string NumberedFileName(absl::string_view name, int number) {
  if (number == 0) return std::string(name);
  const size_t dot = ExtensionStart(name);
  const std::string end = absl::StrCat(" (", number, ")", name.substr(dot));
  return absl::StrCat(
      Utf8Prefix(name.substr(0, dot), kFileNameBytesMax - end.size()), end);
}

}  // namespace kyuu::tools
