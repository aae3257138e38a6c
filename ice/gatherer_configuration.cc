// Which servers are asked and which candidates are told, as it changes from one
// gathering to the next (RFC 9429 section 4.1.18). A path of before goes on by
// what is unwanted until there is another one.

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "ice/candidate.h"
#include "ice/gatherer.h"
#include "turn/client.h"

namespace kyuu::ice {

void internal::LimitServers(GathererOptions& options) {
  const size_t most = options.max_servers;
  if (options.stun_servers.size() > most) options.stun_servers.resize(most);
  std::map<RelayProtocol, size_t> count;
  std::erase_if(options.turn_servers, [&](const TurnServer& server) {
    return ++count[server.protocol] > most;
  });
}

void Gatherer::Configure(std::vector<TransportAddress> stun_servers,
                         std::vector<TurnServer> turn_servers,
                         GatherPolicy policy) {
  wanted_.stun_servers.clear();
  wanted_.turn_servers.clear();
  wanted_.policy = policy;
  UpdateServers(std::move(stun_servers), std::move(turn_servers));
}

size_t internal::FreePlace(const ShortList<Relay>& relays) {
  size_t place = 0;
  while (std::any_of(relays.begin(), relays.end(), [&](const Relay& relay) {
    return relay.place == place;
  })) {
    ++place;
  }
  return place;
}

void Gatherer::ApplyConfiguration(absl::Time now) {
  for (Relay& relay : relays_) {
    const bool wanted = std::any_of(
        wanted_.turn_servers.begin(), wanted_.turn_servers.end(),
        [&](const TurnServer& server) { return server.IsSame(relay.server); });
    if (wanted) {
      TakeBack(now, relay);
    } else {
      Drop(now, relay);
    }
  }
  for (const TransportAddress& server :
       ShortList<TransportAddress>(reflectors_)) {
    DropReflector(server);
  }
  if (policy_ != wanted_.policy) ApplyPolicy(now);
}

void Gatherer::ApplyPolicy(absl::Time now) {
  policy_ = wanted_.policy;
  if (policy_ == GatherPolicy::kAll) {
    for (const Host& host : hosts_) {
      FindHost(host);
      for (const TransportAddress& server : reflectors_) {
        AddReflexiveJobs(now, host, server);
      }
    }
    return;
  }
  bindings_.Drop([](const internal::Binding&) { return true; });
  told_.Unwant(
      [](const Candidate& c) { return c.type != CandidateType::kRelayed; });
}

// Nothing is asked of its server any more. The relay that it gave stays until
// it is released, unless there are many of these: then it is lost.
void Gatherer::Drop(absl::Time now, Relay& relay) {
  if (relay.dropped) return;
  relay.dropped = true;
  relay.hosts.clear();
  relay.retry.reset();
  relay.state = JobState::kDone;
  if (!relay.moving) EndConnecting(relay);
  for (size_t i = 0; i < relay.attempts.size(); ++i) {
    if (relay.kept == i) continue;
    relay.attempts[i].dead = true;
    relay.attempts[i].client->Close(now);
  }
  if (!relay.kept) return;
  told_.Unwant([&](const Candidate& c) { return relay.Has(c.address); });
  const auto held = std::count_if(
      relays_.begin(), relays_.end(),
      [](const Relay& other) { return other.dropped && other.kept; });
  if (static_cast<size_t>(held) <= options_->max_servers) return;
  Attempt& attempt = relay.attempts[*relay.kept];
  attempt.dead = true;
  attempt.client->Close(now);
  LoseRelay(now, relay, absl::CancelledError("not wanted"));
}

// One that was dropped is wanted again.
void Gatherer::TakeBack(absl::Time now, Relay& relay) {
  if (!std::exchange(relay.dropped, false)) return;
  if (!relay.kept) return AskAgain(now, relay);
  told_.WantAgain([&](const Candidate& c) { return relay.Has(c.address); });
}

void Gatherer::DropReflector(const TransportAddress& server) {
  const auto is_wanted = [&](const TransportAddress& wanted) {
    return wanted == server;
  };
  if (std::any_of(wanted_.stun_servers.begin(), wanted_.stun_servers.end(),
                  is_wanted) ||
      std::any_of(wanted_.turn_servers.begin(), wanted_.turn_servers.end(),
                  [&](const TurnServer& wanted) {
                    return wanted.protocol == RelayProtocol::kUdp &&
                           is_wanted(wanted.address);
                  })) {
    return;
  }
  reflectors_.EraseIf(
      [&](const TransportAddress& known) { return known == server; });
  // The address of ours that it was seen from is there as before, so that a
  // path which goes by it stays.
  bindings_.Drop(
      [&](const internal::Binding& binding) {
        return binding.server == server;
      },
      Bindings::Told::kYes);
  TakeReflexive();
}

void Gatherer::ReleaseUnwanted(absl::Time now) {
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  told_.ReleaseUnwanted();
  for (Relay& relay : relays_) {
    if (!relay.dropped || !relay.kept) continue;
    const bool cut_off = relay.cut_off();
    Attempt& attempt = relay.attempts[*relay.kept];
    attempt.dead = true;
    attempt.client->Close(now);
    // Nothing can be given back from an address that is gone.
    if (cut_off) attempt.closed = true;
    relay.kept.reset();
    relay.moving.reset();
    EndConnecting(relay);
  }
  Drain(now);
}

void Gatherer::Discard(absl::Time now) {
  if (state_ != State::kGathering) return;
  for (Relay& relay : relays_) Drop(now, relay);
  ReleaseUnwanted(now);
  bindings_.Drop([](const internal::Binding&) { return true; });
  reflectors_.clear();
  told_.Lose([](const Candidate&) { return true; });
  state_ = State::kNew;
  finished_ = false;
  finish_at_ = absl::InfiniteFuture();
}

}  // namespace kyuu::ice
