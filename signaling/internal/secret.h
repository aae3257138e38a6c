// Secrets that somebody shows.

#ifndef KYUU_SIGNALING_INTERNAL_SECRET_H_
#define KYUU_SIGNALING_INTERNAL_SECRET_H_

#include "absl/strings/string_view.h"
#include "openssl/crypto.h"

namespace kyuu::signaling::internal {

// Whether two secrets are the same, in a time that tells nothing of how alike
// they are.
inline bool IsSameSecret(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() &&
         CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_SECRET_H_
