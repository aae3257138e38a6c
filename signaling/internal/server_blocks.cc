// Whom a client does not want to hear of.

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "signaling/internal/federation.h"
#include "signaling/server.h"

namespace kyuu::signaling {
namespace {

// What a page in a call answers by itself: who hears it learns nothing.
constexpr char kBusy[] = "busy";

}  // namespace

std::optional<std::string> Server::LooksOf(const Context& context,
                                           absl::string_view name) {
  if (!directory_.IsInRoom(context.session.member)) {
    Refuse(context, ErrorCode::kNotJoined, "join a room first");
    return std::nullopt;
  }
  auto looks = directory_.LooksOf(name);
  if (const auto* refusal = std::get_if<Refusal>(&looks)) {
    Refuse(context, *refusal);
    return std::nullopt;
  }
  return std::get<std::string>(std::move(looks));
}

bool Server::IsBlocked(const Session& session, absl::string_view name) const {
  if (session.blocked == nullptr) return false;
  const auto looks = directory_.LooksOf(name);
  const auto* text = std::get_if<std::string>(&looks);
  return text != nullptr && session.blocked->contains(*text);
}

void Server::On(const Context& context, const Block& block) {
  Session& session = context.session;
  const std::optional<std::string> looks = LooksOf(context, block.name);
  if (!looks) return;
  if (session.blocked == nullptr) {
    session.blocked = std::make_unique<absl::btree_set<std::string>>();
  }
  if (!session.blocked->contains(*looks) &&
      session.blocked->size() >= options_.max_blocked) {
    return Refuse(context, ErrorCode::kTooLarge,
                  absl::StrCat("at most ", options_.max_blocked,
                               " names can be blocked"));
  }
  session.blocked->insert(*looks);
  Reply(context, {"", Blocked{block.name}});
  EndCallsWithBlocked(session);
}

void Server::EndCallsWithBlocked(Session& session) {
  for (const CallSide& side : directory_.CallsOf(session.member)) {
    if (!IsBlocked(session, directory_.PeerOf(side.other).name)) continue;
    if (!side.is_accepted && !side.is_caller) {
      // It rings here.
      (void)directory_.RejectCall(session.member, side.call, kBusy);
      Send(session, {"", Rejected{side.call, kBusy}});
    } else {
      // It is there.
      (void)directory_.EndCall(session.member, side.call, "hangup");
      Send(session, {"", Hangup{side.call, "hangup"}});
    }
  }
}

void Server::On(const Context& context, const Unblock& unblock) {
  Session& session = context.session;
  const std::optional<std::string> looks = LooksOf(context, unblock.name);
  if (!looks) return;
  if (session.blocked == nullptr || session.blocked->erase(*looks) == 0) {
    return Refuse(context, ErrorCode::kNotFound, "this name is not blocked");
  }
  if (session.blocked->empty()) session.blocked.reset();
  Reply(context, {"", Unblocked{unblock.name}});
}

void Server::On(const effect::CallRings& rings) {
  Session* callee = sessions_.Find(rings.to);
  if (callee != nullptr && IsBlocked(*callee, rings.from)) {
    ++stats_.calls_blocked;
    // It rings there.
    (void)directory_.RejectCall(rings.to, rings.call, kBusy);
    return;
  }
  if (callee != nullptr) {
    return Send(*callee,
                {"", Incoming{rings.call, rings.from, true, rings.meta}});
  }
  if (federation_ != nullptr) {
    federation_->Send(rings.to,
                      node::Rings{rings.call, federation_->IdOf(rings.other),
                                  federation_->IdOf(rings.to), rings.meta});
  }
}

}  // namespace kyuu::signaling
