#include "signaling/token/base64url.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"

namespace kyuu::signaling {
namespace {

bool IsLetter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
         c == '_';
}

}  // namespace

std::optional<std::string> FromBase64Url(absl::string_view text) {
  if (!std::all_of(text.begin(), text.end(), IsLetter)) return std::nullopt;
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(text, &bytes)) return std::nullopt;
  // Bits that are left over are seen by what the bytes would have looked like.
  if (ToBase64Url(bytes) != text) return std::nullopt;
  return bytes;
}

std::string ToBase64Url(absl::string_view bytes) {
  return absl::WebSafeBase64Escape(bytes);
}

}  // namespace kyuu::signaling
