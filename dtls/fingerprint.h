// Certificate fingerprints as they stand in SDP: `sha-256 AB:CD:...`
// (RFC 8122 section 5).

#ifndef KYUU_DTLS_FINGERPRINT_H_
#define KYUU_DTLS_FINGERPRINT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kyuu::dtls {

// The hash functions that kyuu accepts, weakest first. MD2, MD5 and SHA-1 are
// refused (RFC 8122 section 5 forbids the former, collisions the latter).
enum class HashAlgorithm : uint8_t { kSha256, kSha384, kSha512 };

// HashName returns the textual name of `algorithm`, for example "sha-256".
absl::string_view HashName(HashAlgorithm algorithm);
// HashSize returns the size of its digest in bytes: 32, 48 or 64.
size_t HashSize(HashAlgorithm algorithm);

// Fingerprint is the digest of a certificate in its DER form.
class Fingerprint {
 public:
  // A fingerprint that equals no other one that was parsed or made.
  Fingerprint() = default;

  // FromDigest returns nullopt unless `digest` has the size of `algorithm`.
  static std::optional<Fingerprint> FromDigest(
      HashAlgorithm algorithm, absl::Span<const uint8_t> digest);

  // Parse reads the value of an `a=fingerprint` attribute: the name of the
  // hash function in any case, a space, and pairs of hex digits in any case
  // with colons between them.
  // UNIMPLEMENTED: a hash function that kyuu does not accept, md5 and sha-1
  // among them; an offer may hold others beside it.
  // INVALID_ARGUMENT: anything else that is not a fingerprint.
  static absl::StatusOr<Fingerprint> Parse(absl::string_view text);

  // The value of the attribute, digits in upper case.
  std::string ToString() const;

  HashAlgorithm algorithm() const { return algorithm_; }
  // The digest; a view that lives as long as this object. Empty for a
  // default-constructed fingerprint.
  absl::Span<const uint8_t> digest() const;

  // Fingerprints are public: comparing them needs no constant time.
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;

 private:
  HashAlgorithm algorithm_ = HashAlgorithm::kSha256;
  uint8_t size_ = 0;
  std::array<uint8_t, 64> digest_{};
};

// StrongestHash returns the strongest hash function among `fingerprints`,
// nullopt if there are none. A certificate is judged by the fingerprints of
// that function alone and must equal one of them (RFC 8122 section 5).
std::optional<HashAlgorithm> StrongestHash(
    absl::Span<const Fingerprint> fingerprints);

}  // namespace kyuu::dtls

#endif  // KYUU_DTLS_FINGERPRINT_H_
