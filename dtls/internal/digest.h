// The fingerprint of an OpenSSL certificate.

#ifndef KYUU_DTLS_INTERNAL_DIGEST_H_
#define KYUU_DTLS_INTERNAL_DIGEST_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <array>
#include <cstdint>

#include "dtls/fingerprint.h"

namespace kyuu::dtls::internal {

// DigestOf hashes the DER form of `certificate`; the default Fingerprint if
// OpenSSL fails, which no parsed one equals.
inline Fingerprint DigestOf(const X509* certificate, HashAlgorithm algorithm) {
  const EVP_MD* hash = algorithm == HashAlgorithm::kSha512   ? EVP_sha512()
                       : algorithm == HashAlgorithm::kSha384 ? EVP_sha384()
                                                             : EVP_sha256();
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  if (X509_digest(certificate, hash, digest.data(), &size) != 1) return {};
  return Fingerprint::FromDigest(algorithm,
                                 absl::MakeConstSpan(digest).first(size))
      .value_or(Fingerprint());
}

}  // namespace kyuu::dtls::internal

#endif  // KYUU_DTLS_INTERNAL_DIGEST_H_
