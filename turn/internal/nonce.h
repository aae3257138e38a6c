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

namespace kyuu::turn::internal {

// NonceMaker makes and checks nonces (RFC 8489 section 9.2):
//
//   base64(seconds of UTC, 4 bytes | HMAC-SHA1(secret, seconds | port | ip)
//          cut to 11 bytes)
//
// 88 bits keep guessing hopeless within a nonce's lifetime, and 20 characters
// keep the answer that carries it short. A nonce is of no use from another
// address or port.
class NonceMaker {
 public:
  static constexpr size_t kSize = 20;
  using Nonce = std::array<char, kSize>;

  NonceMaker(absl::string_view secret, absl::Duration lifetime);

  Nonce Make(absl::Time utc, const TransportAddress& client) const;
  // False if it is not of our making for `client`, or too old.
  bool Check(absl::Time utc, const TransportAddress& client,
             absl::string_view nonce) const;
  // Makes with `secret` from now on; the old one still counts for a lifetime.
  void Rotate(absl::Time utc, absl::string_view secret);

 private:
  Nonce MakeWith(const stun::IntegrityKey& key, uint32_t seconds,
                 const TransportAddress& client) const;

  absl::Duration lifetime_;
  stun::IntegrityKey key_;
  stun::IntegrityKey old_key_;
  absl::Time old_key_until_ = absl::InfinitePast();
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_NONCE_H_
