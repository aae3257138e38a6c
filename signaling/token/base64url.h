// Base64url without padding (RFC 4648 section 5, RFC 7515 section 2).

#ifndef KYUU_SIGNALING_TOKEN_BASE64URL_H_
#define KYUU_SIGNALING_TOKEN_BASE64URL_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace kyuu::signaling {

// FromBase64Url returns the bytes of `text`; nullopt if there is padding, white
// space or another letter in it, or bits beyond the last byte are set: each
// string of bytes has one text only.
std::optional<std::string> FromBase64Url(absl::string_view text);
std::string ToBase64Url(absl::string_view bytes);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_TOKEN_BASE64URL_H_
