// The nonce cookie: how a server says, unforgeably, what it can do about
// passwords (RFC 8489 section 9.2).

#ifndef KYUU_STUN_NONCE_COOKIE_H_
#define KYUU_STUN_NONCE_COOKIE_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace kyuu::stun {

// The STUN security features of RFC 8489 section 18.1, numbered from the least
// significant of 24 bits, as the verified erratum 6290 and the corrected
// example in appendix B.1 have it.
struct SecurityFeatures {
  // Bit 0: the server lists PASSWORD-ALGORITHMS, so a challenge without that
  // list was tampered with.
  bool password_algorithms = false;
  // Bit 1: the server takes USERHASH in place of USERNAME.
  bool username_anonymity = false;

  friend bool operator==(const SecurityFeatures&,
                         const SecurityFeatures&) = default;
};

// "obMatJos2" and four characters of base64.
inline constexpr absl::string_view kNonceCookiePrefix = "obMatJos2";
inline constexpr size_t kNonceCookieSize = 13;

// NonceCookie returns the 13 characters that the NONCE of a server with these
// features begins with.
std::string NonceCookie(const SecurityFeatures& features);

// ReadNonceCookie returns the features that `nonce` announces; nullopt if it
// does not begin with a cookie.
std::optional<SecurityFeatures> ReadNonceCookie(absl::string_view nonce);

}  // namespace kyuu::stun

#endif  // KYUU_STUN_NONCE_COOKIE_H_
