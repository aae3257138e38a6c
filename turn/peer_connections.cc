#include "turn/peer_connections.h"

#include <algorithm>
#include <utility>

namespace kyuu::turn {

using internal::Allocation;
using internal::Answer;

PeerConnections::~PeerConnections() {
  while (!connections_.empty()) Erase(connections_.begin()->first);
}

// What there is too much of; RFC 8656 section 15: 486 is about a user's own
// share, 508 about ours.
std::optional<stun::Error> PeerConnections::Admit(
    const Allocation& allocation, const TransportAddress& peer) const {
  if (const auto it = by_allocation_.find(allocation.id);
      it != by_allocation_.end()) {
    for (const ConnectionId id : it->second) {
      if (connections_.at(id).peer == peer) {
        return stun::Error::kConnectionAlreadyExists;
      }
    }
    if (it->second.size() >=
        parts_.options.peer_connections_per_allocation_max) {
      return stun::Error::kInsufficientCapacity;
    }
  }
  if (parts_.events.size() >= parts_.options.events_max) {
    return stun::Error::kInsufficientCapacity;
  }
  const auto refusal = parts_.ledger.TakeConnection(allocation.quota_user);
  if (!refusal.has_value()) return std::nullopt;
  return *refusal == Ledger::Refusal::kUserQuota
             ? stun::Error::kAllocationQuotaReached
             : stun::Error::kInsufficientCapacity;
}

// Whoever binds one proves to be its allocation's user; that ids cannot be
// guessed keeps the rest from finding out which there are.
ConnectionId PeerConnections::Add(const Allocation& allocation,
                                  const Connection& connection,
                                  absl::Time deadline) {
  ConnectionId id;
  do {
    id = ConnectionId{static_cast<uint32_t>(parts_.options.instance) << 24 |
                      parts_.random.U32() >> 8};
  } while (!connections_.try_emplace(id, connection).second);
  by_allocation_[allocation.id].push_back(id);
  deadlines_.Set(id, deadline);
  return id;
}

void PeerConnections::Erase(ConnectionId id) {
  const auto it = connections_.find(id);
  const RelayId owner = it->second.allocation;
  if (const Allocation* allocation = parts_.allocations.ById(owner)) {
    parts_.ledger.ReturnConnection(allocation->quota_user);
  }
  const auto siblings = by_allocation_.find(owner);
  Ids& ids = siblings->second;
  ids.erase(std::find(ids.begin(), ids.end(), id));
  if (ids.empty()) by_allocation_.erase(siblings);
  connections_.erase(it);
  deadlines_.Stop(id);
}

void PeerConnections::Close(ConnectionId id) {
  parts_.events.push_back(
      ServerEvents::ClosePeer{id, connections_.at(id).relay});
  Erase(id);
}

// --- The driver's -----------------------------------------------------------

std::optional<ConnectionId> PeerConnections::Accepted(
    absl::Time now, RelayId relay, const TransportAddress& peer) {
  Allocation* allocation = parts_.allocations.ById(relay);
  const TransportAddress told = parts_.policy.AsTold(peer);
  if (allocation == nullptr || !allocation->open ||
      allocation->transport != Transport::kTcp || allocation->expires <= now ||
      !allocation->peers.Permits(now, told.ip)) {
    ++parts_.stats.peers_unpermitted;
    return std::nullopt;
  }
  if (Admit(*allocation, told).has_value()) {
    ++parts_.stats.peers_refused;
    return std::nullopt;
  }
  const ConnectionId id =
      Add(*allocation, {State::kWaiting, allocation->id, relay, told, {}},
          now + parts_.options.peer_bind_timeout);
  Answer attempt;
  attempt.path = allocation->client;
  attempt.id = stun::TransactionId::Generate(parts_.random);
  attempt.connection = static_cast<uint32_t>(id);
  attempt.attempt = told;
  if (!parts_.answers.Push(attempt)) {
    Erase(id);
    return std::nullopt;
  }
  ++parts_.stats.peers_connected;
  return id;
}

// The answer to the Connect request of a connection.
Answer PeerConnections::AnswerTo(const Connection& connection) const {
  const Allocation& allocation =
      *parts_.allocations.ById(connection.allocation);
  Answer answer;
  answer.path = allocation.client;
  answer.id = connection.request;
  answer.method = stun::Method::kConnect;
  answer.key = allocation.key;
  answer.integrity = allocation.integrity;
  answer.fingerprint = connection.fingerprint;
  return answer;
}

void PeerConnections::Connected(absl::Time now, ConnectionId id) {
  const auto it = connections_.find(id);
  if (it == connections_.end() || it->second.state != State::kConnecting) {
    return;
  }
  it->second.state = State::kWaiting;
  deadlines_.Set(id, now + parts_.options.peer_bind_timeout);
  ++parts_.stats.peers_connected;
  Answer answer = AnswerTo(it->second);
  answer.connection = static_cast<uint32_t>(id);
  if (!parts_.answers.Push(answer)) Close(id);
}

void PeerConnections::Failed(ConnectionId id) {
  const auto it = connections_.find(id);
  if (it == connections_.end() || it->second.state != State::kConnecting) {
    return;
  }
  ++parts_.stats.peers_failed;
  Answer answer = AnswerTo(it->second);
  answer.error = stun::Error::kConnectionTimeout;
  Erase(id);
  parts_.answers.Push(answer);
}

absl::Duration PeerConnections::Passed(absl::Time now, ConnectionId id,
                                       Direction direction, size_t bytes) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) return absl::ZeroDuration();
  Allocation& allocation = *parts_.allocations.ById(it->second.allocation);
  auto& traffic = allocation.traffic;
  if (direction == Direction::kToPeers) {
    traffic.bytes_to_peers += bytes;
    parts_.stats.bytes_to_peers += bytes;
  } else {
    traffic.bytes_to_clients += bytes;
    parts_.stats.bytes_to_clients += bytes;
  }
  size_t& owed = it->second.owed[static_cast<size_t>(direction)];
  owed += bytes;
  if (owed > 0 && parts_.throttle.Bounds(allocation) &&
      !parts_.throttle.Spend(now, parts_.ledger, direction, allocation, owed)) {
    return kBandwidthSlice;
  }
  owed = 0;
  return absl::ZeroDuration();
}

void PeerConnections::Gone(ConnectionId id) {
  if (connections_.contains(id)) Erase(id);
}

// --- The server's -----------------------------------------------------------

std::optional<stun::Error> PeerConnections::Connect(
    const internal::ServerRequest& request, const Allocation& allocation,
    const Route& route) {
  if (const auto error = Admit(allocation, route.peer)) {
    if (*error != stun::Error::kConnectionAlreadyExists) {
      ++parts_.stats.peers_refused;
    }
    return error;
  }
  const ConnectionId id =
      Add(allocation,
          {State::kConnecting, allocation.id, route.relay, route.peer,
           request.message.transaction_id(), request.message.HasFingerprint()},
          request.now + parts_.options.peer_connect_timeout);
  parts_.events.push_back(
      ServerEvents::ConnectPeer{id, route.relay, route.bind, route.target});
  return std::nullopt;
}

Allocation* PeerConnections::OwnerOf(ConnectionId id) const {
  const auto it = connections_.find(id);
  return it == connections_.end() || it->second.state != State::kWaiting
             ? nullptr
             : parts_.allocations.ById(it->second.allocation);
}

void PeerConnections::Join(ConnectionId id) {
  connections_.at(id).state = State::kJoined;
  deadlines_.Stop(id);
  ++parts_.stats.peers_joined;
}

template <typename Predicate>
void PeerConnections::CloseIf(const Allocation& allocation,
                              Predicate predicate) {
  const auto it = by_allocation_.find(allocation.id);
  if (it == by_allocation_.end()) return;
  for (const ConnectionId id : Ids(it->second)) {
    if (predicate(connections_.at(id))) Close(id);
  }
}

void PeerConnections::End(const Allocation& allocation) {
  CloseIf(allocation, [](const Connection&) { return true; });
}

void PeerConnections::End(const Allocation& allocation, RelayId relay) {
  CloseIf(allocation,
          [relay](const Connection& c) { return c.relay == relay; });
}

void PeerConnections::Enforce(const Allocation& allocation) {
  CloseIf(allocation, [this](const Connection& c) {
    return parts_.policy.JudgePeer(c.peer) ==
           internal::PeerPolicy::Verdict::kRefused;
  });
}

void PeerConnections::HandleTimeout(absl::Time now) {
  while (const std::optional<ConnectionId> id = deadlines_.PopDue(now)) {
    const Connection connection = connections_.at(*id);
    if (connection.state == State::kConnecting) {
      ++parts_.stats.peers_failed;
      Answer answer = AnswerTo(connection);
      answer.error = stun::Error::kConnectionTimeout;
      parts_.answers.Push(answer);
    } else {
      ++parts_.stats.peers_unbound;
    }
    Close(*id);
  }
}

}  // namespace kyuu::turn
