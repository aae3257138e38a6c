// OpenSSL's objects as owners that free themselves, and its error queue.

#ifndef KYUU_DTLS_INTERNAL_OPENSSL_H_
#define KYUU_DTLS_INTERNAL_OPENSSL_H_

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <memory>
#include <string>

namespace kyuu::dtls::internal {

// Free<SSL_free> is a deleter for std::unique_ptr.
template <auto kFunction>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFunction(object);
  }
};

using BioPtr = std::unique_ptr<BIO, Free<BIO_free>>;
using EvpPkeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Free<SSL_free>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;

// TakeError returns the reason of the oldest error of this thread's queue, or
// "unknown error", and empties the queue.
inline std::string TakeError() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown error" : reason;
}

}  // namespace kyuu::dtls::internal

#endif  // KYUU_DTLS_INTERNAL_OPENSSL_H_
