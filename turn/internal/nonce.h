// Nonces that need no memory: a timestamp and a proof that we made it for this
// client.

#ifndef KYUU_TURN_INTERNAL_NONCE_H_
#define KYUU_TURN_INTERNAL_NONCE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "stun/integrity.h"
#include "stun/nonce_cookie.h"

namespace kyuu::turn::internal {

// NonceMaker makes and checks nonces (RFC 8489 section 9.2):
//
//   cookie | base64(seconds of UTC, 4 bytes |
//                   HMAC-SHA1(secret, seconds | port | ip | cookie | realm)
//                   cut)
//
// The cookie, of 13 characters or none, says what is offered: to take it off,
// or put it on, makes another nonce, of no use. Behind one the HMAC is cut to
// 10 bytes, else to 11: 80 bits keep guessing hopeless within a nonce's
// lifetime, and 32 or 20 characters the answer that carries it short. A nonce
// is of no use from another address or port, or in another realm.
class NonceMaker {
 public:
  static constexpr size_t kPlainSize = 20;
  static constexpr size_t kProofSize = 19;  // What follows a cookie.
  // With a cookie or without.
  static constexpr size_t SizeOf(bool cookie) {
    return cookie ? stun::kNonceCookieSize + kProofSize : kPlainSize;
  }
  struct Nonce {
    std::array<char, stun::kNonceCookieSize + kProofSize> chars{};
    size_t size = 0;

    absl::string_view text() const { return {chars.data(), size}; }
  };

  NonceMaker(absl::string_view secret, absl::Duration lifetime);

  // `realm` has at most 127 characters.
  Nonce Make(absl::Time utc, const TransportAddress& client,
             absl::string_view realm, absl::string_view cookie) const;
  // False if it is not of our making for `client` and `realm`, and with that
  // cookie, or too old.
  bool Check(absl::Time utc, const TransportAddress& client,
             absl::string_view realm, absl::string_view nonce,
             absl::string_view cookie) const;
  // Makes with `secret` from now on; the old one still counts for a lifetime.
  void Rotate(absl::Time utc, absl::string_view secret);

 private:
  Nonce MakeWith(const stun::IntegrityKey& key, uint32_t seconds,
                 const TransportAddress& client, absl::string_view realm,
                 absl::string_view cookie) const;

  absl::Duration lifetime_;
  stun::IntegrityKey key_;
  stun::IntegrityKey old_key_;
  absl::Time old_key_until_ = absl::InfinitePast();
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_NONCE_H_
