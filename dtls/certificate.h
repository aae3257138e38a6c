// The certificate with which a DTLS session shows who it is.

#ifndef KYUU_DTLS_CERTIFICATE_H_
#define KYUU_DTLS_CERTIFICATE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtls/fingerprint.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX.

namespace kyuu::dtls {

// The kinds of keys that Generate makes; FromPem reads these and others. An RSA
// key has 2048 bits and costs 50 to 300 ms.
enum class KeyType : uint8_t {
  kEcdsaP256,
  kEcdsaP384,
  kEcdsaP521,
  kEd25519,
  kRsa,
};

// Certificate is an X.509 certificate with its private key. In WebRTC it is
// self-signed, and the peer knows it by the fingerprint in the SDP.
//
// A copy is cheap and shares the key: making a certificate costs 0.4 ms, and
// OpenSSL's context, which lives in it and is shared by all of its sessions,
// another 0.1 ms. Copies may be used by several threads.
class Certificate {
 public:
  // Generate makes a key and a self-signed certificate, valid from a day before
  // `now` (clocks differ) until 30 days after it. `now` is the wall clock's
  // time; a peer does not check it in WebRTC. Every peer takes ECDSA P-256 (RFC
  // 8827 section 6.5); browsers refuse Ed25519.
  // INTERNAL: OpenSSL failed.
  static absl::StatusOr<Certificate> Generate(
      absl::Time now, KeyType type = KeyType::kEcdsaP256);

  // FromPem reads a private key (ECDSA, RSA or EdDSA) and a certificate, in
  // PEM, in either order. INVALID_ARGUMENT: one is missing or broken, or they
  // do not belong together.
  static absl::StatusOr<Certificate> FromPem(absl::string_view pem);
  // ToPem writes the private key and then the certificate: a secret.
  std::string ToPem() const;

  // The SHA-256 fingerprint, for `a=fingerprint`.
  const Fingerprint& fingerprint() const { return fingerprint_; }

  Certificate(const Certificate& other);
  Certificate& operator=(const Certificate& other);
  ~Certificate();

  // The context of this certificate's sessions, for dtls::Session. Owned by
  // this object; OpenSSL counts its users.
  ssl_ctx_st* context() const { return context_; }

 private:
  // Takes `context` over.
  Certificate(ssl_ctx_st* context, Fingerprint fingerprint);

  ssl_ctx_st* context_;
  Fingerprint fingerprint_;
};

}  // namespace kyuu::dtls

#endif  // KYUU_DTLS_CERTIFICATE_H_
