// What all our OpenSSL contexts for DTLS have in common.

#ifndef KYUU_DTLS_INTERNAL_CONTEXT_H_
#define KYUU_DTLS_INTERNAL_CONTEXT_H_

#include "dtls/internal/openssl.h"

namespace kyuu::dtls::internal {

// OpenSSL reserves room for a handshake message as long as its header claims,
// up to this; without it 100 KB, ten times over. A self-signed certificate
// has 300 bytes (P-256) to 1500 (RSA 4096).
inline constexpr long kCertificateBytesMax = 16 << 10;

// Sets protocols, ciphers, groups and limits; false if OpenSSL refuses.
bool SetUp(SSL_CTX* context);

}  // namespace kyuu::dtls::internal

#endif  // KYUU_DTLS_INTERNAL_CONTEXT_H_
