// What the gatherer asks of STUN and TURN servers, and what becomes of it.

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/gatherer.h"
#include "stun/protocol.h"
#include "turn/client.h"

namespace kyuu::ice {
void Gatherer::UpdateServers(std::vector<TransportAddress> stun_servers,
                             std::vector<TurnServer> turn_servers) {
  for (TurnServer& server : turn_servers) {
    const auto is_it = [&](const TurnServer& s) { return s.IsSame(server); };
    const auto known = std::find_if(wanted_.turn_servers.begin(),
                                    wanted_.turn_servers.end(), is_it);
    for (Relay& relay : relays_) {
      if (is_it(relay.server)) relay.server = server;
    }
    const auto same_kind = std::count_if(
        wanted_.turn_servers.begin(), wanted_.turn_servers.end(),
        [&](const TurnServer& s) { return s.protocol == server.protocol; });
    if (known != wanted_.turn_servers.end()) {
      *known = std::move(server);
    } else if (static_cast<size_t>(same_kind) < options_->max_servers) {
      wanted_.turn_servers.push_back(std::move(server));
    }
  }
  for (const TransportAddress& server : stun_servers) {
    if (wanted_.stun_servers.size() >= options_->max_servers) break;
    if (std::find(wanted_.stun_servers.begin(), wanted_.stun_servers.end(),
                  server) == wanted_.stun_servers.end()) {
      wanted_.stun_servers.push_back(server);
    }
  }
}

std::vector<TransportAddress> Gatherer::AddServers() {
  std::vector<TransportAddress> added;
  const auto add = [&](const TransportAddress& server) {
    if (std::find(reflectors_.begin(), reflectors_.end(), server) !=
        reflectors_.end()) {
      return;
    }
    reflectors_.push_back(server);
    added.push_back(server);
  };
  for (const TurnServer& server : wanted_.turn_servers) {
    const bool known = std::any_of(
        relays_.begin(), relays_.end(),
        [&](const Relay& relay) { return relay.server.IsSame(server); });
    if (!known)
      relays_.push_back(
          {.server = server, .place = internal::FreePlace(relays_)});
    if (server.protocol == RelayProtocol::kUdp) add(server.address);
  }
  for (const TransportAddress& server : wanted_.stun_servers) add(server);
  return added;
}

void Gatherer::StartAttempt(absl::Time now, Relay& relay) {
  const TransportAddress host = relay.hosts.front();
  relay.hosts.erase(relay.hosts.begin());
  if (relay.state == JobState::kQueued) relay.state = JobState::kRunning;
  relay.next_attempt = now + options_->next_host_after;
  if (relay.on_stream()) return WantStream(now, relay, relay.server.address);
  Attempt attempt;
  attempt.local = host;
  Ask(now, relay, relay.server.address, std::move(attempt));
}

void Gatherer::Ask(absl::Time now, Relay& relay, const TransportAddress& server,
                   Attempt attempt) {
  const TurnServer& told = relay.server;
  turn::Client::Options client;
  client.local = attempt.local;
  client.server = server;
  client.transport = TransportTo(told.protocol);
  client.username = told.username;
  client.password = told.password;
  client.families = options_->relay_families;
  if (client.families == turn::ClientOptions::Families::kOne &&
      server.ip.is_v6()) {
    client.relayed_family = IpFamily::kV6;
  }
  client.retransmit.rto_initial = options_->rto_initial;
  client.mobility = options_->mobility;
  attempt.client = std::make_unique<turn::Client>(random_, std::move(client));
  attempt.deadline = now + options_->server_deadline;
  const absl::Status status = attempt.client->Allocate(now);
  relay.attempts.push_back(std::move(attempt));
  if (!status.ok()) FailAttempt(now, relay, relay.attempts.back(), status, 0);
}

void Gatherer::FailAttempt(absl::Time now, Relay& relay, Attempt& attempt,
                           const absl::Status& status, uint16_t code) {
  attempt.dead = true;
  FailRelay(now, relay, attempt.local, status, code);
}

// One way to the server has failed.
void Gatherer::FailRelay(absl::Time now, Relay& relay,
                         const TransportAddress& local,
                         const absl::Status& status, uint16_t code) {
  if (relay.code == 0) {
    relay.failure = status;
    relay.code = code;
  }
  // What the server refuses once, it refuses from every address.
  if (code != 0) relay.hosts.clear();
  relay.next_attempt = now;
  if (relay.running() || !relay.hosts.empty()) return;
  if (relay.state == JobState::kRunning) {
    relay.state = JobState::kFailed;
    events_.push_back(ServerFailed{relay.server.address, local, relay.failure,
                                   relay.code, relay.server.protocol});
  }
  if (relay.retry) {
    relay.hosts = HostsReaching(relay);
    relay.next_attempt = now + *relay.retry;
    relay.retry = std::min(2 * *relay.retry, options_->relay_retry_max);
    relay.code = 0;
  }
}

void Gatherer::KeepAttempt(absl::Time now, Relay& relay, size_t index,
                           const turn::Client::Allocated& lease) {
  Attempt& attempt = relay.attempts[index];
  relay.kept = index;
  relay.relayed = {lease.relayed};
  if (lease.additional) relay.relayed.push_back(*lease.additional);
  relay.state = JobState::kDone;
  relay.hosts.clear();
  relay.retry.reset();
  SpareSlower(relay);
  for (size_t i = 0; i < relay.attempts.size(); ++i) {
    if (i == index) continue;
    relay.attempts[i].dead = true;
    relay.attempts[i].client->Close(now);
  }
  // That of a stream is no address of our sockets.
  if (!relay.on_stream()) {
    FindReflexive(attempt.local, std::nullopt, relay.server.address,
                  lease.mapped);
  }
  for (const TransportAddress& relayed : relay.relayed) {
    FindRelayed(relay, attempt.local, relayed, lease.mapped);
  }
  for (const TransportAddress& peer : peers_) {
    // Peers of a family that it has not are refused, which is as it should be.
    (void)attempt.client->Permit(now, peer);
  }
}

void Gatherer::DrainAttempt(absl::Time now, Relay& relay, size_t index) {
  Attempt& attempt = relay.attempts[index];
  while (std::optional<turn::Client::Event> event =
             attempt.client->PollEvent()) {
    if (const auto* lease = std::get_if<turn::Client::Allocated>(&*event)) {
      if (relay.kept || attempt.dead || relay.dropped ||
          state_ != State::kGathering) {
        attempt.client->Close(now);
      } else {
        KeepAttempt(now, relay, index, *lease);
      }
    } else if (const auto* ended =
                   std::get_if<turn::Client::FamilyEnded>(&*event)) {
      if (relay.kept == index && state_ == State::kGathering) {
        LoseAddress(relay, ended->relayed, ended->status);
      }
    } else if (std::holds_alternative<turn::Client::Moved>(*event)) {
      relay.moving.reset();
      ++stats_.at<&Stats::relays_moved>();
    } else if (const auto* refused =
                   std::get_if<turn::Client::MoveRefused>(&*event)) {
      OnMoveRefused(now, relay, refused->status);
    } else if (const auto* closed =
                   std::get_if<turn::Client::Closed>(&*event)) {
      attempt.closed = true;
      // Who is sent elsewhere goes there, once.
      if (attempt.stream && closed->alternate && !attempt.dead &&
          state_ == State::kGathering &&
          attempt.client->server() == relay.server.address) {
        attempt.dead = true;
        WantStream(now, relay, *closed->alternate);
      }
      EndStream(attempt.stream);
      if (relay.kept == index) {
        attempt.dead = true;
        if (state_ == State::kGathering) {
          LoseRelay(now, relay, closed->status);
        } else {
          relay.kept.reset();
        }
      } else if (!attempt.dead) {
        const absl::Status status = closed->status.ok()
                                        ? absl::CancelledError("not needed")
                                        : closed->status;
        FailAttempt(
            now, relay, attempt, status,
            static_cast<uint16_t>(closed->error.value_or(stun::Error{})));
      }
    }
  }
}

}  // namespace kyuu::ice
