#include "signaling/token/key.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "openssl/core_names.h"
#include "openssl/crypto.h"
#include "openssl/ecdsa.h"
#include "openssl/err.h"
#include "openssl/hmac.h"
#include "openssl/pem.h"

namespace kyuu::signaling {
namespace {

constexpr int kLeastRsaBits = 2048;
constexpr int kMostRsaBits = 8192;
constexpr size_t kHs256Bytes = 32;
constexpr size_t kEs256Bytes = 64;  // r and s, 32 bytes each.
constexpr size_t kEd25519Bytes = 64;

struct Name {
  TokenAlgorithm algorithm;
  absl::string_view name;
};
constexpr std::array<Name, 4> kNames = {{
    {TokenAlgorithm::kHs256, "HS256"},
    {TokenAlgorithm::kRs256, "RS256"},
    {TokenAlgorithm::kEs256, "ES256"},
    {TokenAlgorithm::kEdDsa, "EdDSA"},
}};

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

bool IsPem(absl::string_view text) {
  return absl::StrContains(text, "-----BEGIN ");
}

// OpenSSL's form of the signature r || s (RFC 7518 section 3.4); empty if it
// cannot be made.
std::string ToDer(absl::string_view raw) {
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair(
      ECDSA_SIG_new(), ECDSA_SIG_free);
  constexpr int kHalf = kEs256Bytes / 2;
  BIGNUM* r = BN_bin2bn(Bytes(raw), kHalf, nullptr);
  BIGNUM* s = BN_bin2bn(Bytes(raw) + kHalf, kHalf, nullptr);
  if (pair == nullptr || ECDSA_SIG_set0(pair.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return "";
  }
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(pair.get(), &der);
  if (size <= 0) return "";
  std::string text(reinterpret_cast<const char*>(der),
                   static_cast<size_t>(size));
  OPENSSL_free(der);
  return text;
}

bool VerifyMac(const std::string& secret, absl::string_view text,
               absl::string_view signature) {
  std::array<unsigned char, kHs256Bytes> mac;
  unsigned int size = 0;
  if (signature.size() != mac.size() ||
      HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           Bytes(text), text.size(), mac.data(), &size) == nullptr) {
    return false;
  }
  return CRYPTO_memcmp(mac.data(), signature.data(), mac.size()) == 0;
}

bool VerifySignature(const EvpKey& key, const EVP_MD* hash,
                     absl::string_view text, absl::string_view signature) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(
      EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const bool good =
      context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, hash, nullptr, key.get()) ==
          1 &&
      EVP_DigestVerify(context.get(), Bytes(signature), signature.size(),
                       Bytes(text), text.size()) == 1;
  // What is wrong is for nobody behind us.
  ERR_clear_error();
  return good;
}

}  // namespace

absl::string_view AlgorithmName(TokenAlgorithm algorithm) {
  for (const Name& entry : kNames) {
    if (entry.algorithm == algorithm) return entry.name;
  }
  return "";
}

std::optional<TokenAlgorithm> AlgorithmFrom(absl::string_view name) {
  for (const Name& entry : kNames) {
    if (entry.name == name) return entry.algorithm;
  }
  return std::nullopt;
}

EvpKey::EvpKey(const EvpKey& other) : key_(other.key_) {
  EVP_PKEY_up_ref(key_);
}

EvpKey::~EvpKey() { EVP_PKEY_free(key_); }

absl::StatusOr<TokenAlgorithm> AlgorithmOf(const EvpKey& key) {
  switch (EVP_PKEY_get_base_id(key.get())) {
    case EVP_PKEY_RSA: {
      const int bits = EVP_PKEY_get_bits(key.get());
      if (bits >= kLeastRsaBits && bits <= kMostRsaBits) {
        return TokenAlgorithm::kRs256;
      }
      return absl::InvalidArgumentError(
          absl::StrCat("a key of RSA has ", kLeastRsaBits, " to ", kMostRsaBits,
                       " bits, and this one ", bits));
    }
    case EVP_PKEY_EC: {
      std::array<char, 32> group = {};
      size_t size = 0;
      if (EVP_PKEY_get_group_name(key.get(), group.data(), group.size(),
                                  &size) == 1 &&
          absl::string_view(group.data(), size) == "prime256v1") {
        return TokenAlgorithm::kEs256;
      }
      return absl::InvalidArgumentError("only the curve P-256 is used");
    }
    case EVP_PKEY_ED25519:
      return TokenAlgorithm::kEdDsa;
    default:
      return absl::InvalidArgumentError(
          "a key is of RSA, of the curve P-256, or of Ed25519");
  }
}

absl::StatusOr<TokenKey> TokenKey::FromSecret(std::string id,
                                              absl::string_view secret) {
  if (IsPem(secret)) {
    return absl::InvalidArgumentError(
        "a key in PEM is no secret for HS256: who has the public key could "
        "make tokens");
  }
  if (secret.size() < kLeastSecretBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a secret for HS256 has ", kLeastSecretBytes, " bytes or more"));
  }
  return TokenKey(std::move(id), TokenAlgorithm::kHs256, std::string(secret));
}

absl::StatusOr<TokenKey> TokenKey::FromPem(std::string id,
                                           TokenAlgorithm algorithm,
                                           absl::string_view pem) {
  if (absl::StrContains(pem, "PRIVATE KEY-----")) {
    return absl::InvalidArgumentError(
        "a private key: only the public one is needed here "
        "(openssl pkey -pubout)");
  }
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  EVP_PKEY* parsed = bio == nullptr ? nullptr
                                    : PEM_read_bio_PUBKEY(bio.get(), nullptr,
                                                          nullptr, nullptr);
  ERR_clear_error();
  if (parsed == nullptr) {
    return absl::InvalidArgumentError("no public key in PEM");
  }
  absl::StatusOr<TokenKey> key = FromPublicKey(std::move(id), EvpKey(parsed));
  if (key.ok() && key->algorithm() != algorithm) {
    return absl::InvalidArgumentError(
        absl::StrCat("a key of ", AlgorithmName(key->algorithm()), ", not of ",
                     AlgorithmName(algorithm)));
  }
  return key;
}

absl::StatusOr<TokenKey> TokenKey::FromPublicKey(std::string id, EvpKey key) {
  const absl::StatusOr<TokenAlgorithm> algorithm = AlgorithmOf(key);
  if (!algorithm.ok()) return algorithm.status();
  return TokenKey(std::move(id), *algorithm, std::move(key));
}

bool TokenKey::Verify(absl::string_view text,
                      absl::string_view signature) const {
  if (const auto* secret = std::get_if<std::string>(&material_)) {
    return VerifyMac(*secret, text, signature);
  }
  const EvpKey& key = std::get<EvpKey>(material_);
  switch (algorithm_) {
    case TokenAlgorithm::kRs256:
      return signature.size() ==
                 static_cast<size_t>(EVP_PKEY_get_size(key.get())) &&
             VerifySignature(key, EVP_sha256(), text, signature);
    case TokenAlgorithm::kEs256:
      return signature.size() == kEs256Bytes &&
             VerifySignature(key, EVP_sha256(), text, ToDer(signature));
    case TokenAlgorithm::kEdDsa:
      return signature.size() == kEd25519Bytes &&
             VerifySignature(key, nullptr, text, signature);
    case TokenAlgorithm::kHs256:
      break;
  }
  return false;
}

absl::Status KeySet::Add(TokenKey key) {
  if (keys_.size() >= kMaxKeys) {
    return absl::ResourceExhaustedError(
        absl::StrCat("there are more than ", kMaxKeys, " keys"));
  }
  const bool twin =
      !key.id().empty() &&
      std::any_of(keys_.begin(), keys_.end(), [&](const TokenKey& other) {
        return other.id() == key.id() && other.algorithm() == key.algorithm();
      });
  if (twin) {
    return absl::AlreadyExistsError(
        absl::StrCat("there are two keys of the id \"", key.id(), "\""));
  }
  keys_.push_back(std::move(key));
  return absl::OkStatus();
}

}  // namespace kyuu::signaling
