// AdminConnection: what is spoken on kyuud's admin socket (docs/operating.md).

#ifndef KYUU_TOOLS_KYUUD_ADMIN_ADMIN_CONNECTION_H_
#define KYUU_TOOLS_KYUUD_ADMIN_ADMIN_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/engine.h"
#include "base/timer.h"

namespace kyuu::tools {

// What an operator asks. Words are separated by one space; a USER is the rest
// of the line, with the escapes of C for what is not printable, as lists have
// it.
struct AdminCommand {
  enum class Verb : uint8_t {
    kSessions,  // "sessions", "sessions USER"
    kEnd,       // "end SESSION"
    kEndUser,   // "end-user USER"
    kReload,    // "reload"
    kDrain,     // "drain"
    kStatus,    // "status"
  };
  Verb verb = Verb::kStatus;
  std::string user;      // Unescaped. Of kSessions "" for all.
  uint64_t session = 0;  // 16 hexadecimal digits.

  // INVALID_ARGUMENT with what is wrong, for people.
  static absl::StatusOr<AdminCommand> Parse(absl::string_view line);
  // The line that Parse() reads so, without its end.
  std::string ToString() const;

  friend bool operator==(const AdminCommand&, const AdminCommand&) = default;
};

// AdminProblem is a last line that says what cannot be done, and why. What came
// from outside may be no UTF-8.
std::string AdminProblem(absl::string_view what);

struct AdminConnectionOptions {
  // The longest line: a user name has 508 bytes, of which each may be four
  // characters.
  size_t line_bytes_max = 4096;
  // Above this the next part of a long answer is not asked for.
  size_t queued_bytes_max = 64 * 1024;
  // How long nothing may be said and nothing be answered.
  absl::Duration idle_timeout = absl::Minutes(10);
};

// AdminConnection is an engine over the bytes of one connection. Each line is a
// command; it is answered by lines, of which the last one tells that it is. The
// next command is looked at then.
class AdminConnection {
 public:
  using Packet = absl::Span<const uint8_t>;
  // To be answered by any number of Say() and one Finish().
  struct Asked {
    AdminCommand command;
  };
  // What was said has left as far as that there is room for more. Follows each
  // AskForRoom() once.
  struct HasRoom {};
  // The end, always the last event. OK, or why it was given up:
  // DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED (a line too long), or that of the
  // stream.
  struct Closed {
    absl::Status status;
  };
  using Event = std::variant<Asked, HasRoom, Closed>;

  AdminConnection(const AdminConnectionOptions& options, absl::Time now);

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return timers_.NextTimeout(); }

  // A line of the answer, without its end. Ignored unless something was asked.
  void Say(absl::string_view line);
  void AskForRoom();
  // The last line, and the end of the answer.
  void Finish(absl::Time now, absl::string_view line);

  void HandleStreamEnd(absl::Time now, const absl::Status& why);
  // As net::StreamEngine has it.
  bool finished() const { return closed_ && queued_bytes() == 0; }
  bool abandoned() const { return abandoned_; }
  bool wants_input() const { return phase_ == Phase::kListening && has_room(); }
  size_t held_bytes() const { return in_.size() + queued_bytes(); }
  size_t queued_bytes() const { return out_.size() - sent_; }
  std::string DebugString() const;

 private:
  enum class Timer { kIdle, kCount };
  enum class Phase : uint8_t {
    kListening,  // For a line.
    kAnswering,  // Asked was told.
    kWaiting,    // ... and AskForRoom() was called.
  };

  bool has_room() const { return queued_bytes() <= options_.queued_bytes_max; }
  void Close(absl::Status status);
  std::optional<AdminCommand> TakeCommand();

  const AdminConnectionOptions options_;
  TimerTable<Timer> timers_;
  Phase phase_ = Phase::kListening;
  std::string in_;
  std::string out_;  // [sent_, size()) waits.
  size_t sent_ = 0;
  bool peer_ended_ = false;
  std::optional<Closed> end_;  // Not told yet.
  bool closed_ = false;
  bool abandoned_ = false;
};
static_assert(Engine<AdminConnection>);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_ADMIN_ADMIN_CONNECTION_H_
