#include "net/internal/stream_deadlines.h"

#include <algorithm>
#include <memory>
#include <optional>

namespace kyuu::net::internal {

void StreamDeadlines::Observe(absl::Time now, const Stream& stream) {
  if (stream.buffered() == 0) {
    write_due_ = absl::InfiniteFuture();
  } else if (write_due_ == absl::InfiniteFuture() ||
             taken_bytes_ != stream.taken_bytes()) {
    write_due_ = now + write_timeout_;
  }
  taken_bytes_ = stream.taken_bytes();
}

void StreamDeadlines::BeginLinger(absl::Time now, const Stream& stream) {
  lingering_ = std::make_unique<Lingering>();
  lingering_->unacknowledged = stream.unacknowledged();
  lingering_->timers.Set(Lingering::Timer::kStep, now + linger_);
  lingering_->timers.Set(Lingering::Timer::kEnd,
                         now + std::max(linger_, write_timeout_));
}

StreamDeadlines::Verdict StreamDeadlines::Judge(absl::Time now,
                                                const Stream& stream) {
  if (write_due_ <= now) return Verdict::kStalled;
  if (lingering_ == nullptr) return Verdict::kWait;
  while (const auto due = lingering_->timers.PopDue(now)) {
    if (*due == Lingering::Timer::kEnd) return Verdict::kStalled;
    // What was acknowledged has arrived, and a close loses nothing of it; what
    // was not would keep the kernel busy for minutes with a peer that is not
    // there.
    const size_t left = stream.unacknowledged();
    if (left == 0) return Verdict::kOver;
    if (left >= lingering_->unacknowledged) return Verdict::kStalled;
    lingering_->unacknowledged = left;
    lingering_->timers.Set(Lingering::Timer::kStep, now + linger_);
  }
  return Verdict::kWait;
}

}  // namespace kyuu::net::internal
