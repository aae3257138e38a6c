// Our addresses as they come and go, and the candidates they give.

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/candidate.h"
#include "ice/gatherer.h"

namespace kyuu::ice {
namespace {

// What an active candidate says for a port (RFC 6544 section 4.5).
constexpr uint16_t kDiscard = 9;

// A stream is bound to the address, not to its port.
bool IsFrom(const internal::Attempt& attempt, const TransportAddress& host) {
  return attempt.stream ? attempt.local.ip == host.ip : attempt.local == host;
}

// Whether it is that socket, or one of those beside it.
bool IsOf(const TransportAddress& base, std::optional<TcpType> tcp_type,
          const HostAddress& host) {
  if (!tcp_type) return base == host.address;
  if (base.ip != host.address.ip) return false;
  switch (*tcp_type) {
    case TcpType::kActive:
      return host.tcp_active;
    case TcpType::kPassive:
      return base.port == host.tcp_port;
    case TcpType::kSimultaneousOpen:
      return base.port == host.tcp_so_port;
  }
  return false;
}

bool IsIpv6LinkLocal(const IpAddress& ip) {
  return ip.is_v6() && ip.IsLinkLocal();
}

// In place of an address of that family that is not told.
TransportAddress Nothing(const IpAddress& like) {
  return {like.is_v4() ? IpAddress::V4(0) : IpAddress::V6({}), 0};
}

}  // namespace

// Distinct for each host (RFC 8445 section 5.1.2.1), with room between them for
// several relays of one host: 16 places for each kind of network, and as many
// for its link-local addresses. The place does not move when others come.
//
// IPv6 has the even ones, so that in each kind the families take turns and IPv6
// begins (RFC 8421 section 4): many addresses of a family that does not work
// hold up the other one no longer than one. Where its places are taken, a
// family takes those of the other.
uint16_t Gatherer::NewPreference(const HostAddress& host) const {
  const int first = static_cast<int>(host.kind) * 32 +
                    (host.address.ip.IsLinkLocal() ? 16 : 0);
  const auto preference = [first](int place) {
    return static_cast<uint16_t>(65535 - (first + place) * 256);
  };
  const int own = host.address.ip.is_v4() ? 1 : 0;
  for (const int parity : {own, 1 - own}) {
    for (int place = parity; place < 15; place += 2) {
      if (std::none_of(hosts_.begin(), hosts_.end(), [&](const Host& other) {
            return other.preference == preference(place);
          })) {
        return preference(place);
      }
    }
  }
  return preference(15);
}

uint16_t Gatherer::LocalPreference(const TransportAddress& host) const {
  uint16_t same_ip = 0;  // The end of a stream has a port of its own.
  for (const Host& known : hosts_) {
    if (known.host.address == host) return known.preference;
    if (known.host.address.ip == host.ip) same_ip = known.preference;
  }
  return same_ip;
}

// As a related address (RFC 8839 section 5.1).
TransportAddress Gatherer::Shown(const TransportAddress& address) const {
  for (const Host& known : hosts_) {
    if (known.host.address.ip == address.ip && !known.host.name.empty()) {
      return Nothing(address.ip);
    }
  }
  return address;
}

bool Gatherer::MayReach(const TransportAddress& host,
                        const TransportAddress& server) const {
  const IpAddress& from = host.ip;
  const IpAddress& to = server.ip;
  if (server.port == 0 || from.family() != to.family()) return false;
  if (IsIpv6LinkLocal(from) != IsIpv6LinkLocal(to)) return false;
  if (from.IsLoopback()) return to.IsLoopback();
  if (!to.IsLoopback()) return true;
  // A server on this machine answers any of its addresses; the loopback one is
  // surest to be let through.
  return std::none_of(hosts_.begin(), hosts_.end(), [&](const Host& other) {
    return other.host.address.ip.IsLoopback() &&
           other.host.address.ip.family() == to.family();
  });
}

bool Gatherer::MayAsk(const Host& host, const Relay& relay) const {
  return MayReach(host.host.address, relay.server.address) &&
         (!host.host.shared || relay.on_stream()) &&
         (!relay.dropped || relay.kept);
}

std::vector<TransportAddress> Gatherer::HostsReaching(
    const Relay& relay) const {
  std::vector<TransportAddress> reaching;
  for (const Host& host : hosts_) {
    if (MayAsk(host, relay)) {
      reaching.push_back(host.host.address);
    }
  }
  // The system chooses where a stream is connected from.
  if (relay.on_stream() && !reaching.empty()) reaching.assign(1, {});
  return reaching;
}

absl::Status Gatherer::AddHost(absl::Time now, const HostAddress& host) {
  if (state_ == State::kClosing || state_ == State::kClosed) {
    return absl::FailedPreconditionError("closed");
  }
  for (const Host& known : hosts_) {
    if (known.host.address == host.address) return absl::OkStatus();
  }
  if (hosts_.size() >= options_->max_hosts) {
    return absl::ResourceExhaustedError("too many host addresses");
  }
  const Host added{host, NewPreference(host)};
  hosts_.insert(std::upper_bound(hosts_.begin(), hosts_.end(), added,
                                 [](const Host& a, const Host& b) {
                                   return a.preference > b.preference;
                                 }),
                added);
  if (state_ == State::kNew) return absl::OkStatus();
  Begin(now);
  FindHost(added);
  StartHost(now, added);
  StartDue(now);
  Drain(now);
  return absl::OkStatus();
}

absl::Status Gatherer::RemoveHost(absl::Time now,
                                  const TransportAddress& address) {
  const auto host = std::find_if(
      hosts_.begin(), hosts_.end(),
      [&](const Host& known) { return known.host.address == address; });
  if (host == hosts_.end()) return absl::NotFoundError("no such host address");
  const HostAddress removed = host->host;
  hosts_.erase(host);
  if (state_ == State::kClosing || state_ == State::kClosed) {
    // Candidates are told of no more, and nothing can be given back from there.
    for (Relay& relay : relays_) {
      for (Attempt& attempt : relay.attempts) {
        if (IsFrom(attempt, address)) attempt.closed = true;
      }
    }
    Drain(now);
    return absl::OkStatus();
  }
  bindings_.Drop([&](const internal::Binding& b) {
    return IsOf(b.local, b.tcp_type, removed);
  });
  const absl::Status gone = absl::UnavailableError("the host address is gone");
  for (Relay& relay : relays_) {
    std::erase(relay.hosts, address);
    if (relay.moving) std::erase(relay.moving->hosts, address);
    for (size_t i = 0; i < relay.attempts.size(); ++i) {
      Attempt& attempt = relay.attempts[i];
      if (!IsFrom(attempt, address) || attempt.closed) continue;
      EndStream(attempt.stream);
      if (relay.kept == i && StartMove(now, relay)) continue;
      // Nothing can be given back from an address that is gone.
      attempt.closed = true;
      if (relay.kept == i) {
        attempt.dead = true;
        LoseRelay(now, relay, gone);
      } else if (!attempt.dead) {
        FailAttempt(now, relay, attempt, gone, 0);
      }
    }
  }
  told_.Lose(
      [&](const Candidate& c) { return IsOf(c.base, c.tcp_type, removed); });
  if (state_ == State::kGathering) StartDue(now);
  Drain(now);
  return absl::OkStatus();
}

// What is to be asked from an address.
void Gatherer::StartHost(absl::Time now, const Host& host) {
  const TransportAddress& local = host.host.address;
  for (const TransportAddress& server : reflectors_) {
    AddReflexiveJobs(now, host, server);
  }
  for (Relay& relay : relays_) {
    if (!MayAsk(host, relay)) continue;
    if (relay.moving) {
      OfferToMove(now, relay, local);
      continue;
    }
    if (relay.kept) continue;
    if (relay.on_stream()) {
      if (IsSpared(relay) || relay.running()) continue;
      relay.hosts.assign(1, {});
    } else {
      relay.hosts.push_back(local);
    }
    if (relay.state != JobState::kRunning) {
      relay.state = JobState::kQueued;
      relay.next_attempt = now + Patience(relay);
    }
  }
}

void Gatherer::AddReflexiveJobs(absl::Time now, const Host& host,
                                const TransportAddress& server) {
  const HostAddress& from = host.host;
  if (policy_ != GatherPolicy::kAll || !MayReach(from.address, server)) return;
  bindings_.Add(from.address, server);
  if (!from.tcp_lends_ports) return;
  for (const auto& [tcp_type, port] :
       {std::pair(TcpType::kPassive, from.tcp_port),
        std::pair(TcpType::kSimultaneousOpen, from.tcp_so_port)}) {
    if (port == 0) continue;
    bindings_.AddTcp(now, {from.address.ip, port}, tcp_type, server);
  }
}

void Gatherer::FindHost(const Host& host) {
  if (policy_ != GatherPolicy::kAll) return;
  Candidate candidate;
  candidate.type = CandidateType::kHost;
  candidate.address = host.host.address;
  candidate.name = host.host.name;
  candidate.base = candidate.address;
  candidate.priority = Priority(candidate.type, host.preference);
  candidate.foundation = foundations_.Get(candidate.type, candidate.base.ip,
                                          IpAddress(), Transport::kUdp);
  told_.Tell(std::move(candidate));
  if (host.host.tcp_active) FindTcpHost(host, TcpType::kActive, kDiscard);
  if (host.host.tcp_port != 0) {
    FindTcpHost(host, TcpType::kPassive, host.host.tcp_port);
  }
  if (host.host.tcp_so_port != 0) {
    FindTcpHost(host, TcpType::kSimultaneousOpen, host.host.tcp_so_port);
  }
  if (host.host.mapped) FindMapped(host);
}

// What the NAT in front shows of a host. An active candidate has no port to be
// reached at.
void Gatherer::FindMapped(const Host& host) {
  const TransportAddress& udp = host.host.address;
  Candidate candidate;
  candidate.type = wanted_.mapped_type;
  candidate.base = udp;
  candidate.address = {*host.host.mapped, udp.port};
  // Behind the host candidate itself, if that is of the same type.
  const auto preference = static_cast<uint16_t>(host.preference - 1);
  candidate.priority = Priority(candidate.type, preference);
  candidate.foundation = foundations_.Get(
      candidate.type, udp.ip, candidate.address.ip, Transport::kUdp);
  const bool is_host = candidate.type == CandidateType::kHost;
  if (!is_host) candidate.related = Shown(udp);
  told_.Tell(candidate);
  candidate.transport = Transport::kTcp;
  candidate.foundation = foundations_.Get(
      candidate.type, udp.ip, candidate.address.ip, Transport::kTcp);
  for (const auto& [tcp_type, port] :
       {std::pair(TcpType::kPassive, host.host.tcp_port),
        std::pair(TcpType::kSimultaneousOpen, host.host.tcp_so_port)}) {
    if (port == 0) continue;
    candidate.tcp_type = tcp_type;
    candidate.base.port = port;
    candidate.address.port = port;
    candidate.priority = TcpPriority(candidate.type, tcp_type, preference);
    if (!is_host) candidate.related = Shown(candidate.base);
    told_.Tell(candidate);
  }
}

void Gatherer::FindTcpHost(const Host& host, TcpType tcp_type, uint16_t port) {
  Candidate candidate;
  candidate.type = CandidateType::kHost;
  candidate.transport = Transport::kTcp;
  candidate.tcp_type = tcp_type;
  candidate.address = {host.host.address.ip, port};
  candidate.name = host.host.name;
  candidate.base = candidate.address;
  candidate.priority = TcpPriority(candidate.type, tcp_type, host.preference);
  candidate.foundation = foundations_.Get(candidate.type, candidate.base.ip,
                                          IpAddress(), Transport::kTcp);
  told_.Tell(std::move(candidate));
}

void Gatherer::FindReflexive(const TransportAddress& base,
                             std::optional<TcpType> tcp_type,
                             const TransportAddress& server,
                             const TransportAddress& mapped) {
  if (policy_ != GatherPolicy::kAll || mapped.port == 0 ||
      mapped.ip.family() != base.ip.family()) {
    return;
  }
  // Redundant if there is no NAT, or if another server said the same (RFC 8445
  // section 5.1.3).
  if (told_.Has(base, tcp_type, mapped)) return;
  const Transport transport = tcp_type ? Transport::kTcp : Transport::kUdp;
  Candidate candidate;
  candidate.type = CandidateType::kServerReflexive;
  candidate.transport = transport;
  candidate.tcp_type = tcp_type;
  candidate.address = mapped;
  candidate.base = base;
  candidate.related = Shown(base);
  candidate.server = server;
  const uint16_t preference = LocalPreference(base);
  candidate.priority = tcp_type
                           ? TcpPriority(candidate.type, *tcp_type, preference)
                           : Priority(candidate.type, preference);
  candidate.foundation =
      foundations_.Get(candidate.type, base.ip, server.ip, transport);
  told_.Tell(std::move(candidate));
}

// Of one allocation IPv6 comes first, as it does among hosts.
void Gatherer::FindRelayed(const Relay& relay, const TransportAddress& host,
                           const TransportAddress& relayed,
                           const TransportAddress& mapped) {
  const TurnServer& server = relay.server;
  Candidate candidate;
  candidate.type = CandidateType::kRelayed;
  candidate.address = relayed;
  candidate.base = relayed;
  // The related address would tell what the policy hides (RFC 8828 section
  // 5.2).
  candidate.related =
      policy_ == GatherPolicy::kRelay ? Nothing(relayed.ip) : Shown(mapped);
  const size_t behind = 2 * relay.place + (relayed.ip.is_v4() ? 1 : 0);
  candidate.priority = RelayPriority(
      server.protocol, static_cast<uint16_t>(LocalPreference(host) - behind));
  candidate.foundation =
      foundations_.Get(candidate.type, relayed.ip, server.address.ip,
                       relay.on_stream() ? Transport::kTcp : Transport::kUdp);
  candidate.relay_protocol = server.protocol;
  candidate.server = server.address;
  told_.Tell(std::move(candidate));
}

// The NAT gave another address than before, or none. Unless another server
// still sees it, or we know it without servers, nobody reaches us there.
void Gatherer::ForgetReflexive(const Bindings::Change& change) {
  const TransportAddress& before = change.before;
  for (const Host& known : hosts_) {
    if (IsOf(change.local, change.tcp_type, known.host) &&
        known.host.mapped == before.ip && before.port == change.local.port) {
      return;
    }
  }
  if (!bindings_.Sees(change.local, change.tcp_type, before)) {
    told_.Lose(change.local, change.tcp_type, before);
  }
}

void Gatherer::TakeReflexive() {
  while (const std::optional<Bindings::Change> change =
             bindings_.PollChange()) {
    if (change->mapped.port != 0) {
      FindReflexive(change->local, change->tcp_type, change->server,
                    change->mapped);
    }
    if (change->before.port != 0) ForgetReflexive(*change);
  }
}

}  // namespace kyuu::ice
