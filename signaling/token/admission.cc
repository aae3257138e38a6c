#include "signaling/token/admission.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "openssl/crypto.h"
#include "openssl/sha.h"

namespace kyuu::signaling {
namespace {

constexpr size_t kLeastApiKeyBytes = 16;
constexpr size_t kMostApiKeyBytes = 256;
constexpr size_t kMostApiKeys = 256;

bool IsApiKeyLetter(char c) {
  return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '.';
}

std::array<unsigned char, SHA256_DIGEST_LENGTH> DigestOf(
    absl::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         digest.data());
  return digest;
}

}  // namespace

absl::Status AdmissionOptions::Validate() const {
  if (api_keys.size() > kMostApiKeys) {
    return absl::InvalidArgumentError(
        absl::StrCat("there are more than ", kMostApiKeys, " API keys"));
  }
  for (const std::string& key : api_keys) {
    if (key.size() < kLeastApiKeyBytes || key.size() > kMostApiKeyBytes ||
        !std::all_of(key.begin(), key.end(), IsApiKeyLetter)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "an API key has ", kLeastApiKeyBytes, " to ", kMostApiKeyBytes,
          " letters, digits and signs of ASCII other than \".\""));
    }
  }
  if (anonymous == Anonymous::kForbid && api_keys.empty() && keys.empty()) {
    return absl::InvalidArgumentError(
        "nobody could come: anonymous ones are forbidden, and there is neither "
        "a key for tokens nor an API key");
  }
  return absl::OkStatus();
}

void Admission::SetOptions(AdmissionOptions options) {
  options_ = std::move(options);
  digests_.clear();
  for (const std::string& key : options_.api_keys) {
    digests_.push_back(DigestOf(key));
  }
}

bool Admission::IsApiKey(absl::string_view text) const {
  const Digest digest = DigestOf(text);
  int equal = 0;
  for (const Digest& known : digests_) {
    equal |= static_cast<int>(
        CRYPTO_memcmp(known.data(), digest.data(), digest.size()) == 0);
  }
  return equal != 0;
}

std::variant<Grant, NotAdmitted> Admission::Judge(absl::Time now,
                                                  absl::string_view shown) {
  if (shown.empty() || !judges()) {
    if (lets_anonymous_in()) {
      ++stats_.anonymous;
      return Grant();
    }
    ++stats_.refused_anonymous;
    return NotAdmitted{ErrorCode::kUnauthorized,
                       "this server lets in who shows a token, or an API key"};
  }
  Grant grant;
  if (IsApiKey(shown)) {
    ++stats_.by_api_key;
    grant.by = Grant::By::kApiKey;
    return grant;
  }
  const absl::Time utc = now + utc_offset_;
  auto verdict = VerifyToken(shown, options_.keys, options_.rules, utc);
  if (const auto* refused = std::get_if<TokenRefused>(&verdict)) {
    Count(refused->fault);
    const bool expired = refused->fault == TokenFault::kExpired;
    return NotAdmitted{
        expired ? ErrorCode::kTokenExpired : ErrorCode::kUnauthorized,
        absl::StrCat("the token is refused: ", refused->reason)};
  }
  ++stats_.by_token;
  auto& claims = std::get<TokenClaims>(verdict);
  grant.by = Grant::By::kToken;
  grant.user = std::move(claims.subject);
  grant.name = std::move(claims.name);
  grant.rooms = std::move(claims.rooms);
  grant.until = now + (claims.expires - utc);
  return grant;
}

void Admission::Count(TokenFault fault) {
  switch (fault) {
    case TokenFault::kMalformed:
      ++stats_.refused_malformed;
      return;
    case TokenFault::kUnknownKey:
      ++stats_.refused_unknown_key;
      return;
    case TokenFault::kSignature:
      ++stats_.refused_signature;
      return;
    case TokenFault::kExpired:
      ++stats_.refused_expired;
      return;
    case TokenFault::kNotYet:
      ++stats_.refused_not_yet;
      return;
    case TokenFault::kClaims:
      ++stats_.refused_claims;
      return;
  }
}

}  // namespace kyuu::signaling
