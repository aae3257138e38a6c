#include "ice/gatherer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/random.h"
#include "ice/candidate.h"
#include "stun/client.h"
#include "stun/message.h"
#include "turn/client.h"

namespace kyuu::ice {
namespace {

template <typename T>
void Truncate(std::vector<T>& list, size_t size) {
  if (list.size() > size)
    list.erase(list.begin() + static_cast<long>(size), list.end());
}

bool IsIpv6LinkLocal(const IpAddress& ip) {
  return ip.is_v6() && ip.IsLinkLocal();
}

stun::Client::Options StunOptions(const GathererOptions& options) {
  stun::Client::Options stun;
  stun.retransmit.rto_initial = options.rto_initial;
  stun.transactions_max = options.max_hosts * 2 * options.max_servers;
  return stun;
}

}  // namespace

Gatherer::Gatherer(GathererOptions options, Random& random)
    : options_(std::move(options)),
      random_(random),
      stun_(random, StunOptions(options_)) {
  Truncate(options_.stun_servers, options_.max_servers);
  Truncate(options_.turn_servers, options_.max_servers);
}

Gatherer::~Gatherer() = default;

absl::Status Gatherer::AddHost(const HostAddress& host) {
  if (state_ != State::kNew) {
    return absl::FailedPreconditionError("gathering has begun");
  }
  if (options_.hosts.size() >= options_.max_hosts) {
    return absl::ResourceExhaustedError("too many host addresses");
  }
  options_.hosts.push_back(host);
  return absl::OkStatus();
}

// Distinct for each host (RFC 8445 section 5.1.2.1), with room between them
// for several relays of one host.
uint16_t Gatherer::LocalPreference(size_t host) const {
  return static_cast<uint16_t>(65535 - host * 256);
}

bool Gatherer::MayReach(size_t host, const TransportAddress& server) const {
  const IpAddress& from = options_.hosts[host].address.ip;
  const IpAddress& to = server.ip;
  if (server.port == 0 || from.family() != to.family()) return false;
  if (IsIpv6LinkLocal(from) != IsIpv6LinkLocal(to)) return false;
  if (from.IsLoopback()) return to.IsLoopback();
  if (!to.IsLoopback()) return true;
  // A server on this machine answers any of its addresses; the loopback one is
  // surest to be let through.
  return std::none_of(options_.hosts.begin(), options_.hosts.end(),
                      [&](const HostAddress& other) {
                        return other.address.ip.IsLoopback() &&
                               other.address.ip.family() == to.family();
                      });
}

absl::Status Gatherer::Start(absl::Time now) {
  if (state_ != State::kNew) {
    return absl::FailedPreconditionError("gathering was started before");
  }
  state_ = State::kGathering;
  std::vector<HostAddress>& hosts = options_.hosts;
  std::stable_sort(hosts.begin(), hosts.end(),
                   [](const HostAddress& a, const HostAddress& b) {
                     const bool a_local = a.address.ip.IsLinkLocal();
                     const bool b_local = b.address.ip.IsLinkLocal();
                     return std::pair(a.kind, a_local) <
                            std::pair(b.kind, b_local);
                   });
  Truncate(hosts, options_.max_hosts);
  FindHosts();
  std::vector<TransportAddress> servers;
  const auto add = [&](const TransportAddress& server) {
    if (std::find(servers.begin(), servers.end(), server) != servers.end()) {
      return false;
    }
    servers.push_back(server);
    return true;
  };
  for (size_t i = 0; i < options_.turn_servers.size(); ++i) {
    if (!add(options_.turn_servers[i].address)) continue;
    Relay relay;
    relay.server = i;
    for (size_t host = 0; host < options_.hosts.size(); ++host) {
      if (MayReach(host, options_.turn_servers[i].address)) {
        relay.hosts.push_back(host);
      }
    }
    if (relay.hosts.empty()) continue;
    relay.next_attempt = now;
    relays_.push_back(std::move(relay));
  }
  for (const TransportAddress& server : options_.stun_servers) add(server);
  if (options_.policy == GatherPolicy::kAll) {
    for (const TransportAddress& server : servers) {
      for (size_t host = 0; host < options_.hosts.size(); ++host) {
        if (MayReach(host, server)) bindings_.push_back({host, server});
      }
    }
  }
  StartDue(now);
  Drain(now);
  return absl::OkStatus();
}

void Gatherer::FindHosts() {
  if (options_.policy != GatherPolicy::kAll) return;
  for (size_t i = 0; i < options_.hosts.size(); ++i) {
    Candidate candidate;
    candidate.type = CandidateType::kHost;
    candidate.address = options_.hosts[i].address;
    candidate.base = candidate.address;
    candidate.priority = Priority(candidate.type, LocalPreference(i));
    candidate.foundation = foundations_.Get(candidate.type, candidate.base.ip,
                                            IpAddress(), Transport::kUdp);
    Emit(std::move(candidate));
  }
}

void Gatherer::FindReflexive(size_t host, const TransportAddress& server,
                             const TransportAddress& mapped) {
  const TransportAddress& base = options_.hosts[host].address;
  if (options_.policy != GatherPolicy::kAll || mapped.port == 0 ||
      mapped.ip.family() != base.ip.family()) {
    return;
  }
  // Redundant if there is no NAT, or if another server said the same (RFC 8445
  // section 5.1.3).
  for (const Candidate& other : found_) {
    if (other.address == mapped && other.base == base) return;
  }
  Candidate candidate;
  candidate.type = CandidateType::kServerReflexive;
  candidate.address = mapped;
  candidate.base = base;
  candidate.related = base;
  candidate.priority = Priority(candidate.type, LocalPreference(host));
  candidate.foundation =
      foundations_.Get(candidate.type, base.ip, server.ip, Transport::kUdp);
  Emit(std::move(candidate));
}

void Gatherer::FindRelayed(const Relay& relay, size_t host,
                           const turn::Client::Allocated& lease) {
  const TransportAddress& server = options_.turn_servers[relay.server].address;
  FindReflexive(host, server, lease.mapped);
  Candidate candidate;
  candidate.type = CandidateType::kRelayed;
  candidate.address = lease.relayed;
  candidate.base = lease.relayed;
  // The related address would tell what the policy hides (RFC 8828 section
  // 5.2, S11).
  candidate.related = lease.mapped;
  if (options_.policy == GatherPolicy::kRelay) {
    candidate.related = TransportAddress{
        lease.relayed.ip.is_v4() ? IpAddress::V4(0) : IpAddress::V6({}), 0};
  }
  candidate.priority =
      Priority(candidate.type,
               static_cast<uint16_t>(LocalPreference(host) - relay.server));
  candidate.foundation = foundations_.Get(candidate.type, lease.relayed.ip,
                                          server.ip, Transport::kUdp);
  Emit(std::move(candidate));
}

void Gatherer::Emit(Candidate candidate) {
  if (found_.size() >= options_.max_candidates) {
    ++stats_.candidate_limit;
    return;
  }
  found_.push_back(candidate);
  events_.push_back(CandidateFound{std::move(candidate)});
}

// Starts what is due, one transaction for each interval of `pace`.
void Gatherer::StartDue(absl::Time now) {
  if (state_ != State::kGathering) return;
  for (Relay& relay : relays_) {
    if (now < next_start_) return;
    if (relay.hosts.empty() || relay.kept || now < relay.next_attempt) continue;
    StartAttempt(now, relay);
    next_start_ = now + options_.pace;
  }
  for (Binding& binding : bindings_) {
    if (now < next_start_) return;
    const bool due =
        binding.state == JobState::kQueued || now >= binding.keepalive;
    if (!due) continue;
    StartBinding(now, binding);
    next_start_ = now + options_.pace;
  }
}

// Takes the events of all clients, and tells when everything is done.
void Gatherer::Drain(absl::Time now) {
  if (state_ == State::kClosed) return;
  DrainBindings(now);
  bool all_closed = true;
  for (Relay& relay : relays_) {
    for (size_t i = 0; i < relay.attempts.size(); ++i) {
      DrainAttempt(now, relay, i);
      all_closed &= relay.attempts[i].closed;
    }
  }
  const auto open = [](const auto& job) {
    return job.state == JobState::kQueued || job.state == JobState::kRunning;
  };
  if (state_ == State::kGathering && !finished_ &&
      std::none_of(bindings_.begin(), bindings_.end(), open) &&
      std::none_of(relays_.begin(), relays_.end(), open)) {
    finished_ = true;
    events_.push_back(Finished{});
  }
  if (state_ == State::kClosing && all_closed) {
    state_ = State::kClosed;
    events_.push_back(Closed{absl::OkStatus()});
  }
}

void Gatherer::Permit(absl::Time now, const TransportAddress& peer) {
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  const auto same_ip = [&](const TransportAddress& p) {
    return p.ip == peer.ip;
  };
  if (std::none_of(peers_.begin(), peers_.end(), same_ip)) {
    if (peers_.size() >= options_.max_peers) {
      ++stats_.peer_limit;
      return;
    }
    peers_.push_back(peer);
  }
  for (Relay& relay : relays_) {
    if (relay.kept) {
      // An allocation that has ended needs no permission.
      (void)relay.attempts[*relay.kept].client->Permit(now, peer);
    }
  }
}

void Gatherer::BindChannel(absl::Time now, const Path& path) {
  if (turn::Client* client = Kept(path.local)) {
    // Without a channel its data goes in indications.
    (void)client->BindChannel(now, path.remote);
  }
}

void Gatherer::Close(absl::Time now) {
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  state_ = State::kClosing;
  stun_.Close();
  events_.clear();
  for (Relay& relay : relays_) {
    for (Attempt& attempt : relay.attempts) attempt.client->Close(now);
  }
  Drain(now);
}

turn::Client* Gatherer::Kept(const TransportAddress& local) const {
  for (const Relay& relay : relays_) {
    if (!relay.kept || relay.relayed != local) continue;
    turn::Client* client = relay.attempts[*relay.kept].client.get();
    if (client->allocated()) return client;
  }
  return nullptr;
}

bool Gatherer::IsRelayed(const TransportAddress& local) const {
  return Kept(local) != nullptr;
}

absl::StatusOr<Datagram> Gatherer::Wrap(absl::Time now, const Datagram& inner,
                                        absl::Span<uint8_t> out) {
  turn::Client* client = Kept(inner.path.local);
  if (client == nullptr) {
    ++stats_.drop_unwrappable;
    return absl::NotFoundError("no such relayed address");
  }
  absl::StatusOr<Datagram> outer =
      client->Wrap(now, inner.path.remote, inner.bytes, out);
  if (!outer.ok() &&
      outer.status().code() == absl::StatusCode::kFailedPrecondition &&
      client->Permit(now, inner.path.remote).ok()) {
    outer = client->Wrap(now, inner.path.remote, inner.bytes, out);
  }
  if (outer.ok()) {
    ++stats_.wrapped;
  } else if (!absl::IsUnavailable(outer.status())) {
    ++stats_.drop_unwrappable;
  }
  return outer;
}

Gatherer::Attempt* Gatherer::FindAttempt(const Path& path) {
  for (Relay& relay : relays_) {
    for (Attempt& attempt : relay.attempts) {
      if (!attempt.closed && attempt.client->server() == path.remote &&
          options_.hosts[attempt.host].address == path.local) {
        return &attempt;
      }
    }
  }
  return nullptr;
}

Gatherer::Taken Gatherer::Take(absl::Time now, const Datagram& datagram) {
  if (stun_.Expects(datagram.bytes)) {
    stun_.HandlePacket(now, datagram);
    Drain(now);
    return {.claimed = true, .relayed = std::nullopt};
  }
  Attempt* attempt = FindAttempt(datagram.path);
  if (attempt == nullptr) return {};
  turn::Client& client = *attempt->client;
  if (const std::optional<turn::Client::Received> received =
          client.Unwrap(datagram)) {
    ++stats_.unwrapped;
    return {
        .claimed = true,
        .relayed = Datagram{{client.relayed(), received->peer, Transport::kUdp},
                            received->payload}};
  }
  client.HandlePacket(now, datagram);
  Drain(now);
  return {.claimed = true, .relayed = std::nullopt};
}

void Gatherer::HandlePacket(absl::Time now, const Datagram& datagram) {
  if (!Take(now, datagram).claimed) ++stats_.drop_unknown_path;
}

void Gatherer::HandleTimeout(absl::Time now) {
  if (state_ == State::kNew || state_ == State::kClosed) return;
  stun_.HandleTimeout(now);
  for (Binding& binding : bindings_) {
    if (now < binding.deadline) continue;
    if (binding.id) stun_.Cancel(*binding.id);
    FailBinding(now, binding, absl::DeadlineExceededError("no answer"), 0);
  }
  for (Relay& relay : relays_) {
    for (Attempt& attempt : relay.attempts) {
      attempt.client->HandleTimeout(now);
      if (state_ != State::kGathering || attempt.dead ||
          attempt.client->allocated() || now < attempt.deadline) {
        continue;
      }
      FailAttempt(now, relay, attempt, absl::DeadlineExceededError("no answer"),
                  0);
      attempt.client->Close(now);
    }
  }
  StartDue(now);
  Drain(now);
}

std::optional<Datagram> Gatherer::PollTransmit(absl::Time now,
                                               absl::Span<uint8_t> out) {
  if (auto datagram = stun_.PollTransmit(now, out)) return datagram;
  for (Relay& relay : relays_) {
    for (Attempt& attempt : relay.attempts) {
      if (auto datagram = attempt.client->PollTransmit(now, out)) {
        return datagram;
      }
    }
  }
  return std::nullopt;
}

std::optional<Gatherer::Event> Gatherer::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

absl::Time Gatherer::NextTimeout() const {
  absl::Time next = stun_.NextTimeout();
  if (state_ == State::kNew || state_ == State::kClosed) {
    return absl::InfiniteFuture();
  }
  const bool gathering = state_ == State::kGathering;
  for (const Binding& binding : bindings_) {
    if (!gathering) break;
    next = std::min(next, binding.deadline);
    if (binding.state == JobState::kQueued) next = std::min(next, next_start_);
    next = std::min(next, std::max(binding.keepalive, next_start_));
  }
  for (const Relay& relay : relays_) {
    if (gathering && !relay.hosts.empty() && !relay.kept) {
      next = std::min(next, std::max(relay.next_attempt, next_start_));
    }
    for (const Attempt& attempt : relay.attempts) {
      next = std::min(next, attempt.client->NextTimeout());
      if (gathering && !attempt.dead && !attempt.client->allocated()) {
        next = std::min(next, attempt.deadline);
      }
    }
  }
  return next;
}

std::string Gatherer::DebugString() const {
  std::string text =
      absl::StrCat("ice::Gatherer", finished_ ? " finished" : "", "\n");
  for (const Candidate& candidate : found_) {
    absl::StrAppend(&text, "  ", candidate.ToString(), "\n");
  }
  return text;
}

}  // namespace kyuu::ice
