// Keys of STUN's message integrity, with the HMAC's fixed part done in advance.

#ifndef KYUU_STUN_INTEGRITY_H_
#define KYUU_STUN_INTEGRITY_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "stun/attributes.h"

namespace kyuu::stun {

// Sha1Key computes HMAC-SHA1 under one key. The states of the hash after its
// first block (the key XOR ipad, and opad: RFC 2104) are computed once, so that
// a message costs only its own blocks. 40 bytes, trivially copyable; the key
// itself is not kept. Two are equal if their keys are.
//
// User names and passwords must have passed OpaqueString (RFC 8265 section
// 4.2) already; ASCII text without control characters is its own result.
class Sha1Key {
 public:
  using Sha1Mac = std::array<uint8_t, 20>;

  // From the bytes of a key.
  explicit Sha1Key(absl::Span<const uint8_t> key);
  // RFC 8489 section 9.1.1: the password itself.
  static Sha1Key ShortTerm(absl::string_view password);

  // The HMAC over `head` followed by `body`: two parts, since the length field
  // of a STUN header is hashed with another value than it has.
  Sha1Mac HmacSha1(absl::Span<const uint8_t> head,
                   absl::Span<const uint8_t> body) const;

  friend bool operator==(const Sha1Key&, const Sha1Key&) = default;

 private:
  std::array<uint32_t, 5> inner_;
  std::array<uint32_t, 5> outer_;
};

// IntegrityKey computes HMAC-SHA256, too, in the same way. 104 bytes.
class IntegrityKey : public Sha1Key {
 public:
  using Sha256Mac = std::array<uint8_t, 32>;

  // The key of an empty password. It never verifies a message of a peer who
  // has one.
  IntegrityKey();
  // From the bytes of a key, for example the mac_key of RFC 7635.
  explicit IntegrityKey(absl::Span<const uint8_t> key);

  // RFC 8489 section 9.1.1: the password itself.
  static IntegrityKey ShortTerm(absl::string_view password);
  // RFC 8489 section 9.2.2: hash(username ":" realm ":" password).
  static IntegrityKey LongTerm(absl::string_view username,
                               absl::string_view realm,
                               absl::string_view password,
                               PasswordHash hash = PasswordHash::kMd5);
  // From the digest that LongTerm() hashes to, as password files store it: 16
  // bytes for MD5, 32 for SHA-256.
  static IntegrityKey FromDigest(absl::Span<const uint8_t> digest);

  // As HmacSha1().
  Sha256Mac HmacSha256(absl::Span<const uint8_t> head,
                       absl::Span<const uint8_t> body) const;

 private:
  std::array<uint32_t, 8> sha256_inner_;
  std::array<uint32_t, 8> sha256_outer_;
};

// EqualInConstantTime compares secrets: the time it takes depends on the sizes
// only. Spans of different sizes are not equal.
bool EqualInConstantTime(absl::Span<const uint8_t> a,
                         absl::Span<const uint8_t> b);

// UserhashOf returns SHA-256(username ":" realm) (RFC 8489 section 14.4).
Userhash UserhashOf(absl::string_view username, absl::string_view realm);

}  // namespace kyuu::stun

#endif  // KYUU_STUN_INTEGRITY_H_
