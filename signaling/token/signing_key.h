// Signing keys, and the tokens that are made with them: for programs that say
// who may come, and for tests.

#ifndef KYUU_SIGNALING_TOKEN_SIGNING_KEY_H_
#define KYUU_SIGNALING_TOKEN_SIGNING_KEY_H_

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "signaling/token/key.h"

namespace kyuu::signaling {

// What a new token is to say; claims that are empty are left out.
struct NewToken {
  std::string subject;
  std::string name;
  std::optional<std::vector<std::string>> rooms;
  std::string issuer;
  std::string audience;
  absl::Time issued;
  absl::Time expires;
};

class SigningKey {
 public:
  // A private key in PEM (RSA, P-256, Ed25519; not encrypted), or else a secret
  // for HS256. INVALID_ARGUMENT if it is too weak, or of another kind.
  static absl::StatusOr<SigningKey> FromText(absl::string_view text);

  TokenAlgorithm algorithm() const { return algorithm_; }
  // What verifies its tokens, by the id `id`. INTERNAL if OpenSSL fails.
  absl::StatusOr<TokenKey> VerifyingKey(std::string id) const;
  // The signature of `text` in the form of RFC 7518. INTERNAL as above.
  absl::StatusOr<std::string> Sign(absl::string_view text) const;
  // A token of this header and these claims, both JSON, as they are.
  absl::StatusOr<std::string> SignToken(absl::string_view header,
                                        absl::string_view claims) const;
  // A token that says `token`; `id` is its `kid` unless it is "".
  absl::StatusOr<std::string> MakeToken(absl::string_view id,
                                        const NewToken& token) const;

 private:
  SigningKey(TokenAlgorithm algorithm,
             std::variant<std::string, EvpKey> material)
      : algorithm_(algorithm), material_(std::move(material)) {}

  TokenAlgorithm algorithm_;
  std::variant<std::string, EvpKey> material_;
};

// A secret as a file has it: without the end of its last line.
absl::string_view SecretOfFile(absl::string_view content);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_TOKEN_SIGNING_KEY_H_
