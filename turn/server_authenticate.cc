// Long-term credentials, the server's half (RFC 8489 section 9.2.4).

#include <string>
#include <utility>

#include "base/bytes.h"
#include "stun/nonce_cookie.h"
#include "turn/server.h"

namespace kyuu::turn {

namespace {

using stun::PasswordHash;

// What the request's password is hashed with; nullopt if it contradicts what it
// was offered (section 9.2.4: 400). The nonce proves what that was.
std::optional<PasswordHash> ChosenHash(const stun::MessageView& message,
                                       bool offers_sha256) {
  if (!message.Has<stun::PasswordAlgorithm>() &&
      !message.Has<stun::PasswordAlgorithms>()) {
    return PasswordHash::kMd5;
  }
  const auto chosen = message.Get<stun::PasswordAlgorithm>();
  const auto offered = message.Get<stun::PasswordAlgorithms>();
  if (!chosen.has_value() || !offered.has_value() ||
      !offered->Contains(chosen->algorithm)) {
    return std::nullopt;
  }
  if (!offers_sha256) {
    // It had nothing to choose from; it must at least agree with itself, and
    // with MD5, which we take.
    return chosen->algorithm == PasswordHash::kMd5
               ? std::optional(PasswordHash::kMd5)
               : std::nullopt;
  }
  if (offered->encoded != stun::PasswordAlgorithms::Sha256ThenMd5().encoded) {
    return std::nullopt;
  }
  // Section 9.2.5: who has chosen SHA-256 shows it. Weaker integrity alone is
  // what somebody between us has made of it.
  if (chosen->algorithm == PasswordHash::kSha256 &&
      !message.HasIntegritySha256()) {
    return std::nullopt;
  }
  return chosen->algorithm;
}

// Whether each integrity that is there, at least one, is that of `key`.
bool IntegrityHolds(const stun::MessageView& message,
                    const stun::IntegrityKey& key) {
  return (!message.HasIntegrity() || message.CheckIntegrity(key)) &&
         (!message.HasIntegritySha256() || message.CheckIntegritySha256(key));
}

// The cookie that the nonce is to be made with. Its own is proven by the rest
// of it; whether names may be hidden has perhaps changed since.
absl::string_view CookieIn(absl::string_view nonce, bool offers_sha256) {
  if (!offers_sha256) return "";
  return nonce.substr(0, stun::kNonceCookieSize);
}

internal::Integrity IntegrityOf(const stun::MessageView& message) {
  if (!message.HasIntegritySha256()) return internal::Integrity::kSha1;
  return message.HasIntegrity() ? internal::Integrity::kBoth
                                : internal::Integrity::kSha256;
}

}  // namespace

bool Server::OffersSha256(const Path& path) const {
  using Sha256 = Options::Sha256;
  return options_.sha256 == Sha256::kEverywhere ||
         (options_.sha256 == Sha256::kOnStreams && IsStream(path.transport));
}

// Names of the time-limited form are not known in advance: no hash of them is.
std::string Server::Cookie(RealmId realm, const Path& path) const {
  if (!OffersSha256(path)) return "";
  return stun::NonceCookie(
      {.password_algorithms = true,
       .username_anonymity = realms_[realm].options.rest_secrets.empty()});
}

bool Server::NonceHolds(const Request& request) const {
  const auto nonce = request.message.Get<stun::Nonce>();
  return nonce.has_value() &&
         nonces_.Check(Utc(request.now), request.path.remote,
                       realms_[request.realm].options.name, nonce->value,
                       CookieIn(nonce->value, OffersSha256(request.path)));
}

// When the ledger is told next that an allocation's client is known.
absl::Time Server::ProveAgain(absl::Time now) const {
  return now + options_.proven_for / 2;
}

// USERNAME, or the name that USERHASH is of; one that is nobody's is empty.
// nullopt if there is neither.
std::optional<std::string> Server::NameIn(const Request& request) const {
  if (const auto name = request.message.Get<stun::Username>()) {
    return std::string(name->value);
  }
  const auto hash = request.message.Get<stun::Userhash>();
  if (!hash.has_value()) return std::nullopt;
  const internal::Realm& realm = realms_[request.realm];
  const Allocation* own = request.allocation;
  if (own != nullptr &&
      stun::UserhashOf(own->username, realm.options.name) == *hash) {
    return own->username;
  }
  return realm.credentials.NameOf(*hash);
}

std::optional<Server::Credential> Server::Authenticate(Request& request) {
  const stun::MessageView& message = request.message;
  const auto refuse = [&](stun::Error error) -> std::optional<Credential> {
    ReplyUnproven(request, error);
    return std::nullopt;
  };
  if (!message.HasIntegrity() && !message.HasIntegritySha256()) {
    return refuse(stun::Error::kUnauthenticated);
  }
  const auto realm = message.Get<stun::Realm>();
  if (!realm.has_value() || !message.Get<stun::Nonce>().has_value() ||
      (!message.Has<stun::Username>() && !message.Has<stun::Userhash>())) {
    return refuse(stun::Error::kBadRequest);
  }
  if (!NonceHolds(request)) {
    return refuse(stun::Error::kStaleNonce);
  }
  std::optional<std::string> username = NameIn(request);
  const std::optional<PasswordHash> hash =
      ChosenHash(message, OffersSha256(request.path));
  if (!username.has_value() || !hash.has_value()) {
    return refuse(stun::Error::kBadRequest);
  }
  if (realm->value != realms_[request.realm].options.name) {
    return refuse(stun::Error::kUnauthenticated);
  }
  // From here on the source is no forged one, for it has the nonce that went
  // there. It could still be guessing, and an HMAC costs more than a refusal;
  // but who owns an allocation is not locked out by a neighbour who guesses.
  const IpAddress& source = request.path.remote.ip;
  Allocation* const own = request.allocation;
  const bool owner = own != nullptr && own->username == *username;
  const bool known = owner && request.now < own->prove_again;
  const bool may = known || ledger_.TakeTry(request.now, source);
  if (!may && !owner) {
    ++stats_.auth_limited;
    return std::nullopt;
  }
  std::optional<Credential> credential =
      CheckCredential(request, *username, *hash);
  if (!credential.has_value()) {
    // It was taken for granted that he would not fail.
    if (known) (void)ledger_.TakeTry(request.now, source);
    return refuse(stun::Error::kUnauthenticated);
  }
  if (!known) ledger_.Proven(request.now, source);
  if (owner && !known) own->prove_again = ProveAgain(request.now);
  request.username = *std::move(username);
  request.key = credential->key;
  request.integrity = IntegrityOf(message);
  return credential;
}

// The credential that the request was made with: that of the name, or what the
// 5-tuple's own allocation was made with, within its grace.
std::optional<Server::Credential> Server::CheckCredential(
    const Request& request, absl::string_view username,
    PasswordHash hash) const {
  for (const Credential& credential : realms_[request.realm].credentials.Find(
           request.now, options_.utc_offset, username, hash)) {
    if (IntegrityHolds(request.message, credential.key)) return credential;
  }
  const Allocation* allocation = request.allocation;
  if (allocation == nullptr || allocation->username != username ||
      allocation->credential_expires + options_.revoked_grace <= request.now ||
      !IntegrityHolds(request.message, allocation->key)) {
    return std::nullopt;
  }
  return Credential{allocation->key, allocation->credential_expires,
                    allocation->quota_user};
}

}  // namespace kyuu::turn
