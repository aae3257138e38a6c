#include "dtls/certificate.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/srtp.h>

#include <array>
#include <cstdint>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "dtls/internal/connection.h"
#include "dtls/internal/context.h"
#include "dtls/internal/digest.h"
#include "dtls/internal/openssl.h"

namespace kyuu::dtls {

namespace {

using internal::BioPtr;
using internal::EvpPkeyPtr;
using internal::SslCtxPtr;
using internal::TakeError;
using internal::X509Ptr;

// Nothing of ours uses the keys, but pion's DTLS, which every pion data channel
// runs on, ends a handshake in which no SRTP profile is agreed (alert 71).
constexpr char kSrtpProfiles[] = "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80";

absl::Status OpenSslError(absl::string_view what) {
  return absl::InternalError(absl::StrCat(what, ": ", TakeError()));
}

// Sets everything of a self-signed certificate and signs it.
bool FillAndSign(X509* certificate, EVP_PKEY* key, absl::Time now) {
  std::array<uint8_t, 8> serial;
  if (RAND_bytes(serial.data(), serial.size()) != 1) return false;
  serial[0] = (serial[0] & 0x7f) | 0x40;  // Positive, and of a fixed length.
  const internal::BignumPtr number(
      BN_bin2bn(serial.data(), serial.size(), nullptr));
  if (number == nullptr ||
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) ==
          nullptr) {
    return false;
  }
  // The name that libwebrtc gives: it tells nothing about the user.
  X509_NAME* name = X509_get_subject_name(certificate);
  // Ed25519 has its hash function in itself.
  const EVP_MD* digest =
      EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
  const absl::Time from = now - absl::Hours(24);
  const absl::Time until = now + absl::Hours(24 * 30);
  return X509_set_version(certificate, X509_VERSION_3) == 1 &&
         X509_NAME_add_entry_by_txt(
             name, "CN", MBSTRING_ASC,
             reinterpret_cast<const unsigned char*>("WebRTC"), -1, -1,
             0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1 &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), absl::ToTimeT(from)) !=
             nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), absl::ToTimeT(until)) !=
             nullptr &&
         X509_set_pubkey(certificate, key) == 1 &&
         X509_sign(certificate, key, digest) != 0;
}

EvpPkeyPtr MakeKey(KeyType type) {
  const auto curve = [](const char* name) {
    return EvpPkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", name));
  };
  switch (type) {
    case KeyType::kEcdsaP256:
      return curve("P-256");
    case KeyType::kEcdsaP384:
      return curve("P-384");
    case KeyType::kEcdsaP521:
      return curve("P-521");
    case KeyType::kEd25519:
      return EvpPkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    case KeyType::kRsa:
      return EvpPkeyPtr(
          EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{2048}));
  }
  return nullptr;
}

// As a server, OpenSSL 3 takes ECDSA suites for an Ed25519 certificate in TLS
// only, not in DTLS. Beside a certificate for ECDSA it does so there too, and
// shows the one whose signature we like best. A client that does not know
// Ed25519 gets the other one, which has no fingerprint anywhere, and refuses
// it.
bool AllowEd25519(SSL_CTX* context) {
  std::string signatures =  // OpenSSL's macro wants it mutable.
      "ed25519:ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA256:"
      "RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512";
  const EvpPkeyPtr key = MakeKey(KeyType::kEcdsaP256);
  const X509Ptr certificate(X509_new());
  return key != nullptr && certificate != nullptr &&
         FillAndSign(certificate.get(), key.get(), absl::UnixEpoch()) &&
         SSL_CTX_use_certificate(context, certificate.get()) == 1 &&
         SSL_CTX_use_PrivateKey(context, key.get()) == 1 &&
         SSL_CTX_set1_sigalgs_list(context, signatures.data()) == 1;
}

absl::StatusOr<SslCtxPtr> MakeContext(X509* certificate, EVP_PKEY* key) {
  SslCtxPtr context(SSL_CTX_new(DTLS_method()));
  if (context == nullptr) return OpenSslError("SSL_CTX_new");
  SSL_CTX* c = context.get();
  internal::SetVerification(c);
  // Zero is success, of the second one only.
  if (!internal::SetUp(c) ||
      SSL_CTX_set_tlsext_use_srtp(c, kSrtpProfiles) != 0) {
    return OpenSslError("SSL_CTX");
  }
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 && !AllowEd25519(c)) {
    return OpenSslError("Ed25519");
  }
  if (SSL_CTX_use_certificate(c, certificate) != 1 ||
      SSL_CTX_use_PrivateKey(c, key) != 1 ||
      SSL_CTX_check_private_key(c) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("certificate and key: ", TakeError()));
  }
  return context;
}

}  // namespace

absl::StatusOr<Certificate> Certificate::Generate(absl::Time now,
                                                  KeyType type) {
  ERR_clear_error();
  const EvpPkeyPtr key = MakeKey(type);
  const X509Ptr certificate(X509_new());
  if (key == nullptr || certificate == nullptr ||
      !FillAndSign(certificate.get(), key.get(), now)) {
    return OpenSslError("certificate");
  }
  absl::StatusOr<SslCtxPtr> context = MakeContext(certificate.get(), key.get());
  if (!context.ok()) return context.status();
  return Certificate(
      context->release(),
      internal::DigestOf(certificate.get(), HashAlgorithm::kSha256));
}

absl::StatusOr<Certificate> Certificate::FromPem(absl::string_view pem) {
  ERR_clear_error();
  if (pem.size() > internal::kCertificateBytesMax) {
    return absl::InvalidArgumentError("PEM: too large");
  }
  const int size = static_cast<int>(pem.size());
  // Each reader skips the sections that it does not look for. An empty
  // password keeps OpenSSL from asking for one on the terminal.
  char no_password[] = "";
  const BioPtr for_key(BIO_new_mem_buf(pem.data(), size));
  const BioPtr for_certificate(BIO_new_mem_buf(pem.data(), size));
  const EvpPkeyPtr key(
      PEM_read_bio_PrivateKey(for_key.get(), nullptr, nullptr, no_password));
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("PEM: private key: ", TakeError()));
  }
  const X509Ptr certificate(
      PEM_read_bio_X509(for_certificate.get(), nullptr, nullptr, no_password));
  if (certificate == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("PEM: certificate: ", TakeError()));
  }
  absl::StatusOr<SslCtxPtr> context = MakeContext(certificate.get(), key.get());
  if (!context.ok()) return context.status();
  return Certificate(
      context->release(),
      internal::DigestOf(certificate.get(), HashAlgorithm::kSha256));
}

std::string Certificate::ToPem() const {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(bio.get(), SSL_CTX_get0_privatekey(context_),
                           nullptr, nullptr, 0, nullptr, nullptr);
  PEM_write_bio_X509(bio.get(), SSL_CTX_get0_certificate(context_));
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return size <= 0 ? "" : std::string(data, static_cast<size_t>(size));
}

Certificate::Certificate(ssl_ctx_st* context, Fingerprint fingerprint)
    : context_(context), fingerprint_(fingerprint) {}

Certificate::Certificate(const Certificate& other)
    : context_(other.context_), fingerprint_(other.fingerprint_) {
  SSL_CTX_up_ref(context_);
}

Certificate& Certificate::operator=(const Certificate& other) {
  if (this == &other) return *this;
  SSL_CTX_up_ref(other.context_);
  SSL_CTX_free(context_);
  context_ = other.context_;
  fingerprint_ = other.fingerprint_;
  return *this;
}

Certificate::~Certificate() { SSL_CTX_free(context_); }

}  // namespace kyuu::dtls
