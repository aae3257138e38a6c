// What the signaling server makes of each message of a client, and of each
// effect of the directory.

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "signaling/close_code.h"
#include "signaling/internal/federation.h"
#include "signaling/server.h"

namespace kyuu::signaling {

void Server::On(const Context& context, const Hello& hello) {
  Session& session = context.session;
  if (!session.is_new()) {
    return Refuse(context, ErrorCode::kBadState, "hello was said before");
  }
  if (hello.version != kProtocolVersion) {
    return Refuse(context, ErrorCode::kUnsupportedVersion,
                  absl::StrCat("version ", kProtocolVersion,
                               " of the protocol is spoken here"));
  }
  std::optional<Grant> grant = Admit(context, hello.token);
  if (!grant) return;
  const bool resumable =
      hello.resume.has_value() && options_.grace > absl::ZeroDuration();
  if (resumable && !hello.resume->session.empty()) {
    Session* old = sessions_.FindResumable(*hello.resume);
    if (old != nullptr && old->grant().IsSameUser(*grant)) {
      SetGrant(*old, *std::move(grant));
      return Resume(context, *old, hello.resume->received);
    }
    if (federation_ != nullptr &&
        federation_->Want(context, *hello.resume, *grant)) {
      return;
    }
    ++stats_.resumes_refused;
  }
  Begin(session, context.request_id,
        resumable ? Resumable::kYes : Resumable::kNo, *std::move(grant));
}

void Server::Begin(Session& session, std::string request_id,
                   Resumable resumable, Grant grant) {
  sessions_.Stop(internal::Sessions::Timer::kHello, session);
  sessions_.Name(session, resumable == Resumable::kYes);
  SetGrant(session, std::move(grant));
  session.stage = std::make_unique<Session::Welcoming>(
      Session::Welcoming{std::move(request_id), SessionOrigin::kNew});
  events_.push_back(SessionOpened{*session.connection, session.id});
}

std::optional<Grant> Server::Admit(const Context& context,
                                   const std::string& token) {
  if (admission_ == nullptr) return Grant();
  auto verdict = admission_->Judge(context.now, token);
  if (Grant* grant = std::get_if<Grant>(&verdict)) return std::move(*grant);
  const NotAdmitted& refused = std::get<NotAdmitted>(verdict);
  Refuse(context, refused.code, refused.message);
  // Each costs a verification.
  if (++context.session.refused_tokens >= options_.max_refused_tokens) {
    Close(context.now, context.session, kClosePolicyViolation,
          "too many tokens that are no good", Departure::kGoodbye);
  }
  return std::nullopt;
}

void Server::SetGrant(Session& session, Grant grant) {
  session.granted = grant.IsNobodys()
                        ? nullptr
                        : std::make_unique<const Grant>(std::move(grant));
  const absl::Time until = session.grant().until;
  if (until == absl::InfiniteFuture()) {
    return sessions_.Stop(internal::Sessions::Timer::kToken, session);
  }
  sessions_.Set(internal::Sessions::Timer::kToken, session, until);
}

void Server::Resume(const Context& context, Session& resumed,
                    uint64_t received) {
  if (federation_ != nullptr) {
    federation_->BreakOffMove(context.now, resumed.member);
  }
  if (resumed.connection.has_value()) {
    // Its client knows better than we do that it is dead.
    const ConnectionId dead = *resumed.connection;
    ForgetConnection(dead);
    events_.push_back(
        CloseConnection{dead, kCloseResumedElsewhere,
                        "another connection resumed the session"});
  } else {
    sessions_.EndGrace(resumed);
  }
  ++stats_.sessions_resumed;
  const ConnectionId connection = *context.session.connection;
  connections_.at(connection).member = resumed.member;
  resumed.connection = connection;
  resumed.source = context.session.source;
  resumed.stage = std::make_unique<Session::Welcoming>(
      Session::Welcoming{context.request_id, SessionOrigin::kResumed});
  sessions_.Acknowledge(resumed, received);
  events_.push_back(CredentialsWanted{connection, resumed.id});
  // The session that began with this connection has become the old one.
  sessions_.Remove(context.session);
}

void Server::On(const Context& context, const Join& join) {
  Session& session = context.session;
  if (!session.is_open()) {
    return Refuse(context, ErrorCode::kBadState,
                  "say hello and wait for welcome first");
  }
  if (!TakeRate(context, session.presence_rate, "changes")) return;
  const Grant& grant = session.grant();
  if (!grant.rooms.AllowsRoom(join.room.empty() ? options_.rooms.default_room
                                                : join.room)) {
    if (admission_ != nullptr) admission_->CountRefusedRoom();
    return Refuse(context, ErrorCode::kForbidden,
                  "the token does not let you into this room");
  }
  std::optional<std::string> lock = Unlock(context, join);
  if (!lock) return;
  JoinRequest request{grant.name.empty() ? join.name : grant.name, join.room,
                      std::string(join.meta), *std::move(lock)};
  if (federation_ != nullptr) {
    return federation_->Join(context, std::move(request));
  }
  // Refused, it has been told so.
  (void)FinishJoin(context, request);
}

std::optional<std::string> Server::Unlock(const Context& context,
                                          const Join& join) {
  Session& session = context.session;
  auto lock =
      directory_.Unlock(context.now, session.source, join.room, join.secret);
  const auto* refusal = std::get_if<Refusal>(&lock);
  if (refusal == nullptr) return std::get<std::string>(std::move(lock));
  Refuse(context, *refusal);
  // Who shows none has not guessed.
  if (refusal->code == ErrorCode::kWrongSecret && !join.secret.empty()) {
    ++stats_.secrets_refused;
    if (++session.refused_secrets >= options_.max_refused_secrets) {
      Close(context.now, session, kClosePolicyViolation,
            "too many wrong secrets", Departure::kGoodbye);
    }
  }
  return std::nullopt;
}

bool Server::FinishJoin(const Context& context, const JoinRequest& request) {
  auto joined = directory_.Join(context.now, context.session.member,
                                context.session.source, request);
  if (const auto* refusal = std::get_if<Refusal>(&joined)) {
    Refuse(context, *refusal);
    return false;
  }
  Joining& joining = std::get<Joining>(joined);
  Reply(context, {"", Joined{std::move(joining.room), std::move(joining.name),
                             std::move(joining.others.peers),
                             joining.others.more, !request.lock.empty()}});
  return true;
}

void Server::On(const Context& context, const Update& update) {
  Session& session = context.session;
  if (directory_.IsInRoom(session.member) &&
      !TakeRate(context, session.presence_rate, "changes")) {
    return;
  }
  if (const auto refusal =
          directory_.Update(context.now, session.member, update.meta)) {
    return Refuse(context, *refusal);
  }
  Reply(context, {"", Updated{}});
  if (federation_ != nullptr) federation_->Announce(session.member);
}

void Server::On(const Context& context, const List& list) {
  auto listed = directory_.List(context.session.member, list.after);
  if (const auto* refusal = std::get_if<Refusal>(&listed)) {
    return Refuse(context, *refusal);
  }
  Page& page = std::get<Page>(listed);
  Reply(context, {"", Peers{directory_.RoomOf(context.session.member),
                            std::move(page.peers), page.more}});
}

void Server::On(const Context& context, const Find& find) {
  Session& session = context.session;
  if (directory_.IsInRoom(session.member) &&
      !TakeRate(context, session.find_rate, "searches")) {
    return;
  }
  auto result = directory_.Find(
      session.member, {find.prefix, std::string(find.meta), find.after});
  if (const auto* refusal = std::get_if<Refusal>(&result)) {
    return Refuse(context, *refusal);
  }
  Findings& found = std::get<Findings>(result);
  Reply(context, {"", Found{directory_.RoomOf(session.member),
                            std::move(found.peers), std::move(found.after)}});
}

void Server::On(const Context& context, const Leave&) {
  if (const auto refusal =
          directory_.Leave(context.now, context.session.member, "peer_left")) {
    return Refuse(context, *refusal);
  }
  // In another room the names are other people's.
  context.session.blocked.reset();
  // How its calls ended stands before the answer.
  TakeEffects();
  Reply(context, {"", Left{}});
  if (federation_ != nullptr) {
    federation_->HandleLeft(context.now, context.session.member);
  }
}

void Server::On(const Context& context, const Ping&) {
  Reply(context, {"", Pong{}});
}

void Server::On(const Context& context, const Credentials& credentials) {
  Session& session = context.session;
  if (!session.is_open()) {
    return Refuse(context, ErrorCode::kBadState,
                  "say hello and wait for welcome first");
  }
  if (!credentials.token.empty()) {
    std::optional<Grant> grant = Admit(context, credentials.token);
    if (!grant) return;
    if (!session.grant().IsSameUser(*grant)) {
      return Refuse(context, ErrorCode::kForbidden,
                    "the token is of another user than the session");
    }
    SetGrant(session, *std::move(grant));
  }
  if (session.grant().until <= context.now) {
    return Refuse(context, ErrorCode::kTokenExpired,
                  "the token has expired; another one is needed");
  }
  if (session.credential_requests.size() >= options_.max_credential_requests) {
    return Refuse(context, ErrorCode::kRateLimited,
                  "credentials have been asked for already");
  }
  session.credential_requests.push_back(context.request_id);
  events_.push_back(CredentialsWanted{*session.connection, session.id});
}

void Server::On(const Context& context, const Ack& ack) {
  Session& session = context.session;
  if (!session.is_numbered()) {
    return Refuse(context, ErrorCode::kBadState,
                  "this session cannot be resumed");
  }
  const size_t before = session.outbox.messages().size();
  if (!sessions_.Acknowledge(session, ack.received)) {
    return Refuse(context, ErrorCode::kBadMessage,
                  "so many messages were not sent");
  }
  // Who is told much has much to acknowledge; that is no message of his own.
  if (session.outbox.messages().size() < before) session.message_rate.Return();
}

void Server::On(const Context& context, const Call& call) {
  Session& session = context.session;
  if (directory_.IsInRoom(session.member) &&
      !TakeRate(context, session.call_rate, "calls")) {
    return;
  }
  auto started =
      directory_.StartCall(context.now, session.member, call.to, call.meta);
  if (const auto* refusal = std::get_if<Refusal>(&started)) {
    if (refusal->code == ErrorCode::kRateLimited) ++stats_.rate_limited;
    return Refuse(context, *refusal);
  }
  const CallStart& start = std::get<CallStart>(started);
  if (start.polite) {
    ++stats_.calls_accepted;
  } else {
    ++stats_.calls_started;
  }
  Reply(context, {"", Calling{start.call, call.to, start.polite}});
}

void Server::On(const Context& context, const Accept& accept) {
  if (const auto refusal =
          directory_.AcceptCall(context.session.member, accept.call)) {
    return Refuse(context, *refusal);
  }
  ++stats_.calls_accepted;
  Reply(context, {"", Accepted{accept.call}});
}

void Server::On(const Context& context, const Reject& reject) {
  const std::string reason = reject.reason.empty() ? "declined" : reject.reason;
  if (const auto refusal =
          directory_.RejectCall(context.session.member, reject.call, reason)) {
    return Refuse(context, *refusal);
  }
  Reply(context, {"", Rejected{reject.call, reason}});
}

void Server::On(const Context& context, const Hangup& hangup) {
  const std::string reason = hangup.reason.empty() ? "hangup" : hangup.reason;
  if (const auto refusal =
          directory_.EndCall(context.session.member, hangup.call, reason)) {
    return Refuse(context, *refusal);
  }
  Reply(context, {"", Hangup{hangup.call, reason}});
}

void Server::On(const Context& context, const Signal& signal) {
  const auto other = directory_.OtherSide(context.session.member, signal.call);
  if (const auto* refusal = std::get_if<Refusal>(&other)) {
    return Refuse(context, *refusal);
  }
  ++stats_.signals_relayed;
  const Member to = std::get<Member>(other);
  if (federation_ != nullptr && sessions_.Find(to) == nullptr) {
    return federation_->Send(
        to,
        node::Signalled{signal.call, federation_->IdOf(context.session.member),
                        federation_->IdOf(to),
                        WriteMessage(ServerMessage{"", signal})});
  }
  SendTo(to, {"", signal});
}

void Server::On(const effect::PeersChanged& changed) {
  for (const effect::PeersChanged::Change& change : changed.changes) {
    // Written once for all; the queues share it.
    const absl::Cord text(
        WriteMessage(ServerMessage{"", Presence{change.change, change.peer}}));
    for (const Member to : changed.receivers) {
      Session* session = to == change.about ? nullptr : sessions_.Find(to);
      if (session != nullptr) SendText(*session, text);
    }
  }
}

void Server::On(const effect::CallAccepted& accepted) {
  if (federation_ != nullptr) {
    federation_->Send(
        accepted.to,
        node::Accepted{accepted.call, federation_->IdOf(accepted.other),
                       federation_->IdOf(accepted.to)});
  }
  SendTo(accepted.to, {"", Accepted{accepted.call}});
}

void Server::On(const effect::CallRejected& rejected) {
  if (federation_ != nullptr) {
    federation_->Send(
        rejected.to,
        node::Rejected{rejected.call, federation_->IdOf(rejected.other),
                       federation_->IdOf(rejected.to), rejected.reason});
  }
  SendTo(rejected.to, {"", Rejected{rejected.call, rejected.reason}});
}

void Server::On(const effect::CallEnded& ended) {
  if (federation_ != nullptr) {
    federation_->Send(ended.to,
                      node::Ended{ended.call, federation_->IdOf(ended.other),
                                  federation_->IdOf(ended.to), ended.reason});
  }
  SendTo(ended.to, {"", Hangup{ended.call, ended.reason}});
}

}  // namespace kyuu::signaling
