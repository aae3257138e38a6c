// What an operator sees and changes while the TURN server runs.

#include <algorithm>
#include <string>
#include <utility>

#include "turn/server.h"

namespace kyuu::turn {

void Server::SetOptions(absl::Time now, Options options) {
  options.realm = std::move(options_.realm);
  options.utc_offset = options_.utc_offset;
  if (options.nonce_secret.empty()) {
    options.nonce_secret = options_.nonce_secret;
  }
  if (options.nonce_secret != options_.nonce_secret) {
    nonces_.Rotate(Utc(now), options.nonce_secret);
  }
  options.nonce_lifetime = options_.nonce_lifetime;
  options.instance = options_.instance;
  options.instances = options_.instances;
  options.own_relays = options_.own_relays;
  options.visitors_max = options_.visitors_max;
  options.discovery = std::move(options_.discovery);
  options.listeners = std::move(options_.listeners);
  options.relay_addresses = std::move(options_.relay_addresses);
  options.relay_port_low = options_.relay_port_low;
  options.relay_port_high = options_.relay_port_high;
  options.open_attempts = options_.open_attempts;
  options.own_addresses = std::move(options_.own_addresses);
  options_ = std::move(options);

  for (const auto& [realm, name] : realms_.Set(options_)) {
    LetGo(now, realm, name);
  }
  if (own_ledger_ != nullptr) own_ledger_->SetLimits(options_);
  throttle_.SetLimits(options_.bandwidth);
  policy_.SetLists(options_.allow_peers, options_.deny_peers);
  allocations_.ForEach([&](Allocation& allocation) {
    allocation.peers.Enforce(policy_);
    connections_.Enforce(allocation);
    if (!options_.ServesClient(allocation.client.remote.ip)) {
      End(allocation, EndReason::kRevoked);
    }
  });
  flows_.TouchAll();
}

std::optional<size_t> Server::ListSessions(
    absl::Time now, size_t begin, size_t count,
    absl::FunctionRef<SessionVerdict(const SessionInfo&)> judge) {
  const size_t places = allocations_.places();
  const size_t end =
      begin < places ? begin + std::min(count, places - begin) : places;
  for (size_t place = begin; place < end; ++place) {
    Allocation* allocation = allocations_.AtPlace(place);
    if (allocation == nullptr || !allocation->open) continue;
    const auto& relays = allocation->relays;
    const internal::Realm& realm = realms_[allocation->realm];
    const SessionInfo info{
        .session = allocation->session,
        .username = allocation->username,
        .quota_user =
            std::string(realm.credentials.NameIn(allocation->quota_user)),
        .realm = realm.options.name,
        .client = allocation->client,
        .relayed = relays.front().relayed,
        .additional = relays.size() > 1 ? std::optional(relays.back().relayed)
                                        : std::nullopt,
        .made = allocation->made,
        .expires = allocation->expires,
        .traffic = allocation->traffic,
        .permissions = allocation->peers.permissions(now),
        .channels = allocation->peers.channels(now)};
    if (judge(info) == SessionVerdict::kEnd)
      End(*allocation, EndReason::kRevoked);
  }
  if (end == places) return std::nullopt;
  return end;
}

}  // namespace kyuu::turn
