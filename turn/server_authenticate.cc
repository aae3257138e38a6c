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

bool AsksAbout(const internal::Realm& realm) {
  return realm.options.authorizing != Authorizing::By::kNobody;
}

// USERNAME, or the name that USERHASH is of; one that is nobody's is empty.
// nullopt if there is neither.
std::optional<std::string> NameIn(const internal::Realms& realms,
                                  const internal::ServerRequest& request) {
  if (const auto name = request.message.Get<stun::Username>()) {
    return std::string(name->value);
  }
  const auto hash = request.message.Get<stun::Userhash>();
  if (!hash.has_value()) return std::nullopt;
  const internal::Realm& realm = realms[request.realm];
  const internal::Allocation* own = request.allocation;
  if (own != nullptr &&
      stun::UserhashOf(own->username, realm.options.name) == *hash) {
    return own->username;
  }
  return realm.credentials.NameOf(*hash);
}

}  // namespace

bool Server::OffersSha256(const Path& path) const {
  using Sha256 = Options::Sha256;
  return options_.sha256 == Sha256::kEverywhere ||
         (options_.sha256 == Sha256::kOnStreams && IsStream(path.transport));
}

// Names of the time-limited form are not known in advance, nor those that are
// asked about: no hash of them is.
std::string Server::Cookie(RealmId realm, const Path& path) const {
  if (!OffersSha256(path)) return "";
  return stun::NonceCookie(
      {.password_algorithms = true,
       .username_anonymity = realms_[realm].options.rest_secrets.empty() &&
                             !AsksAbout(realms_[realm])});
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
  std::optional<std::string> username = NameIn(realms_, request);
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
  using Standing = internal::Authorizations::Standing;
  switch (AskAbout(request, *username, credential)) {
    case Standing::kAsk:
    case Standing::kAsked:
    case Standing::kFull:
      return std::nullopt;
    case Standing::kFailed:
      if (!credential.has_value()) return refuse(stun::Error::kServerError);
      break;
    case Standing::kUnknown:
      break;
  }
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

// Whether the request waits until the driver knows more of its user: of one
// that nobody knows, or whose credential has run out. kUnknown if it need not.
internal::Authorizations::Standing Server::AskAbout(
    const Request& request, absl::string_view username,
    const std::optional<Credential>& credential) {
  using Standing = internal::Authorizations::Standing;
  const internal::Realm& realm = realms_[request.realm];
  if (!AsksAbout(realm) || username.empty() ||
      (credential.has_value() && credential->expires > request.now) ||
      realm.credentials.Knows(request.now, options_.utc_offset, username)) {
    return Standing::kUnknown;
  }
  if (events_.size() >= options_.events_max) {
    ++stats_.auth_overload;
    return Standing::kFull;
  }
  const Standing standing = authorizations_.Hold(
      request.now, options_.authorizing, {request.realm, std::string(username)},
      request.path, request.message.bytes(), arrival_);
  switch (standing) {
    case Standing::kAsk:
      ++stats_.auth_asked;
      events_.push_back(AuthorizationWanted{
          std::string(username), realm.options.name, request.path.remote});
      [[fallthrough]];
    case Standing::kAsked:
      ++stats_.auth_held;
      --stats_.requests;  // It is one when it is heard again.
      break;
    case Standing::kFull:
      ++stats_.auth_overload;
      break;
    case Standing::kFailed:
    case Standing::kUnknown:
      break;
  }
  return standing;
}

void Server::Authorize(absl::Time now, const Authorization& answer) {
  using Verdict = Authorization::Verdict;
  const std::optional<RealmId> realm = realms_.Named(answer.realm);
  if (!realm.has_value()) return;  // Nobody was asked about there.
  const internal::Authorizations::Who who{*realm, answer.user.name};
  const Options::Authorizing& authorizing = options_.authorizing;
  // Whatever is said, it is not asked again at once.
  authorizations_.Fail(authorizing, who, now + authorizing.failed_for);
  if (answer.verdict == Verdict::kGranted && AsksAbout(realms_[*realm])) {
    // Without room, or a key, nothing is known of him.
    (void)realms_.CredentialsOf(*realm).Grant(now, answer.user, answer.until,
                                              answer.allocations_max);
  } else if (answer.verdict == Verdict::kDenied) {
    authorizations_.Deny(authorizing, who, answer.until);
  }
  for (const auto& held : authorizations_.Take(who)) {
    arrival_ = {held.reach, held.host};
    HandleStun(now, held.path, held.bytes, held.bytes.size());
  }
  arrival_ = {};
}

// The credential that the request was made with: that of the name, or what the
// 5-tuple's own allocation was made with, within its grace.
std::optional<Server::Credential> Server::CheckCredential(
    const Request& request, absl::string_view username,
    PasswordHash hash) const {
  const internal::Credentials& credentials = realms_[request.realm].credentials;
  const auto token = request.message.Get<stun::AccessToken>();
  const bool shows_token =
      token.has_value() && !credentials.token_server().empty();
  const auto candidates =
      shows_token
          ? credentials.OfToken(request.now, options_.utc_offset, username,
                                token->value)
          : credentials.Find(request.now, options_.utc_offset, username, hash);
  for (const Credential& credential : candidates) {
    if (IntegrityHolds(request.message, credential.key)) return credential;
  }
  if (shows_token) return std::nullopt;
  const Allocation* allocation = request.allocation;
  if (allocation == nullptr || allocation->username != username ||
      allocation->Last(options_.revoked_grace) <= request.now ||
      !IntegrityHolds(request.message, allocation->key)) {
    return std::nullopt;
  }
  Credential own{allocation->key, allocation->credential_expires,
                 allocation->quota_user};
  own.token = allocation->token;
  own.token_made = allocation->token_made;
  return own;
}

}  // namespace kyuu::turn
