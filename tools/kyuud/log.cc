#include "tools/kyuud/log.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "nlohmann/json.hpp"
#include "spdlog/formatter.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {
namespace {

// A pipe that polls as writable takes so much without blocking (PIPE_BUF).
constexpr size_t kChunkBytes = 4096;
// How often a writer without room looks whether it is to end.
constexpr int kLookMilliseconds = 50;

// Between a message and its fields, for the formatter of JSON. Messages have no
// line feed.
constexpr char kDivider = '\n';
std::atomic<LogFormat> format_now = LogFormat::kText;

std::string Dump(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// One object a line.
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message,
              spdlog::memory_buf_t& out) override {
    const absl::string_view payload(message.payload.data(),
                                    message.payload.size());
    const size_t divider = payload.find(kDivider);
    const auto level = spdlog::level::to_string_view(message.level);
    std::string line = absl::StrCat(
        "{\"time\":\"",
        absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(message.time),
                         absl::UTCTimeZone()),
        "\",\"level\":\"", absl::string_view(level.data(), level.size()),
        "\",\"message\":", Dump(std::string(payload.substr(0, divider))));
    if (divider != absl::string_view::npos) {
      absl::StrAppend(&line, payload.substr(divider + 1));
    }
    line += "}\n";
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

const char* ColorOf(spdlog::level::level_enum level) {
  if (level >= spdlog::level::err) return "\033[31m";
  if (level == spdlog::level::warn) return "\033[33m";
  return level == spdlog::level::info ? "\033[32m" : "\033[36m";
}

}  // namespace

LogSink::LogSink(int fd, Options options)
    : fd_(fd), options_(options), colors_(isatty(fd) == 1) {
  // Signals are for the threads that were made for them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

LogSink::~LogSink() {
  {
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

uint64_t LogSink::dropped() const {
  const std::lock_guard<std::mutex> lock(queue_mutex_);
  return dropped_;
}

void LogSink::sink_it_(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t formatted;
  formatter_->format(message, formatted);
  std::string line(formatted.data(), formatted.size());
  if (colors_ && message.color_range_end > message.color_range_start) {
    line.insert(message.color_range_end, "\033[m");
    line.insert(message.color_range_start, ColorOf(message.level));
  }
  {
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    if (queued_bytes_ + line.size() > options_.max_queued_bytes) {
      ++dropped_;
      ++untold_;
      return;
    }
    queued_bytes_ += line.size();
    lines_.push_back(std::move(line));
  }
  changed_.notify_one();
}

void LogSink::Run() {
  std::string text;
  std::chrono::steady_clock::time_point deadline;
  bool ending = false;
  while (true) {
    {
      std::unique_lock<std::mutex> lock(queue_mutex_);
      changed_.wait(
          lock, [&] { return ending_ || !lines_.empty() || !text.empty(); });
      if (ending_ && !std::exchange(ending, true)) {
        deadline = std::chrono::steady_clock::now() +
                   absl::ToChronoMilliseconds(options_.farewell);
      }
      if (text.empty() && !lines_.empty()) {
        text = std::move(lines_.front());
        lines_.pop_front();
        if (untold_ > 0 && lines_.empty()) {
          text += absl::StrCat("kyuud: ", std::exchange(untold_, 0),
                               " lines were dropped, as nobody read them\n");
        }
        queued_bytes_ -= std::min(queued_bytes_, text.size());
        if (lines_.empty()) queued_bytes_ = 0;
      }
      if (ending && text.empty()) return;
    }
    if (WaitForRoom()) WriteSome(text);
    if (ending && std::chrono::steady_clock::now() >= deadline) return;
  }
}

bool LogSink::WaitForRoom() {
  pollfd room{fd_, POLLOUT, 0};
  // An error (nobody can read any more) is for the write to find.
  return poll(&room, 1, kLookMilliseconds) > 0;
}

void LogSink::WriteSome(std::string& text) {
  const ssize_t written =
      write(fd_, text.data(), std::min(text.size(), kChunkBytes));
  if (written >= 0) {
    text.erase(0, static_cast<size_t>(written));
  } else if (errno != EINTR && errno != EAGAIN) {
    // No reader, no space: the line is lost, the server is not.
    text.clear();
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    ++dropped_;
  }
}

void StartLog(LogLevel level, LogFormat format) {
  std::signal(SIGPIPE, SIG_IGN);
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "kyuud", std::make_shared<LogSink>(STDERR_FILENO, LogSink::Options{})));
  ChangeLog(level, format);
}

void FormatAsJson(spdlog::logger& logger) {
  logger.set_formatter(std::make_unique<JsonFormatter>());
}

void ChangeLog(LogLevel level, LogFormat format) {
  spdlog::logger& logger = *spdlog::default_logger();
  // Fields that come too late for JSON would be seen in a text.
  if (format == LogFormat::kJson) FormatAsJson(logger);
  format_now = format;
  if (format == LogFormat::kText) {
    logger.set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v",
                       spdlog::pattern_time_type::utc);
  }
  static constexpr spdlog::level::level_enum kLevels[] = {
      spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
      spdlog::level::err, spdlog::level::off};
  logger.set_level(kLevels[static_cast<size_t>(level)]);
}

void LogLine(spdlog::level::level_enum level, absl::string_view message,
             std::initializer_list<LogField> fields) {
  if (!spdlog::default_logger_raw()->should_log(level)) return;
  std::string text(message);
  if (format_now == LogFormat::kJson) {
    text += kDivider;
    for (const LogField& field : fields) {
      std::visit(
          [&](const auto& value) {
            absl::StrAppend(&text, ",", Dump(std::string(field.name)), ":",
                            Dump(value));
          },
          field.value);
    }
  }
  spdlog::log(level, "{}", text);
}

uint64_t DroppedLogLines() {
  const auto* sink =
      dynamic_cast<LogSink*>(spdlog::default_logger()->sinks().front().get());
  return sink == nullptr ? 0 : sink->dropped();
}

void EndLog() { spdlog::shutdown(); }

std::optional<uint64_t> LogLimiter::Pass(absl::Time now) {
  if (now - begin_ >= interval_) {
    begin_ = now;
    passed_ = 0;
  }
  if (passed_ >= lines_) {
    ++held_back_;
    return std::nullopt;
  }
  ++passed_;
  return std::exchange(held_back_, 0);
}

}  // namespace kyuu::tools
