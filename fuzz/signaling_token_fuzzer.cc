// Tokens as they come, tokens that are signed well whatever they say, and sets
// of keys: the first byte chooses.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_split.h"
#include "base/bytes.h"
#include "base/check.h"
#include "signaling/token/signing_key.h"
#include "signaling/token/testing/keys.h"
#include "signaling/token/token.h"

namespace kyuu::signaling {

void Check(absl::string_view token, const KeySet& keys) {
  const absl::Time utc = absl::FromUnixSeconds(1'800'000'000);
  const auto verdict = VerifyToken(token, keys, TokenRules(), utc);
  if (const auto* refused = std::get_if<TokenRefused>(&verdict)) {
    KYUU_CHECK(!refused->reason.empty());
    return;
  }
  const TokenClaims& claims = std::get<TokenClaims>(verdict);
  KYUU_CHECK(!claims.subject.empty());
  KYUU_CHECK(claims.subject.size() <= kMaxSubjectBytes);
  KYUU_CHECK(claims.expires + TokenRules().leeway > utc);
  KYUU_CHECK(token.size() <= kMaxTokenBytes && LooksLikeToken(token));
}

void Play(uint8_t choice, absl::string_view text) {
  const SigningKey signer = *SigningKey::FromText(testing::kSecret);
  KeySet keys;
  KYUU_CHECK(keys.Add(*signer.VerifyingKey("")).ok());
  for (const auto& [algorithm, pem] :
       {std::pair(TokenAlgorithm::kRs256, testing::kRsaPublic),
        std::pair(TokenAlgorithm::kEs256, testing::kP256Public),
        std::pair(TokenAlgorithm::kEdDsa, testing::kEd25519Public)}) {
    KYUU_CHECK(keys.Add(*TokenKey::FromPem("k", algorithm, pem)).ok());
  }
  const std::pair<absl::string_view, absl::string_view> halves =
      absl::StrSplit(text, absl::MaxSplits('\n', 1));
  if (choice == 'k') {
    KeySet set;
    const bool taken = set.AddJwks(text).ok();
    KYUU_CHECK(!taken || !set.empty());
    Check(halves.second, set);
  } else if (choice == 's') {
    Check(*signer.SignToken(halves.first, halves.second), keys);
  } else {
    Check(text, keys);
  }
}

}  // namespace kyuu::signaling

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  kyuu::signaling::Play(
      data[0], kyuu::AsText(absl::MakeConstSpan(data, size).subspan(1)));
  return 0;
}
