// Sessions that move between nodes.

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "signaling/close_code.h"
#include "signaling/internal/federation.h"

namespace kyuu::signaling::internal {
namespace {

// Former homes that are told of a session's end; older ones let its credentials
// go with the node that they have given it to.
constexpr size_t kMaxHomes = 8;

// More than anybody counts to; JSON and Redis' scripts have whole numbers up to
// here.
constexpr uint64_t kMaxCount = uint64_t{1} << 53;

// A look-alike form of a name is longer than it.
constexpr size_t kMaxLooksBytes = 2048;

bool IsHex(absl::string_view text) {
  return text.size() == 32 &&
         std::all_of(text.begin(), text.end(), absl::ascii_isxdigit);
}

}  // namespace

// --- The new home -----------------------------------------------------------

bool Federation::Want(const Server::Context& context,
                      const ResumeRequest& resume, const Grant& grant) {
  if (nodes_.empty() || wanting_.size() >= options_.max_wanted) return false;
  const uint64_t request = next_request_++;
  Session& session = context.session;
  wanting_[request] = {session.member, context.request_id, resume.received,
                       grant, nodes_};
  wanting_times_.Set(request, context.now + options_.want_timeout);
  server_.sessions_.Stop(Sessions::Timer::kHello, session);
  session.unfinished = std::make_unique<std::string>(context.text);
  TellAll(node::Wanted{request, resume.session, resume.secret, resume.received,
                       static_cast<uint8_t>(grant.by), grant.user});
  return true;
}

void Federation::On(absl::Time now, NodeId from, node::NotHere& not_here) {
  const auto it = wanting_.find(not_here.request);
  if (it == wanting_.end() || it->second.awaited.erase(from) == 0) {
    ++stats_.stale;
    return;
  }
  if (it->second.awaited.empty()) GiveUpWanting(now, not_here.request);
}

void Federation::GiveUpWanting(absl::Time now, uint64_t request) {
  const auto it = wanting_.find(request);
  if (it == wanting_.end()) return;
  Wanting wanting = std::move(it->second);
  wanting_.erase(it);
  wanting_times_.Stop(request);
  ++server_.stats_.resumes_refused;
  Session* session = server_.sessions_.Find(wanting.member);
  if (session == nullptr) return;  // Its client has gone again.
  session->unfinished.reset();
  server_.Begin(*session, std::move(wanting.request_id),
                Server::Resumable::kYes, std::move(wanting.grant));
  Continue(now, wanting.member);
}

bool Federation::IsSane(const node::Moved& moved) const {
  const bool is_named = IsHex(moved.id) && IsHex(moved.secret);
  const bool is_small =
      moved.homes.size() <= kMaxHomes && moved.unfinished.size() <= 1 &&
      moved.calls.size() <= 1000 && moved.received < kMaxCount &&
      moved.forgotten < kMaxCount && moved.epoch < kMaxCount;
  const bool are_messages = std::all_of(
      moved.kept.begin(), moved.kept.end(), [&](const std::string& text) {
        const auto parsed = ParseServerMessage(text, server_.options_.limits);
        return parsed.ok() || absl::IsUnimplemented(parsed.status());
      });
  const bool are_names = moved.blocked.size() <= server_.options_.max_blocked &&
                         std::all_of(moved.blocked.begin(), moved.blocked.end(),
                                     [](const std::string& looks) {
                                       return looks.size() <= kMaxLooksBytes;
                                     });
  return is_named && is_small && are_messages && are_names &&
         (moved.lock.empty() || moved.lock.size() == kLockBytes) &&
         (!moved.is_in_room ||
          IsValidMeta(moved.meta, server_.options_.limits));
}

void Federation::On(absl::Time now, NodeId from, node::Moved& moved) {
  const auto it = wanting_.find(moved.request);
  if (it == wanting_.end() || !it->second.awaited.contains(from)) {
    ++stats_.stale;
    return;
  }
  Session* session =
      IsSane(moved) ? Unpack(now, from, moved, it->second) : nullptr;
  if (session == nullptr) {
    ++stats_.malformed;
    TellAll(node::Gone{moved.peer});
    return GiveUpWanting(now, moved.request);
  }
  const Wanting wanting = std::move(it->second);
  wanting_.erase(it);
  wanting_times_.Stop(moved.request);
  ++stats_.sessions_taken;
  const Member member = session->member;
  if (!server_.sessions_.BeginGrace(now, *session)) {
    ++server_.stats_.sessions_given_up;
    return server_.End(now, *session);
  }
  server_.SetGrant(*session, wanting.grant);
  Announce(member);
  if (Remote* remote = Find(moved.peer)) SendHeld(now, *remote);
  for (const node::Moved::Call& call : moved.calls) {
    const std::optional<Member> other = MemberOf(call.other);
    if (!call.is_over || !other.has_value()) continue;
    Send(*other, node::Ended{call.call, moved.peer, call.other, "peer_lost"});
  }
  session = server_.sessions_.Find(member);
  Session* asking = server_.sessions_.Find(wanting.member);
  if (session == nullptr || asking == nullptr) return;
  server_.Resume({now, *asking, wanting.request_id, ""}, *session,
                 wanting.received);
}

Session* Federation::Unpack(absl::Time now, NodeId from, node::Moved& moved,
                            Wanting& wanting) {
  if (server_.sessions_.Find(moved.id) != nullptr) return nullptr;
  Remote* remote = Find(moved.peer);
  if (remote != nullptr && remote->home != from) return nullptr;
  if (remote == nullptr) {
    const Member own{moved.peer.number};
    const bool is_back = moved.peer.origin == self_;
    if (is_back && server_.sessions_.Find(own) != nullptr) return nullptr;
    remote = &Add(moved.peer, is_back ? own : server_.sessions_.NewMember(),
                  NodeId{});
  }
  remote->home = NodeId{};
  const Member member = remote->member;
  if (moved.is_in_room && !UnpackPlace(now, from, moved, member)) {
    Remove(now, moved.peer);
    return nullptr;
  }
  const Session* asking = server_.sessions_.Find(wanting.member);
  Session& session = server_.sessions_.Add(
      now, asking == nullptr ? Source() : asking->source, member);
  server_.sessions_.Restore(session, moved.id, moved.secret, moved.forgotten,
                            moved.kept);
  session.received = moved.received;
  session.received_acknowledged = moved.received;
  session.message_rate.SetMillisLeft(moved.messages_left);
  session.presence_rate.SetMillisLeft(moved.presence_left);
  session.call_rate.SetMillisLeft(moved.calls_left);
  session.stage = Session::Open();
  if (!moved.blocked.empty()) {
    session.blocked = std::make_unique<absl::btree_set<std::string>>(
        moved.blocked.begin(), moved.blocked.end());
  }
  away_.erase(moved.id);
  std::erase(moved.homes, self_);
  std::erase(moved.homes, from);
  moved.homes.push_back(from);
  if (moved.homes.size() > kMaxHomes) moved.homes.erase(moved.homes.begin());
  homes_[member] = moved.homes;
  if (!moved.unfinished.empty()) {
    session.begun = std::make_unique<std::string>(moved.unfinished.front());
  }
  for (const node::Moved::Call& call : moved.calls) {
    if (call.is_over) continue;  // Its client is told so by a message kept.
    const std::optional<Member> other = MemberOf(call.other);
    if (other.has_value() && server_.directory_.IsInRoom(member) &&
        server_.directory_.IsInRoom(*other)) {
      server_.directory_.AddCall(
          now, member, {call.call, *other, call.is_caller, call.is_accepted});
    } else {
      server_.Send(session, {"", Hangup{call.call, "peer_lost"}});
    }
  }
  return &session;
}

// A peer that is in the directory as another node's stays as it is: nobody sees
// that it is here now.
bool Federation::UnpackPlace(absl::Time now, NodeId from,
                             const node::Moved& moved, Member member) {
  const auto found = server_.directory_.PlaceOf(moved.name, moved.room);
  const auto* place = std::get_if<std::string>(&found);
  if (place == nullptr || claims_.contains(*place)) return false;
  Remote& remote = *Find(moved.peer);
  if (!remote.is_placed || remote.place != *place) {
    if (remote.is_placed) Unplace(now, remote);
    if (Remote* other = PlacedAt(*place)) Unplace(now, *other);
    if (std::holds_alternative<Refusal>(server_.directory_.Join(
            now, member, IpAddress(),
            {moved.name, moved.room, moved.meta, moved.lock}))) {
      return false;
    }
  } else {
    --placed_;
    if (remote.told.meta != moved.meta) {
      // It is in a room.
      (void)server_.directory_.Update(now, member, moved.meta);
    }
  }
  remote.is_placed = false;
  const auto others = by_place_.find(remote.place);
  if (others != by_place_.end()) {
    std::erase(others->second, moved.peer);
    if (others->second.empty()) by_place_.erase(others);
  }
  remote.place.clear();
  // Whoever orders by epochs puts it behind what the old home has said.
  claims_[*place] = {member, moved.epoch + 1, std::nullopt};
  places_[member] = *place;
  SetClaimTimer(now, *place);
  if (is_connected_) {
    commands_.push_back(ClaimPlace{*place, moved.epoch + 1, from});
  }
  return true;
}

// --- The old home -----------------------------------------------------------

void Federation::NoteHere(NodeId from, uint64_t request) {
  Tell(from, node::NotHere{request});
}

void Federation::On(absl::Time now, NodeId from, node::Wanted& wanted) {
  Session* session = server_.sessions_.FindResumable(
      {wanted.session, wanted.secret, wanted.received});
  const bool is_his = session != nullptr &&
                      !leaving_.contains(session->member) &&
                      static_cast<uint8_t>(session->grant().by) == wanted.by &&
                      session->grant().user == wanted.user;
  if (!is_his) return NoteHere(from, wanted.request);
  const Member member = session->member;
  if (session->connection.has_value()) {
    // Its client knows better than we do that it is dead.
    const ConnectionId dead = *session->connection;
    server_.ForgetConnection(dead);
    server_.events_.push_back(
        CloseConnection{dead, kCloseResumedElsewhere,
                        "another connection resumed the session"});
    session->stage = Session::Open();
    session->waiting.reset();
    if (!server_.sessions_.BeginGrace(now, *session)) {
      ++server_.stats_.sessions_given_up;
      server_.End(now, *session);
      return NoteHere(from, wanted.request);
    }
  }
  server_.sessions_.Stop(Sessions::Timer::kGrace, *session);
  server_.sessions_.Acknowledge(*session, wanted.received);
  Leaving& leaving = leaving_[member];
  leaving = {from, wanted.request, next_request_++, {}};
  // Whoever is in no room is known to nobody.
  if (!places_.contains(member)) return FinishMove(now, member);
  leaving.awaited = nodes_;
  leaving_times_.Set(member, now + options_.move_timeout);
  TellAll(node::Moving{IdOf(member), from, leaving.move});
}

void Federation::On(absl::Time, NodeId from, node::Moving& moving) {
  Remote* remote = Find(moving.peer);
  if (remote != nullptr && remote->home == from) {
    remote->is_moving = true;
    remote->moving_to = moving.to;
  }
  Tell(from, node::Held{moving.peer, moving.move});
}

void Federation::On(absl::Time now, NodeId from, node::Held& held) {
  const std::optional<Member> member = MemberOf(held.peer);
  const auto it = member.has_value() ? leaving_.find(*member) : leaving_.end();
  if (it == leaving_.end() || it->second.move != held.move ||
      it->second.awaited.erase(from) == 0) {
    ++stats_.stale;
    return;
  }
  if (it->second.awaited.empty()) FinishMove(now, *member);
}

void Federation::FinishMove(absl::Time now, Member member) {
  const auto it = leaving_.find(member);
  if (it == leaving_.end()) return;
  const Leaving leaving = std::move(it->second);
  leaving_.erase(it);
  leaving_times_.Stop(member);
  Session& session = *server_.sessions_.Find(member);
  // With a node that has not said what is on its way nothing goes on. The new
  // home tells it: what both homes say may come in any order.
  std::vector<node::Moved::Call> over;
  for (const CallSide& side : server_.directory_.CallsOf(member)) {
    const Remote* other = Find(side.other);
    if (other == nullptr || !leaving.awaited.contains(other->home)) continue;
    over.push_back({side.call, other->id, side.is_caller, side.is_accepted,
                    /*is_over=*/true});
    // The call is there.
    (void)server_.directory_.EndCall(side.other, side.call, "peer_lost");
  }
  server_.TakeEffects();
  node::Moved moved = Pack(now, session, leaving.request);
  moved.calls.insert(moved.calls.end(), over.begin(), over.end());
  for (const CallSide& side : server_.directory_.CallsOf(member)) {
    // Between two who are elsewhere now.
    if (server_.sessions_.Find(side.other) == nullptr) {
      server_.directory_.ForgetCall(side.call);
    }
  }
  const auto place = places_.find(member);
  if (place != places_.end()) {
    Remote* known = Find(member);
    Remote& remote =
        known != nullptr ? *known : Add(moved.peer, member, NodeId{});
    remote.home = leaving.to;
    remote.epoch = moved.epoch;
    remote.place = place->second;
    remote.told = {moved.peer, moved.epoch, moved.room,
                   moved.name, moved.meta,  moved.lock};
    remote.is_placed = true;
    ++placed_;
    remote.is_moving = true;
    remote.moving_to = leaving.to;
    by_place_[remote.place].push_back(remote.id);
    claim_times_.Stop(place->second);
    claims_.erase(place->second);
    places_.erase(place);
  } else {
    Remove(now, moved.peer);
  }
  ++stats_.sessions_given;
  away_[session.id] = leaving.to;
  homes_.erase(member);
  on_the_way_.erase(member);
  server_.sessions_.EndGrace(session);
  server_.sessions_.Remove(session);
  Tell(leaving.to, std::move(moved));
}

node::Moved Federation::Pack(absl::Time now, Session& session,
                             uint64_t request) {
  node::Moved moved;
  moved.request = request;
  moved.peer = IdOf(session.member);
  moved.id = session.id;
  moved.secret = session.secret;
  moved.received = session.received;
  moved.forgotten = session.outbox.forgotten();
  for (const absl::Cord& text : session.outbox.messages()) {
    moved.kept.emplace_back(text);
  }
  if (session.begun != nullptr) moved.unfinished.push_back(*session.begun);
  if (session.unfinished != nullptr) {
    // A `join` that waits for its name: it begins anew where the session goes.
    moved.unfinished.push_back(*session.unfinished);
    for (auto it = claims_.begin(); it != claims_.end(); ++it) {
      if (it->second.member != session.member) continue;
      claim_times_.Stop(it->first);
      if (is_connected_) commands_.push_back(FreePlace{it->first});
      claims_.erase(it);
      break;
    }
  }
  const auto homes = homes_.find(session.member);
  if (homes != homes_.end()) moved.homes = homes->second;
  if (session.blocked != nullptr) {
    moved.blocked.assign(session.blocked->begin(), session.blocked->end());
  }
  moved.messages_left = session.message_rate.MillisLeft(now);
  moved.presence_left = session.presence_rate.MillisLeft(now);
  moved.calls_left = session.call_rate.MillisLeft(now);
  const auto place = places_.find(session.member);
  if (place == places_.end()) return moved;
  moved.is_in_room = true;
  moved.epoch = claims_.at(place->second).epoch;
  moved.room = server_.directory_.RoomOf(session.member);
  Peer peer = server_.directory_.PeerOf(session.member);
  moved.name = std::move(peer.name);
  moved.meta = std::move(peer.meta);
  moved.lock = server_.directory_.LockOf(session.member);
  for (const CallSide& side : server_.directory_.CallsOf(session.member)) {
    moved.calls.push_back({side.call, IdOf(side.other), side.is_caller,
                           side.is_accepted, /*is_over=*/false});
  }
  return moved;
}

void Federation::BreakOffMove(absl::Time, Member member) {
  const auto it = leaving_.find(member);
  if (it == leaving_.end()) return;
  ++stats_.moves_broken_off;
  NoteHere(it->second.to, it->second.request);
  leaving_.erase(it);
  leaving_times_.Stop(member);
  // Whoever holds something back may send it.
  Announce(member);
}

void Federation::On(absl::Time, NodeId from, node::Over& over) {
  const auto it = away_.find(over.session);
  if (it == away_.end()) {
    ++stats_.stale;
    return;
  }
  (void)from;  // It may have moved on since it left here.
  away_.erase(it);
  server_.events_.push_back(SessionClosed{over.session});
}

}  // namespace kyuu::signaling::internal
