// What happens when the peer does not answer (RFC 9260 sections 5.1.6, 6.3.3,
// 8.1 to 8.3 and 9.2), and when there is no path to it for a while.

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/core.h"
#include "sctp/internal/timers.h"

namespace kyuu::sctp::internal {

namespace {

// More than two round trips for the SACK of the last packet: what a peer's
// timers and a busy machine may add, and how long a peer may wait for a second
// packet (RFC 8985 section 7.2, RFC 9260 section 6.2).
constexpr absl::Duration kTailSlack = absl::Milliseconds(10);
constexpr absl::Duration kPeersSackDelay = absl::Milliseconds(200);

}  // namespace

absl::Duration Core::Timeout(Timer timer) const {
  // Before there is a round trip to measure, and in a handshake begun anew.
  const Tcb* tcb = FindTcb();
  const bool handshake =
      timer == Timer::kT1Init || timer == Timer::kT1Cookie || tcb == nullptr;
  return timers_.BackedOff(timer,
                           handshake ? options_.rto_initial : tcb->rto.rto(),
                           options_.rto_max);
}

void Core::HandleTimer(Timer timer) {
  if (timer == Timer::kT1Init || timer == Timer::kT1Cookie) {
    HandleHandshakeTimer(timer);
  } else if (Tcb* tcb = FindTcb()) {
    HandleTimer(*tcb, timer);
  }
}

// Section 5.1.6.
void Core::HandleHandshakeTimer(Timer timer) {
  if (options_.max_init_retransmits &&
      timers_.backoff(timer) >= *options_.max_init_retransmits) {
    return End(
        absl::DeadlineExceededError("the peer does not answer the handshake"));
  }
  timers_.BackOff(timer);
  RepeatHandshake(timer);
}

void Core::RepeatHandshake(Timer timer) {
  Tcb* tcb = FindTcb();
  if (auto* wait = std::get_if<state::CookieWait>(&state_)) {
    wait->init = Duty::kDue;
  } else if (auto* echoed = tcb == nullptr ? nullptr
                                           : std::get_if<state::CookieEchoed>(
                                                 &tcb->phase)) {
    echoed->cookie_echo = Duty::kDue;
    // What went with it goes with it again.
    tcb->outstanding.OnTimeout();
  }
  Arm(timer);
}

void Core::HandleTimer(Tcb& tcb, Timer timer) {
  switch (timer) {
    case Timer::kT5ShutdownGuard:
      return AbortWith(
          absl::DeadlineExceededError("the shutdown took too long"),
          ErrorCause::kUserInitiatedAbort, "shutdown took too long");
    case Timer::kReordering:
      return OnLossJudged(
          tcb, tcb.outstanding.DetectLoss(now_, tcb.rto.round_trip()));
    case Timer::kTailLoss:
      return ProbeTail(tcb);
    case Timer::kSack:
      tcb.tracker.RequireSackNow();
      return;
    case Timer::kPacing:
    case Timer::kResetDelay:
      // The driver asks for packets after each timeout.
      return;
    case Timer::kPathMtu:
      if (const auto outcome = tcb.path_mtu.HandleTimeout(now_);
          outcome != PathMtu::Outcome::kNothing) {
        ++stats_.mtu_probes_lost;
        if (outcome == PathMtu::Outcome::kBlackHole) ++stats_.black_holes;
      }
      return ArmPathMtu(tcb);
    case Timer::kHeartbeat:
      // Section 8.3: the timer looks now and then whether anything was heard,
      // instead of being moved by every packet.
      if (!tcb.heartbeat) {
        const absl::Time due = tcb.last_heard + options_.heartbeat_interval;
        if (now_ < due) {
          timers_.Set(timer, due);
        } else {
          SendHeartbeat(tcb);
        }
        return;
      }
      break;
    case Timer::kReconfig:
      if (!tcb.reset.awaits_response()) return;
      break;
    case Timer::kT3Rtx:
      ++stats_.t3_timeouts;
      tcb.path_mtu.OnTimeout();
      ArmPathMtu(tcb);
      tcb.congestion.OnTimeout(now_);
      break;
    default:
      break;
  }
  if (CountTimeout(tcb, timer)) Repeat(tcb, timer);
}

void Core::Repeat(Tcb& tcb, Timer timer) {
  switch (timer) {
    case Timer::kT2Shutdown:
      if (auto* sent = std::get_if<state::ShutdownSent>(&tcb.phase)) {
        sent->shutdown = Duty::kDue;
      } else if (auto* ack = std::get_if<state::ShutdownAckSent>(&tcb.phase)) {
        ack->shutdown_ack = Duty::kDue;
      }
      break;
    case Timer::kT3Rtx:
      return RepeatData(tcb);
    case Timer::kHeartbeat:
      return SendHeartbeat(tcb);
    case Timer::kReconfig:
      // RFC 6525 section 5.1.1: requests are repeated like data.
      tcb.reset.OnTimeout();
      break;
    default:
      return;
  }
  Arm(timer);
}

// RFC 9260 section 6.3.3.
void Core::RepeatData(Tcb& tcb) {
  tcb.recovery_exit.reset();
  tcb.tail_probe.reset();
  timers_.Stop(Timer::kTailLoss);
  tcb.timeout_exit = tcb.outstanding.next_tsn() - 1;
  tcb.fast_retransmit = false;
  tcb.outstanding.OnTimeout();
  tcb.forward_again = true;
  if (!tcb.outstanding.empty()) Arm(Timer::kT3Rtx);
}

// RFC 8985 section 7.2. Where more than the last packets is missing, SACKs or
// T3 tell of it.
void Core::ArmTailLoss(const Tcb& tcb) {
  if (tcb.outstanding.flight_bytes() == 0 || tcb.outstanding.has_lost() ||
      tcb.recovery_exit || tcb.timeout_exit ||
      (tcb.tail_probe &&
       tcb.outstanding.cumulative_tsn_ack() < tcb.tail_probe->last) ||
      tcb.rto.srtt() == absl::ZeroDuration() || tcb.In<state::CookieEchoed>()) {
    return timers_.Stop(Timer::kTailLoss);
  }
  absl::Duration wait = 2 * tcb.rto.srtt() + kTailSlack;
  if (tcb.outstanding.lone_packet() && !tcb.sack_asked) wait += kPeersSackDelay;
  timers_.Set(Timer::kTailLoss, now_ + wait);
}

// Section 7.3: the last packet goes again, whatever the window says; its SACK
// tells what else is missing.
void Core::ProbeTail(Tcb& tcb) {
  const std::optional<Tsn> first = tcb.outstanding.RepeatLastPacket(now_);
  if (!first) return;
  ++stats_.tail_loss_probes;
  // Nothing has come since that tells otherwise.
  if (tcb.tail_probe) TailWasLost(tcb);
  tcb.tail_probe = Tcb::TailProbe{*first, tcb.outstanding.next_tsn() - 1};
  tcb.fast_retransmit = true;
  Arm(Timer::kT3Rtx);
}

void Core::ArmPathMtu(const Tcb& tcb) {
  timers_.Set(Timer::kPathMtu, tcb.path_mtu.next_timeout());
}

void Core::SendHeartbeat(Tcb& tcb) {
  ++stats_.heartbeats_sent;
  tcb.heartbeat = Tcb::Heartbeat{random_.U64(), now_};
  Arm(Timer::kHeartbeat);
}

bool Core::CountTimeout(Tcb& tcb, Timer timer) {
  timers_.BackOff(timer);
  // Section 8.1. Several timers that run at once tell of one silence: it is
  // counted as the one timer would that began to wait when it did.
  if (now_ < tcb.next_error) return true;
  ++tcb.error_count;
  absl::Duration pause = tcb.rto.rto();
  for (int i = 0; i < tcb.error_count && pause < options_.rto_max; ++i)
    pause *= 2;
  tcb.next_error = now_ + std::min(pause, options_.rto_max);
  if (!options_.max_association_retransmits ||
      tcb.error_count <= *options_.max_association_retransmits) {
    return true;
  }
  AbortWith(absl::DeadlineExceededError("the peer has gone silent"),
            ErrorCause::kProtocolViolation, "too many retransmissions");
  return false;
}

void Core::PathLost(absl::Time now) {
  Clamp(now);
  if (!In<state::Ended>()) timers_.Pause();
}

void Core::PathReady(absl::Time now, std::optional<size_t> max_mtu) {
  Clamp(now);
  if (max_mtu) max_mtu_ = *max_mtu & ~size_t{3};
  if (In<state::Ended>()) return;
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
  for (const Timer timer : {Timer::kT1Init, Timer::kT1Cookie}) {
    if (repeat[static_cast<size_t>(timer)]) RepeatHandshake(timer);
  }
  Tcb* tcb = FindTcb();
  if (tcb == nullptr) return;
  tcb->path_mtu.OnPath(max_mtu_);
  ArmPathMtu(*tcb);
  tcb->PeerAnswered();
  if (repeat[static_cast<size_t>(Timer::kT3Rtx)]) {
    tcb->congestion.OnPathReady(now_);
  }
  for (size_t i = 0; i < Timers::kSize; ++i) {
    if (repeat[i]) Repeat(*tcb, static_cast<Timer>(i));
  }
  // The peer's answer measures the new path.
  if (timers_.IsSet(Timer::kHeartbeat)) SendHeartbeat(*tcb);
}

}  // namespace kyuu::sctp::internal
