#include "tools/kyuu/call_session.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "tools/kyuu/file_receiver.h"
#include "tools/kyuu/file_sender.h"
#include "tools/kyuu/overload.h"
#include "tools/kyuu/progress.h"
#include "tools/kyuu/transfer/part_file.h"
#include "tools/kyuu/transfer/resumption.h"

namespace kyuu::tools {
namespace {

// How long a goodbye may take on its way to the server and the peer.
constexpr absl::Duration kLeavingTime = absl::Seconds(2);
constexpr absl::Duration kLastPackets = absl::Milliseconds(20);
// What a pipe may say before the call that it is for.
constexpr size_t kHeldLinesMax = 1000;
// Files that may still go on, of which it is known which they are.
constexpr size_t kBrokenOffMax = 1000;

TerminalKind KindOf(int fd) {
  return isatty(fd) != 0 ? TerminalKind::kPerson : TerminalKind::kPipe;
}

std::string ProgressKey(FileDirection direction, const std::string& id) {
  return absl::StrCat(direction == FileDirection::kOut ? "out " : "in ", id);
}

}  // namespace

CallSession::Rules CallSession::RulesOf(CallMode mode, bool answers) {
  const bool pipes = mode == CallMode::kPipe;
  switch (mode) {
    case CallMode::kConnect:
      return {.takes = true, .stores = true, .talks = true, .waits = true};
    case CallMode::kSend:
      return {.calls = true};
    case CallMode::kRecv:
      return {.takes = true, .stores = true, .alone = true, .waits = true};
    case CallMode::kPipe:
    case CallMode::kPing:
      return answers ? Rules{.takes = true, .waits = true, .pipes = pipes}
                     : Rules{.calls = true, .pipes = pipes};
  }
  return {};
}

CallSession::CallSession(CallMode mode, const CallOptions& options)
    : mode_(mode),
      rules_(RulesOf(mode, options.answers)),
      options_(options),
      // The stdout of a pipe is the other side's.
      terminal_(mode == CallMode::kPipe ? stderr : stdout, stderr,
                KindOf(STDERR_FILENO)),
      consent_{.everybody = options.yes || options.code.has_value(),
               .from = options.from,
               .size_max = options.size_max,
               .person = KindOf(STDIN_FILENO) == TerminalKind::kPerson &&
                                 rules_.stores
                             ? Consent::Person::kThere
                             : Consent::Person::kNobody},
      questions_([this](const std::string& text) { terminal_.Ask(text); }),
      own_name_(options.name),
      call_wanted_(!options.call.empty()) {}

// What can be known to fail before anybody is called.
absl::Status CallSession::Prepare() {
  for (const std::string& file : options_.files) {
    KYUU_RETURN_IF_ERROR(FileSender::Open("", file).status());
  }
  if (!rules_.takes) return absl::OkStatus();
  if (rules_.stores && !rules_.talks) {
    KYUU_RETURN_IF_ERROR(FileReceiver::Probe(options_.folder));
    TellParts();
  }
  const bool can_take = consent_.everybody || !consent_.from.empty() ||
                        consent_.person == Consent::Person::kThere;
  if (!can_take && !rules_.talks) {
    return absl::FailedPreconditionError(
        rules_.stores
            ? "there is no terminal on which to ask whether a file is wanted: "
              "name who may send with --from NAME, or take everything with "
              "--yes"
            : "nobody is asked whether a call is wanted: name who may call "
              "with --from NAME, or take everybody with --yes");
  }
  return absl::OkStatus();
}

// What has come in part in other runs.
void CallSession::TellParts() {
  constexpr size_t kTold = 3;
  const auto parts = ListParts(options_.folder);
  if (!parts.ok() || parts->empty()) return;
  has_parts_ = true;
  std::string text;
  for (size_t i = 0; i < std::min(kTold, parts->size()); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", PartText((*parts)[i]));
  }
  if (parts->size() > kTold) {
    absl::StrAppend(&text, " and ", parts->size() - kTold, " more");
  }
  terminal_.Say(absl::StrCat(
      "here in part: ", text,
      "; what is sent again goes on (kyuu parts lists them, and throws away)"));
}

absl::StatusOr<int> CallSession::Run() {
  // A limit on the size of files is an error of a write, not the end of us.
  std::signal(SIGXFSZ, SIG_IGN);
  KYUU_RETURN_IF_ERROR(Prepare());
  KYUU_ASSIGN_OR_RETURN(loop_, net::Loop::Create());
  KYUU_ASSIGN_OR_RETURN(const std::unique_ptr<net::SignalWatch> signals,
                        net::SignalWatch::Create(*loop_, {SIGINT, SIGTERM},
                                                 [this](int) { Interrupt(); }));
  KYUU_ASSIGN_OR_RETURN(certificate_, dtls::Certificate::Generate(absl::Now()));
  leaving_alarm_ = std::make_unique<net::Alarm>(*loop_, [this] {
    EndSignalingCall(code_ == 0 ? "done" : "failed");
    server_->Close([this] { loop_->Stop(); });
  });
  gone_alarm_ = std::make_unique<net::Alarm>(*loop_, [this] {
    if (call_) call_->End(gone_status_);
  });
  join_alarm_ = std::make_unique<net::Alarm>(*loop_, [this] { Join(); });
  meeting_alarm_ =
      std::make_unique<net::Alarm>(*loop_, [this] { OnMeetingTimeout(); });
  StartMeeting();
  MakeErrand(mode_);
  probe_alarm_ = std::make_unique<net::Alarm>(*loop_, [this] { OnProbed(); });
  call_alarm_ = std::make_unique<net::Alarm>(*loop_, [this] {
    CallAgain();
    server_->Flush();
  });
  server_ = std::make_unique<ServerLine>(
      *loop_, random_, options_.url, options_.token_file,
      [this](signaling::Client::Event event) {
        OnSignaling(std::move(event));
      });
  KYUU_RETURN_IF_ERROR(server_->Connect());
  if (rules_.talks ||
      (rules_.takes && consent_.person == Consent::Person::kThere)) {
    lines_ = std::make_unique<StdinLines>(
        *loop_,
        [this](std::optional<std::string> line) { OnLine(std::move(line)); });
  }
  loop_->Run();
  lines_.reset();
  call_.reset();
  errand_.reset();
  server_.reset();
  for (auto* alarm : {&leaving_alarm_, &gone_alarm_, &join_alarm_, &call_alarm_,
                      &probe_alarm_, &meeting_alarm_}) {
    alarm->reset();
  }
  return code_;
}

// --- The call ---

void CallSession::OnCall(CallEvent event) {
  const absl::Time now = net::Loop::Now();
  signaling::Client* const client = server_->client();
  std::visit(
      Overload{
          [&](LocalDescription& description) {
            if (client == nullptr || call_id_.empty()) return;
            // Refused only for a call that has just ended.
            (void)client->SendDescription(now, call_id_, description.kind,
                                          description.sdp);
            server_->Flush();
          },
          [&](LocalCandidate& candidate) {
            if (client == nullptr || call_id_.empty()) return;
            // Refused only for a call that has just ended.
            (void)client->SendCandidate(now, call_id_, candidate.candidate);
            server_->Flush();
          },
          [&](CodeEnded& code) { OnCodeEnded(code.outcome); },
          [&](Connected&) { OnConnected(); },
          [&](NumberKnown&) {
            if (options_.verify) ShowNumber();
          },
          [&](PathFound& path) { OnPath(path); },
          [&](WayLost&) { OnWayLost(); },
          [&](ChatReceived& chat) {
            if (errand_) return;
            terminal_.Chat(peer_name_, chat.text);
            questions_.ShowAgain();
          },
          [&](FileOffered& offer) { OnFileOffered(offer); },
          [&](FileWithdrawn& withdrawn) { OnWithdrawn(withdrawn.id); },
          [&](FileResumed& resumed) {
            terminal_.Say(
                ResumptionText(resumed.name, resumed.size, resumed.from));
            questions_.ShowAgain();
          },
          [&](FileProgress& progress) {
            if (!questions_.empty()) return;
            terminal_.Show(ProgressKey(progress.direction, progress.id),
                           progress.name, progress.done, progress.size, now);
          },
          [&](FileFinished& finished) { OnFinished(finished); },
          [&](Aside& aside) { OnAside(aside); },
          [&](CallOver& over) { OnOver(over.status); },
      },
      event);
}

void CallSession::OnConnected() {
  talked_ = true;
  call_wanted_ = false;
  terminal_.Say(absl::StrCat("connected to ", peer_name_));
  if (errand_) return errand_->HandleConnected(*call_, role_);
  if (!options_.files.empty()) {
    files_left_ = options_.files.size();
    if (const absl::Status status = call_->OfferFiles(options_.files);
        !status.ok()) {
      return FailWith(status);
    }
    terminal_.Say(absl::StrCat("waiting for ", peer_name_, " to take ",
                               files_left_ == 1 ? "the file" : "the files"));
  }
  for (const std::string& line : std::exchange(held_lines_, {})) Talk(line);
  // A pipe has said all it had to say.
  if (lines_ended_ && rules_.talks) Leave(0);
}

// Files that were offered together are one question, as far as they are what
// the sender announced; each other one is a question of its own.
void CallSession::OnFileOffered(const FileOffered& offer) {
  if (!rules_.stores) return call_->RejectFile(offer.id, "declined");
  if (consent_.TooLarge(offer.size)) {
    terminal_.Say(absl::StrCat(
        "refused ", offer.name, " of ", peer_name_, ": its ",
        FormatBytes(static_cast<double>(offer.size)), " are too many"));
    return call_->RejectFile(offer.id, "too_large");
  }
  std::string key = absl::StrCat("file:", offer.id);
  if (offer.batch) {
    const std::string batch_key = absl::StrCat("file:batch ", offer.batch->id);
    Offered& batch =
        offered_
            .try_emplace(batch_key, Offered{.files_left = offer.batch->files,
                                            .bytes_left = offer.batch->bytes})
            .first->second;
    if (batch.files_left > 0 && offer.size <= batch.bytes_left) {
      key = batch_key;
      --batch.files_left;
      batch.bytes_left -= offer.size;
    }
  }
  Offered& offered = offered_[key];
  offered.waiting.push_back(offer);
  if (offered.verdict) return AnswerFiles(offered, *offered.verdict);
  if (offered.waiting.size() == 1) Decide(offered, key);
}

void CallSession::Decide(Offered& offered, const std::string& key) {
  const Verdict verdict = consent_.Of(peer_name_);
  const FileOffered& offer = offered.waiting.front();
  const bool many = offer.batch && offer.batch->files > 1 &&
                    absl::StrCat("file:batch ", offer.batch->id) == key;
  const std::string what =
      many ? absl::StrCat(offer.batch->files, " files (",
                          FormatBytes(static_cast<double>(offer.batch->bytes)),
                          " in all), the first is ", offer.name)
           : absl::StrCat(offer.name, " (",
                          FormatBytes(static_cast<double>(offer.size)), ")");
  if (verdict == Verdict::kAsk) {
    return questions_.Ask(
        key,
        absl::StrCat(peer_name_, " sends ", what, ". Take ",
                     many ? "them?" : "it?"),
        [this, key](Verdict answer) { AnswerFiles(offered_[key], answer); });
  }
  terminal_.Say(absl::StrCat(
      peer_name_, verdict == Verdict::kYes ? " sends " : " may not send ", what,
      verdict == Verdict::kYes ? ""
                               : absl::StrCat(": neither --yes nor --from \"",
                                              peer_name_, "\" was given")));
  AnswerFiles(offered, verdict);
}

void CallSession::AnswerFiles(Offered& offered, Verdict verdict) {
  offered.verdict = verdict;
  for (const FileOffered& offer : std::exchange(offered.waiting, {})) {
    if (!call_) return;
    if (verdict == Verdict::kNo) {
      call_->RejectFile(offer.id, "declined");
      continue;
    }
    const absl::Status status = call_->AcceptFile(
        offer.id, options_.folder,
        options_.overwrite ? IfExists::kOverwrite : IfExists::kRename);
    if (status.ok()) continue;
    terminal_.Complain(offer.name, status);
    BreakOff(offer.name);
  }
}

void CallSession::BreakOff(const std::string& name) {
  if (broken_off_.size() >= kBrokenOffMax) {
    ++files_failed_;
  } else {
    broken_off_.insert(name);
  }
}

void CallSession::OnWithdrawn(const std::string& id) {
  questions_.Withdraw(absl::StrCat("file:", id));
  offered_.erase(absl::StrCat("file:", id));
  for (auto& [key, offered] : offered_) {
    auto& waiting = offered.waiting;
    for (auto it = waiting.begin(); it != waiting.end();) {
      it = it->id == id ? waiting.erase(it) : it + 1;
    }
  }
}

void CallSession::OnFinished(const FileFinished& finished) {
  const bool out = finished.direction == FileDirection::kOut;
  terminal_.Forget(ProgressKey(finished.direction, finished.id));
  if (finished.status.ok()) {
    terminal_.Print(absl::StrCat(
        out ? "sent " : "received ", out ? finished.name : finished.path, "  ",
        FormatBytes(static_cast<double>(finished.size)), "  sha256 ",
        finished.sha256,
        finished.begin == 0
            ? ""
            : absl::StrCat("  (",
                           FormatBytes(static_cast<double>(finished.begin)),
                           " of it before)")));
    broken_off_.erase(finished.name);
  } else {
    terminal_.Complain(finished.name, finished.status);
    if (out) {
      ++files_failed_;
    } else {
      BreakOff(finished.name);
    }
  }
  questions_.ShowAgain();
  if (!out || files_left_ == 0 || --files_left_ > 0) return;
  if (rules_.calls) Leave(any_failed() ? 1 : 0);
}

void CallSession::OnOver(const absl::Status& status) {
  questions_.WithdrawAll("file:");
  offered_.clear();
  if (!status.ok() && path_text_.empty()) {
    ReportCall(signaling::CallOutcome::kFailed);
  }
  path_text_.clear();
  continuation_.reset();
  if (leaving_) {
    // The goodbye has arrived. By way of the alarm: the last packets first.
    leaving_alarm_->Set(net::Loop::Now() + kLastPackets);
    return;
  }
  gone_alarm_->Stop();
  EndSignalingCall(status.ok() ? "done" : "failed");
  // Destroying the call from within its own handler is not allowed.
  loop_->Post([this] { call_.reset(); });
  const bool failed = !status.ok() || any_failed();
  const bool unmet = meeting_ && !meeting_->proven();
  if (unmet) {
    OnAttemptOver(status.ok() ? absl::UnavailableError(
                                    absl::StrCat(peer_name_, " hung up"))
                              : status);
  } else if (errand_) {
    errand_->HandleOver(status);
  } else if (rules_.calls) {
    FailWith(status.ok() ? absl::UnavailableError("the other side hung up "
                                                  "before the files were "
                                                  "through")
                         : status);
  } else if (status.ok()) {
    terminal_.Say(absl::StrCat(peer_name_, " hung up"));
  } else {
    terminal_.Complain(status);
  }
  if (!unmet && (options_.once || !options_.call.empty())) {
    Leave(failed ? 1 : 0);
  }
  // Nobody is left to say goodbye to.
  if (leaving_) leaving_alarm_->Set(net::Loop::Now() + kLastPackets);
}

// --- The person ---

void CallSession::OnLine(std::optional<std::string> line) {
  if (leaving_) return;
  if (!line) return OnEndOfLines();
  if (questions_.HandleLine(*line)) {
    server_->Flush();
    return;
  }
  if (!line->empty() && rules_.talks) {
    if (call_wanted_ && *line != "/quit") {
      if (held_lines_.size() < kHeldLinesMax) {
        held_lines_.push_back(*std::move(line));
      }
    } else {
      Talk(*line);
    }
  }
  questions_.ShowAgain();
  server_->Flush();
}

void CallSession::OnEndOfLines() {
  lines_ended_ = true;
  consent_.person = Consent::Person::kNobody;
  while (questions_.HandleLine("n")) {
  }
  server_->Flush();
  if (!rules_.talks || call_wanted_) return;
  if (talked_ || call_ || KindOf(STDIN_FILENO) == TerminalKind::kPerson) {
    return Leave(0);
  }
  FailWith(absl::UnavailableError("stdin ended before anybody was connected"));
}

void CallSession::Talk(const std::string& line) {
  if (line[0] == '/') {
    OnCommand(line);
  } else if (!call_ || !call_->connected()) {
    terminal_.Say("nobody is connected yet");
  } else if (const absl::Status sent = call_->SendChat(line); !sent.ok()) {
    terminal_.Say(sent.message());
  }
}

void CallSession::OnCommand(const std::string& line) {
  const size_t blank = line.find(' ');
  const std::string word = line.substr(0, blank);
  const std::string rest =
      blank == std::string::npos ? "" : line.substr(blank + 1);
  if (word == "/quit") return Leave(0);
  if (word == "/hangup" && call_) return call_->HangUp();
  if (word == "/call" && !rest.empty() && !call_) return StartCalling(rest);
  if (word == "/verify" && call_) return ShowNumber();
  if (word == "/send" && !rest.empty() && call_) {
    const absl::Status status = call_->OfferFiles({rest});
    if (!status.ok()) terminal_.Say(status.message());
    return;
  }
  if ((word == "/block" || word == "/unblock") && !rest.empty() &&
      server_->client() != nullptr) {
    const absl::Time now = net::Loop::Now();
    const absl::Status status = word == "/block"
                                    ? server_->client()->Block(now, rest)
                                    : server_->client()->Unblock(now, rest);
    if (!status.ok()) terminal_.Say(status.message());
    return;
  }
  terminal_.Say(
      "/call NAME, /send FILE, /verify, /hangup, /block NAME, /unblock NAME or "
      "/quit");
}

// A person who ends a chat or a wait has not failed; a transfer has.
void CallSession::Interrupt() {
  if (errand_) return errand_->HandleInterrupt();
  const bool unfinished = files_left_ > 0 || (call_ && call_->has_files()) ||
                          (meeting_ && !meeting_->proven());
  Leave(unfinished || (!rules_.talks && any_failed()) ? 1 : 0);
}

void CallSession::Leave(int code) {
  if (leaving_) return;
  leaving_ = true;
  code_ = code;
  // The server last: with the session go its relays, and a goodbye on them.
  leaving_alarm_->Set(net::Loop::Now() + (call_ ? kLeavingTime : kLastPackets));
  if (call_) call_->HangUp();
}

}  // namespace kyuu::tools
