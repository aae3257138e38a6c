#include "stun/long_term.h"

#include <utility>

namespace kyuu::stun {

LongTermCredential::LongTermCredential(std::string username,
                                       std::string password)
    : username_(std::move(username)), password_(std::move(password)) {}

absl::Status LongTermCredential::HandleChallenge(const MessageView& response) {
  const std::optional<Realm> realm = response.Get<Realm>();
  const std::optional<Nonce> nonce = response.Get<Nonce>();
  if (!realm || !nonce || nonce->value.empty()) {
    return absl::InvalidArgumentError("challenge without realm or nonce");
  }
  const auto offered = response.Get<PasswordAlgorithms>();
  const SecurityFeatures features =
      ReadNonceCookie(nonce->value).value_or(SecurityFeatures{});
  // RFC 8489 section 9.2.5: the nonce comes back to the server, so whoever
  // strips the list cannot also strip the bit that announces it.
  if (features.password_algorithms && !offered) {
    return absl::UnauthenticatedError("password algorithms were stripped");
  }
  std::optional<PasswordHash> algorithm;
  if (offered && features.password_algorithms) {
    if (offered->Contains(PasswordHash::kSha256)) {
      algorithm = PasswordHash::kSha256;
    } else if (offered->Contains(PasswordHash::kMd5)) {
      algorithm = PasswordHash::kMd5;
    } else {
      return absl::UnauthenticatedError("no known password algorithm");
    }
    algorithms_.assign(offered->encoded.begin(), offered->encoded.end());
  }
  const bool same_key =
      ready() && realm_ == realm->value && algorithm_ == algorithm;
  realm_ = std::string(realm->value);
  nonce_ = std::string(nonce->value);
  algorithm_ = algorithm;
  userhash_ = features.username_anonymity;
  if (!same_key) {
    key_ = IntegrityKey::LongTerm(username_, realm_, password_,
                                  algorithm.value_or(PasswordHash::kMd5));
  }
  return absl::OkStatus();
}

void LongTermCredential::Reset() {
  realm_.clear();
  nonce_.clear();
  algorithm_.reset();
  userhash_ = false;
}

void LongTermCredential::Authenticate(MessageWriter& writer) const {
  if (!ready()) return;
  if (userhash_) {
    writer.Add(UserhashOf(username_, realm_));
  } else {
    writer.Add(Username{username_});
  }
  writer.Add(Realm{realm_});
  writer.Add(Nonce{nonce_});
  if (!algorithm_) {
    writer.AddIntegrity(key_);
    return;
  }
  writer.Add(PasswordAlgorithm{*algorithm_, {}});
  writer.Add(PasswordAlgorithms{algorithms_});
  // RFC 8489 section 9.2.5: SHA-256 only, once there is a list.
  writer.AddIntegritySha256(key_);
}

bool LongTermCredential::Check(const MessageView& response) const {
  return algorithm_ ? response.CheckIntegritySha256(key_)
                    : response.CheckIntegrity(key_);
}

}  // namespace kyuu::stun
