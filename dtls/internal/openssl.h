// OpenSSL's objects as owners that free themselves, and its error queue.

#ifndef KYUU_DTLS_INTERNAL_OPENSSL_H_
#define KYUU_DTLS_INTERNAL_OPENSSL_H_

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdint>
#include <memory>
#include <string>

namespace kyuu::dtls::internal {

// The deleter of all of OpenSSL's objects.
struct Free {
  void operator()(BIGNUM* object) const { BN_free(object); }
  void operator()(BIO* object) const { BIO_free(object); }
  void operator()(EVP_CIPHER_CTX* object) const { EVP_CIPHER_CTX_free(object); }
  void operator()(EVP_PKEY* object) const { EVP_PKEY_free(object); }
  void operator()(SSL* object) const { SSL_free(object); }
  void operator()(SSL_CTX* object) const { SSL_CTX_free(object); }
  void operator()(X509* object) const { X509_free(object); }
};

using BignumPtr = std::unique_ptr<BIGNUM, Free>;
using BioPtr = std::unique_ptr<BIO, Free>;
using CipherContextPtr = std::unique_ptr<EVP_CIPHER_CTX, Free>;
using EvpPkeyPtr = std::unique_ptr<EVP_PKEY, Free>;
using SslPtr = std::unique_ptr<SSL, Free>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, Free>;
using X509Ptr = std::unique_ptr<X509, Free>;

// ClearErrors empties the error queue of this thread, which SSL_get_error would
// take for the last call's. Looking first is cheaper: it is nearly always
// empty.
inline void ClearErrors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

// TakeError returns the reason of the oldest error of this thread's queue, or
// `otherwise` if there is none, and empties the queue.
inline std::string TakeError(const char* otherwise = "unknown error") {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? otherwise : reason;
}

// AlertName is OpenSSL's name of an alert's description (RFC 5246 section 7.2).
inline const char* AlertName(uint8_t description) {
  return SSL_alert_desc_string_long(description);
}

}  // namespace kyuu::dtls::internal

#endif  // KYUU_DTLS_INTERNAL_OPENSSL_H_
