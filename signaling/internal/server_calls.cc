// The server's part in calls: introducing two peers and passing their signals.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "signaling/server.h"

namespace kyuu::signaling {

void Server::On(const Context& context, const Call& call) {
  if (!RequireJoined(context)) return;
  Connection& connection = *context.connection;
  const Room& room = rooms_.at(connection.room);
  const auto callee = room.find(call.to);
  if (callee == room.end()) {
    return Refuse(context, ErrorCode::kNotFound,
                  "nobody of this name is in the room");
  }
  if (callee->second == context.id) {
    return Refuse(context, ErrorCode::kNotFound, "this is your own name");
  }
  if (const auto existing = CallBetween(connection, callee->second)) {
    CallRecord& record = calls_.at(*existing);
    if (record.accepted || record.caller == context.id) {
      return Refuse(context, ErrorCode::kBadState,
                    "there is a call with this peer already", *existing);
    }
    // Glare: they call each other. It is one call, and both want it; the one
    // who called second is its callee, and polite.
    Reply(context, {"", Calling{*existing, call.to, true}});
    // `calling` was the answer to this request; `accepted` is news to both.
    AcceptCall(*existing, record, "");
    return;
  }
  Connection& other = connections_.at(callee->second);
  if (connection.calls.size() >= options_.max_calls_per_peer ||
      other.calls.size() >= options_.max_calls_per_peer) {
    return Refuse(context, ErrorCode::kTooManyCalls,
                  connection.calls.size() >= options_.max_calls_per_peer
                      ? "you are in too many calls"
                      : "this peer is in too many calls");
  }
  std::string id = random_->IceChars(16);
  while (calls_.contains(id)) id = random_->IceChars(16);
  CallRecord record;
  record.caller = context.id;
  record.callee = callee->second;
  record.deadline = context.now + options_.ring_timeout;
  ring_deadlines_.emplace(record.deadline, id);
  calls_.emplace(id, record);
  connection.calls.push_back(id);
  other.calls.push_back(id);
  ++stats_.calls_started;
  Reply(context, {"", Calling{id, call.to, false}});
  Send(record.callee,
       {"", Incoming{id, connection.peer.name, true, std::string(call.meta)}});
}

void Server::On(const Context& context, const Accept& accept) {
  CallRecord* record = FindCall(context, accept.call);
  if (record == nullptr) return;
  if (record->accepted || record->callee != context.id) {
    return Refuse(context, ErrorCode::kBadState, "this call does not ring here",
                  accept.call);
  }
  AcceptCall(accept.call, *record, *context.request_id);
}

void Server::On(const Context& context, const Reject& reject) {
  CallRecord* record = FindCall(context, reject.call);
  if (record == nullptr) return;
  if (record->accepted || record->callee != context.id) {
    return Refuse(context, ErrorCode::kBadState, "this call does not ring here",
                  reject.call);
  }
  const Rejected over = {reject.call,
                         reject.reason.empty() ? "declined" : reject.reason};
  EndCall(reject.call, context.id, {"", over}, {*context.request_id, over});
}

void Server::On(const Context& context, const Hangup& hangup) {
  if (FindCall(context, hangup.call) == nullptr) return;
  const Hangup over = {hangup.call,
                       hangup.reason.empty() ? "hangup" : hangup.reason};
  EndCall(hangup.call, context.id, {"", over}, {*context.request_id, over});
}

void Server::On(const Context& context, const Signal& signal) {
  CallRecord* record = FindCall(context, signal.call);
  if (record == nullptr) return;
  // Descriptions and candidates carry addresses: nobody gets them before the
  // callee has agreed.
  if (!record->accepted) {
    return Refuse(context, ErrorCode::kBadState,
                  "this call is not accepted yet", signal.call);
  }
  ++stats_.signals_relayed;
  Send(record->caller == context.id ? record->callee : record->caller,
       {"", signal});
}

Server::CallRecord* Server::FindCall(const Context& context,
                                     absl::string_view call) {
  const auto it = calls_.find(call);
  if (it != calls_.end() &&
      (it->second.caller == context.id || it->second.callee == context.id)) {
    return &it->second;
  }
  Refuse(context, ErrorCode::kUnknownCall, "there is no such call");
  return nullptr;
}

std::optional<std::string> Server::CallBetween(const Connection& a,
                                               ConnectionId b) const {
  for (const std::string& call : a.calls) {
    const CallRecord& record = calls_.at(call);
    if (record.caller == b || record.callee == b) return call;
  }
  return std::nullopt;
}

void Server::AcceptCall(const std::string& call, CallRecord& record,
                        std::string request_id) {
  record.accepted = true;
  ring_deadlines_.erase({record.deadline, call});
  ++stats_.calls_accepted;
  Send(record.caller, {"", Accepted{call}});
  Send(record.callee, {std::move(request_id), Accepted{call}});
}

void Server::EndCall(std::string call, ConnectionId by,
                     const ServerMessage& to_other,
                     const ServerMessage& to_self) {
  const auto it = calls_.find(call);
  KYUU_CHECK(it != calls_.end());
  const CallRecord record = it->second;
  calls_.erase(it);
  if (!record.accepted) ring_deadlines_.erase({record.deadline, call});
  for (const ConnectionId id : {record.caller, record.callee}) {
    auto& calls = connections_.at(id).calls;
    calls.erase(std::find(calls.begin(), calls.end(), call));
    Send(id, id == by ? to_self : to_other);
  }
}

}  // namespace kyuu::signaling
