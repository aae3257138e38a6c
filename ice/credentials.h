// The short-term credentials of one ICE generation (RFC 8445 section 5.3,
// RFC 8839 section 5.4: `a=ice-ufrag` and `a=ice-pwd`).

#ifndef KYUU_ICE_CREDENTIALS_H_
#define KYUU_ICE_CREDENTIALS_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "base/random.h"

namespace kyuu::ice {

// Credentials are what one agent tells the other in its description: the peer
// names `ufrag` in the USERNAME of its checks and proves to know `password`.
struct Credentials {
  // Generate draws 8 + 24 characters of six random bits each: 48 and 144 bits,
  // where RFC 8445 section 5.3 asks for 24 and 128.
  static Credentials Generate(Random& random);

  // Validate returns INVALID_ARGUMENT unless both are `ice-char`s of the
  // lengths that RFC 8839 section 5.4 allows: 4 to 256 and 22 to 256.
  absl::Status Validate() const;

  std::string ufrag;
  std::string password;

  friend bool operator==(const Credentials&, const Credentials&) = default;
};

}  // namespace kyuu::ice

#endif  // KYUU_ICE_CREDENTIALS_H_
