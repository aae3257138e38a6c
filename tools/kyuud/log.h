// The log of kyuud: to stderr, by a thread of its own, which may lose lines but
// never holds up or ends the server.

#ifndef KYUU_TOOLS_KYUUD_LOG_H_
#define KYUU_TOOLS_KYUUD_LOG_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "spdlog/common.h"
#include "spdlog/logger.h"
#include "spdlog/sinks/base_sink.h"
#include "tools/kyuud/config.h"

namespace kyuu::tools {

// LogSink queues lines for a descriptor. Where nobody reads it, lines beyond
// the bound are dropped, and their number is told once somebody does; where
// nobody can, all are.
class LogSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  struct Options {
    size_t max_queued_bytes = 1 << 20;
    // How long the last lines may take at the end.
    absl::Duration farewell = absl::Milliseconds(500);
  };

  LogSink(int fd, Options options);
  ~LogSink() override;

  uint64_t dropped() const;

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}

 private:
  void Run();
  // Waits for room for a moment; false if there is none.
  bool WaitForRoom();
  void WriteSome(std::string& text);

  const int fd_;
  const Options options_;
  const bool colors_;
  mutable std::mutex queue_mutex_;
  std::condition_variable changed_;
  std::deque<std::string> lines_;
  size_t queued_bytes_ = 0;
  uint64_t dropped_ = 0;
  uint64_t untold_ = 0;  // Of those dropped.
  bool ending_ = false;
  std::thread thread_;
};

// StartLog makes spdlog's default logger write to stderr by a LogSink, and
// ignores SIGPIPE, which a closed stderr or socket would raise.
void StartLog(LogLevel level, LogFormat format);
// Changes what was started. Lines of other threads that are being written may
// still have the old form.
void ChangeLog(LogLevel level, LogFormat format);

// LogField is a value by itself, for programs that read the log. Text that is
// no UTF-8 must have been escaped.
struct LogField {
  absl::string_view name;
  std::variant<std::string, int64_t, double> value;
};
// Writes `message`, which has no line feed. Logs of JSON have the fields beside
// it: {"time":"...Z","level":"info","message":"...","NAME":VALUE,...}.
void LogLine(spdlog::level::level_enum level, absl::string_view message,
             std::initializer_list<LogField> fields);
// Makes a logger write such objects.
void FormatAsJson(spdlog::logger& logger);
// Lines that were dropped since the start.
uint64_t DroppedLogLines();
// Writes what waits, as far as somebody reads it, and ends the thread.
void EndLog();

// LogLimiter lets some lines of a kind pass: what strangers can cause must not
// fill a disk.
class LogLimiter {
 public:
  explicit LogLimiter(int lines_per_interval = 10,
                      absl::Duration interval = absl::Seconds(10))
      : lines_(lines_per_interval), interval_(interval) {}

  // How many lines have been held back since the last one that passed; nullopt
  // if this one is to be held back, too.
  std::optional<uint64_t> Pass(absl::Time now);

 private:
  const int lines_;
  const absl::Duration interval_;
  absl::Time begin_ = absl::InfinitePast();
  int passed_ = 0;
  uint64_t held_back_ = 0;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_LOG_H_
