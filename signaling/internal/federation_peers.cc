// The peers of other nodes, and calls with them.

#include <algorithm>
#include <utility>
#include <variant>

#include "signaling/internal/federation.h"
#include "signaling/internal/utf8.h"

namespace kyuu::signaling::internal {

// --- Who they are -----------------------------------------------------------

Federation::Remote* Federation::Find(const PeerId& id) {
  const auto it = remotes_.find(id);
  return it == remotes_.end() ? nullptr : &it->second;
}

Federation::Remote* Federation::Find(Member member) {
  const auto it = ids_.find(member);
  return it == ids_.end() ? nullptr : Find(it->second);
}

PeerId Federation::IdOf(Member member) const {
  const auto it = ids_.find(member);
  return it == ids_.end() ? PeerId{self_, static_cast<uint64_t>(member)}
                          : it->second;
}

std::optional<Member> Federation::MemberOf(const PeerId& id) const {
  const auto it = remotes_.find(id);
  if (it != remotes_.end()) return it->second.member;
  const Member own{id.number};
  if (id.origin != self_ || server_.sessions_.Find(own) == nullptr ||
      ids_.contains(own)) {
    return std::nullopt;
  }
  return own;
}

Session* Federation::FindSession(const PeerId& id) {
  const std::optional<Member> member = MemberOf(id);
  return member.has_value() ? server_.sessions_.Find(*member) : nullptr;
}

Federation::Remote& Federation::Add(const PeerId& id, Member member,
                                    NodeId home) {
  Remote& remote = remotes_[id];
  remote.id = id;
  remote.member = member;
  remote.home = home;
  ids_[member] = id;
  return remote;
}

void Federation::Remove(absl::Time now, const PeerId& id) {
  const auto it = remotes_.find(id);
  if (it == remotes_.end()) return;
  // Nothing more is sent to it, while its calls end.
  ids_.erase(it->second.member);
  if (it->second.is_placed) Unplace(now, it->second);
  const std::string place = std::move(it->second.place);
  remotes_.erase(it);
  const auto others = by_place_.find(place);
  if (others == by_place_.end()) return;
  std::erase(others->second, id);
  if (others->second.empty()) by_place_.erase(others);
  Refill(now, place);
}

// --- Where they are ---------------------------------------------------------

void Federation::On(absl::Time now, NodeId from, node::Here& here) {
  const auto found = server_.directory_.PlaceOf(here.name, here.room);
  if (std::holds_alternative<Refusal>(found) ||
      !IsValidMeta(here.meta, server_.options_.limits) ||
      (!here.lock.empty() && here.lock.size() != kLockBytes)) {
    ++stats_.malformed;
    return;
  }
  const std::string& place = std::get<std::string>(found);
  Remote* remote = Find(here.peer);
  if (remote != nullptr && remote->home != from) {
    // Others have it here, or had it later.
    const bool is_move = remote->is_moving && remote->moving_to == from;
    if (remote->home == NodeId{} || (!is_move && here.epoch <= remote->epoch)) {
      ++stats_.stale;
      return;
    }
  }
  if (remote != nullptr && remote->place != place) {
    Remove(now, here.peer);
    remote = nullptr;
  }
  if (remote == nullptr) {
    if (MemberOf(here.peer).has_value()) {
      ++stats_.stale;
      return;
    }
    if (remotes_.size() >= options_.max_remote_peers) {
      ++stats_.peers_refused;
      return;
    }
    remote = &Add(here.peer, server_.sessions_.NewMember(), from);
    remote->place = place;
    by_place_[place].push_back(here.peer);
  }
  remote->home = from;
  remote->epoch = here.epoch;
  const bool is_updated = remote->told.meta != here.meta;
  remote->told = std::move(here);
  if (!remote->is_placed) {
    Place(now, *remote);
  } else if (is_updated) {
    // It is in a room.
    (void)server_.directory_.Update(now, remote->member, remote->told.meta);
  }
  if (remote->is_moving) SendHeld(now, *remote);
}

void Federation::On(absl::Time now, NodeId from, node::Gone& gone) {
  const Remote* remote = Find(gone.peer);
  // Whoever was to have it may have found no place for it.
  const bool is_theirs =
      remote != nullptr && (remote->home == from ||
                            (remote->is_moving && remote->moving_to == from));
  if (!is_theirs) {
    ++stats_.stale;
    return;
  }
  Remove(now, gone.peer);
}

Federation::Remote* Federation::PlacedAt(const std::string& place) {
  const auto it = by_place_.find(place);
  if (it == by_place_.end()) return nullptr;
  for (const PeerId& id : it->second) {
    Remote* remote = Find(id);
    if (remote->is_placed) return remote;
  }
  return nullptr;
}

void Federation::Place(absl::Time now, Remote& remote) {
  const auto claim = claims_.find(remote.place);
  if (claim != claims_.end() && !claim->second.pending.has_value()) {
    // Two have it: that comes of joins without a claim. Who keeps it, is asked
    // where it is known.
    if (is_connected_ && remote.epoch >= claim->second.epoch) {
      commands_.push_back(
          ClaimPlace{remote.place, claim->second.epoch, NodeId{}});
    }
    return;
  }
  if (Remote* other = PlacedAt(remote.place)) {
    if (other->epoch >= remote.epoch) return;
    Unplace(now, *other);
  }
  // Two that were made with different secrets at once are two rooms of one
  // name; nobody of one is seen in the other.
  const auto joined = server_.directory_.Join(
      now, remote.member, IpAddress(),
      {remote.told.name, remote.told.room, remote.told.meta, remote.told.lock});
  if (std::holds_alternative<Refusal>(joined)) {
    ++stats_.peers_refused;
    return;
  }
  remote.is_placed = true;
  ++placed_;
}

void Federation::Unplace(absl::Time now, Remote& remote) {
  remote.is_placed = false;
  --placed_;
  // It is in a room.
  (void)server_.directory_.Leave(now, remote.member, "peer_lost");
}

void Federation::Refill(absl::Time now, const std::string& place) {
  const auto it = by_place_.find(place);
  if (it == by_place_.end() || claims_.contains(place) ||
      PlacedAt(place) != nullptr) {
    return;
  }
  Remote* best = nullptr;
  for (const PeerId& id : it->second) {
    Remote* remote = Find(id);
    if (remote->home == NodeId{}) continue;
    if (best == nullptr || remote->epoch > best->epoch) best = remote;
  }
  if (best != nullptr) Place(now, *best);
}

// --- Calls ------------------------------------------------------------------

bool Federation::IsText(absl::string_view text) const {
  return text.size() <= server_.options_.limits.max_name_bytes && IsUtf8(text);
}

std::optional<Federation::Sides> Federation::SidesOf(NodeId node,
                                                     const PeerId& from,
                                                     const PeerId& to) {
  // What was held back for a peer that has come here is of peers that are here.
  const std::optional<Member> member = MemberOf(from);
  const Remote* remote = Find(from);
  const bool is_theirs = remote == nullptr || remote->home == NodeId{}
                             ? member.has_value() && node == self_
                             : remote->home == node;
  Session* session = FindSession(to);
  if (!is_theirs || session == nullptr) {
    ++stats_.stale;
    return std::nullopt;
  }
  return Sides{*member, session};
}

void Federation::On(absl::Time now, NodeId from, node::Rings& rings) {
  if (rings.call.empty() || !IsText(rings.call) ||
      !IsValidMeta(rings.meta, server_.options_.limits)) {
    ++stats_.malformed;
    return;
  }
  const std::optional<Sides> sides = SidesOf(from, rings.from, rings.to);
  if (!sides.has_value()) return;
  const std::optional<Refusal> refusal = server_.directory_.Ring(
      now, rings.call, sides->from, sides->to->member, rings.meta);
  if (!refusal.has_value()) return;
  const absl::string_view reason = refusal->code == ErrorCode::kBadState
                                       ? "busy"
                                       : ErrorCodeName(refusal->code);
  Send(sides->from,
       node::Rejected{rings.call, rings.to, rings.from, std::string(reason)});
}

void Federation::On(absl::Time, NodeId from, node::Accepted& accepted) {
  const std::optional<Sides> sides = SidesOf(from, accepted.from, accepted.to);
  if (sides.has_value() &&
      server_.directory_.AcceptCall(sides->from, accepted.call)) {
    ++stats_.stale;
  }
}

void Federation::On(absl::Time, NodeId from, node::Rejected& rejected) {
  if (!IsText(rejected.reason)) {
    ++stats_.malformed;
    return;
  }
  const std::optional<Sides> sides = SidesOf(from, rejected.from, rejected.to);
  if (sides.has_value() && server_.directory_.RejectCall(
                               sides->from, rejected.call, rejected.reason)) {
    ++stats_.stale;
  }
}

void Federation::On(absl::Time, NodeId from, node::Ended& ended) {
  if (!IsText(ended.reason)) {
    ++stats_.malformed;
    return;
  }
  const std::optional<Sides> sides = SidesOf(from, ended.from, ended.to);
  if (sides.has_value() &&
      server_.directory_.EndCall(sides->from, ended.call, ended.reason)) {
    ++stats_.stale;
  }
}

void Federation::On(absl::Time, NodeId from, node::Signalled& signalled) {
  const std::optional<Sides> sides =
      SidesOf(from, signalled.from, signalled.to);
  if (!sides.has_value()) return;
  const auto parsed =
      ParseServerMessage(signalled.text, server_.options_.limits);
  const Signal* signal =
      parsed.ok() ? std::get_if<Signal>(&parsed->body) : nullptr;
  if (signal == nullptr || signal->call != signalled.call) {
    ++stats_.malformed;
    return;
  }
  const auto to = server_.directory_.OtherSide(sides->from, signalled.call);
  const auto* member = std::get_if<Member>(&to);
  if (member != nullptr && *member == sides->to->member) {
    return server_.Send(*sides->to, {"", *signal});
  }
  // The call is over here; whoever has sent it is to know, should he not.
  ++stats_.stale;
  Send(sides->from,
       node::Ended{signalled.call, signalled.to, signalled.from, "peer_lost"});
}

void Federation::On(absl::Time, NodeId, node::Published& published) {
  commands_.push_back(PublishedElsewhere{std::move(published.text)});
}

void Federation::On(absl::Time, NodeId from, node::OfPeerJs& of_peerjs) {
  commands_.push_back(PeerJsElsewhere{from, std::move(of_peerjs.text)});
}

void Federation::On(absl::Time, NodeId from, node::Said& said) {
  const std::optional<Sides> sides = SidesOf(from, said.from, said.to);
  if (!sides.has_value()) return;
  const Directory& directory = server_.directory_;
  const Member to = sides->to->member;
  if (!directory.IsInRoom(sides->from) || !directory.IsInRoom(to) ||
      directory.RoomOf(sides->from) != directory.RoomOf(to)) {
    ++stats_.stale;
    return;
  }
  const auto parsed = ParseServerMessage(said.text, server_.options_.limits);
  const Said* message =
      parsed.ok() ? std::get_if<Said>(&parsed->body) : nullptr;
  if (message == nullptr || message->from != directory.NameOf(sides->from)) {
    ++stats_.malformed;
    return;
  }
  // Should it not be taken, nobody waits for it.
  (void)server_.Deliver(sides->from, message->from, to, absl::Cord(said.text));
}

void Federation::Send(Member to, node::Message message) {
  Remote* remote = Find(to);
  if (remote == nullptr || (remote->home == NodeId{} && !remote->is_moving)) {
    return;
  }
  SendTo(*remote, node::Write(message));
}

void Federation::SendTo(Remote& remote, std::string text) {
  if (!remote.is_moving) {
    if (nodes_.contains(remote.home)) Post(remote.home, std::move(text));
    return;
  }
  remote.held_bytes += text.size() + kQueuedMessageBytes;
  if (remote.held_bytes > options_.max_held_bytes) {
    overflown_.push_back(remote.id);
    return;
  }
  remote.held.push_back(std::move(text));
}

void Federation::SendHeld(absl::Time now, Remote& remote) {
  remote.is_moving = false;
  remote.held_bytes = 0;
  const std::vector<std::string> held = std::exchange(remote.held, {});
  const NodeId home = remote.home;
  for (const std::string& text : held) {
    if (home == NodeId{}) {
      HandleMessage(now, self_, text);
    } else if (nodes_.contains(home)) {
      Post(home, text);
    }
  }
}

}  // namespace kyuu::signaling::internal
