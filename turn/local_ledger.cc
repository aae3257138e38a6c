#include "turn/local_ledger.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/shares.h"

namespace kyuu::turn {
namespace {

// Only programs of this machine reach its loopback, or send from it.
bool OnThisMachine(const Path& client) {
  return client.local.ip.IsLoopback() || client.remote.ip.IsLoopback();
}

}  // namespace

LocalLedger::LocalLedger(const ServerOptions& options, Random& random)
    : options_(options),
      strangers_(Strangers::LimitsOf(options), random),
      bandwidth_(options.bandwidth) {
  SetRelayAddresses(options.relay_addresses);
}

void LocalLedger::SetLimits(const ServerOptions& options) {
  options_.allocations_max = options.allocations_max;
  options_.allocations_per_user_max = options.allocations_per_user_max;
  options_.allocations_per_source_max = options.allocations_per_source_max;
  options_.source_share = options.source_share;
  options_.reservations_max = options.reservations_max;
  options_.peer_connections_max = options.peer_connections_max;
  options_.peer_connections_per_user_max =
      options.peer_connections_per_user_max;
  options_.reservation_lifetime = options.reservation_lifetime;
  strangers_.SetLimits(Strangers::LimitsOf(options));
  bandwidth_.SetLimits(options.bandwidth);
}

void LocalLedger::SetRelayAddresses(
    const std::vector<RelayAddress>& addresses) {
  for (const auto& pool : pools_) pool->present = false;
  std::vector<std::unique_ptr<Pool>> ordered;
  for (const RelayAddress& address : addresses) {
    const auto old =
        std::find_if(pools_.begin(), pools_.end(), [&](const auto& pool) {
          return pool != nullptr && pool->ports.bind() == address.bind;
        });
    if (old == pools_.end()) {
      ordered.push_back(std::make_unique<Pool>(options_, address));
      continue;
    }
    (*old)->present = true;
    (*old)->ports.set_advertised(address.told());
    (*old)->whom = address.whom;
    ordered.push_back(std::move(*old));
  }
  for (auto& pool : pools_) {
    if (pool != nullptr) ordered.push_back(std::move(pool));
  }
  pools_ = std::move(ordered);
  DropAbsent();
}

void LocalLedger::DropAbsent() {
  pools_.erase(std::remove_if(pools_.begin(), pools_.end(),
                              [](const auto& pool) {
                                return !pool->present && pool->lent == 0 &&
                                       pool->reserved == 0;
                              }),
               pools_.end());
}

LocalLedger::Pool* LocalLedger::PoolOf(const IpAddress& bind) const {
  for (const auto& pool : pools_) {
    if (pool->ports.bind() == bind) return pool.get();
  }
  return nullptr;
}

TransportAddress LocalLedger::ToldAs(const TransportAddress& bind) const {
  return {PoolOf(bind.ip)->ports.advertised(), bind.port};
}

void LocalLedger::CountRealm(RealmId realm, int change) {
  const auto counted = realms_.try_emplace(realm).first;
  counted->second += change;
  if (counted->second == 0) realms_.erase(counted);
}

void LocalLedger::CountSource(const IpAddress& ip, int change) {
  const auto source = sources_.try_emplace(ip).first;
  source->second += change;
  if (source->second == 0) sources_.erase(source);
}

std::optional<Ledger::Refusal> LocalLedger::Quota(const Claim& claim,
                                                  const Party& party) const {
  if (leases_.size() >= options_.allocations_max) return Refusal::kTotal;
  const bool main = claim.realm == kMainRealm;
  const auto realm = realms_.find(claim.realm);
  if (!main && realm != realms_.end() && realm->second >= claim.realm_max) {
    return Refusal::kTotal;
  }
  const auto user = users_.find(party.user);
  if (user != users_.end() &&
      user->second >=
          claim.user_max.value_or(main ? options_.allocations_per_user_max
                                       : claim.realm_user_max)) {
    return Refusal::kUserQuota;
  }
  const auto source = sources_.find(party.source);
  if (source == sources_.end()) return std::nullopt;
  if (source->second >= options_.allocations_per_source_max) {
    return Refusal::kSourceQuota;
  }
  const double ports = options_.relay_port_high - options_.relay_port_low + 1.0;
  const double share = std::max(1.0, std::floor(ports * options_.source_share));
  const bool trusted =
      party.source.IsLoopback() && party.trust == Trust::kConfigured;
  // Nobody else gets all the ports, however few there are. Who may have them
  // all is refused for want of ports instead.
  if (!trusted && share < ports &&
      static_cast<double>(source->second) >= share) {
    return Refusal::kSourceQuota;
  }
  return std::nullopt;
}

std::vector<LocalLedger::Pool*> LocalLedger::Candidates(
    const Claim& claim) const {
  const IpAddress& reached = claim.client.local.ip;
  const bool local = OnThisMachine(claim.client);
  std::vector<Pool*> pools;
  for (const auto& pool : pools_) {
    const internal::PortPool& ports = pool->ports;
    if (!pool->present || ports.family() != claim.family) continue;
    // Peers of a client elsewhere reach neither our loopback nor it.
    if (ports.bind().IsLoopback() && !local) continue;
    pools.push_back(pool.get());
  }
  // The one that was reached comes first. A client on loopback that asks for
  // the other family stays on loopback, where its peers are.
  std::stable_partition(pools.begin(), pools.end(), [&](const Pool* pool) {
    const IpAddress& bind = pool->ports.bind();
    return bind == reached || (reached.IsLoopback() && bind.IsLoopback());
  });
  // The others are asked when it is out of ports if they are for everybody;
  // else they may be of networks that this client's peers do not reach.
  if (pools.size() > 1) {
    pools.erase(std::remove_if(pools.begin() + 1, pools.end(),
                               [](const Pool* pool) {
                                 return pool->whom !=
                                        RelayAddress::For::kEverybody;
                               }),
                pools.end());
  }
  return pools;
}

Ledger::Result LocalLedger::Take(absl::Time now, const Claim& claim,
                                 Random& random) {
  Expire(now);
  // Whatever address of this machine a program of it sends from.
  const IpAddress source = OnThisMachine(claim.client)
                               ? claim.client.local.ip
                               : SourceOf(claim.client.remote.ip);
  const Party party{claim.user, source, claim.trust, claim.realm};
  if (claim.token.has_value()) return TakeReserved(claim, party);
  const std::vector<Pool*> pools = Candidates(claim);
  if (pools.empty()) return Refusal::kFamily;
  if (const auto refusal = Quota(claim, party)) return *refusal;
  if (claim.ports == Ports::kEvenAndNext &&
      reservations_.size() >= options_.reservations_max) {
    return Refusal::kPorts;
  }
  const std::optional<TransportAddress> bind =
      TakePort(pools, claim.ports, random);
  if (!bind.has_value()) return Refusal::kPorts;
  Entry entry(claim, party);
  if (claim.ports == Ports::kEvenAndNext) {
    entry.reservation = Reserve(now, *bind, entry, random);
  }
  return Enter(*bind, std::move(entry), party.user);
}

std::optional<TransportAddress> LocalLedger::TakePort(
    const std::vector<Pool*>& pools, Ports ports, Random& random) {
  using Next = internal::PortPool::Next;
  for (Pool* pool : pools) {
    std::optional<uint16_t> port;
    if (ports == Ports::kAny) {
      port = pool->ports.TakeAny(random);
    } else {
      port = pool->ports.TakeEven(
          random, ports == Ports::kEven ? Next::kLeave : Next::kTake);
    }
    if (port.has_value()) {
      return TransportAddress{pool->ports.bind(), *port};
    }
  }
  return std::nullopt;
}

Ledger::Lease LocalLedger::Enter(const TransportAddress& bind, Entry entry,
                                 const std::string& user) {
  ++PoolOf(bind.ip)->lent;
  entry.user = &*users_.try_emplace(user).first;
  ++entry.user->second;
  CountRealm(entry.realm, 1);
  CountSource(entry.source, 1);
  const Lease lease{bind, ToldAs(bind), entry.reservation};
  leases_.emplace(bind, std::move(entry));
  return lease;
}

std::optional<LocalLedger::Entry> LocalLedger::Remove(
    const TransportAddress& bind) {
  auto node = leases_.extract(bind);
  if (node.empty()) return std::nullopt;
  Entry& entry = node.mapped();
  --PoolOf(bind.ip)->lent;
  if (--entry.user->second == 0) users_.erase(std::string(entry.user->first));
  CountRealm(entry.realm, -1);
  CountSource(entry.source, -1);
  return std::move(entry);
}

Ledger::Token LocalLedger::Reserve(absl::Time now, const TransportAddress& bind,
                                   const Entry& entry, Random& random) {
  Reservation reservation;
  random.Fill(absl::MakeSpan(reservation.token));
  reservation.bind = {bind.ip, static_cast<uint16_t>(bind.port + 1)};
  reservation.instance = entry.holder.instance;
  reservation.expires = now + options_.reservation_lifetime;
  // A share of its source's only: it is no allocation of the user's yet.
  CountSource(entry.source, 1);
  reservation.source = entry.source;
  ++PoolOf(bind.ip)->reserved;
  reservations_.push_back(reservation);
  return reservation.token;
}

Ledger::Result LocalLedger::TakeReserved(const Claim& claim,
                                         const Party& party) {
  for (size_t i = 0; i < reservations_.size(); ++i) {
    if (reservations_[i].token != *claim.token) continue;
    // Whoever shows the token: two of a user's calls need not share an address.
    if (const auto refusal = Quota(claim, party)) return *refusal;
    const TransportAddress bind = reservations_[i].bind;
    EraseReservation(i);
    return Enter(bind, Entry(claim, party), party.user);
  }
  return Refusal::kToken;
}

// The port is its finder's now.
void LocalLedger::EraseReservation(size_t index) {
  Reservation& reservation = reservations_[index];
  CountSource(reservation.source, -1);
  --PoolOf(reservation.bind.ip)->reserved;
  reservation = reservations_.back();
  reservations_.pop_back();
}

void LocalLedger::DropReservation(const Token& token) {
  for (size_t i = 0; i < reservations_.size(); ++i) {
    if (reservations_[i].token != token) continue;
    const TransportAddress bind = reservations_[i].bind;
    PoolOf(bind.ip)->ports.Release(bind.port);
    return EraseReservation(i);
  }
}

Ledger::Result LocalLedger::Exchange(absl::Time now,
                                     const TransportAddress& bind,
                                     Random& random) {
  const auto lease = leases_.find(bind);
  if (lease == leases_.end()) return Refusal::kPorts;
  const std::string user = lease->second.user->first;
  Entry entry = *Remove(bind);
  Pool* pool = PoolOf(bind.ip);
  if (entry.reservation.has_value()) {
    DropReservation(*entry.reservation);
    entry.reservation.reset();
  }
  if (entry.refused == nullptr) {
    entry.refused = std::make_unique<std::vector<uint16_t>>();
  }
  entry.refused->push_back(bind.port);
  const bool again =
      !entry.by_token &&
      entry.refused->size() < static_cast<size_t>(options_.open_attempts);
  const std::optional<TransportAddress> next =
      again ? TakePort({pool}, entry.ports, random) : std::nullopt;
  if (!next.has_value()) {
    for (const uint16_t port : *entry.refused) pool->ports.Release(port);
    DropAbsent();
    return Refusal::kPorts;
  }
  if (entry.ports == Ports::kEvenAndNext) {
    entry.reservation = Reserve(now, *next, entry, random);
  }
  return Enter(*next, std::move(entry), user);
}

void LocalLedger::Return(const TransportAddress& bind) {
  const std::optional<Entry> entry = Remove(bind);
  if (!entry.has_value()) return;
  Pool* pool = PoolOf(bind.ip);
  pool->ports.Release(bind.port);
  if (entry->refused != nullptr) {
    for (const uint16_t port : *entry->refused) pool->ports.Release(port);
  }
  DropAbsent();
}

void LocalLedger::Expire(absl::Time now) {
  for (size_t i = 0; i < reservations_.size();) {
    if (reservations_[i].expires > now) {
      ++i;
    } else {
      DropReservation(Token(reservations_[i].token));
    }
  }
  DropAbsent();
}

void LocalLedger::ReturnAll(int instance) {
  std::vector<TransportAddress> held;
  for (const auto& [bind, entry] : leases_) {
    if (entry.holder.instance == instance) held.push_back(bind);
  }
  for (const TransportAddress& bind : held) Return(bind);
  for (size_t i = 0; i < reservations_.size();) {
    if (reservations_[i].instance != instance) {
      ++i;
    } else {
      DropReservation(Token(reservations_[i].token));
    }
  }
}

std::optional<Ledger::Holder> LocalLedger::Find(const TransportAddress& relayed,
                                                Transport transport) const {
  for (const auto& pool : pools_) {
    if (pool->ports.advertised() != relayed.ip) continue;
    const auto it = leases_.find({pool->ports.bind(), relayed.port});
    if (it != leases_.end() && it->second.transport == transport) {
      return it->second.holder;
    }
  }
  return std::nullopt;
}

bool LocalLedger::IsLent(const IpAddress& relayed) const {
  return std::any_of(pools_.begin(), pools_.end(), [&](const auto& pool) {
    return pool->lent > 0 && pool->ports.advertised() == relayed;
  });
}

size_t LocalLedger::free_ports() const {
  size_t count = 0;
  for (const auto& pool : pools_) {
    if (pool->present) count += pool->ports.free();
  }
  return count;
}

std::optional<Ledger::Refusal> LocalLedger::TakeConnection(
    const std::string& user) {
  if (connections_ >= options_.peer_connections_max) return Refusal::kTotal;
  const auto it = connected_users_.find(user);
  const size_t has = it == connected_users_.end() ? 0 : it->second;
  if (has >= options_.peer_connections_per_user_max) return Refusal::kUserQuota;
  connected_users_[user] = has + 1;
  ++connections_;
  return std::nullopt;
}

void LocalLedger::ReturnConnection(const std::string& user) {
  const auto it = connected_users_.find(user);
  if (it == connected_users_.end()) return;
  if (--it->second == 0) connected_users_.erase(it);
  --connections_;
}

bool LocalLedger::TakeGain(absl::Time now, const IpAddress& ip,
                           size_t request_bytes, size_t answer_bytes) {
  return strangers_.TakeGain(now, ip, request_bytes, answer_bytes);
}

bool LocalLedger::TakeTry(absl::Time now, const IpAddress& ip) {
  return strangers_.TakeTry(now, ip);
}

void LocalLedger::Proven(absl::Time now, const IpAddress& ip) {
  strangers_.Proven(now, ip);
}

double LocalLedger::TakeUserBytes(absl::Time now, Direction direction,
                                  absl::string_view user, double wanted) {
  return bandwidth_.TakeUser(now, direction, user, wanted);
}

double LocalLedger::TakeRealmBytes(absl::Time now, Direction direction,
                                   RealmId realm, double bytes_per_s,
                                   double wanted) {
  return bandwidth_.TakeRealm(now, direction, realm, bytes_per_s, wanted);
}

double LocalLedger::TakeTotalBytes(absl::Time now, Direction direction,
                                   double wanted) {
  return bandwidth_.TakeTotal(now, direction, wanted);
}

}  // namespace kyuu::turn
