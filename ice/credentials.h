// The short-term credentials of one ICE generation (RFC 8445 section 5.3,
// RFC 8839 section 5.4: `a=ice-ufrag` and `a=ice-pwd`).

#ifndef KYUU_ICE_CREDENTIALS_H_
#define KYUU_ICE_CREDENTIALS_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/random.h"

namespace kyuu::ice {

// IsIceChar is `ice-char` of RFC 8839 section 5.4 (letters, digits, '+' and
// '/') and four more, '-', '_', '=' and '#', that deployed endpoints write and
// browsers take. None of them can end a line or the words of one, nor the
// USERNAME of a check, whose two halves a ':' parts.
bool IsIceChar(char c);

// IsUfrag and IsPassword are the grammar of `a=ice-ufrag` and `a=ice-pwd`: 4 to
// 256, and 22 to 256, of them. Nobody else decides what they may be: sdp asks
// here, so what a description may say is what an agent takes.
inline constexpr size_t kUfragSizeMin = 4;
inline constexpr size_t kPasswordSizeMin = 22;
inline constexpr size_t kCredentialSizeMax = 256;
bool IsUfrag(absl::string_view text);
bool IsPassword(absl::string_view text);

// Credentials are what one agent tells the other in its description: the peer
// names `ufrag` in the USERNAME of its checks and proves to know `password`.
struct Credentials {
  // Generate draws 8 + 24 characters of six random bits each: 48 and 144 bits,
  // where RFC 8445 section 5.3 asks for 24 and 128.
  static Credentials Generate(Random& random);

  // Validate returns INVALID_ARGUMENT unless IsUfrag and IsPassword hold.
  absl::Status Validate() const;

  std::string ufrag;
  std::string password;

  friend bool operator==(const Credentials&, const Credentials&) = default;
};

}  // namespace kyuu::ice

#endif  // KYUU_ICE_CREDENTIALS_H_
