// What an authorization server has given an application to show to a TURN
// server (RFC 7635).

#ifndef KYUU_TURN_CLIENT_TOKEN_H_
#define KYUU_TURN_CLIENT_TOKEN_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace kyuu::turn {

// ClientToken is what turn::Client::UseToken() takes. TURN servers open
// `token`, which nobody else can, and find `mac_key` in it.
struct ClientToken {
  // As many bytes are taken; what our server opens has up to 124.
  static constexpr size_t kTokenMax = 1024;
  // RFC 7635 has keys of 20 bytes or more (section 6.2). coturn uses the first
  // 16 of any key only, and so has to be given these alone.
  static constexpr size_t kMacKeyMin = 16;
  static constexpr size_t kMacKeyMax = 64;

  std::string kid;      // Which key it is sealed with; goes as the USERNAME.
  std::string token;    // Bytes, not base64.
  std::string mac_key;  // Bytes: what requests are signed with.
  // From UseToken() on. Infinite: it is never asked for another one in advance.
  absl::Duration lifetime = absl::InfiniteDuration();

  // INVALID_ARGUMENT if a size is not as said, a lifetime is not above zero.
  absl::Status Validate() const;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_CLIENT_TOKEN_H_
