#include "net/internal/stream_deadlines.h"

#include <algorithm>
#include <optional>

namespace kyuu::net::internal {

void StreamDeadlines::Observe(absl::Time now, const Stream& stream) {
  if (stream.buffered() == 0) {
    timers_.Stop(Timer::kWrite);
  } else if (!timers_.IsSet(Timer::kWrite) ||
             taken_bytes_ != stream.taken_bytes()) {
    timers_.Set(Timer::kWrite, now + write_timeout_);
  }
  taken_bytes_ = stream.taken_bytes();
}

void StreamDeadlines::BeginLinger(absl::Time now, const Stream& stream) {
  unacknowledged_ = stream.unacknowledged();
  timers_.Set(Timer::kLinger, now + linger_);
  timers_.Set(Timer::kLingerEnd, now + std::max(linger_, write_timeout_));
}

StreamDeadlines::Verdict StreamDeadlines::Judge(absl::Time now,
                                                const Stream& stream) {
  while (const std::optional<Timer> due = timers_.PopDue(now)) {
    switch (*due) {
      case Timer::kWrite:
      case Timer::kLingerEnd:
        return Verdict::kStalled;
      case Timer::kLinger: {
        // What was acknowledged has arrived, and a close loses nothing of it;
        // what was not would keep the kernel busy for minutes with a peer that
        // is not there.
        const size_t left = stream.unacknowledged();
        if (left == 0) return Verdict::kOver;
        if (left >= unacknowledged_) return Verdict::kStalled;
        unacknowledged_ = left;
        timers_.Set(Timer::kLinger, now + linger_);
        break;
      }
      case Timer::kCount:
        break;
    }
  }
  return Verdict::kWait;
}

}  // namespace kyuu::net::internal
