// One run of a command that makes or takes calls.

#ifndef KYUU_TOOLS_KYUU_CALL_SESSION_H_
#define KYUU_TOOLS_KYUU_CALL_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/system_random.h"
#include "dtls/certificate.h"
#include "net/loop.h"
#include "tools/kyuu/answerer.h"
#include "tools/kyuu/call.h"
#include "tools/kyuu/call_commands.h"
#include "tools/kyuu/code/code_meeting.h"
#include "tools/kyuu/consent.h"
#include "tools/kyuu/errand.h"
#include "tools/kyuu/lines.h"
#include "tools/kyuu/server_line.h"
#include "tools/kyuu/terminal.h"

namespace kyuu::tools {

enum class CallMode : uint8_t { kConnect, kSend, kRecv, kPipe, kPing };

// CallSession is the server, at most one call at a time, and the terminal. A
// call does not hang on the line to the server: that breaks and is made again
// while the call goes on. If the server has forgotten the call by then, the
// caller tells it again (docs/application_protocol.md, "A call that outlives
// its signaling").
class CallSession {
 public:
  CallSession(CallMode mode, const CallOptions& options);
  ~CallSession() { call_.reset(); }

  // The exit status, or why it could not even start: FAILED_PRECONDITION for
  // options that make no sense here.
  absl::StatusOr<int> Run();
  Terminal& terminal() { return terminal_; }

 private:
  // What the commands differ in.
  struct Rules {
    bool takes = false;   // Calls of others.
    bool stores = false;  // Their files.
    bool talks = false;   // A line typed is a line sent.
    bool alone = false;   // Nobody need be there to say so when a call is dead.
    bool calls = false;   // Is over with the call that it makes.
    // Waits for the server for ever, whether somebody is connected or not.
    bool waits = false;
    // Takes calls for a pipe and no others, or the other way round.
    bool pipes = false;
  };
  static Rules RulesOf(CallMode mode, bool answers);

  // A batch of files of the peer.
  struct Offered {
    std::optional<Verdict> verdict;
    uint64_t files_left = 0;
    uint64_t bytes_left = 0;
    std::vector<FileOffered> waiting;  // For the verdict.
  };

  // call_server.cc: the server.
  void OnSignaling(signaling::Client::Event event);
  void Join();
  void OnJoined();
  void OnJoinFailed(const absl::Status& status);
  void OnPeer(const signaling::PeerChanged& change);
  void OnIncoming(const signaling::IncomingCall& call);
  // Who calls while we are in a call: the one we are in may be dead.
  void OnSecondCall(const signaling::IncomingCall& call);
  void OnProbed();
  void MissCall(const signaling::IncomingCall& call);
  void AnswerCall(const std::string& call, const std::string& from,
                  Verdict verdict);
  void RejectCall(const std::string& call, const std::string& reason);
  void StartCalling(const std::string& to);
  void CallAgain();
  void OnStarted(const signaling::CallStarted& started);
  void OnCallFailed(const absl::Status& status);
  void OnAccepted(const std::string& call, const std::string& peer);
  void OnEnded(const signaling::CallEnded& ended);
  void OnConnectionLost(const absl::Status& status);
  void OnSessionLost();
  void OnBack();
  void UseServers();
  bool IsContinuation(const signaling::IncomingCall& call) const;
  peer::Options Servers();
  bool MakeCall();
  // What goes with our calls.
  std::string CallMeta() const;
  void EndSignalingCall(const std::string& reason);

  // call_continuation.cc: a call goes on though signaling has ended it.
  void OnWayLost();
  void EndAsGone();
  // Has the server know again of it.
  void ContinueCall();

  // call_meeting.cc: who is met by a code, not by a name.
  void StartMeeting();
  void TellMeeting();
  void OnMeetingPeer(const signaling::PeerChanged& change);
  // We are in the room, with all who were there before.
  void OnMeetingJoined();
  void OnMeetingNameTaken(const absl::Status& status);
  void OnMeetingCall(const signaling::IncomingCall& call);
  // The call that may prove the code is made.
  void OnAttempt();
  void OnCodeEnded(CodeOutcome outcome);
  // A call, or the attempt of one, is over before a code was proven.
  void OnAttemptOver(const absl::Status& status);
  void OnMeetingTimeout();
  void CallNext();
  void ShowNumber();

  // call_session.cc: the call.
  absl::Status Prepare();
  void TellParts();
  void OnCall(CallEvent event);
  void MakeErrand(CallMode mode);
  void OnConnected();
  void OnAside(Aside& aside);
  void OnPath(const PathFound& path);
  void ReportCall(signaling::CallOutcome outcome);
  void OnFileOffered(const FileOffered& offer);
  void Decide(Offered& offered, const std::string& key);
  void AnswerFiles(Offered& offered, Verdict verdict);
  void OnWithdrawn(const std::string& id);
  void OnFinished(const FileFinished& finished);
  // A file that comes has failed, and may be sent again.
  void BreakOff(const std::string& name);
  void OnOver(const absl::Status& status);

  // The person.
  void OnLine(std::optional<std::string> line);
  void OnEndOfLines();
  void OnCommand(const std::string& line);
  void Talk(const std::string& line);
  void Interrupt();

  bool any_failed() const { return files_failed_ > 0 || !broken_off_.empty(); }
  void Leave(int code);
  void FailWith(const absl::Status& status) {
    terminal_.Complain(status);
    Leave(1);
  }

  const CallMode mode_;
  const Rules rules_;
  const CallOptions options_;
  Terminal terminal_;
  Consent consent_;
  Questions questions_;
  SystemRandom random_;
  std::unique_ptr<net::Loop> loop_;
  std::optional<dtls::Certificate> certificate_;
  std::unique_ptr<ServerLine> server_;
  std::unique_ptr<Call> call_;
  std::unique_ptr<Errand> errand_;  // Of pipe and ping.
  Answerer answerer_;               // Of call_, without one.
  std::unique_ptr<net::Alarm> leaving_alarm_;
  std::unique_ptr<net::Alarm> gone_alarm_;   // Ends call_ with gone_status_.
  std::unique_ptr<net::Alarm> join_alarm_;   // Joins again.
  std::unique_ptr<net::Alarm> call_alarm_;   // Calls again.
  std::unique_ptr<net::Alarm> probe_alarm_;  // Ends second_call_'s wait.
  std::unique_ptr<net::Alarm> meeting_alarm_;
  std::optional<CodeMeeting> meeting_;  // With a code.
  absl::Status gone_status_;
  std::optional<signaling::IncomingCall> second_call_;
  std::optional<uint64_t> heard_;  // When the probe for it went out.
  std::unique_ptr<StdinLines> lines_;

  std::string own_name_;  // In the room.
  bool joined_ = false;   // Once, at least.
  absl::Time lost_at_ = absl::InfinitePast();
  // Files have come in part before: a run of ours that was killed may hold our
  // name.
  bool has_parts_ = false;
  // Since when the server is away; InfiniteFuture while it is not.
  absl::Time away_since_ = absl::InfiniteFuture();
  std::string calling_;  // Whom we have asked the server to call.
  std::string call_id_;  // In signaling; empty without a call.
  // A call that goes on though signaling has ended it: its old id, and the new
  // one while that is not accepted yet.
  struct Continuation {
    std::string old_id;
    std::string new_id;
    bool peer_lost = false;  // The server says that its session is over.
  };
  std::optional<Continuation> continuation_;
  std::string peer_name_;
  std::string path_text_;
  CallRole role_ = CallRole::kCallee;
  // The call that the command line asked for has neither begun nor failed.
  bool call_wanted_ = false;
  // What was typed before that call began.
  std::vector<std::string> held_lines_;
  bool lines_ended_ = false;
  bool talked_ = false;  // Somebody was connected, once at least.
  std::map<std::string, Offered> offered_;  // By key, of this call.
  size_t files_left_ = 0;
  size_t files_failed_ = 0;
  // Files of others that have failed as well, until they are sent again.
  std::set<std::string> broken_off_;
  bool leaving_ = false;
  int code_ = 0;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CALL_SESSION_H_
