#include "turn/internal/credentials.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"

namespace kyuu::turn::internal {

namespace {

constexpr absl::string_view kNul("", 1);

struct RestName {
  absl::Time expires;  // UTC.
  absl::string_view name;
};

// Splits "EXPIRY:NAME" or "EXPIRY".
std::optional<RestName> ParseRestName(absl::string_view username) {
  const size_t colon = std::min(username.find(':'), username.size());
  const absl::string_view digits = username.substr(0, colon);
  int64_t seconds = 0;
  // Digits only: SimpleAtoi takes signs and blanks too.
  if (digits.empty() || digits.size() > 12 ||
      !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(digits, &seconds)) {
    return std::nullopt;
  }
  absl::string_view name = username.substr(colon);
  if (!name.empty()) name.remove_prefix(1);
  return RestName{absl::FromUnixSeconds(seconds), name};
}

}  // namespace

Credentials::Credentials(const ServerOptions& options, std::string quota_prefix)
    : realm_(options.realm),
      quota_prefix_(std::move(quota_prefix)),
      granted_max_(0) {
  SetUsers(options);
}

Credentials::Keys Credentials::KeysOf(absl::string_view username,
                                      absl::string_view password) const {
  using stun::IntegrityKey;
  using stun::PasswordHash;
  return {
      IntegrityKey::LongTerm(username, realm_, password, PasswordHash::kMd5),
      IntegrityKey::LongTerm(username, realm_, password,
                             PasswordHash::kSha256)};
}

Credentials::Keys Credentials::KeysOf(const ServerOptions::User& user) const {
  if (user.key.empty()) return KeysOf(user.name, user.password);
  const auto key = stun::IntegrityKey::FromDigest(AsBytes(user.key));
  if (user.key.size() == 16) return {key, std::nullopt};
  return {std::nullopt, key};
}

bool Credentials::Knows(absl::Time now, absl::Duration utc_offset,
                        absl::string_view username) const {
  if (static_.contains(username)) return true;
  const auto granted = granted_.find(username);
  if (granted != granted_.end() && granted->second.expires > now) return true;
  return !Find(now, utc_offset, username).empty();
}

std::vector<std::string> Credentials::SetUsers(const ServerOptions& options) {
  granted_max_ = options.granted_max;
  rest_secrets_ = options.rest_secrets;
  rest_hash_ = options.rest_hash;
  token_keys_.clear();
  for (const auto& key : options.tokens.keys) {
    const auto made = stun::TokenKey::Make(key.algorithm, AsBytes(key.key));
    if (made.ok()) token_keys_.insert_or_assign(key.kid, *made);
  }
  const std::string& server = options.tokens.server_name;
  token_server_ = token_keys_.empty() ? "" : server.empty() ? realm_ : server;
  token_delta_ = options.tokens.delta;
  absl::flat_hash_map<std::string, Static> old = std::exchange(static_, {});
  for (const ServerOptions::User& user : options.users) {
    static_.insert_or_assign(
        user.name,
        Static{KeysOf(user), user.key.empty() ? user.password : user.key});
  }
  std::vector<std::string> gone;
  for (const auto& [name, user] : old) {
    const auto now = static_.find(name);
    Forget(name);
    if (now == static_.end() || now->second.origin != user.origin) {
      gone.push_back(name);
    }
  }
  for (const auto& [name, user] : static_) Learn(name);
  return gone;
}

void Credentials::Learn(const std::string& username) {
  names_.insert_or_assign(stun::UserhashOf(username, realm_).value, username);
}

void Credentials::Forget(absl::string_view username) {
  if (static_.contains(username) || granted_.contains(username)) return;
  names_.erase(stun::UserhashOf(username, realm_).value);
}

std::string Credentials::NameOf(const stun::Userhash& hash) const {
  const auto it = names_.find(hash.value);
  return it == names_.end() ? std::string() : it->second;
}

absl::Status Credentials::Grant(absl::Time now, absl::string_view username,
                                absl::string_view password,
                                absl::Time expires) {
  if (username.empty() || password.empty()) {
    return absl::InvalidArgumentError("a name and a password are needed");
  }
  return Keep(now, username, Granted{KeysOf(username, password), expires});
}

absl::Status Credentials::Grant(absl::Time now, const ServerOptions::User& user,
                                absl::Time expires,
                                std::optional<size_t> allocations_max) {
  const bool has_key = user.key.size() == 16 || user.key.size() == 32;
  if (user.name.empty() || user.password.empty() != has_key) {
    return absl::InvalidArgumentError("a name, and a password or a key");
  }
  return Keep(
      now, user.name,
      Granted{KeysOf(user), expires, Granted::To::kUser, allocations_max});
}

absl::Status Credentials::Keep(absl::Time now, absl::string_view username,
                               Granted granted) {
  if (granted_.size() >= granted_max_ && !granted_.contains(username)) {
    std::vector<std::string> expired;
    for (const auto& [name, old] : granted_) {
      if (old.expires <= now) expired.push_back(name);
    }
    for (const std::string& name : expired) Revoke(name);
    if (granted_.size() >= granted_max_) {
      return absl::ResourceExhaustedError("too many granted credentials");
    }
  }
  granted_.insert_or_assign(std::string(username), granted);
  Learn(std::string(username));
  return absl::OkStatus();
}

bool Credentials::Revoke(absl::string_view username) {
  const auto it = granted_.find(username);
  if (it == granted_.end()) return false;
  granted_.erase(it);
  Forget(username);
  return true;
}

std::string Credentials::QuotaUserOf(absl::string_view username) const {
  if (!rest_secrets_.empty() && !static_.contains(username) &&
      !granted_.contains(username)) {
    const std::optional<RestName> rest = ParseRestName(username);
    if (rest.has_value() && !rest->name.empty()) return Counted(rest->name);
  }
  return Counted(username);
}

std::string Credentials::Counted(absl::string_view name) const {
  // Of the main realm, which has no prefix, such a name could be another's.
  if (quota_prefix_.empty() && absl::StartsWith(name, kNul)) {
    return absl::StrCat(kNul, kNul, name);
  }
  return absl::StrCat(quota_prefix_, name);
}

Credentials::Candidates Credentials::Find(absl::Time now,
                                          absl::Duration utc_offset,
                                          absl::string_view username,
                                          stun::PasswordHash hash) const {
  if (auto it = static_.find(username); it != static_.end()) {
    const auto& key = it->second.keys.Of(hash);
    if (!key.has_value()) return {};
    return {Credential{*key, absl::InfiniteFuture(), Counted(username)}};
  }
  if (auto it = granted_.find(username); it != granted_.end()) {
    const auto& key = it->second.keys.Of(hash);
    if (it->second.expires <= now || !key.has_value()) return {};
    return {Credential{*key, it->second.expires, Counted(username),
                       it->second.to == Granted::To::kAnybody,
                       it->second.allocations_max}};
  }
  if (rest_secrets_.empty()) return {};
  const std::optional<RestName> rest = ParseRestName(username);
  if (!rest.has_value()) return {};
  const absl::Time expires = rest->expires - utc_offset;
  if (expires <= now) return {};
  Candidates candidates;
  const auto add = [&](const std::string& secret, RestMac mac) {
    candidates.push_back(Credential{
        stun::IntegrityKey::LongTerm(username, realm_,
                                     RestPassword(secret, username, mac), hash),
        expires, QuotaUserOf(username)});
  };
  for (const std::string& secret : rest_secrets_) {
    if (rest_hash_ != ServerOptions::RestHash::kSha256) {
      add(secret, RestMac::kSha1);
    }
    if (rest_hash_ != ServerOptions::RestHash::kSha1) {
      add(secret, RestMac::kSha256);
    }
  }
  return candidates;
}

Credentials::Candidates Credentials::OfToken(
    absl::Time now, absl::Duration utc_offset, absl::string_view kid,
    absl::Span<const uint8_t> token) const {
  const auto key = token_keys_.find(kid);
  if (key == token_keys_.end()) return {};
  const std::optional<stun::TokenContent> content =
      key->second.Open(token, token_server_);
  if (!content.has_value()) return {};
  const std::optional<absl::Time> expires =
      stun::TokenExpiry(*content, now + utc_offset, token_delta_);
  if (!expires.has_value()) return {};
  const absl::Span<const uint8_t> mac_key = AsBytes(content->mac_key);
  Credential credential;
  credential.key = stun::IntegrityKey(mac_key);
  credential.expires = *expires - utc_offset;
  // A kid is of all clients of its authorization server; the session's key
  // tells them apart, and stays secret.
  const auto mark = credential.key.HmacSha256(AsBytes("quota"), {});
  credential.quota_user = Counted(absl::StrCat(
      kid, ":", absl::BytesToHexString(AsText(mark).substr(0, 8))));
  credential.token = true;
  credential.token_made = content->timestamp;
  Candidates candidates = {credential};
  constexpr size_t kCoturns = 16;
  if (mac_key.size() > kCoturns) {
    credential.key = stun::IntegrityKey(mac_key.first(kCoturns));
    candidates.push_back(std::move(credential));
  }
  return candidates;
}

std::string Credentials::RestPassword(absl::string_view secret,
                                      absl::string_view username, RestMac mac) {
  const stun::IntegrityKey key(AsBytes(secret));
  return mac == RestMac::kSha1
             ? absl::Base64Escape(AsText(key.HmacSha1(AsBytes(username), {})))
             : absl::Base64Escape(
                   AsText(key.HmacSha256(AsBytes(username), {})));
}

}  // namespace kyuu::turn::internal
