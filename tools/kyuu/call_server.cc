// What a CallSession hears from the server, and says to it.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/call_session.h"
#include "tools/kyuu/ice_servers.h"
#include "tools/kyuu/overload.h"
#include "tools/kyuu/room_secret.h"

namespace kyuu::tools {
namespace {

// A goodbye by way of the server may overtake what the peer said before it.
constexpr absl::Duration kOvertaken = absl::Seconds(1);
// The server may hold our name for a connection that it thinks alive
// (docs/signaling_protocol.md, "Connections that break").
constexpr absl::Duration kNameHeld = absl::Seconds(40);
// What the dead have sent is read by then.
constexpr absl::Duration kProbeDelay = absl::Milliseconds(500);
// Who is there acknowledges a message within this: a round trip, twice lost.
constexpr absl::Duration kProbeTime = absl::Seconds(2);
constexpr absl::Duration kJoinPause = absl::Seconds(3);
// How long who wants to send waits for a server that is away: as long as a call
// rings.
constexpr absl::Duration kAwayMax = absl::Minutes(1);

// A call that is for a pipe and nothing else says so.
constexpr char kPipeMeta[] = R"({"pipe":true})";
bool IsForPipe(const signaling::IncomingCall& call) {
  const nlohmann::json meta = nlohmann::json::parse(call.meta, nullptr, false);
  return meta.is_object() && meta.value("pipe", nlohmann::json()) == true;
}

// The call that an incoming one continues; empty for one of its own.
std::string ContinuedId(const signaling::IncomingCall& call) {
  const nlohmann::json meta = nlohmann::json::parse(call.meta, nullptr, false);
  if (!meta.is_object()) return "";
  const auto it = meta.find("continues");
  return it != meta.end() && it->is_string() ? it->get<std::string>() : "";
}

}  // namespace

void CallSession::OnSignaling(signaling::Client::Event event) {
  if (leaving_) return;
  std::visit(
      Overload{
          [&](signaling::Ready&) { Join(); },
          [&](signaling::JoinedRoom&) { OnJoined(); },
          [&](signaling::JoinFailed& failed) { OnJoinFailed(failed.status); },
          [&](signaling::PeerChanged& changed) { OnPeer(changed); },
          [&](signaling::CallStarted& started) { OnStarted(started); },
          [&](signaling::CallFailed& failed) {
            if (calling_ == failed.to) calling_.clear();
            // Of the session that is lost, of which OnJoined makes good.
            if (absl::IsUnavailable(failed.status) && call_wanted_) return;
            if (absl::IsNotFound(failed.status) && call_wanted_ &&
                net::Loop::Now() - lost_at_ < kNameHeld) {
              // They have lost the server, too, and may not be back yet.
              call_alarm_->Set(net::Loop::Now() + kJoinPause);
              return;
            }
            // Somebody who does not continue calls, or is not back yet.
            if (continuation_) return;
            OnCallFailed(failed.status);
          },
          [&](signaling::IncomingCall& call) {
            meeting_ ? OnMeetingCall(call) : OnIncoming(call);
          },
          [&](signaling::CallAccepted& accepted) {
            OnAccepted(accepted.call, accepted.peer);
          },
          [&](signaling::CallEnded& ended) { OnEnded(ended); },
          [&](signaling::DescriptionReceived& received) {
            if (call_ && received.call == call_id_) {
              call_->HandleDescription(received.kind, received.sdp);
            }
          },
          [&](signaling::CandidateReceived& received) {
            if (call_ && received.call == call_id_) {
              call_->HandleCandidate(received.candidate);
            }
          },
          [&](signaling::ErrorReceived& error) {
            // What was said of a call may cross with its end.
            if (error.error.code == signaling::ErrorCode::kUnknownCall) return;
            // An older server takes no reports.
            if (error.error.code == signaling::ErrorCode::kUnknownType) return;
            terminal_.Say(error.error.message);
          },
          [&](signaling::BlockChanged& changed) {
            terminal_.Say(absl::StrCat(
                changed.name, changed.is_blocked ? " is" : " is not",
                " blocked: ",
                changed.is_blocked ? "its calls hear that you are busy"
                                   : "it can call you"));
          },
          [&](signaling::IceServersChanged&) { UseServers(); },
          [&](signaling::Resumed&) { OnBack(); },
          [&](signaling::ConnectionLost& lost) {
            OnConnectionLost(lost.status);
          },
          [&](signaling::SessionLost&) { OnSessionLost(); },
          [&](signaling::ClientClosed& closed) {
            OnSessionLost();
            OnConnectionLost(closed.status);
          },
          [](auto&) {},
      },
      event);
}

void CallSession::Join() {
  if (server_->client() == nullptr) return;
  const absl::StatusOr<std::string> secret =
      ReadRoomSecret(options_.room_secret_file);
  if (!secret.ok()) return FailWith(secret.status());
  const absl::Status status = server_->client()->JoinRoom(
      net::Loop::Now(), own_name_,
      meeting_ && options_.room.empty() ? meeting_->Room() : options_.room,
      meeting_ ? meeting_->PeerMeta() : R"({"app":"kyuu","kind":"cli"})",
      *secret);
  if (!status.ok()) FailWith(status);
  server_->Flush();
}

void CallSession::OnJoined() {
  if (std::exchange(joined_, true)) {
    OnBack();
    ContinueCall();
    return meeting_ ? OnMeetingJoined() : CallAgain();
  }
  if (server_->without_socket()) {
    terminal_.Say("no WebSocket gets through to the server; going on without");
  }
  if (meeting_) {
    TellMeeting();
    return OnMeetingJoined();
  }
  if (rules_.calls) return StartCalling(options_.call);
  std::vector<std::string> names;
  for (const auto& [name, meta] : server_->client()->peers()) {
    names.push_back(name);
  }
  terminal_.Say(absl::StrCat(
      "joined as ", own_name_, "; ",
      names.empty() ? "nobody else is here"
                    : absl::StrCat("here: ", absl::StrJoin(names, ", "))));
  if (!options_.call.empty()) return StartCalling(options_.call);
  terminal_.Say(rules_.talks    ? "type /call NAME, or wait to be called"
                : rules_.stores ? "waiting for files"
                                : "waiting to be called");
}

void CallSession::OnJoinFailed(const absl::Status& status) {
  if (absl::IsUnavailable(status)) return;  // The session was lost meanwhile.
  if (meeting_ && !joined_) return OnMeetingNameTaken(status);
  const absl::Time now = net::Loop::Now();
  if (!joined_ && has_parts_ && absl::IsAlreadyExists(status) &&
      lost_at_ == absl::InfinitePast()) {
    lost_at_ = now;
    terminal_.Say(
        absl::StrCat(own_name_,
                     " is still there, perhaps as a run of ours that was "
                     "broken off; trying again"));
  }
  if ((joined_ || has_parts_) && absl::IsAlreadyExists(status) &&
      now - lost_at_ < kNameHeld) {
    join_alarm_->Set(now + kJoinPause);
    return;
  }
  FailWith(status);
}

void CallSession::OnPeer(const signaling::PeerChanged& change) {
  if (change.peer.name == peer_name_) ContinueCall();
  if (meeting_) return OnMeetingPeer(change);
  if (!rules_.talks) return;
  if (change.change == signaling::PresenceChange::kJoined) {
    terminal_.Say(absl::StrCat(change.peer.name, " came"));
  } else if (change.change == signaling::PresenceChange::kLeft) {
    terminal_.Say(absl::StrCat(change.peer.name, " left"));
  }
  questions_.ShowAgain();
}

void CallSession::OnIncoming(const signaling::IncomingCall& call) {
  // Whom we call calls us: one call, of which OnStarted will tell.
  if (calling_ == call.from) return;
  if (IsContinuation(call)) {
    continuation_->new_id = call.call;
    // Refused only without a connection, whose end is told apart.
    (void)server_->client()->AcceptCall(net::Loop::Now(), call.call);
    return;
  }
  // Of a run of ours that was killed: what its peer has is of no use to us.
  if (!call_ && !ContinuedId(call).empty()) {
    return RejectCall(call.call, "busy");
  }
  if (IsForPipe(call) != rules_.pipes) {
    return RejectCall(call.call, "unsupported");
  }
  if (call_ && call_->connected() && rules_.alone && !second_call_) {
    return OnSecondCall(call);
  }
  if (call_ || !rules_.takes) return MissCall(call);
  const Verdict verdict = consent_.Of(call.from);
  if (verdict == Verdict::kAsk) {
    questions_.Ask(absl::StrCat("call:", call.call),
                   absl::StrCat(call.from,
                                " calls. Take the call? You will learn each "
                                "other's network addresses."),
                   [this, id = call.call, from = call.from](Verdict answer) {
                     AnswerCall(id, from, answer);
                   });
    return;
  }
  if (verdict == Verdict::kNo) {
    terminal_.Say(absl::StrCat("refused a call from ", call.from,
                               ": neither --yes nor --from \"", call.from,
                               "\" was given"));
  }
  AnswerCall(call.call, call.from, verdict);
}

// A sender whose program was killed and who calls anew must not wait until ICE
// gives its old call up.
void CallSession::OnSecondCall(const signaling::IncomingCall& call) {
  second_call_ = call;
  heard_.reset();
  probe_alarm_->Set(net::Loop::Now() + kProbeDelay);
}

void CallSession::OnProbed() {
  if (call_ && second_call_ && !heard_) {
    heard_ = call_->heard();
    call_->Probe();
    return probe_alarm_->Set(net::Loop::Now() + kProbeTime);
  }
  const auto call = std::exchange(second_call_, std::nullopt);
  if (!call) return;
  if (call_ && call_->heard() != heard_) return MissCall(*call);
  if (call_) {
    call_->End(absl::UnavailableError(
        absl::StrCat("nothing comes from ", peer_name_, " any more")));
  }
  // Behind the end of the other one.
  loop_->Post([this, next = *call] {
    if (!leaving_) OnIncoming(next);
    server_->Flush();
  });
}

void CallSession::MissCall(const signaling::IncomingCall& call) {
  RejectCall(call.call, "busy");
  if (rules_.takes) {
    terminal_.Say(absl::StrCat("missed a call from ", call.from));
  }
  server_->Flush();
}

void CallSession::AnswerCall(const std::string& call, const std::string& from,
                             Verdict verdict) {
  if (verdict == Verdict::kNo) return RejectCall(call, "declined");
  if (call_) {
    terminal_.Say(absl::StrCat("missed a call from ", from));
    return RejectCall(call, "busy");
  }
  if (server_->client() == nullptr) return;
  call_id_ = call;
  role_ = CallRole::kCallee;
  // Refused only without a connection, whose end is told apart.
  (void)server_->client()->AcceptCall(net::Loop::Now(), call);
}

void CallSession::RejectCall(const std::string& call,
                             const std::string& reason) {
  if (server_->client() == nullptr) return;
  // Refused only without a connection, whose end is told apart.
  (void)server_->client()->RejectCall(net::Loop::Now(), call, reason);
}

void CallSession::StartCalling(const std::string& to) {
  if (server_->client() == nullptr) {
    return terminal_.Say("not now: the server is away");
  }
  role_ = CallRole::kCaller;
  const absl::Status status =
      server_->client()->StartCall(net::Loop::Now(), to, CallMeta());
  if (!status.ok()) return OnCallFailed(status);
  calling_ = to;
  terminal_.Say(server_->up() ? absl::StrCat("calling ", to, "; waiting for ",
                                             to, " to accept")
                              : absl::StrCat("the server is away; ", to,
                                             " is called when it is back"));
}

// The call that the command line asked for, if it has not begun.
void CallSession::CallAgain() {
  if (call_wanted_ && !call_ && call_id_.empty() && calling_.empty()) {
    StartCalling(options_.call);
  }
}

void CallSession::OnStarted(const signaling::CallStarted& started) {
  if (continuation_) {
    continuation_->new_id = started.call;
    return;
  }
  // They called us in the same moment: it is their call, and accepted.
  calling_.clear();
  questions_.Withdraw(absl::StrCat("call:", started.call));
  if (started.polite) role_ = CallRole::kCallee;
  call_id_ = started.call;
}

void CallSession::OnCallFailed(const absl::Status& status) {
  if (meeting_) return OnAttemptOver(status);
  if (call_wanted_) return FailWith(status);
  terminal_.Say(status.message());
}

void CallSession::OnAccepted(const std::string& call, const std::string& peer) {
  if (continuation_ && continuation_->new_id == call) {
    continuation_.reset();
    call_id_ = call;
    UseServers();
    call_->HandleSignalingBack();
    return;
  }
  if (call_) return;
  call_id_ = call;
  peer_name_ = peer;
  if (!MakeCall()) return;
  if (role_ == CallRole::kCaller) {
    if (const absl::Status status = call_->Start(); !status.ok()) {
      FailWith(status);
    }
  }
}

peer::Options CallSession::Servers() {
  peer::Options options;
  if (options_.relay) options.policy = ice::GatherPolicy::kRelay;
  for (const signaling::IceServer& server : server_->client()->ice_servers()) {
    for (const std::string& url : server.urls) {
      // A server that cannot be used, or of a kind that is not there yet, must
      // not keep peers apart that can do without it.
      (void)AddIceServer(url, ServerKind::kStun, server.username,
                         server.credential, options);
    }
  }
  return options;
}

void CallSession::UseServers() {
  if (call_ && server_->client() != nullptr) call_->UseServers(Servers());
}

std::string CallSession::CallMeta() const {
  if (meeting_) return meeting_->CallMeta();
  return rules_.pipes ? kPipeMeta : "{}";
}

bool CallSession::MakeCall() {
  peer::LoopConnectionOptions options{.connection = Servers()};
  options_.network.ApplyTo(options);
  absl::StatusOr<std::unique_ptr<Call>> made =
      Call::Create(*loop_, *certificate_, options, random_, own_name_, role_,
                   [this](CallEvent event) { OnCall(std::move(event)); });
  if (!made.ok()) {
    FailWith(made.status());
    return false;
  }
  call_ = *std::move(made);
  answerer_ = Answerer();
  if (meeting_) OnAttempt();
  return true;
}

void CallSession::OnEnded(const signaling::CallEnded& ended) {
  if (continuation_ && continuation_->new_id == ended.call) {
    // Somebody who does not continue calls; this one goes on all the same.
    continuation_->new_id.clear();
    return;
  }
  if (second_call_ && second_call_->call == ended.call) second_call_.reset();
  if (ended.call != call_id_) {
    questions_.Withdraw(absl::StrCat("call:", ended.call));
    if (ended.reason != "hangup") terminal_.Say(ended.text);
    return;
  }
  if (call_ && call_->connected() && ended.reason == "peer_lost") {
    // Who has only lost the server is still there.
    continuation_ = Continuation{std::exchange(call_id_, ""), "", true};
    return path_text_.empty() ? EndAsGone() : ContinueCall();
  }
  call_id_.clear();
  if (call_ && call_->connected()) {
    // A page that was closed may not have come to say so itself.
    gone_status_ = ended.reason == "failed" ? absl::UnavailableError(ended.text)
                                            : absl::OkStatus();
    gone_alarm_->Set(net::Loop::Now() + kOvertaken);
    return;
  }
  const absl::Status status = absl::UnavailableError(ended.text);
  if (call_) return call_->End(status);
  OnCallFailed(status);
}

void CallSession::OnConnectionLost(const absl::Status& status) {
  const absl::Time now = net::Loop::Now();
  const bool connected = call_ && call_->connected();
  lost_at_ = now;
  away_since_ = std::min(away_since_, now);
  const bool waits = joined_ && (rules_.waits || meeting_ || connected ||
                                 now - away_since_ < kAwayMax);
  // Who is not let in with his token is not let in by trying again.
  if (!waits || (absl::IsPermissionDenied(status) && !connected)) {
    return FailWith(status);
  }
  terminal_.Say(
      absl::StrCat(status.message(), "; trying again in ",
                   std::max<int64_t>(1, absl::ToInt64Seconds(server_->Retry())),
                   " s", connected ? " (the call goes on without it)" : ""));
  questions_.ShowAgain();
}

// The server knows nothing of us any more, or no server does.
void CallSession::OnSessionLost() {
  questions_.WithdrawAll("call:");
  second_call_.reset();
  join_alarm_->Stop();
  calling_.clear();
  if (continuation_) continuation_->new_id.clear();
  const std::string id = std::exchange(call_id_, "");
  if (id.empty() || !call_) return;
  if (call_->connected()) {
    continuation_ = Continuation{id, ""};
  } else {
    // What is half made needed the server's help.
    call_->End(absl::AbortedError("the server has lost the call"));
  }
}

void CallSession::OnBack() {
  away_since_ = absl::InfiniteFuture();
  terminal_.Say(absl::StrCat("back as ", own_name_));
  UseServers();
  questions_.ShowAgain();
}

bool CallSession::IsContinuation(const signaling::IncomingCall& call) const {
  if (!continuation_ || role_ != CallRole::kCallee || call.from != peer_name_) {
    return false;
  }
  return ContinuedId(call) == continuation_->old_id;
}

void CallSession::EndSignalingCall(const std::string& reason) {
  if (call_id_.empty()) return;
  if (server_->client() != nullptr) {
    // Refused only without a connection, whose end is told apart.
    (void)server_->client()->EndCall(net::Loop::Now(), call_id_, reason);
  }
  call_id_.clear();
  server_->Flush();
}

}  // namespace kyuu::tools
