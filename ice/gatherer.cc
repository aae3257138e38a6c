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
#include "base/check.h"
#include "base/random.h"
#include "ice/candidate.h"
#include "stun/message.h"
#include "turn/client.h"

namespace kyuu::ice {

Gatherer::Gatherer(GathererOptions options, Random& random)
    : random_(random),
      told_(options.max_candidates, events_, stats_),
      bindings_(options_, random, events_) {
  internal::LimitServers(options);
  for (const TransportAddress& server :
       std::exchange(options.stun_servers, {})) {
    wanted_.stun_servers.push_back(server);
  }
  for (TurnServer& server : std::exchange(options.turn_servers, {})) {
    wanted_.turn_servers.push_back(std::move(server));
  }
  wanted_.policy = std::exchange(options.policy, GatherPolicy::kAll);
  wanted_.mapped_type =
      std::exchange(options.mapped_type, GathererOptions().mapped_type);
  policy_ = wanted_.policy;
  std::vector<HostAddress> hosts = std::exchange(options.hosts, {});
  options_ = Defaulted<GathererOptions>(std::move(options));
  // Those beyond max_hosts are the worst.
  std::stable_sort(hosts.begin(), hosts.end(),
                   [](const HostAddress& a, const HostAddress& b) {
                     const bool a_local = a.address.ip.IsLinkLocal();
                     const bool b_local = b.address.ip.IsLinkLocal();
                     return std::pair(a.kind, a_local) <
                            std::pair(b.kind, b_local);
                   });
  for (const HostAddress& host : hosts) {
    if (!AddHost(absl::InfinitePast(), host).ok()) break;
  }
}

Gatherer::~Gatherer() = default;

absl::Status Gatherer::Start(absl::Time now) {
  if (state_ != State::kNew) {
    return absl::FailedPreconditionError("gathering was started before");
  }
  state_ = State::kGathering;
  policy_ = wanted_.policy;
  Begin(now);
  AddServers();
  for (const Host& host : hosts_) FindHost(host);
  for (const Host& host : hosts_) StartHost(now, host);
  StartDue(now);
  Drain(now);
  return absl::OkStatus();
}

void Gatherer::Begin(absl::Time now) {
  finished_ = false;
  finish_at_ = now + options_->finish_after;
  if (names_awaited_ > 0) servers_due_ = true;
  events_.push_back(Started{});
}

void Gatherer::Restart(absl::Time now) {
  if (state_ != State::kGathering) return;
  Begin(now);
  ApplyConfiguration(now);
  for (const TransportAddress& server : AddServers()) {
    for (const Host& host : hosts_) AddReflexiveJobs(now, host, server);
  }
  bindings_.Restart(now);
  for (Relay& relay : relays_) {
    if (relay.kept) {
      // A server that restarted knows nothing of it, and says so.
      (void)relay.attempts[*relay.kept].client->Refresh(now);
    } else {
      relay.retry.reset();
      AskAgain(now, relay);
    }
  }
  StartDue(now);
  Drain(now);
}

void Gatherer::AwaitServers(size_t names) {
  names_awaited_ += names;
  if (names > 0 && !finished_) servers_due_ = true;
}

void Gatherer::ServersKnown(absl::Time now) {
  const bool due = servers_due_;
  if (names_awaited_ > 0) --names_awaited_;
  if (names_awaited_ == 0) servers_due_ = false;
  if (state_ != State::kGathering || !due) return;
  const size_t known = relays_.size();
  const std::vector<TransportAddress> added = AddServers();
  if (!added.empty() || relays_.size() > known) {
    if (finished_) Begin(now);
    finish_at_ = now + options_->finish_after;
  }
  for (const TransportAddress& server : added) {
    for (const Host& host : hosts_) AddReflexiveJobs(now, host, server);
  }
  for (size_t i = known; i < relays_.size(); ++i) {
    if (relays_[i].on_stream() && IsSpared(relays_[i])) continue;
    AskAgain(now, relays_[i]);
    relays_[i].next_attempt = now + Patience(relays_[i]);
  }
  StartDue(now);
  Drain(now);
}

void Gatherer::ReviewRelays(absl::Time now) {
  if (state_ != State::kGathering) return;
  for (Relay& relay : relays_) {
    // Refused while it is not allocated, or no more.
    if (relay.kept) (void)relay.attempts[*relay.kept].client->Refresh(now);
  }
  AskSlower(now, nullptr);
  StartDue(now);
  Drain(now);
}

void Gatherer::StopKeepalives() { bindings_.StopKeepalives(); }

// Asks the server of a relay from all host addresses, from now on.
void Gatherer::AskAgain(absl::Time now, Relay& relay) {
  const bool running = relay.running();
  relay.hosts = HostsReaching(relay);
  std::erase_if(relay.hosts, [&](const TransportAddress& host) {
    if (relay.on_stream()) return running;
    return std::any_of(
        relay.attempts.begin(), relay.attempts.end(),
        [&](const Attempt& a) { return !a.dead && a.local == host; });
  });
  if (relay.hosts.empty() && !running) return;
  relay.state = running ? JobState::kRunning : JobState::kQueued;
  relay.next_attempt = now;
  relay.code = 0;
}

// The allocation is gone, and another one is asked for: at once, and should
// that fail, in the background.
void Gatherer::LoseRelay(absl::Time now, Relay& relay,
                         const absl::Status& status) {
  relay.kept.reset();
  relay.moving.reset();
  while (!relay.relayed.empty()) {
    LoseAddress(relay, relay.relayed.front(), status);
  }
  relay.hosts = HostsReaching(relay);
  relay.next_attempt = now;
  relay.retry = options_->relay_retry_initial;
  relay.state = relay.hosts.empty() ? JobState::kIdle : JobState::kQueued;
  if (!relay.hosts.empty()) Begin(now);
  AskSlower(now, &relay);
}

void Gatherer::LoseAddress(Relay& relay, TransportAddress relayed,
                           const absl::Status& status) {
  std::erase(relay.relayed, relayed);
  events_.push_back(RelayLost{relayed, status});
  told_.Lose(relayed, std::nullopt, relayed);
}

// Starts what is due, one transaction for each interval of `pace`.
void Gatherer::StartDue(absl::Time now) {
  if (state_ != State::kGathering) return;
  for (Relay& relay : relays_) {
    if (now < next_start_) return;
    if (relay.hosts.empty() || relay.kept || now < relay.next_attempt) continue;
    StartAttempt(now, relay);
    next_start_ = now + options_->pace;
  }
  while (now >= next_start_ && bindings_.StartNext(now)) {
    next_start_ = now + options_->pace;
  }
}

// Takes the events of all clients, and tells when everything is done.
void Gatherer::Drain(absl::Time now) {
  if (state_ == State::kClosed) return;
  TakeReflexive();
  bool all_closed = true;
  for (Relay& relay : relays_) {
    for (size_t i = 0; i < relay.attempts.size(); ++i) {
      DrainAttempt(now, relay, i);
      all_closed &= relay.attempts[i].closed;
    }
    if (!relay.kept) {
      std::erase_if(relay.attempts,
                    [](const Attempt& a) { return a.dead && a.closed; });
    }
  }
  relays_.EraseIf([](const Relay& relay) {
    return relay.dropped && relay.attempts.empty();
  });
  const auto open = [](const auto& job) {
    return job.state == JobState::kQueued || job.state == JobState::kRunning;
  };
  if (state_ == State::kGathering && !finished_ &&
      (now >= finish_at_ ||
       (names_awaited_ == 0 && !bindings_.open() &&
        std::none_of(relays_.begin(), relays_.end(), open)))) {
    finished_ = true;
    finish_at_ = absl::InfiniteFuture();
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
    if (peers_.size() >= options_->max_peers) {
      ++stats_.at<&Stats::peer_limit>();
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
  events_.clear();
  bindings_.Close();
  for (Relay& relay : relays_) {
    EndConnecting(relay);
    for (Attempt& attempt : relay.attempts) attempt.client->Close(now);
    // Nothing can be given back from an address that is gone.
    if (relay.cut_off()) relay.attempts[*relay.kept].closed = true;
  }
  Drain(now);
}

turn::Client* Gatherer::Kept(const TransportAddress& local) const {
  for (const Relay& relay : relays_) {
    if (!relay.kept || !relay.Has(local)) continue;
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
    ++stats_.at<&Stats::drop_unwrappable>();
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
    ++stats_.at<&Stats::wrapped>();
  } else {
    ++stats_.at<&Stats::drop_unwrappable>();
  }
  return outer;
}

Gatherer::Attempt* Gatherer::FindAttempt(const Path& path) {
  const bool stream = path.transport != Transport::kUdp;
  for (Relay& relay : relays_) {
    for (Attempt& attempt : relay.attempts) {
      if (!attempt.closed && attempt.client->server() == path.remote &&
          attempt.local == path.local && attempt.stream.has_value() == stream) {
        return &attempt;
      }
    }
  }
  return nullptr;
}

Gatherer::Taken Gatherer::Take(absl::Time now, const Datagram& datagram) {
  if (bindings_.Take(now, datagram)) {
    Drain(now);
    return {.claimed = true, .relayed = std::nullopt};
  }
  Attempt* attempt = FindAttempt(datagram.path);
  if (attempt == nullptr) return {};
  turn::Client& client = *attempt->client;
  if (const std::optional<turn::Client::Received> received =
          client.Unwrap(datagram)) {
    ++stats_.at<&Stats::unwrapped>();
    // A peer is permitted to reach the address of its own family.
    const TransportAddress* const at =
        client.relayed(received->peer.ip.family());
    KYUU_CHECK(at != nullptr);
    return {.claimed = true,
            .relayed = Datagram{{*at, received->peer, Transport::kUdp},
                                received->payload}};
  }
  client.HandlePacket(now, datagram);
  Drain(now);
  return {.claimed = true, .relayed = std::nullopt};
}

void Gatherer::HandlePacket(absl::Time now, const Datagram& datagram) {
  if (!Take(now, datagram).claimed) ++stats_.at<&Stats::drop_unknown_path>();
}

void Gatherer::HandleTimeout(absl::Time now) {
  if (state_ == State::kClosed) return;
  bindings_.HandleTimeout(now);
  for (Relay& relay : relays_) {
    if (relay.connecting && now >= relay.connecting->deadline) {
      FailConnecting(now, relay,
                     absl::DeadlineExceededError("no connection in time"));
    }
    ReviewMove(now, relay);
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
  if (auto datagram = bindings_.PollTransmit(now, out)) return datagram;
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
  if (state_ == State::kClosed) return absl::InfiniteFuture();
  const bool gathering = state_ == State::kGathering;
  absl::Time next = absl::InfiniteFuture();
  if (gathering) {
    next = std::min<absl::Time>(
        {finish_at_, bindings_.NextTimeout(),
         std::max<absl::Time>(bindings_.NextStart(), next_start_)});
  }
  for (const Relay& relay : relays_) {
    if (gathering && !relay.hosts.empty() && !relay.kept) {
      next =
          std::min(next, std::max<absl::Time>(relay.next_attempt, next_start_));
    }
    if (relay.connecting) next = std::min(next, relay.connecting->deadline);
    if (gathering && relay.moving) {
      next = std::min({next, relay.moving->next, relay.moving->until});
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
  for (const Candidate& candidate : told_.found()) {
    absl::StrAppend(&text, "  ", candidate.ToString(), "\n");
  }
  return text;
}

}  // namespace kyuu::ice
