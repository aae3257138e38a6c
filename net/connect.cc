#include "net/connect.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace kyuu::net {

std::vector<TransportAddress> Interleave(
    const std::vector<TransportAddress>& addresses) {
  std::vector<TransportAddress> left = addresses, result;
  while (!left.empty()) {
    // The first one of another family than the last one, if there is one.
    const auto other =
        std::find_if(left.begin(), left.end(), [&](const TransportAddress& a) {
          return result.empty() || a.ip.family() != result.back().ip.family();
        });
    const auto next = other == left.end() ? left.begin() : other;
    result.push_back(*next);
    left.erase(next);
  }
  return result;
}

struct Connector::Attempt {
  explicit Attempt(TcpStream s) : stream(std::move(s)) {}

  TcpStream stream;
  std::optional<Watch> watch;
};

Connector::Connector(Loop& loop, const std::vector<TransportAddress>& addresses,
                     Handler handler, const ConnectOptions& options)
    : loop_(loop),
      addresses_(Interleave(addresses)),
      options_(options),
      deadline_(Loop::Now() + options.timeout),
      handler_(std::move(handler)),
      alarm_(loop, [this] { OnAlarm(); }) {
  // Not here: the handler is called from the loop.
  alarm_.Set(absl::InfinitePast());
}

Connector::~Connector() = default;

void Connector::OnAlarm() {
  if (Loop::Now() >= deadline_) return GiveUp();
  TryNext();
}

void Connector::TryNext() {
  while (next_ < addresses_.size()) {
    const TransportAddress& to = addresses_[next_++];
    absl::StatusOr<TcpStream> stream =
        options_.from.has_value()
            ? TcpStream::ConnectFrom(*options_.from, to, options_.stream)
            : TcpStream::Connect(to, options_.stream);
    if (!stream.ok()) {
      Note(stream.status());
      continue;
    }
    attempts_.push_back(std::make_unique<Attempt>(*std::move(stream)));
    Attempt& attempt = *attempts_.back();
    attempt.watch.emplace(loop_, attempt.stream.fd(), Interest::kReadWrite,
                          [this, &attempt](Readiness) { OnReady(attempt); });
    break;
  }
  if (attempts_.empty()) return GiveUp();
  alarm_.Set(next_ < addresses_.size()
                 ? std::min(deadline_, Loop::Now() + options_.attempt_delay)
                 : deadline_);
}

void Connector::OnReady(Attempt& attempt) {
  attempt.stream.Flush();
  if (attempt.stream.status().ok()) {
    // It wants to be written to as long as it connects.
    if (attempt.stream.interest() != Interest::kRead) return;
    attempt.watch.reset();
    return Finish(std::move(attempt.stream));
  }
  Note(attempt.stream.status());
  attempts_.erase(
      std::find_if(attempts_.begin(), attempts_.end(),
                   [&](const auto& a) { return a.get() == &attempt; }));
  // The next one need not wait for those that are silent.
  if (next_ < addresses_.size() || attempts_.empty()) TryNext();
}

void Connector::Note(const absl::Status& failure) {
  failures_.emplace_back(failure.message());
}

void Connector::GiveUp() {
  if (addresses_.empty()) {
    return Finish(absl::InvalidArgumentError("no address to connect to"));
  }
  const bool late = !attempts_.empty();
  for (const auto& attempt : attempts_) {
    failures_.push_back(absl::StrCat(
        "tcp ", attempt->stream.path().remote.ToString(), ": no answer"));
  }
  const std::string text = absl::StrJoin(failures_, "; ");
  Finish(late ? absl::DeadlineExceededError(text)
              : absl::UnavailableError(text));
}

void Connector::Finish(absl::StatusOr<TcpStream> result) {
  attempts_.clear();
  alarm_.Stop();
  // Last: it may destroy us.
  Handler handler = std::move(handler_);
  handler(std::move(result));
}

}  // namespace kyuu::net
