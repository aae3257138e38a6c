#include "signaling/internal/federation.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "signaling/close_code.h"

namespace kyuu::signaling::internal {

Federation::Federation(FederationOptions options, NodeId self, Server& server,
                       Random& random)
    : options_(options), self_(self), server_(server), random_(random) {}

// --- Names ------------------------------------------------------------------

void Federation::Join(const Server::Context& context, JoinRequest request) {
  Session& session = context.session;
  if (server_.directory_.IsInRoom(session.member)) {
    return server_.Refuse(context, ErrorCode::kBadState,
                          "already in a room; leave it first");
  }
  const auto found = server_.directory_.PlaceOf(request.name, request.room);
  if (const auto* refusal = std::get_if<Refusal>(&found)) {
    return server_.Refuse(context, *refusal);
  }
  const std::string& place = std::get<std::string>(found);
  if (claims_.contains(place)) {
    return server_.Refuse(context, ErrorCode::kNameTaken,
                          "somebody in the room has this name, or one that "
                          "looks the same");
  }
  Claim& claim = claims_[place];
  claim.member = session.member;
  claim.pending = Claim::Pending{context.request_id, std::move(request)};
  session.unfinished = std::make_unique<std::string>(context.text);
  if (!is_connected_) return FinishJoin(context.now, place, {place, true, 0});
  claim_times_.Set(place, context.now + options_.claim_timeout);
  commands_.push_back(ClaimPlace{place, 0, NodeId{}});
}

void Federation::FinishJoin(absl::Time now, const std::string& place,
                            const ClaimAnswer& answer) {
  Claim& claim = claims_.at(place);
  const Claim::Pending pending = *std::exchange(claim.pending, std::nullopt);
  const Member member = claim.member;
  Session& session = *server_.sessions_.Find(member);
  session.unfinished.reset();
  const Server::Context context = {now, session, pending.request_id, ""};
  // Who is still seen there has left it, or nobody else could have got it.
  Remote* seen = PlacedAt(place);
  const bool is_free =
      answer.is_granted && (seen == nullptr || answer.epoch > seen->epoch);
  if (is_free && seen != nullptr) Unplace(now, *seen);
  if (is_free && server_.FinishJoin(context, pending.request)) {
    if (answer.epoch == 0) ++stats_.unclaimed_joins;
    claim.epoch = answer.epoch;
    places_[member] = place;
    SetClaimTimer(now, place);
    Announce(member);
  } else {
    if (!is_free) {
      server_.Refuse(context, ErrorCode::kNameTaken,
                     "somebody in the room has this name, or one that looks "
                     "the same");
    }
    claims_.erase(place);
    claim_times_.Stop(place);
    if (answer.is_granted && is_connected_) {
      commands_.push_back(FreePlace{place});
    }
    Refill(now, place);
  }
  Continue(now, member);
}

// Not all at the same time, though all were claimed at once.
void Federation::SetClaimTimer(absl::Time now, const std::string& place) {
  claim_times_.Set(
      place, now + options_.claim_interval * (0.75 + random_.Fraction() / 2));
}

void Federation::Handle(absl::Time now, const ClaimAnswer& answer) {
  const auto it = claims_.find(answer.place);
  // Its owner may have left meanwhile, and it was freed.
  if (it == claims_.end()) return;
  Claim& claim = it->second;
  if (claim.pending.has_value()) return FinishJoin(now, answer.place, answer);
  if (!answer.is_granted) return LoseName(now, claim.member);
  SetClaimTimer(now, answer.place);
  if (answer.epoch == claim.epoch) return;
  claim.epoch = answer.epoch;
  Announce(claim.member);
}

void Federation::LoseName(absl::Time now, Member member) {
  ++stats_.names_lost;
  server_.Drop(now, *server_.sessions_.Find(member),
               "somebody on another server has your name");
}

void Federation::HandleBackplane(absl::Time now, BackplaneState state) {
  is_connected_ = state == BackplaneState::kThere;
  std::vector<std::string> places;
  for (const auto& [place, claim] : claims_) places.push_back(place);
  std::sort(places.begin(), places.end());
  for (const std::string& place : places) {
    const auto it = claims_.find(place);
    if (it == claims_.end()) continue;
    if (is_connected_) {
      SetClaimTimer(now, place);
      commands_.push_back(ClaimPlace{place, it->second.epoch, NodeId{}});
    } else if (it->second.pending.has_value()) {
      FinishJoin(now, place, {place, true, 0});
    }
  }
}

// --- Own peers --------------------------------------------------------------

void Federation::Announce(Member member) {
  if (places_.contains(member)) TellAll(HereOf(member));
}

// Of a peer that has its place.
node::Here Federation::HereOf(Member member) const {
  Peer peer = server_.directory_.PeerOf(member);
  return {IdOf(member),
          claims_.at(places_.at(member)).epoch,
          server_.directory_.RoomOf(member),
          std::move(peer.name),
          std::move(peer.meta),
          server_.directory_.LockOf(member)};
}

void Federation::HandleLeft(absl::Time now, Member member) {
  const auto it = places_.find(member);
  if (it == places_.end()) return;
  const std::string place = std::move(it->second);
  places_.erase(it);
  claims_.erase(place);
  claim_times_.Stop(place);
  if (is_connected_) commands_.push_back(FreePlace{place});
  TellAll(node::Gone{IdOf(member)});
  Refill(now, place);
}

void Federation::HandleEnd(absl::Time now, Session& session) {
  const Member member = session.member;
  HandleLeft(now, member);
  on_the_way_.erase(member);
  // One that waits for its `join` has a claim without a place.
  if (session.unfinished != nullptr) {
    for (auto it = claims_.begin(); it != claims_.end(); ++it) {
      if (it->second.member != member) continue;
      claim_times_.Stop(it->first);
      if (is_connected_) commands_.push_back(FreePlace{it->first});
      claims_.erase(it);
      break;
    }
  }
  const auto leaving = leaving_.find(member);
  if (leaving != leaving_.end()) {
    NoteHere(leaving->second.to, leaving->second.request);
    ++stats_.moves_broken_off;
    leaving_.erase(leaving);
    leaving_times_.Stop(member);
  }
  const auto homes = homes_.find(member);
  if (homes != homes_.end()) {
    for (const NodeId home : homes->second) {
      Tell(home, node::Over{session.id});
    }
    homes_.erase(homes);
  }
  const auto id = ids_.find(member);
  if (id != ids_.end()) Remove(now, PeerId(id->second));
}

void Federation::Continue(absl::Time now, Member member) {
  while (true) {
    Session* session = server_.sessions_.Find(member);
    if (session == nullptr || session->unfinished != nullptr ||
        session->waiting == nullptr || !session->connection.has_value()) {
      return;
    }
    Session::Waiting& waiting = *session->waiting;
    std::string text = std::move(waiting.messages.front());
    waiting.messages.pop_front();
    waiting.bytes -= text.size() + kQueuedMessageBytes;
    if (waiting.messages.empty()) session->waiting.reset();
    server_.HandleText(now, *session, std::move(text), Server::Arrival::kNew);
  }
}

// --- Nodes ------------------------------------------------------------------

void Federation::Handle(absl::Time now, Links::Event event) {
  if (const auto* up = std::get_if<NodeUp>(&event)) return HandleUp(up->node);
  if (const auto* lost = std::get_if<NodeLost>(&event)) {
    return HandleLost(now, lost->node);
  }
  if (const auto* has = std::get_if<NodeHas>(&event)) {
    ways_[has->node].arrived = has->count;
    return;
  }
  const NodeMessage& message = std::get<NodeMessage>(event);
  HandleMessage(now, message.from, message.message);
}

void Federation::HandleMessage(absl::Time now, NodeId from,
                               const std::string& bytes) {
  absl::StatusOr<node::Message> message = node::Parse(bytes);
  if (!message.ok()) {
    ++stats_.malformed;
    return;
  }
  std::visit([&](auto& m) { On(now, from, m); }, *message);
}

void Federation::HandleUp(NodeId node) {
  ++stats_.nodes_up;
  nodes_.insert(node);
  ways_[node] = {};
  std::vector<Member> members;
  for (const auto& [member, place] : places_) members.push_back(member);
  std::sort(members.begin(), members.end());
  for (const Member member : members) Tell(node, HereOf(member));
}

void Federation::HandleLost(absl::Time now, NodeId node) {
  if (nodes_.erase(node) > 0) ++stats_.nodes_lost;
  ways_.erase(node);
  // They were for the link that was lost.
  std::erase_if(commands_, [&](const NodeCommand& command) {
    const auto* to = std::get_if<ToNode>(&command);
    return to != nullptr && to->to == node;
  });
  std::vector<PeerId> lost;
  for (const auto& [id, remote] : remotes_) {
    if (remote.home == node) lost.push_back(id);
  }
  std::sort(lost.begin(), lost.end());
  for (const PeerId& id : lost) Remove(now, id);

  std::vector<Member> moves, waiting;
  for (auto& [member, leaving] : leaving_) {
    if (leaving.to == node) {
      moves.push_back(member);
    } else if (leaving.awaited.erase(node) > 0 && leaving.awaited.empty()) {
      waiting.push_back(member);
    }
  }
  for (const Member member : moves) {
    BreakOffMove(now, member);
    // Its client may come back once more.
    Session& session = *server_.sessions_.Find(member);
    server_.sessions_.Set(Sessions::Timer::kGrace, session,
                          now + server_.options_.grace);
  }
  for (const Member member : waiting) FinishMove(now, member);

  std::vector<uint64_t> refused;
  for (auto& [request, wanting] : wanting_) {
    if (wanting.awaited.erase(node) > 0 && wanting.awaited.empty()) {
      refused.push_back(request);
    }
  }
  for (const uint64_t request : refused) GiveUpWanting(now, request);
  std::vector<std::string> over;
  for (const auto& [session, home] : away_) {
    if (home == node) over.push_back(session);
  }
  for (const std::string& session : over) {
    away_.erase(session);
    server_.events_.push_back(SessionClosed{session});
  }
}

void Federation::HandleTimeout(absl::Time now) {
  for (const PeerId& id : std::exchange(overflown_, {})) {
    ++stats_.held_too_much;
    Remove(now, id);
  }
  while (const std::optional<std::string> place = claim_times_.PopDue(now)) {
    const Claim& claim = claims_.at(*place);
    if (claim.pending.has_value()) {
      FinishJoin(now, *place, {*place, true, 0});
    } else {
      SetClaimTimer(now, *place);
      if (is_connected_) {
        commands_.push_back(ClaimPlace{*place, claim.epoch, NodeId{}});
      }
    }
  }
  while (const std::optional<Member> member = leaving_times_.PopDue(now)) {
    FinishMove(now, *member);
  }
  while (const std::optional<uint64_t> request = wanting_times_.PopDue(now)) {
    GiveUpWanting(now, *request);
  }
}

absl::Time Federation::NextTimeout() const {
  if (!overflown_.empty()) return absl::InfinitePast();
  return std::min({claim_times_.NextTimeout(), leaving_times_.NextTimeout(),
                   wanting_times_.NextTimeout()});
}

std::optional<NodeCommand> Federation::PollCommand() {
  if (commands_.empty()) return std::nullopt;
  NodeCommand command = std::move(commands_.front());
  commands_.pop_front();
  return command;
}

void Federation::Tell(NodeId node, const node::Message& message) {
  if (nodes_.contains(node)) Post(node, node::Write(message));
}

void Federation::Post(NodeId node, std::string text) {
  ++ways_[node].sent;
  touched_.insert(node);
  commands_.push_back(ToNode{node, std::move(text)});
}

void Federation::EndMessage(Member member, uint64_t received) {
  // `hello` has no number, and is not acknowledged.
  if (received == 0) touched_.clear();
  for (const NodeId node : touched_) {
    const auto way = ways_.find(node);
    if (way == ways_.end()) continue;
    on_the_way_[member].push_back({received, node, way->second.sent});
  }
  touched_.clear();
}

uint64_t Federation::Arrived(Member member, uint64_t received) {
  const auto it = on_the_way_.find(member);
  if (it == on_the_way_.end()) return received;
  std::deque<OnTheWay>& messages = it->second;
  while (!messages.empty()) {
    // Of a link that was lost others are told.
    const auto way = ways_.find(messages.front().node);
    if (way != ways_.end() && way->second.arrived < messages.front().number &&
        way->second.sent >= messages.front().number) {
      return messages.front().received - 1;
    }
    messages.pop_front();
  }
  on_the_way_.erase(it);
  return received;
}

void Federation::TellAll(const node::Message& message) {
  if (nodes_.empty()) return;
  const std::string text = node::Write(message);
  for (const NodeId node : nodes_) Post(node, text);
}

}  // namespace kyuu::signaling::internal
