// How a CallSession finds the other one by a code, and who that is.

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tools/kyuu/call_session.h"

namespace kyuu::tools {

void CallSession::StartMeeting() {
  if (!options_.code) return;
  meeting_.emplace(net::Loop::Now(),
                   rules_.calls ? CodeRole::kSender : CodeRole::kReceiver,
                   *options_.code, random_);
  own_name_ = meeting_->name();
  meeting_alarm_->Set(meeting_->NextTimeout());
}

void CallSession::OnMeetingNameTaken(const absl::Status& status) {
  if (!absl::IsAlreadyExists(status) || !meeting_->HandleNameTaken()) {
    return FailWith(status);
  }
  own_name_ = meeting_->name();
  Join();
}

void CallSession::TellMeeting() {
  if (meeting_->role() == CodeRole::kReceiver) {
    return terminal_.Say(absl::StrCat(
        errand_ ? "looking for who has shown " : "looking for who sends by ",
        meeting_->code().number()));
  }
  const std::string command = absl::StrCat(
      "kyuu ",
      mode_ == CallMode::kPipe   ? "pipe"
      : mode_ == CallMode::kPing ? "ping"
                                 : "recv",
      " ", options_.address,
      options_.room.empty() ? "" : absl::StrCat(" --room ", options_.room),
      errand_ ? " --code" : "");
  const std::string code = meeting_->code().Text();
  terminal_.Say(absl::StrCat("the code is  ", code,
                             "\non the other machine:  ", command));
  // As it is to be typed there.
  terminal_.DrawQr(absl::StrCat(command, "\n", code, "\n"), options_.qr);
}

void CallSession::OnMeetingJoined() {
  meeting_->HandleJoined();
  for (const auto& [name, meta] : server_->client()->peers()) {
    meeting_->HandlePeer(name, meta);
  }
  CallNext();
}

void CallSession::OnMeetingPeer(const signaling::PeerChanged& change) {
  if (change.change != signaling::PresenceChange::kLeft) {
    meeting_->HandlePeer(change.peer.name, change.peer.meta);
    return CallNext();
  }
  meeting_->HandlePeerLeft(change.peer.name);
  // What becomes of a call is told by the call.
  if (!meeting_->sender_gone() || call_ || !call_id_.empty()) return;
  FailWith(absl::UnavailableError(
      "the sender has gone: a code is good for one receiver, and one try"));
}

void CallSession::CallNext() {
  if (call_ || !call_id_.empty() || !calling_.empty() ||
      server_->client() == nullptr) {
    return;
  }
  if (const std::optional<std::string> next = meeting_->WhomToCall()) {
    StartCalling(*next);
    server_->Flush();
  }
}

// Only a sender calls, and its call says so. Another call is a sender's that
// goes on with ours, or a stranger's.
void CallSession::OnMeetingCall(const signaling::IncomingCall& call) {
  if (IsContinuation(call)) return OnIncoming(call);
  if (!meeting_->IsCall(call.meta)) return RejectCall(call.call, "declined");
  if (call_ || !call_id_.empty()) return RejectCall(call.call, "busy");
  AnswerCall(call.call, call.from, Verdict::kYes);
}

void CallSession::OnAttempt() {
  call_->RequireCode(meeting_->role(), meeting_->code());
  meeting_->HandleAttempt(net::Loop::Now());
  meeting_alarm_->Set(meeting_->NextTimeout());
}

void CallSession::OnCodeEnded(CodeOutcome outcome) {
  meeting_->HandleOutcome(outcome);
  if (!meeting_->proven()) return;
  meeting_alarm_->Stop();
  terminal_.Say("the code is right, and nobody sits in the middle");
}

void CallSession::OnAttemptOver(const absl::Status& status) {
  meeting_->HandleAttemptOver();
  meeting_alarm_->Set(meeting_->NextTimeout());
  // Aborted: the server has started anew, and both come back to it.
  const bool goes_on =
      meeting_->role() == CodeRole::kSender || absl::IsAborted(status);
  if (meeting_->burnt() || !goes_on) return FailWith(status);
  terminal_.Say(absl::StrCat(status.message(), "; the code is still good"));
  // Behind the end of the call.
  loop_->Post([this] {
    if (!leaving_) CallNext();
  });
}

void CallSession::OnMeetingTimeout() {
  if (leaving_) return;
  if (call_ && meeting_->AttemptIsLate(net::Loop::Now())) {
    return call_->End(absl::DeadlineExceededError(
        "nothing came of the connection within 30 s"));
  }
  FailWith(absl::DeadlineExceededError(
      meeting_->role() == CodeRole::kSender
          ? "nobody came for the code within an hour"
          : "nobody sent by this code within an hour"));
}

void CallSession::ShowNumber() {
  const std::optional<std::string> number = call_->number();
  terminal_.Say(
      number
          ? absl::StrCat("the number of this connection is ", *number, ". If ",
                         peer_name_, " has the same, nobody sits in the middle")
          : absl::StrCat("there is no number to compare: the program of ",
                         peer_name_, " has not said its part of it"));
}

}  // namespace kyuu::tools
