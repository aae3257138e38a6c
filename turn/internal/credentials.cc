#include "turn/internal/credentials.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "base/bytes.h"

namespace kyuu::turn::internal {

namespace {

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

Credentials::Credentials(const ServerOptions& options)
    : realm_(options.realm),
      rest_secret_(options.rest_secret),
      granted_max_(options.granted_max) {
  for (const ServerOptions::User& user : options.users) {
    static_.insert_or_assign(user.name, stun::IntegrityKey::LongTerm(
                                            user.name, realm_, user.password));
  }
}

absl::Status Credentials::Grant(absl::Time now, absl::string_view username,
                                absl::string_view password,
                                absl::Time expires) {
  if (username.empty() || password.empty()) {
    return absl::InvalidArgumentError("a name and a password are needed");
  }
  if (granted_.size() >= granted_max_ && !granted_.contains(username)) {
    absl::erase_if(granted_, [now](const auto& entry) {
      return entry.second.expires <= now;
    });
    if (granted_.size() >= granted_max_) {
      return absl::ResourceExhaustedError("too many granted credentials");
    }
  }
  granted_.insert_or_assign(
      std::string(username),
      Granted{stun::IntegrityKey::LongTerm(username, realm_, password),
              expires});
  return absl::OkStatus();
}

bool Credentials::Revoke(absl::string_view username) {
  const auto it = granted_.find(username);
  if (it == granted_.end()) return false;
  granted_.erase(it);
  return true;
}

std::string Credentials::QuotaUserOf(absl::string_view username) const {
  if (!rest_secret_.empty() && !static_.contains(username) &&
      !granted_.contains(username)) {
    const std::optional<RestName> rest = ParseRestName(username);
    if (rest.has_value() && !rest->name.empty()) return std::string(rest->name);
  }
  return std::string(username);
}

std::optional<Credential> Credentials::Find(absl::Time now,
                                            absl::Duration utc_offset,
                                            absl::string_view username) const {
  if (auto it = static_.find(username); it != static_.end()) {
    return Credential{it->second, absl::InfiniteFuture(),
                      std::string(username)};
  }
  if (auto it = granted_.find(username); it != granted_.end()) {
    if (it->second.expires <= now) return std::nullopt;
    return Credential{it->second.key, it->second.expires, std::string(username),
                      true};
  }
  if (rest_secret_.empty()) return std::nullopt;
  const std::optional<RestName> rest = ParseRestName(username);
  if (!rest.has_value()) return std::nullopt;
  const absl::Time expires = rest->expires - utc_offset;
  if (expires <= now) return std::nullopt;
  return Credential{stun::IntegrityKey::LongTerm(
                        username, realm_, RestPassword(rest_secret_, username)),
                    expires, QuotaUserOf(username)};
}

std::string Credentials::RestPassword(absl::string_view secret,
                                      absl::string_view username) {
  const auto mac =
      stun::IntegrityKey(AsBytes(secret)).HmacSha1(AsBytes(username), {});
  return absl::Base64Escape(AsText(mac));
}

}  // namespace kyuu::turn::internal
