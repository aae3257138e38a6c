#include "turn/flows.h"

#include <algorithm>
#include <utility>

namespace kyuu::turn {

using internal::Allocation;
using internal::PeerTable;

namespace {

// Link-local addresses mean nothing without their interface. What stays within
// the machine is for the path to refuse, which knows the routes.
bool IsOfTheNetwork(const IpAddress& ip) {
  return !ip.IsAny() && !ip.IsLinkLocal() && !ip.IsMulticast();
}

bool IsSameWay(const Flow& a, const Flow& b) {
  return a.client == b.client && a.relay == b.relay && a.peer == b.peer &&
         a.channel == b.channel;
}

}  // namespace

void Flows::Enable() {
  if (std::exchange(enabled_, true)) return;
  TouchAll();
}

void Flows::Touch(const Allocation& allocation) {
  if (!enabled_) return;
  if (!touched_.empty() && touched_.back() == allocation.id) return;
  touched_.push_back(allocation.id);
}

void Flows::TouchAll() {
  if (!enabled_) return;
  owner_.allocations.ForEach([&](Allocation& a) { Touch(a); });
}

void Flows::Drop(const Allocation& allocation) {
  const auto told = told_.find(allocation.id);
  if (told == told_.end()) return;
  for (const Flow& flow : told->second) {
    events_.push_back(FlowRemoved{flow.id});
  }
  told_.erase(told);
}

std::optional<FlowEvent> Flows::Poll(absl::Time now) {
  while (events_.empty() && !touched_.empty()) {
    const RelayId allocation = touched_.front();
    touched_.pop_front();
    Compare(now, allocation);
  }
  if (events_.empty()) return std::nullopt;
  const FlowEvent event = events_.front();
  events_.pop_front();
  return event;
}

std::optional<Flow> Flows::Wanted(absl::Time now, const Allocation& allocation,
                                  const PeerTable::Channel& channel) const {
  const internal::Relay* relay = allocation.RelayOf(channel.peer.ip.family());
  const bool plain = allocation.open &&
                     allocation.transport == Transport::kUdp &&
                     allocation.client.transport == Transport::kUdp;
  // Between relayed addresses of ours data does not leave the machine, and
  // whether one is lent is judged with each datagram.
  if (!plain || relay == nullptr || channel.expires <= now ||
      owner_.policy.IsOwnRelay(channel.peer.ip) ||
      !IsOfTheNetwork(allocation.client.remote.ip) ||
      !IsOfTheNetwork(channel.peer.ip)) {
    return std::nullopt;
  }
  Flow flow;
  flow.allocation = allocation.id;
  flow.client = allocation.client;
  flow.relay = relay->bind;
  flow.peer = channel.peer;
  flow.channel = channel.number;
  flow.to_peer_until = std::min(allocation.expires, channel.expires);
  // A channel outlives its permission (RFC 8656 section 12), which only what
  // peers send needs.
  flow.to_client_until = std::min(
      flow.to_peer_until, allocation.peers.PermittedUntil(channel.peer.ip));
  flow.metered = owner_.throttle.Bounds(allocation);
  return flow;
}

void Flows::Compare(absl::Time now, RelayId id) {
  const Allocation* allocation = owner_.allocations.ById(id);
  if (allocation == nullptr) return;  // Dropped.
  Told& told = told_[id];
  Told next;
  for (const PeerTable::Channel& channel : allocation->peers.channel_list()) {
    std::optional<Flow> flow = Wanted(now, *allocation, channel);
    if (flow.has_value()) next.push_back(*flow);
  }
  for (const Flow& old : told) {
    const auto same =
        std::find_if(next.begin(), next.end(),
                     [&old](const Flow& f) { return IsSameWay(f, old); });
    if (same == next.end()) {
      events_.push_back(FlowRemoved{old.id});
      continue;
    }
    same->id = old.id;
    if (*same != old) events_.push_back(FlowInstalled{*same});
  }
  // Behind what is removed: the channel number may be the same.
  for (Flow& flow : next) {
    if (flow.id != FlowId{}) continue;
    flow.id = FlowId{++last_id_};
    events_.push_back(FlowInstalled{flow});
  }
  if (next.empty()) {
    told_.erase(id);
  } else {
    told = std::move(next);
  }
}

bool Flows::Count(RelayId id, Direction direction, FlowCount count) {
  Allocation* allocation = owner_.allocations.ById(id);
  ServerStats& stats = owner_.stats;
  if (direction == Direction::kToPeers) {
    stats.to_peers += count.datagrams;
    stats.bytes_to_peers += count.bytes;
    if (allocation == nullptr) return false;
    allocation->traffic.to_peers += count.datagrams;
    allocation->traffic.bytes_to_peers += count.bytes;
  } else {
    stats.to_clients += count.datagrams;
    stats.bytes_to_clients += count.bytes;
    if (allocation == nullptr) return false;
    allocation->traffic.to_clients += count.datagrams;
    allocation->traffic.bytes_to_clients += count.bytes;
  }
  return true;
}

double Flows::Fund(absl::Time now, RelayId id, Direction direction,
                   double wanted) {
  const Allocation* allocation = owner_.allocations.ById(id);
  if (allocation == nullptr) return 0;
  return owner_.throttle.Draw(now, owner_.ledger, direction, *allocation,
                              wanted);
}

}  // namespace kyuu::turn
