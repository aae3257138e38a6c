// What happens when the peer does not answer (RFC 9260 sections 5.1.6, 6.3.3,
// 8.1 to 8.3 and 9.2), and when there is no path to it for a while.

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/core.h"
#include "sctp/internal/timers.h"

namespace kyuu::sctp::internal {

absl::Duration Core::Timeout(Timer timer) const {
  // Before there is a round trip to measure, and in a handshake begun anew.
  const bool handshake =
      timer == Timer::kT1Init || timer == Timer::kT1Cookie || !tcb_;
  return timers_.BackedOff(timer,
                           handshake ? options_.rto_initial : tcb_->rto.rto(),
                           options_.rto_max);
}

void Core::HandleTimer(Timer timer) {
  switch (timer) {
    case Timer::kT5ShutdownGuard:
      return AbortWith(
          absl::DeadlineExceededError("the shutdown took too long"),
          ErrorCause::kUserInitiatedAbort, "shutdown took too long");
    case Timer::kReordering:
      return OnLossJudged(
          tcb_->outstanding.DetectLoss(now_, tcb_->rto.round_trip()));
    case Timer::kSack:
      tcb_->tracker.RequireSackNow();
      return;
    case Timer::kHeartbeat:
      // Section 8.3: the timer looks now and then whether anything was heard,
      // instead of being moved by every packet.
      if (!heartbeat_) {
        const absl::Time due = last_heard_ + options_.heartbeat_interval;
        if (now_ < due) {
          timers_.Set(timer, due);
        } else {
          SendHeartbeat();
        }
        return;
      }
      break;
    case Timer::kReconfig:
      if (!tcb_->reset.awaits_response()) return;
      break;
    case Timer::kT3Rtx:
      ++stats_.t3_timeouts;
      break;
    default:
      break;
  }
  if (!CountTimeout(timer)) return;
  Repeat(timer);
}

void Core::Repeat(Timer timer) {
  switch (timer) {
    case Timer::kT1Init:
      send_init_ = true;
      break;
    case Timer::kT1Cookie:
      send_cookie_echo_ = true;
      break;
    case Timer::kT2Shutdown:
      send_shutdown_ = state_ == State::kShutdownSent;
      send_shutdown_ack_ = state_ == State::kShutdownAckSent;
      break;
    case Timer::kT3Rtx:
      return RepeatData();
    case Timer::kHeartbeat:
      return SendHeartbeat();
    case Timer::kReconfig:
      // RFC 6525 section 5.1.1: requests are repeated like data.
      tcb_->reset.OnTimeout();
      break;
    default:
      return;
  }
  Arm(timer);
}

// RFC 9260 section 6.3.3.
void Core::RepeatData() {
  tcb_->recovery_exit.reset();
  tcb_->timeout_exit = tcb_->outstanding.next_tsn() - 1;
  tcb_->fast_retransmit = false;
  tcb_->outstanding.OnTimeout();
  tcb_->forward_again = true;
  if (!tcb_->outstanding.empty()) Arm(Timer::kT3Rtx);
}

void Core::SendHeartbeat() {
  ++stats_.heartbeats_sent;
  heartbeat_ = Heartbeat{random_.U64(), now_};
  Arm(Timer::kHeartbeat);
}

bool Core::CountTimeout(Timer timer) {
  if (timer == Timer::kT1Init || timer == Timer::kT1Cookie) {
    // Section 5.1.6.
    if (options_.max_init_retransmits &&
        timers_.backoff(timer) >= *options_.max_init_retransmits) {
      End(absl::DeadlineExceededError(
          "the peer does not answer the handshake"));
      return false;
    }
    timers_.BackOff(timer);
    return true;
  }
  if (timer == Timer::kT3Rtx) tcb_->congestion.OnTimeout();
  timers_.BackOff(timer);
  // Section 8.1. Several timers that run at once tell of one silence: it is
  // counted as the one timer would that began to wait when it did.
  if (now_ < next_error_) return true;
  ++error_count_;
  absl::Duration pause = tcb_->rto.rto();
  for (int i = 0; i < error_count_ && pause < options_.rto_max; ++i) pause *= 2;
  next_error_ = now_ + std::min(pause, options_.rto_max);
  if (!options_.max_association_retransmits ||
      error_count_ <= *options_.max_association_retransmits) {
    return true;
  }
  AbortWith(absl::DeadlineExceededError("the peer has gone silent"),
            ErrorCause::kProtocolViolation, "too many retransmissions");
  return false;
}

void Core::PeerAnswered() {
  error_count_ = 0;
  next_error_ = absl::InfinitePast();
}

void Core::PathLost(absl::Time now) {
  Clamp(now);
  if (state_ != State::kEnded) timers_.Pause();
}

void Core::PathReady(absl::Time now) {
  Clamp(now);
  if (state_ == State::kEnded) return;
  // What was in flight over another path that worked may still arrive; what
  // has timed out already, or was cut off, is not waited for any longer.
  const bool was_lost = timers_.paused();
  std::array<bool, Timers::kSize> repeat{};
  for (size_t i = 0; i < Timers::kSize; ++i) {
    const Timer timer = static_cast<Timer>(i);
    repeat[i] = Timers::AwaitsPeer(timer) && timers_.IsSet(timer) &&
                timer != Timer::kHeartbeat &&
                (was_lost || timers_.backoff(timer) > 0);
  }
  timers_.Resume();
  PeerAnswered();
  if (tcb_ && repeat[static_cast<size_t>(Timer::kT3Rtx)]) {
    tcb_->congestion.OnPathReady();
  }
  for (size_t i = 0; i < Timers::kSize; ++i) {
    if (repeat[i]) Repeat(static_cast<Timer>(i));
  }
  // The peer's answer measures the new path.
  if (timers_.IsSet(Timer::kHeartbeat)) SendHeartbeat();
}

}  // namespace kyuu::sctp::internal
