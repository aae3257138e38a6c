// How two who have the same code find each other at a server: both join a room
// that has the code's number in its name, and the sender calls the receivers,
// one after the other (docs/application_protocol.md, "Codes").

#ifndef KYUU_TOOLS_KYUU_CODE_CODE_MEETING_H_
#define KYUU_TOOLS_KYUU_CODE_CODE_MEETING_H_

#include <algorithm>
#include <deque>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "tools/kyuu/code/code.h"
#include "tools/kyuu/code/code_exchange.h"

namespace kyuu::tools {

// CodeMeeting is one side's way to the other. It has no I/O: what the server
// says goes in, and it tells whom to call, and when to give up.
class CodeMeeting {
 public:
  // How long one waits for the other.
  static constexpr absl::Duration kWaitMax = absl::Hours(1);
  // How long a call may take to come to a proof: the search for a way, and an
  // exchange (CodeExchange::kTimeMax) if it was found at once.
  static constexpr absl::Duration kAttemptMax = absl::Seconds(30);
  // Numbers that a sender tries, if others have them.
  static constexpr int kNumbersMax = 10;
  // Receivers that may wait for their turn; of more those that came last.
  static constexpr size_t kWaitingMax = 16;

  // `random` must outlive it.
  CodeMeeting(absl::Time now, CodeRole role, const Code& code, Random& random);

  CodeRole role() const { return role_; }
  const Code& code() const { return code_; }
  // What to join as: "code-4821", "sender-4821", and JSON for the server.
  std::string Room() const;
  const std::string& name() const { return name_; }
  std::string PeerMeta() const;
  // What goes with a call, and whether an incoming one is the sender's.
  std::string CallMeta() const;
  bool IsCall(absl::string_view meta) const;

  // Another one has our name: true if there is another number to try.
  bool HandleNameTaken();
  // We have joined, perhaps once more; who is there is told by HandlePeer.
  void HandleJoined();
  // `meta` is that peer's.
  void HandlePeer(absl::string_view name, absl::string_view meta);
  void HandlePeerLeft(absl::string_view name);
  // The receiver whose turn it is; the sender asks when it is in no call.
  std::optional<std::string> WhomToCall();

  // A call has begun at `now`, or is over without a proof.
  void HandleAttempt(absl::Time now) { attempt_deadline_ = now + kAttemptMax; }
  void HandleAttemptOver() { attempt_deadline_ = absl::InfiniteFuture(); }
  bool AttemptIsLate(absl::Time now) const { return now >= attempt_deadline_; }

  // How an exchange ended. Behind kBroken and kSilent others may follow.
  void HandleOutcome(CodeOutcome outcome) { outcome_ = outcome; }
  bool proven() const { return outcome_ == CodeOutcome::kProven; }
  // A guess was made, or a middle found: nothing more comes of this code.
  bool burnt() const {
    return outcome_ == CodeOutcome::kWrong || outcome_ == CodeOutcome::kMiddle;
  }

  // The sender was there and is not any more: what a receiver waits for does
  // not come.
  bool sender_gone() const { return sender_gone_; }
  // When the call is late, or the wait has an end; neither once the code is
  // proven.
  absl::Time NextTimeout() const {
    return proven() ? absl::InfiniteFuture()
                    : std::min(deadline_, attempt_deadline_);
  }

 private:
  void UseNames();

  const CodeRole role_;
  Code code_;
  Random& random_;
  const absl::Time deadline_;
  absl::Time attempt_deadline_ = absl::InfiniteFuture();
  std::string name_;
  int numbers_ = 1;
  std::deque<std::string> waiting_;  // Receivers, for the sender.
  std::set<std::string> senders_;    // For the receiver.
  bool sender_gone_ = false;
  std::optional<CodeOutcome> outcome_;
};

// What a person is told of an outcome that is not kProven.
std::string OutcomeText(CodeRole role, CodeOutcome outcome);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CODE_CODE_MEETING_H_
