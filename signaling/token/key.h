// Keys that tokens are verified with: of HS256, RS256 and ES256 (RFC 7518
// sections 3.2 to 3.4) and of EdDSA with Ed25519 (RFC 8037 section 3.1).

#ifndef KYUU_SIGNALING_TOKEN_KEY_H_
#define KYUU_SIGNALING_TOKEN_KEY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "openssl/evp.h"

namespace kyuu::signaling {

enum class TokenAlgorithm : uint8_t { kHs256, kRs256, kEs256, kEdDsa };

// "ES256", as `alg` has it.
absl::string_view AlgorithmName(TokenAlgorithm algorithm);
// nullopt for all others, "none" among them. Case counts.
std::optional<TokenAlgorithm> AlgorithmFrom(absl::string_view name);

// EvpKey holds a reference to a key of OpenSSL's, which never changes.
class EvpKey {
 public:
  // Takes over the reference `key`, which is not null.
  explicit EvpKey(EVP_PKEY* key) : key_(key) {}
  EvpKey(const EvpKey& other);
  EvpKey& operator=(EvpKey other) {
    std::swap(key_, other.key_);
    return *this;
  }
  ~EvpKey();

  EVP_PKEY* get() const { return key_; }

 private:
  EVP_PKEY* key_;
};

// The algorithm whose keys are like `key`. INVALID_ARGUMENT if it is of no kind
// that is used here: another curve, or RSA of less than 2048 bits (RFC 7518
// section 3.3) or more than 8192.
absl::StatusOr<TokenAlgorithm> AlgorithmOf(const EvpKey& key);

// TokenKey verifies signatures of one algorithm: which one is a matter of the
// key, never of a token.
class TokenKey {
 public:
  // RFC 7518 section 3.2: a secret is as long as the hash at least.
  static constexpr size_t kLeastSecretBytes = 32;

  // `id` is what tokens name it (`kid`), or "". INVALID_ARGUMENT for a secret
  // that is too short, or a key in PEM, which is no secret.
  static absl::StatusOr<TokenKey> FromSecret(std::string id,
                                             absl::string_view secret);
  // A public key in PEM ("BEGIN PUBLIC KEY"). INVALID_ARGUMENT if it is none,
  // or not one for `algorithm`.
  static absl::StatusOr<TokenKey> FromPem(std::string id,
                                          TokenAlgorithm algorithm,
                                          absl::string_view pem);
  // Takes a public key as it is; INVALID_ARGUMENT as AlgorithmOf().
  static absl::StatusOr<TokenKey> FromPublicKey(std::string id, EvpKey key);

  const std::string& id() const { return id_; }
  TokenAlgorithm algorithm() const { return algorithm_; }
  // Whether `signature`, in the form that RFC 7518 gives it, is that of
  // `text`.
  bool Verify(absl::string_view text, absl::string_view signature) const;

 private:
  using Material = std::variant<std::string, EvpKey>;  // A secret, or public.
  TokenKey(std::string id, TokenAlgorithm algorithm, Material material)
      : id_(std::move(id)),
        algorithm_(algorithm),
        material_(std::move(material)) {}

  std::string id_;
  TokenAlgorithm algorithm_;
  Material material_;
};

// KeySet holds the keys that are good at one time.
class KeySet {
 public:
  static constexpr size_t kMaxKeys = 64;

  // ALREADY_EXISTS if there is one of its id and algorithm, unless the id is
  // ""; RESOURCE_EXHAUSTED beyond kMaxKeys.
  absl::Status Add(TokenKey key);
  // Adds the keys of a JWK Set (RFC 7517 section 5). Those of other kinds, for
  // other uses and algorithms are skipped; INVALID_ARGUMENT if none is left,
  // if it is no such set, or a key of ours in it is broken or too weak.
  absl::Status AddJwks(absl::string_view json);

  bool empty() const { return keys_.empty(); }
  const std::vector<TokenKey>& keys() const { return keys_; }

 private:
  std::vector<TokenKey> keys_;
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_TOKEN_KEY_H_
