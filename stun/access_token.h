// Self-contained access tokens: what an authorization server lets a client
// show to a STUN or TURN server (RFC 7635 section 6.2).

#ifndef KYUU_STUN_ACCESS_TOKEN_H_
#define KYUU_STUN_ACCESS_TOKEN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace kyuu::stun {

// What a token says.
struct TokenContent {
  // The session's key of MESSAGE-INTEGRITY, of 20 to 64 bytes.
  std::string mac_key;
  absl::Time timestamp;     // UTC, when it was made; in 1/64000 s.
  absl::Duration lifetime;  // From then on, in seconds.
};

// TokenKey is the key that authorization server and STUN server share; kid, the
// USERNAME of those who show a token, says which.
//
//   0                   1                   2                   3
//   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//  +-------------------------------+-------------------------------+
//  |       nonce length (12)       |  nonce ...                    |
//  +-------------------------------+-------------------------------+
//  |  sealed by AES-GCM, with the server's name as associated data:|
//  |     key length (16 bits), mac_key, timestamp (48 bits of      |
//  |     seconds, 16 of their fraction), lifetime (32 bits)        |
//  +---------------------------------------------------------------+
//  |  tag (16 bytes)                                               |
//  +---------------------------------------------------------------+
class TokenKey {
 public:
  enum class Algorithm : uint8_t { kA128Gcm, kA256Gcm };
  static constexpr size_t kNonceSize = 12;  // RFC 5116 section 5.1.
  static constexpr size_t kTagSize = 16;
  using Nonce = std::array<uint8_t, kNonceSize>;

  // INVALID_ARGUMENT unless `key` has the 16 or 32 bytes of the algorithm.
  static absl::StatusOr<TokenKey> Make(Algorithm algorithm,
                                       absl::Span<const uint8_t> key);

  // What `token` says, if this key and that name sealed it and it is well
  // formed. What is of a wrong size is not decrypted.
  std::optional<TokenContent> Open(absl::Span<const uint8_t> token,
                                   absl::string_view server_name) const;
  // The inverse. `nonce` must never be used twice with one key.
  std::string Seal(const TokenContent& content, absl::string_view server_name,
                   const Nonce& nonce) const;

 private:
  TokenKey(Algorithm algorithm, absl::Span<const uint8_t> key);

  Algorithm algorithm_;
  std::array<uint8_t, 32> key_{};
};

// When a token of `content` is no good any more, if `now` (UTC) is within what
// RFC 7635 section 4.2 allows of its timestamp: less than its lifetime and
// `delta`, before or after. nullopt if it is not.
std::optional<absl::Time> TokenExpiry(const TokenContent& content,
                                      absl::Time now, absl::Duration delta);

}  // namespace kyuu::stun

#endif  // KYUU_STUN_ACCESS_TOKEN_H_
