#include "turn/internal/realms.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

namespace kyuu::turn::internal {
namespace {

constexpr int kOriginsMax = 8;

// Users and secrets of a realm, as Credentials takes them; of names that are
// asked about as many as the main one may have.
ServerOptions UsersOf(const RealmOptions& realm, size_t granted_max) {
  ServerOptions options;
  options.realm = realm.name;
  options.users = realm.users;
  options.rest_secrets = realm.rest_secrets;
  options.rest_hash = realm.rest_hash;
  options.granted_max =
      realm.authorizing == Authorizing::By::kNobody ? 0 : granted_max;
  return options;
}

RealmOptions MainOf(const ServerOptions& options) {
  RealmOptions main;
  main.name = options.realm;
  main.rest_secrets = options.rest_secrets;
  main.rest_hash = options.rest_hash;
  main.authorizing = options.authorizing.by;
  return main;
}

std::string QuotaPrefix(absl::string_view realm) {
  const absl::string_view nul("", 1);
  return absl::StrCat(nul, realm, nul);
}

}  // namespace

Realm::Realm(RealmOptions made, std::string quota_prefix)
    : options(std::move(made)),
      credentials(UsersOf(options, 0), std::move(quota_prefix)) {}

Realms::Realms(const ServerOptions& options) {
  realms_.push_back(std::make_unique<Realm>(MainOf(options), ""));
  Set(options);
}

std::optional<RealmId> Realms::Named(absl::string_view name) const {
  if (name.empty()) return kMainRealm;
  for (size_t i = 0; i < realms_.size(); ++i) {
    if (realms_[i]->options.name == name)
      return RealmId{static_cast<uint16_t>(i)};
  }
  return std::nullopt;
}

RealmId Realms::Find(absl::string_view name) {
  if (const std::optional<RealmId> known = Named(name)) return *known;
  RealmOptions options;
  options.name = std::string(name);
  realms_.push_back(std::make_unique<Realm>(options, QuotaPrefix(name)));
  return RealmId{static_cast<uint16_t>(realms_.size() - 1)};
}

std::vector<Realms::Gone> Realms::Set(const ServerOptions& options) {
  std::vector<RealmOptions> next(realms_.size());
  next[0] = MainOf(options);
  next[0].name = realms_[0]->options.name;
  names_.clear();
  origins_.clear();
  hosts_.clear();
  listeners_.clear();
  for (const RealmOptions& realm : options.realms) {
    const RealmId id = Find(realm.name);
    next.resize(realms_.size());
    next[static_cast<size_t>(id)] = realm;
    names_.emplace(realm.name, id);
    for (const std::string& origin : realm.origins) {
      origins_.emplace(CanonicOrigin(origin), id);
    }
    for (const std::string& host : realm.hosts) {
      hosts_.emplace(CanonicHost(host), id);
    }
    for (const TransportAddress& listener : realm.listeners) {
      listeners_.emplace(listener, id);
    }
  }
  std::vector<Gone> gone;
  for (size_t i = 0; i < realms_.size(); ++i) {
    Realm& realm = *realms_[i];
    next[i].name = realm.options.name;
    realm.options = std::move(next[i]);
    const ServerOptions users =
        i == 0 ? options : UsersOf(realm.options, options.granted_max);
    for (std::string& name : realm.credentials.SetUsers(users)) {
      gone.push_back({RealmId{static_cast<uint16_t>(i)}, std::move(name)});
    }
  }
  return gone;
}

bool Realms::Any(absl::FunctionRef<bool(const RealmOptions&)> judge) const {
  return std::any_of(realms_.begin(), realms_.end(),
                     [&](const std::unique_ptr<Realm>& realm) {
                       return judge(realm->options);
                     });
}

RealmId Realms::Of(const Path& path, absl::string_view host,
                   const stun::MessageView& message,
                   std::optional<RealmId> own) const {
  if (own.has_value()) return *own;
  if (names_.empty()) return kMainRealm;
  // Pages within pages: the first that we know counts. A datagram has room for
  // thousands.
  int looked_at = 0;
  for (stun::AttributeCursor c = message.attributes();
       looked_at < kOriginsMax && c.Next();) {
    const auto origin = c.As<stun::Origin>();
    if (!origin.has_value()) continue;
    ++looked_at;
    const auto it = origins_.find(CanonicOrigin(origin->value));
    if (it != origins_.end()) return it->second;
  }
  if (const auto realm = message.Get<stun::Realm>()) {
    const auto it = names_.find(realm->value);
    if (it != names_.end()) return it->second;
    if (realm->value == realms_[0]->options.name) return kMainRealm;
  }
  if (!host.empty()) {
    const auto it = hosts_.find(CanonicHost(host));
    if (it != hosts_.end()) return it->second;
  }
  const auto it = listeners_.find(path.local);
  return it == listeners_.end() ? kMainRealm : it->second;
}

}  // namespace kyuu::turn::internal
