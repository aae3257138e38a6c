#include "signaling/directory.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace kyuu::signaling {
namespace {

using internal::Calls;

Refusal Refused(ErrorCode code, absl::string_view message,
                absl::string_view call = {}) {
  Refusal refusal;
  refusal.code = code;
  refusal.message = std::string(message);
  refusal.call = std::string(call);
  return refusal;
}

Refusal NotJoined() {
  return Refused(ErrorCode::kNotJoined, "join a room first");
}

}  // namespace

Directory::Directory(RoomOptions rooms, CallOptions calls, Random& random)
    : rooms_(std::move(rooms)), calls_(calls, random) {}

std::variant<Joining, Refusal> Directory::Join(absl::Time now, Member member,
                                               const IpAddress& source,
                                               const JoinRequest& request) {
  if (IsInRoom(member)) {
    return Refused(ErrorCode::kBadState, "already in a room; leave it first");
  }
  auto joined = rooms_.Join(now, member, internal::SourceOf(source), request);
  TakeChanges();
  return joined;
}

std::optional<Refusal> Directory::Update(absl::Time now, Member member,
                                         absl::string_view meta) {
  if (!IsInRoom(member)) return NotJoined();
  rooms_.Update(now, member, meta);
  TakeChanges();
  return std::nullopt;
}

std::variant<Page, Refusal> Directory::List(Member member,
                                            absl::string_view after) {
  if (!IsInRoom(member)) return NotJoined();
  return rooms_.List(member, after);
}

std::variant<Findings, Refusal> Directory::Find(Member member,
                                                const Query& query) {
  if (!IsInRoom(member)) return NotJoined();
  return rooms_.Find(member, query);
}

std::variant<Member, Refusal> Directory::PeerCalled(
    Member member, absl::string_view name) const {
  if (!IsInRoom(member)) return NotJoined();
  const std::optional<Member> peer = rooms_.Find(member, name);
  if (!peer.has_value()) {
    return Refused(ErrorCode::kNotFound, "nobody of this name is in the room");
  }
  if (*peer == member) {
    return Refused(ErrorCode::kNotFound, "this is your own name");
  }
  return *peer;
}

std::variant<std::vector<Member>, Refusal> Directory::AddressAll(absl::Time now,
                                                                 Member member,
                                                                 size_t bytes) {
  if (!IsInRoom(member)) return NotJoined();
  return rooms_.AddressAll(now, member, bytes);
}

std::optional<Refusal> Directory::Leave(absl::Time now, Member member,
                                        absl::string_view reason) {
  if (!IsInRoom(member)) return NotJoined();
  for (const std::string& call : calls_.Of(member)) {
    Finish(call, Tell::kBoth, member, reason);
  }
  rooms_.Leave(now, member);
  TakeChanges();
  return std::nullopt;
}

std::variant<CallStart, Refusal> Directory::StartCall(absl::Time now,
                                                      Member caller,
                                                      absl::string_view to,
                                                      absl::string_view meta) {
  auto found = PeerCalled(caller, to);
  if (auto* refusal = std::get_if<Refusal>(&found)) return *refusal;
  const internal::Rooms::Place* place = rooms_.PlaceOf(caller);
  const Member* callee = std::get_if<Member>(&found);
  if (const std::optional<std::string> call = calls_.Between(caller, *callee)) {
    const Calls::Record& record = *calls_.Find(*call);
    if (record.state == Calls::State::kAccepted || record.caller == caller) {
      return Refused(ErrorCode::kBadState,
                     "there is a call with this peer already", *call);
    }
    // Glare: they call each other. It is one call, and both want it; the one
    // who called second is its callee, and polite.
    calls_.Accept(*call);
    effects_.push_back(effect::CallAccepted{*callee, caller, *call});
    effects_.push_back(effect::CallAccepted{caller, *callee, *call});
    return CallStart{*call, true};
  }
  auto started = calls_.Start(now, caller, place->source, *callee);
  if (auto* refusal = std::get_if<Refusal>(&started)) return *refusal;
  std::string& call = std::get<std::string>(started);
  effects_.push_back(
      effect::CallRings{*callee, caller, call, place->name, std::string(meta)});
  return CallStart{std::move(call), false};
}

std::variant<const Calls::Record*, Refusal> Directory::FindCall(
    Member member, const std::string& call) const {
  const Calls::Record* record = calls_.Find(call);
  if (record != nullptr && record->Concerns(member)) return record;
  return Refused(ErrorCode::kUnknownCall, "there is no such call");
}

std::variant<const Calls::Record*, Refusal> Directory::FindRinging(
    Member member, const std::string& call) const {
  auto found = FindCall(member, call);
  if (const auto* record = std::get_if<const Calls::Record*>(&found)) {
    if ((*record)->state != Calls::State::kRinging ||
        (*record)->callee != member) {
      return Refused(ErrorCode::kBadState, "this call does not ring here",
                     call);
    }
  }
  return found;
}

std::optional<Refusal> Directory::AcceptCall(Member member,
                                             const std::string& call) {
  auto found = FindRinging(member, call);
  if (auto* refusal = std::get_if<Refusal>(&found)) return *refusal;
  calls_.Accept(call);
  const Calls::Record& record = *std::get<const Calls::Record*>(found);
  effects_.push_back(effect::CallAccepted{record.caller, member, call});
  return std::nullopt;
}

std::optional<Refusal> Directory::RejectCall(Member member,
                                             const std::string& call,
                                             absl::string_view reason) {
  auto found = FindRinging(member, call);
  if (auto* refusal = std::get_if<Refusal>(&found)) return *refusal;
  const Calls::Record record = calls_.End(call);
  effects_.push_back(
      effect::CallRejected{record.caller, member, call, std::string(reason)});
  return std::nullopt;
}

std::optional<Refusal> Directory::EndCall(Member member,
                                          const std::string& call,
                                          absl::string_view reason) {
  auto found = FindCall(member, call);
  if (auto* refusal = std::get_if<Refusal>(&found)) return *refusal;
  Finish(call, Tell::kOther, member, reason);
  return std::nullopt;
}

std::optional<Refusal> Directory::ReportCall(Member member,
                                             const std::string& call) {
  auto other = OtherSide(member, call);
  if (auto* refusal = std::get_if<Refusal>(&other)) return *refusal;
  if (!calls_.TakeReport(call, member)) {
    return Refused(ErrorCode::kBadState, "this has been reported already",
                   call);
  }
  return std::nullopt;
}

void Directory::Finish(const std::string& call, Tell tell, Member member,
                       absl::string_view reason) {
  const Calls::Record record = calls_.End(call);
  for (const Member to : {record.caller, record.callee}) {
    if (tell == Tell::kOther && to == member) continue;
    effects_.push_back(
        effect::CallEnded{to, record.Other(to), call, std::string(reason)});
  }
}

std::optional<Refusal> Directory::Ring(absl::Time now, const std::string& call,
                                       Member caller, Member callee,
                                       absl::string_view meta) {
  const internal::Rooms::Place* place = rooms_.PlaceOf(caller);
  if (place == nullptr || rooms_.PlaceOf(callee) == nullptr ||
      calls_.Find(call) != nullptr) {
    return Refused(ErrorCode::kNotFound, "nobody of this name is in the room");
  }
  if (const std::optional<std::string> known = calls_.Between(caller, callee)) {
    const Calls::Record& record = *calls_.Find(*known);
    if (record.state == Calls::State::kAccepted || record.caller == caller) {
      return Refused(ErrorCode::kBadState,
                     "there is a call with this peer already", *known);
    }
    if (*known < call) return std::nullopt;
    Finish(*known, Tell::kOther, caller, "glare");
  }
  if (!calls_.Add(now, call, {caller, callee, place->source})) {
    return Refused(ErrorCode::kTooManyCalls, "this peer is in too many calls");
  }
  effects_.push_back(
      effect::CallRings{callee, caller, call, place->name, std::string(meta)});
  return std::nullopt;
}

void Directory::AddCall(absl::Time now, Member member, const CallSide& side) {
  if (calls_.Find(side.call) != nullptr) return;
  const Calls::Record record = side.is_caller
                                   ? Calls::Record{member, side.other, {}}
                                   : Calls::Record{side.other, member, {}};
  // There is place for it: it was made within the same bounds.
  if (calls_.Add(now, side.call, record) && side.is_accepted) {
    calls_.Accept(side.call);
  }
}

std::vector<CallSide> Directory::CallsOf(Member member) const {
  std::vector<CallSide> sides;
  for (const std::string& call : calls_.Of(member)) {
    const Calls::Record& record = *calls_.Find(call);
    sides.push_back({call, record.Other(member), record.caller == member,
                     record.state == Calls::State::kAccepted});
  }
  return sides;
}

std::optional<Member> Directory::OtherIn(const std::string& call,
                                         Member member) const {
  const Calls::Record* record = calls_.Find(call);
  if (record == nullptr || !record->Concerns(member)) return std::nullopt;
  return record->Other(member);
}

std::variant<Member, Refusal> Directory::OtherSide(
    Member member, const std::string& call) const {
  auto found = FindCall(member, call);
  if (auto* refusal = std::get_if<Refusal>(&found)) return *refusal;
  const Calls::Record& record = *std::get<const Calls::Record*>(found);
  if (record.state != Calls::State::kAccepted) {
    return Refused(ErrorCode::kBadState, "this call is not accepted yet", call);
  }
  return record.Other(member);
}

void Directory::HandleTimeout(absl::Time now) {
  while (const std::optional<std::string> call = calls_.PopUnanswered(now)) {
    Finish(*call, Tell::kBoth, {}, "timeout");
  }
  rooms_.HandleTimeout(now);
  TakeChanges();
}

absl::Time Directory::NextTimeout() const {
  return std::min(calls_.NextTimeout(), rooms_.NextTimeout());
}

std::optional<Effect> Directory::PollEffect() {
  if (effects_.empty()) return std::nullopt;
  Effect effect = std::move(effects_.front());
  effects_.pop_front();
  return effect;
}

void Directory::TakeChanges() {
  while (auto changes = rooms_.PollChanges()) {
    effects_.push_back(*std::move(changes));
  }
}

}  // namespace kyuu::signaling
