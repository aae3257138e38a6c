#include "tools/kyuud/admin/admin_connection.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace kyuu::tools {
namespace {

using Verb = AdminCommand::Verb;

// What follows the word.
enum class Argument : uint8_t { kNone, kUser, kUserOrNone, kSession };
struct Word {
  absl::string_view text;
  Verb verb;
  Argument argument;
};
constexpr Word kWords[] = {
    {"sessions", Verb::kSessions, Argument::kUserOrNone},
    {"end", Verb::kEnd, Argument::kSession},
    {"end-user", Verb::kEndUser, Argument::kUser},
    {"reload", Verb::kReload, Argument::kNone},
    {"drain", Verb::kDrain, Argument::kNone},
    {"status", Verb::kStatus, Argument::kNone},
};

bool ReadSession(absl::string_view text, uint64_t& session) {
  return text.size() == 16 &&
         text.find_first_not_of("0123456789abcdef") ==
             absl::string_view::npos &&
         absl::SimpleHexAtoi(text, &session);
}

}  // namespace

std::string AdminProblem(absl::string_view what) {
  using nlohmann::json;
  return json{{"ok", false}, {"error", std::string(what)}}.dump(
      -1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
}

absl::StatusOr<AdminCommand> AdminCommand::Parse(absl::string_view line) {
  const size_t space = line.find(' ');
  const absl::string_view name = line.substr(0, space);
  const absl::string_view rest = space == absl::string_view::npos
                                     ? absl::string_view()
                                     : line.substr(space + 1);
  const auto word =
      std::find_if(std::begin(kWords), std::end(kWords),
                   [name](const Word& w) { return w.text == name; });
  if (word == std::end(kWords)) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no command \"", name, "\""));
  }
  AdminCommand command{.verb = word->verb, .user = "", .session = 0};
  switch (word->argument) {
    case Argument::kNone:
      if (space == absl::string_view::npos) return command;
      return absl::InvalidArgumentError(
          absl::StrCat("\"", name, "\" stands alone"));
    case Argument::kSession:
      if (ReadSession(rest, command.session)) return command;
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", rest, "\" is no session: it has 16 digits of 0-f"));
    case Argument::kUserOrNone:
      if (space == absl::string_view::npos) return command;
      break;
    case Argument::kUser:
      break;
  }
  if (!absl::CUnescape(rest, &command.user) || command.user.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", rest, "\" is no user name"));
  }
  return command;
}

std::string AdminCommand::ToString() const {
  std::string text;
  for (const Word& word : kWords) {
    if (word.verb == verb) text = std::string(word.text);
  }
  if (verb == Verb::kEnd) {
    absl::StrAppend(&text, " ", absl::Hex(session, absl::kZeroPad16));
  }
  if (!user.empty()) absl::StrAppend(&text, " ", absl::CHexEscape(user));
  return text;
}

AdminConnection::AdminConnection(const AdminConnectionOptions& options,
                                 absl::Time now)
    : options_(options) {
  timers_.Set(Timer::kIdle, now + options_.idle_timeout);
}

void AdminConnection::HandlePacket(absl::Time now, Packet in) {
  if (closed_) return;
  in_.append(in.begin(), in.end());
  if (phase_ == Phase::kListening) {
    timers_.Set(Timer::kIdle, now + options_.idle_timeout);
  }
}

void AdminConnection::HandleTimeout(absl::Time now) {
  while (timers_.PopDue(now).has_value()) {
    Close(absl::DeadlineExceededError("nothing was said for too long"));
  }
}

std::optional<AdminCommand> AdminConnection::TakeCommand() {
  // Who does not read what he is answered is not heard, either.
  while (phase_ == Phase::kListening && !closed_ && has_room()) {
    const size_t end = in_.find('\n');
    if (std::min(end, in_.size()) > options_.line_bytes_max) {
      Close(absl::ResourceExhaustedError("a line is too long"));
      return std::nullopt;
    }
    if (end == std::string::npos) return std::nullopt;
    std::string line = in_.substr(0, end);
    in_.erase(0, end + 1);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    absl::StatusOr<AdminCommand> command = AdminCommand::Parse(line);
    if (command.ok()) return *std::move(command);
    absl::StrAppend(&out_, AdminProblem(command.status().message()), "\n");
  }
  return std::nullopt;
}

std::optional<AdminConnection::Event> AdminConnection::PollEvent() {
  if (std::optional<AdminCommand> command = TakeCommand()) {
    phase_ = Phase::kAnswering;
    // Whoever answers has time.
    timers_.Stop(Timer::kIdle);
    return Asked{*std::move(command)};
  }
  if (phase_ == Phase::kWaiting && has_room()) {
    phase_ = Phase::kAnswering;
    return HasRoom{};
  }
  if (peer_ended_ && phase_ == Phase::kListening && has_room()) {
    Close(absl::OkStatus());
  }
  if (!end_.has_value()) return std::nullopt;
  return *std::exchange(end_, std::nullopt);
}

std::optional<AdminConnection::Packet> AdminConnection::PollTransmit(
    absl::Time, absl::Span<uint8_t> out) {
  const size_t size = std::min(queued_bytes(), out.size());
  if (size == 0) return std::nullopt;
  std::copy_n(out_.begin() + static_cast<std::ptrdiff_t>(sent_), size,
              out.begin());
  sent_ += size;
  if (sent_ == out_.size()) {
    out_.clear();
    sent_ = 0;
  }
  return out.first(size);
}

void AdminConnection::Say(absl::string_view line) {
  if (closed_ || phase_ == Phase::kListening) return;
  // What has left makes room, at a cost of once for each byte.
  if (sent_ > out_.size() / 2) out_.erase(0, std::exchange(sent_, 0));
  absl::StrAppend(&out_, line, "\n");
}

void AdminConnection::AskForRoom() {
  if (phase_ == Phase::kAnswering) phase_ = Phase::kWaiting;
}

void AdminConnection::Finish(absl::Time now, absl::string_view line) {
  Say(line);
  phase_ = Phase::kListening;
  if (!closed_) timers_.Set(Timer::kIdle, now + options_.idle_timeout);
}

void AdminConnection::HandleStreamEnd(absl::Time, const absl::Status& why) {
  // Its last commands are answered first.
  if (why.ok()) {
    peer_ended_ = true;
    if (!in_.empty() && in_.back() != '\n') in_.push_back('\n');
    return;
  }
  Close(why);
}

void AdminConnection::Close(absl::Status status) {
  if (std::exchange(closed_, true)) return;
  timers_.StopAll();
  in_.clear();
  if (!status.ok()) {
    out_.clear();
    sent_ = 0;
    abandoned_ = true;
  }
  phase_ = Phase::kListening;
  end_ = Closed{std::move(status)};
}

std::string AdminConnection::DebugString() const {
  return absl::StrCat("tools::AdminConnection ", in_.size(), " bytes came, ",
                      queued_bytes(), " wait");
}

}  // namespace kyuu::tools
