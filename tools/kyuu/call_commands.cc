#include "tools/kyuu/call_commands.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "dtls/certificate.h"
#include "net/loop.h"
#include "tools/kyuu/call.h"
#include "tools/kyuu/file_sender.h"
#include "tools/kyuu/ice_servers.h"
#include "tools/kyuu/lines.h"
#include "tools/kyuu/overload.h"
#include "tools/kyuu/printable.h"
#include "tools/kyuu/progress.h"
#include "tools/kyuu/signaling_link.h"

namespace kyuu::tools {
namespace {

// How long a goodbye may take on its way to the server and the peer.
constexpr absl::Duration kLeavingTime = absl::Seconds(2);
constexpr absl::Duration kLastPackets = absl::Milliseconds(20);
// A goodbye by way of the server may overtake what the peer said before it.
constexpr absl::Duration kOvertaken = absl::Seconds(1);

enum class Mode : uint8_t { kConnect, kSend, kRecv };

// Session is one run of a command: the server, at most one call, the terminal.
class Session {
 public:
  Session(Mode mode, const CallOptions& options)
      : mode_(mode), options_(options) {}
  ~Session() { call_.reset(); }

  // The exit status, or why it could not even start.
  absl::StatusOr<int> Run();

 private:
  // Server.
  void OnSignaling(signaling::Client::Event event);
  void OnJoined();
  void OnPeer(const signaling::PeerChanged& change);
  void StartCalling(const std::string& to);
  void OnAccepted(const std::string& call, const std::string& peer);
  bool MakeCall(CallRole role);
  void OnPeerHungUp(const signaling::CallEnded& ended);
  void EndSignalingCall(const std::string& reason);

  // Call.
  void OnCall(CallEvent event);
  void OnConnected();
  void OnFileOffered(const FileOffered& offer);
  void OnFinished(const FileFinished& finished);
  void OnOver(const absl::Status& status);

  // Terminal.
  void OnLine(std::optional<std::string> line);
  void OnCommand(const std::string& line);
  void Say(const std::string& text);
  void Show(const FileProgress& progress);
  void ClearProgress();

  void Leave(int code);
  void FailWith(const absl::Status& status) {
    ClearProgress();
    std::fprintf(stderr, "kyuu: %s\n", std::string(status.message()).c_str());
    Leave(1);
  }

  const Mode mode_;
  const CallOptions options_;
  SystemRandom random_;
  std::unique_ptr<net::Loop> loop_;
  std::optional<dtls::Certificate> certificate_;
  std::unique_ptr<SignalingLink> link_;
  std::unique_ptr<Call> call_;
  std::unique_ptr<net::Alarm> leaving_alarm_;
  std::unique_ptr<net::Alarm> gone_alarm_;  // Ends call_ with gone_status_.
  absl::Status gone_status_;
  std::unique_ptr<StdinLines> lines_;

  std::string call_id_;  // In signaling; empty without a call.
  std::string peer_name_;
  CallRole role_ = CallRole::kCallee;
  bool called_ = false;  // The call that the command line asked for was tried.
  size_t files_left_ = 0;
  size_t files_failed_ = 0;
  std::map<std::pair<FileDirection, std::string>, Progress> progress_;
  bool progress_shown_ = false;
  bool leaving_ = false;
  int code_ = 0;
};

absl::StatusOr<int> Session::Run() {
  // Nobody is called for a file that is not there.
  for (const std::string& file : options_.files) {
    KYUU_RETURN_IF_ERROR(FileSender::Open("", file).status());
  }
  KYUU_ASSIGN_OR_RETURN(loop_, net::Loop::Create());
  KYUU_ASSIGN_OR_RETURN(
      const std::unique_ptr<net::SignalWatch> signals,
      net::SignalWatch::Create(*loop_, {SIGINT, SIGTERM}, [this](int) {
        // A person who ends a chat or a wait has not failed; a transfer has.
        Leave(files_left_ > 0 || !progress_.empty() ? 1 : 0);
      }));
  KYUU_ASSIGN_OR_RETURN(certificate_, dtls::Certificate::Generate(absl::Now()));
  leaving_alarm_ = std::make_unique<net::Alarm>(*loop_, [this] {
    EndSignalingCall(code_ == 0 ? "done" : "failed");
    if (link_) link_->Close();
    loop_->Stop();
  });
  gone_alarm_ = std::make_unique<net::Alarm>(*loop_, [this] {
    if (call_) call_->End(gone_status_);
  });
  KYUU_ASSIGN_OR_RETURN(
      link_, SignalingLink::Connect(*loop_, random_, options_.url,
                                    [this](signaling::Client::Event event) {
                                      OnSignaling(std::move(event));
                                    }));
  link_->Flush();
  if (mode_ == Mode::kConnect) {
    lines_ = std::make_unique<StdinLines>(
        *loop_,
        [this](std::optional<std::string> line) { OnLine(std::move(line)); });
  }
  loop_->Run();
  lines_.reset();
  call_.reset();
  link_.reset();
  leaving_alarm_.reset();
  gone_alarm_.reset();
  return code_;
}

// --- The server ---

void Session::OnSignaling(signaling::Client::Event event) {
  if (leaving_) return;
  const absl::Time now = net::Loop::Now();
  std::visit(
      Overload{
          [&](signaling::Ready&) {
            const absl::Status status =
                link_->client().JoinRoom(now, options_.name, options_.room,
                                         R"({"app":"kyuu","kind":"cli"})");
            if (!status.ok()) FailWith(status);
          },
          [&](signaling::JoinedRoom&) { OnJoined(); },
          [&](signaling::JoinFailed& failed) { FailWith(failed.status); },
          [&](signaling::PeerChanged& changed) { OnPeer(changed); },
          [&](signaling::CallStarted& started) { call_id_ = started.call; },
          [&](signaling::CallFailed& failed) {
            if (mode_ == Mode::kSend || called_) return FailWith(failed.status);
            Say(std::string(failed.status.message()));
          },
          [&](signaling::IncomingCall& call) {
            if (call_ || mode_ == Mode::kSend) {
              // Refused only without a connection, whose end is told apart.
              (void)link_->client().RejectCall(now, call.call, "busy");
              return;
            }
            call_id_ = call.call;
            role_ = CallRole::kCallee;
            // Refused only without a connection, whose end is told apart.
            (void)link_->client().AcceptCall(now, call.call);
          },
          [&](signaling::CallAccepted& accepted) {
            OnAccepted(accepted.call, accepted.peer);
          },
          [&](signaling::CallEnded& ended) {
            if (ended.call != call_id_) return;
            call_id_.clear();
            if (call_ && call_->connected()) return OnPeerHungUp(ended);
            if (call_) return OnOver(absl::UnavailableError(ended.text));
            if (mode_ == Mode::kSend) {
              return FailWith(absl::UnavailableError(ended.text));
            }
            Say(ended.text);
          },
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
          [&](signaling::ErrorReceived& error) { Say(error.error.message); },
          [&](signaling::ClientClosed& closed) {
            // Peers that are connected need no server any more.
            if (call_ && call_->connected() && mode_ != Mode::kRecv) {
              Say(absl::StrCat(closed.status.message(),
                               " (the call goes on without it)"));
              return;
            }
            FailWith(closed.status);
          },
          [](auto&) {},
      },
      event);
}

void Session::OnJoined() {
  if (mode_ == Mode::kSend) return StartCalling(options_.call);
  std::vector<std::string> names;
  for (const auto& [name, meta] : link_->client().peers()) {
    names.push_back(name);
  }
  Say(absl::StrCat("joined as ", options_.name, "; ",
                   names.empty()
                       ? "nobody else is here"
                       : absl::StrCat("here: ", absl::StrJoin(names, ", "))));
  if (!options_.call.empty()) return StartCalling(options_.call);
  Say(mode_ == Mode::kRecv ? "waiting for files"
                           : "type /call NAME, or wait to be called");
}

void Session::OnPeer(const signaling::PeerChanged& change) {
  if (mode_ != Mode::kConnect) return;
  if (change.change == signaling::PresenceChange::kJoined) {
    Say(absl::StrCat(change.peer.name, " came"));
  } else if (change.change == signaling::PresenceChange::kLeft) {
    Say(absl::StrCat(change.peer.name, " left"));
  }
}

void Session::StartCalling(const std::string& to) {
  called_ = !options_.call.empty();
  role_ = CallRole::kCaller;
  const absl::Status status = link_->client().StartCall(net::Loop::Now(), to);
  if (!status.ok()) {
    if (mode_ == Mode::kSend) return FailWith(status);
    return Say(std::string(status.message()));
  }
  Say(absl::StrCat("calling ", to));
}

void Session::OnAccepted(const std::string& call, const std::string& peer) {
  if (call_) return;
  called_ = false;
  call_id_ = call;
  peer_name_ = peer;
  if (!MakeCall(role_)) return;
  if (role_ == CallRole::kCaller) {
    if (const absl::Status status = call_->Start(); !status.ok()) {
      FailWith(status);
    }
  }
}

bool Session::MakeCall(CallRole role) {
  peer::Options options;
  if (options_.relay) options.policy = ice::GatherPolicy::kRelay;
  for (const signaling::IceServer& server : link_->client().ice_servers()) {
    for (const std::string& url : server.urls) {
      // A server that cannot be used, or of a kind that is not there yet, must
      // not keep peers apart that can do without it.
      (void)AddIceServer(url, ServerKind::kStun, server.username,
                         server.credential, options);
    }
  }
  absl::StatusOr<std::unique_ptr<Call>> made =
      Call::Create(*loop_, *certificate_, options, random_, options_.name, role,
                   [this](CallEvent event) { OnCall(std::move(event)); });
  if (!made.ok()) {
    FailWith(made.status());
    return false;
  }
  call_ = *std::move(made);
  return true;
}

void Session::OnPeerHungUp(const signaling::CallEnded& ended) {
  // Who has only lost the server is still there. Others are not, and a page
  // that was closed may not have come to say so itself.
  if (ended.reason == "peer_lost") return;
  gone_status_ = ended.reason == "failed" ? absl::UnavailableError(ended.text)
                                          : absl::OkStatus();
  gone_alarm_->Set(net::Loop::Now() + kOvertaken);
}

void Session::EndSignalingCall(const std::string& reason) {
  if (call_id_.empty()) return;
  // Refused only without a connection, whose end is told apart.
  (void)link_->client().EndCall(net::Loop::Now(), call_id_, reason);
  call_id_.clear();
  link_->Flush();
}

// --- The call ---

void Session::OnCall(CallEvent event) {
  const absl::Time now = net::Loop::Now();
  std::visit(Overload{
                 [&](LocalDescription& description) {
                   // Refused only without a connection, whose end is told
                   // apart.
                   (void)link_->client().SendDescription(
                       now, call_id_, description.kind, description.sdp);
                   link_->Flush();
                 },
                 [&](LocalCandidate& candidate) {
                   // Refused only without a connection, whose end is told
                   // apart.
                   (void)link_->client().SendCandidate(now, call_id_,
                                                       candidate.candidate);
                   link_->Flush();
                 },
                 [&](Connected&) { OnConnected(); },
                 [&](PathFound& path) {
                   Say(absl::StrCat(path.relayed ? "relayed" : "direct",
                                    " way to ", peer_name_, " (", path.local,
                                    " to ", path.remote, ")"));
                 },
                 [&](ChatReceived& chat) {
                   ClearProgress();
                   std::printf("%s: %s\n", peer_name_.c_str(),
                               Printable(chat.text).c_str());
                   std::fflush(stdout);
                 },
                 [&](FileOffered& offer) { OnFileOffered(offer); },
                 [&](FileProgress& progress) { Show(progress); },
                 [&](FileFinished& finished) { OnFinished(finished); },
                 [&](CallOver& over) { OnOver(over.status); },
             },
             event);
}

void Session::OnConnected() {
  Say(absl::StrCat("connected to ", peer_name_));
  for (const std::string& file : options_.files) {
    const absl::StatusOr<std::string> id = call_->OfferFile(file);
    if (!id.ok()) return FailWith(id.status());
    ++files_left_;
  }
}

void Session::OnFileOffered(const FileOffered& offer) {
  if (mode_ == Mode::kSend) return call_->RejectFile(offer.id, "declined");
  Say(absl::StrCat(peer_name_, " sends ", offer.name, " (",
                   FormatBytes(static_cast<double>(offer.size)), ")"));
  const absl::Status status = call_->AcceptFile(
      offer.id, options_.folder,
      options_.overwrite ? IfExists::kOverwrite : IfExists::kRename);
  if (!status.ok()) Say(std::string(status.message()));
}

void Session::OnFinished(const FileFinished& finished) {
  ClearProgress();
  progress_.erase({finished.direction, finished.id});
  const bool out = finished.direction == FileDirection::kOut;
  if (finished.status.ok()) {
    std::printf("%s %s  %s  sha256 %s\n", out ? "sent" : "received",
                Printable(out ? finished.name : finished.path).c_str(),
                FormatBytes(static_cast<double>(finished.size)).c_str(),
                finished.sha256.c_str());
    std::fflush(stdout);
  } else {
    std::fprintf(stderr, "kyuu: %s: %s\n", Printable(finished.name).c_str(),
                 std::string(finished.status.message()).c_str());
    ++files_failed_;
  }
  if (!out || files_left_ == 0 || --files_left_ > 0) return;
  if (mode_ == Mode::kSend) Leave(files_failed_ > 0 ? 1 : 0);
}

void Session::OnOver(const absl::Status& status) {
  if (leaving_) {
    // The goodbye has arrived. By way of the alarm: the last packets first.
    leaving_alarm_->Set(net::Loop::Now() + kLastPackets);
    return;
  }
  gone_alarm_->Stop();
  EndSignalingCall(status.ok() ? "done" : "failed");
  // Destroying the call from within its own handler is not allowed.
  loop_->Post([this] { call_.reset(); });
  const bool failed = !status.ok() || files_failed_ > 0;
  if (mode_ == Mode::kSend) {
    return FailWith(status.ok() ? absl::UnavailableError(
                                      "the other side hung up before the "
                                      "files were through")
                                : status);
  }
  Say(status.ok() ? absl::StrCat(peer_name_, " hung up")
                  : std::string(status.message()));
  if (options_.once || !options_.call.empty()) Leave(failed ? 1 : 0);
}

// --- The terminal ---

void Session::OnLine(std::optional<std::string> line) {
  if (leaving_) return;
  if (!line) return Leave(0);
  if (line->empty()) return;
  if ((*line)[0] == '/') {
    OnCommand(*line);
  } else if (!call_ || !call_->connected()) {
    Say("nobody is connected yet");
  } else if (const absl::Status sent = call_->SendChat(*line); !sent.ok()) {
    Say(std::string(sent.message()));
  }
  if (link_) link_->Flush();
}

void Session::OnCommand(const std::string& line) {
  const size_t blank = line.find(' ');
  const std::string word = line.substr(0, blank);
  const std::string rest =
      blank == std::string::npos ? "" : line.substr(blank + 1);
  if (word == "/quit") return Leave(0);
  if (word == "/hangup" && call_) return call_->HangUp();
  if (word == "/call" && !rest.empty() && !call_) return StartCalling(rest);
  if (word == "/send" && !rest.empty() && call_) {
    const absl::StatusOr<std::string> id = call_->OfferFile(rest);
    if (!id.ok()) Say(std::string(id.status().message()));
    return;
  }
  Say("/call NAME, /send FILE, /hangup or /quit");
}

void Session::Say(const std::string& text) {
  ClearProgress();
  std::fprintf(stderr, "%s\n", Printable(text).c_str());
}

void Session::Show(const FileProgress& progress) {
  const absl::Time now = net::Loop::Now();
  const auto it = progress_
                      .try_emplace({progress.direction, progress.id},
                                   Printable(progress.name), progress.size, now)
                      .first;
  it->second.Update(now, progress.done);
  if (!isatty(STDERR_FILENO) || !it->second.ShouldShow(now)) return;
  std::fprintf(stderr, "\r\033[K%s", it->second.Line().c_str());
  progress_shown_ = true;
}

void Session::ClearProgress() {
  if (progress_shown_) std::fprintf(stderr, "\r\033[K");
  progress_shown_ = false;
}

void Session::Leave(int code) {
  if (leaving_) return;
  leaving_ = true;
  code_ = code;
  ClearProgress();
  // The server last: with the session go its relays, and a goodbye on them.
  leaving_alarm_->Set(net::Loop::Now() + (call_ ? kLeavingTime : kLastPackets));
  if (call_) call_->HangUp();
}

int Start(Mode mode, const CallOptions& options) {
  Session session(mode, options);
  const absl::StatusOr<int> code = session.Run();
  if (code.ok()) return *code;
  std::fprintf(stderr, "kyuu: %s\n",
               std::string(code.status().message()).c_str());
  return 1;
}

}  // namespace

int RunConnect(const CallOptions& options) {
  return Start(Mode::kConnect, options);
}
int RunSend(const CallOptions& options) { return Start(Mode::kSend, options); }
int RunRecv(const CallOptions& options) { return Start(Mode::kRecv, options); }

}  // namespace kyuu::tools
