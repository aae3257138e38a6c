#include "sctp/internal/timers.h"

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"

namespace kyuu::sctp::internal {

const char* Name(Timer timer) {
  switch (timer) {
    case Timer::kT1Init:
      return "T1-init";
    case Timer::kT1Cookie:
      return "T1-cookie";
    case Timer::kT2Shutdown:
      return "T2-shutdown";
    case Timer::kT3Rtx:
      return "T3-rtx";
    case Timer::kT5ShutdownGuard:
      return "T5-shutdown-guard";
    case Timer::kReordering:
      return "reordering";
    case Timer::kSack:
      return "sack";
    case Timer::kHeartbeat:
      return "heartbeat";
    case Timer::kReconfig:
      return "reconfig";
    case Timer::kPacing:
      return "pacing";
    case Timer::kTailLoss:
      return "tail-loss";
    case Timer::kResetDelay:
      return "reset-delay";
    case Timer::kPathMtu:
      return "path-mtu";
    case Timer::kCount:
      break;
  }
  return "?";
}

void Timers::Set(Timer timer, absl::Time deadline) {
  if (paused_ && AwaitsPeer(timer)) {
    waiting_[Index(timer)] = true;
  } else {
    table_.Set(timer, deadline);
  }
}

void Timers::Stop(Timer timer) {
  table_.Stop(timer);
  waiting_[Index(timer)] = false;
}

void Timers::StopAll() {
  table_.StopAll();
  waiting_.fill(false);
  backoffs_.fill(0);
}

bool Timers::IsSet(Timer timer) const {
  return table_.IsSet(timer) || waiting_[Index(timer)];
}

absl::Duration Timers::BackedOff(Timer timer, absl::Duration rto,
                                 absl::Duration max) const {
  for (int i = backoff(timer); i > 0 && rto < max; --i) rto *= 2;
  return std::min(rto, max);
}

void Timers::Pause() {
  if (paused_) return;
  paused_ = true;
  for (size_t i = 0; i < kSize; ++i) {
    const Timer timer = static_cast<Timer>(i);
    if (!AwaitsPeer(timer) || !table_.IsSet(timer)) continue;
    table_.Stop(timer);
    waiting_[i] = true;
  }
}

void Timers::Resume() {
  paused_ = false;
  backoffs_.fill(0);
}

}  // namespace kyuu::sctp::internal
