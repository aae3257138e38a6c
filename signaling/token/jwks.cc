// JWK Sets (RFC 7517): KeySet::AddJwks.

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "openssl/bn.h"
#include "openssl/core_names.h"
#include "openssl/err.h"
#include "openssl/param_build.h"
#include "signaling/internal/json.h"
#include "signaling/token/base64url.h"
#include "signaling/token/key.h"

namespace kyuu::signaling {

using internal::JsonLimits;
using internal::JsonObject;
using internal::JsonValue;

namespace {

// A set has `keys`, and a key some ten members and a chain of certificates.
constexpr JsonLimits kLimits = {8, 64, 64};
constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kCoordinateBytes = 32;  // Of P-256 (RFC 7518 6.2.1.2).

using BigNumber = std::unique_ptr<BIGNUM, decltype(&BN_free)>;
using Params = std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)>;

std::string TextOf(const JsonObject& object, absl::string_view name) {
  const std::optional<JsonValue> value = object.Find(name);
  return value ? internal::JsonText(*value).value_or("") : "";
}

// The bytes of a member; "" if it is none or not base64url.
std::string BytesOf(const JsonObject& object, absl::string_view name) {
  return FromBase64Url(TextOf(object, name)).value_or("");
}

absl::StatusOr<EvpKey> FromParams(const char* type, OSSL_PARAM* params) {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr), EVP_PKEY_CTX_free);
  EVP_PKEY* key = nullptr;
  const bool made =
      context != nullptr && params != nullptr &&
      EVP_PKEY_fromdata_init(context.get()) == 1 &&
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params) == 1;
  ERR_clear_error();
  if (!made) {
    return absl::InvalidArgumentError(absl::StrCat("no key of ", type));
  }
  return EvpKey(key);
}

absl::StatusOr<EvpKey> ReadRsa(const JsonObject& jwk) {
  const auto number = [&](absl::string_view name) {
    const std::string bytes = BytesOf(jwk, name);
    return BigNumber(
        BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()), nullptr),
        BN_free);
  };
  const BigNumber n = number("n"), e = number("e");
  const Builder builder(OSSL_PARAM_BLD_new(), OSSL_PARAM_BLD_free);
  if (n == nullptr || e == nullptr || builder == nullptr ||
      BN_is_zero(n.get()) || !BN_is_odd(e.get()) || BN_is_one(e.get()) ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) !=
          1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) !=
          1) {
    return absl::InvalidArgumentError("no key of RSA: n and e");
  }
  const Params params(OSSL_PARAM_BLD_to_param(builder.get()), OSSL_PARAM_free);
  return FromParams("RSA", params.get());
}

absl::StatusOr<EvpKey> ReadP256(const JsonObject& jwk) {
  const std::string x = BytesOf(jwk, "x"), y = BytesOf(jwk, "y");
  if (x.size() != kCoordinateBytes || y.size() != kCoordinateBytes) {
    return absl::InvalidArgumentError("no point of P-256: x and y");
  }
  // Uncompressed (SEC 1 section 2.3.3); whether it is on the curve, OpenSSL
  // sees.
  std::string point = absl::StrCat("\x04", x, y);
  std::string group = "P-256";
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(),
                                       group.size()),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                        point.size()),
      OSSL_PARAM_construct_end()};
  return FromParams("EC", params);
}

absl::StatusOr<EvpKey> ReadEd25519(const JsonObject& jwk) {
  const std::string x = BytesOf(jwk, "x");
  EVP_PKEY* key = EVP_PKEY_new_raw_public_key(
      EVP_PKEY_ED25519, nullptr,
      reinterpret_cast<const unsigned char*>(x.data()), x.size());
  ERR_clear_error();
  if (key == nullptr) return absl::InvalidArgumentError("no key of Ed25519: x");
  return EvpKey(key);
}

// The algorithm that a key of ours is for; nullopt for those of others.
std::optional<TokenAlgorithm> MeantFor(const JsonObject& jwk) {
  const std::string type = TextOf(jwk, "kty"), curve = TextOf(jwk, "crv");
  std::optional<TokenAlgorithm> algorithm;
  if (type == "oct") algorithm = TokenAlgorithm::kHs256;
  if (type == "RSA") algorithm = TokenAlgorithm::kRs256;
  if (type == "EC" && curve == "P-256") algorithm = TokenAlgorithm::kEs256;
  if (type == "OKP" && curve == "Ed25519") algorithm = TokenAlgorithm::kEdDsa;
  if (!algorithm) return std::nullopt;
  if (jwk.Find("use") && TextOf(jwk, "use") != "sig") return std::nullopt;
  if (jwk.Find("alg") && TextOf(jwk, "alg") != AlgorithmName(*algorithm)) {
    return std::nullopt;
  }
  return algorithm;
}

absl::StatusOr<TokenKey> ReadJwk(const JsonObject& jwk,
                                 TokenAlgorithm algorithm) {
  std::string id = TextOf(jwk, "kid");
  switch (algorithm) {
    case TokenAlgorithm::kHs256:
      return TokenKey::FromSecret(std::move(id), BytesOf(jwk, "k"));
    case TokenAlgorithm::kRs256: {
      KYUU_ASSIGN_OR_RETURN(const EvpKey key, ReadRsa(jwk));
      return TokenKey::FromPublicKey(std::move(id), key);
    }
    case TokenAlgorithm::kEs256: {
      KYUU_ASSIGN_OR_RETURN(const EvpKey key, ReadP256(jwk));
      return TokenKey::FromPublicKey(std::move(id), key);
    }
    case TokenAlgorithm::kEdDsa: {
      KYUU_ASSIGN_OR_RETURN(const EvpKey key, ReadEd25519(jwk));
      return TokenKey::FromPublicKey(std::move(id), key);
    }
  }
  return absl::InvalidArgumentError("a key of an unknown kind");
}

}  // namespace

absl::Status KeySet::AddJwks(absl::string_view json) {
  if (json.size() > kMaxBytes) {
    return absl::InvalidArgumentError("a set of keys has 1 MiB at most");
  }
  KYUU_ASSIGN_OR_RETURN(const JsonObject set, JsonObject::Parse(json, kLimits));
  const std::optional<JsonValue> list = set.Find("keys");
  if (!list || list->kind != internal::JsonKind::kArray) {
    return absl::InvalidArgumentError("no \"keys\": not a JWK Set");
  }
  size_t added = 0, number = 0;
  for (const JsonValue& element :
       internal::JsonElements(*list, kLimits.max_depth)) {
    ++number;
    const auto wrong = [&](const absl::Status& why) {
      return absl::InvalidArgumentError(
          absl::StrCat("key ", number, ": ", why.message()));
    };
    const absl::StatusOr<JsonObject> jwk =
        JsonObject::Parse(element.raw, kLimits);
    if (!jwk.ok()) return wrong(jwk.status());
    const std::optional<TokenAlgorithm> algorithm = MeantFor(*jwk);
    if (!algorithm) continue;
    absl::StatusOr<TokenKey> key = ReadJwk(*jwk, *algorithm);
    if (!key.ok()) return wrong(key.status());
    const absl::Status status = Add(*std::move(key));
    if (!status.ok()) return wrong(status);
    ++added;
  }
  if (added == 0) {
    return absl::InvalidArgumentError(
        "no key for HS256, RS256, ES256 or EdDSA in it");
  }
  return absl::OkStatus();
}

}  // namespace kyuu::signaling
