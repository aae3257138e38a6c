#include "signaling/token/signing_key.h"

#include <array>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "openssl/ecdsa.h"
#include "openssl/err.h"
#include "openssl/hmac.h"
#include "openssl/pem.h"
#include "signaling/internal/object_writer.h"
#include "signaling/token/base64url.h"

namespace kyuu::signaling {

using internal::AppendJsonText;
using internal::ObjectWriter;

namespace {

constexpr int kHalf = 32;  // Of a signature of P-256.

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

absl::Status Failed() { return absl::InternalError("OpenSSL does not sign"); }

// r || s of a signature as OpenSSL makes it (RFC 7518 section 3.4).
absl::StatusOr<std::string> FromDer(absl::string_view der) {
  const unsigned char* at = Bytes(der);
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair(
      d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())),
      ECDSA_SIG_free);
  std::array<unsigned char, 2 * kHalf> raw;
  if (pair == nullptr ||
      BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), raw.data(), kHalf) != kHalf ||
      BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), raw.data() + kHalf, kHalf) !=
          kHalf) {
    return Failed();
  }
  return std::string(reinterpret_cast<const char*>(raw.data()), raw.size());
}

// Nobody is asked for a password at a terminal.
int NoPassword(char*, int, int, void*) { return -1; }

}  // namespace

absl::StatusOr<SigningKey> SigningKey::FromText(absl::string_view text) {
  if (!absl::StrContains(text, "-----BEGIN ")) {
    const absl::string_view secret = SecretOfFile(text);
    KYUU_RETURN_IF_ERROR(TokenKey::FromSecret("", secret).status());
    return SigningKey(TokenAlgorithm::kHs256, std::string(secret));
  }
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free);
  EVP_PKEY* parsed =
      bio == nullptr
          ? nullptr
          : PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr);
  ERR_clear_error();
  if (parsed == nullptr) {
    return absl::InvalidArgumentError(
        "no private key in PEM, or one with a password");
  }
  EvpKey key(parsed);
  KYUU_ASSIGN_OR_RETURN(const TokenAlgorithm algorithm, AlgorithmOf(key));
  return SigningKey(algorithm, std::move(key));
}

absl::StatusOr<TokenKey> SigningKey::VerifyingKey(std::string id) const {
  if (const auto* secret = std::get_if<std::string>(&material_)) {
    return TokenKey::FromSecret(std::move(id), *secret);
  }
  return TokenKey::FromPublicKey(std::move(id), std::get<EvpKey>(material_));
}

absl::StatusOr<std::string> SigningKey::Sign(absl::string_view text) const {
  if (const auto* secret = std::get_if<std::string>(&material_)) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> mac;
    unsigned int size = 0;
    if (HMAC(EVP_sha256(), secret->data(), static_cast<int>(secret->size()),
             Bytes(text), text.size(), mac.data(), &size) == nullptr) {
      return Failed();
    }
    return std::string(reinterpret_cast<const char*>(mac.data()), size);
  }
  const EvpKey& key = std::get<EvpKey>(material_);
  const EVP_MD* hash =
      algorithm_ == TokenAlgorithm::kEdDsa ? nullptr : EVP_sha256();
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(
      EVP_MD_CTX_new(), EVP_MD_CTX_free);
  size_t size = 0;
  if (context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, hash, nullptr, key.get()) !=
          1 ||
      EVP_DigestSign(context.get(), nullptr, &size, Bytes(text), text.size()) !=
          1) {
    return Failed();
  }
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(),
                     reinterpret_cast<unsigned char*>(signature.data()), &size,
                     Bytes(text), text.size()) != 1) {
    return Failed();
  }
  signature.resize(size);
  return algorithm_ == TokenAlgorithm::kEs256 ? FromDer(signature)
                                              : std::move(signature);
}

absl::StatusOr<std::string> SigningKey::SignToken(
    absl::string_view header, absl::string_view claims) const {
  std::string text =
      absl::StrCat(ToBase64Url(header), ".", ToBase64Url(claims));
  KYUU_ASSIGN_OR_RETURN(const std::string signature, Sign(text));
  absl::StrAppend(&text, ".", ToBase64Url(signature));
  return text;
}

absl::StatusOr<std::string> SigningKey::MakeToken(absl::string_view id,
                                                  const NewToken& token) const {
  std::string header, claims;
  ObjectWriter(header)
      .Text("alg", AlgorithmName(algorithm_))
      .Text("typ", "JWT")
      .TextIfAny("kid", id);
  {
    ObjectWriter w(claims);
    w.Text("sub", token.subject)
        .TextIfAny("name", token.name)
        .TextIfAny("iss", token.issuer)
        .TextIfAny("aud", token.audience);
    if (token.rooms) w.Array("rooms", *token.rooms, AppendJsonText);
    w.Number("iat", absl::ToUnixSeconds(token.issued))
        .Number("exp", absl::ToUnixSeconds(token.expires));
  }
  return SignToken(header, claims);
}

absl::string_view SecretOfFile(absl::string_view content) {
  absl::ConsumeSuffix(&content, "\n");
  absl::ConsumeSuffix(&content, "\r");
  return content;
}

}  // namespace kyuu::signaling
