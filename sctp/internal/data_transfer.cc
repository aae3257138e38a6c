// Data coming in, and what SACKs say about data going out: RFC 9260 sections
// 6.2, 6.3 and 7.2, and RFC 3758 section 3.6.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/chunk/sack_chunk.h"
#include "sctp/internal/core.h"
#include "sctp/internal/data_tracker.h"
#include "sctp/internal/inbox.h"

namespace kyuu::sctp::internal {

namespace {

// SACKs in which a full window is acknowledged at least.
constexpr size_t kSacksPerWindow = 8;

// What a SACK up to `cumulative` is heard in; ends what it ends.
AckSample::Recovery RecoveryOf(Tcb& tcb, Tsn cumulative) {
  if (tcb.recovery_exit && cumulative >= *tcb.recovery_exit) {
    tcb.recovery_exit.reset();
  }
  if (tcb.recovery_exit) return AckSample::Recovery::kFast;
  if (!tcb.timeout_exit) return AckSample::Recovery::kNone;
  // It still speaks of what was sent before.
  if (cumulative >= *tcb.timeout_exit) tcb.timeout_exit.reset();
  return AckSample::Recovery::kTimeout;
}

}  // namespace

size_t Core::held_bytes(const Tcb& tcb) const {
  return tcb.reassembly.held_bytes() + events_.held_bytes();
}

size_t Core::a_rwnd(const Tcb& tcb) const {
  return tcb.window.size() - std::min(tcb.window.size(), held_bytes(tcb));
}

bool Core::transmit_urgent() const {
  // A peer that waits for room must hear of it well before the window is used
  // up, or both sides work in turns.
  const Tcb* tcb = FindTcb();
  if (tcb == nullptr) return false;
  return tcb->tracker.is_sack_urgent() ||
         (tcb->tracker.sack_due() == DataTracker::Due::kNow &&
          tcb->received_since_sack >= tcb->window.size() / kSacksPerWindow);
}

// Whether data may come now, and in this form; what may not ends here, and the
// association with it if it is a violation.
bool Core::ExpectsData(Tcb& tcb, const DataChunk& chunk) {
  if (chunk.type != tcb.data_type) {
    // RFC 8260 section 2.2.1: one of the two, as agreed.
    AbortWith(absl::AbortedError("the peer's data is not in the format that "
                                 "was agreed on"),
              ErrorCause::kProtocolViolation,
              chunk.type == ChunkType::kIData ? "I-DATA was not negotiated"
                                              : "DATA where I-DATA is agreed");
    return false;
  }
  // A peer that sends data under our tag has accepted the cookie; its COOKIE
  // ACK was lost or is late.
  if (const auto* echoed = std::get_if<state::CookieEchoed>(&tcb.phase)) {
    Establish(tcb, echoed->afterwards);
  }
  if (!tcb.In<state::Established>() && !tcb.In<state::ShutdownPending>() &&
      !tcb.In<state::ShutdownSent>()) {
    ++stats_.drop_unexpected_chunk;
    return false;
  }
  if (chunk.payload.empty()) {
    // Section 6.2: "ABORT chunk with a 'No User Data' error cause".
    AbortWith(absl::AbortedError("the peer sent a DATA chunk without data"),
              ErrorCause::kNoUserData, "");
    return false;
  }
  return true;
}

void Core::HandleData(Tcb& tcb, const ChunkView& view) {
  const std::optional<DataChunk> chunk = DataChunk::Parse(view);
  if (!chunk) {
    ++stats_.drop_malformed_chunk;
    return;
  }
  if (!ExpectsData(tcb, *chunk)) return;
  tcb.packet_had_data = true;
  DataTracker& tracker = tcb.tracker;
  const TsnClass tsn_class = tracker.Classify(chunk->tsn);
  switch (tsn_class) {
    case TsnClass::kDuplicate:
      ++stats_.drop_duplicate_data;
      tracker.RecordDuplicate(chunk->tsn);
      return;
    case TsnClass::kOutsideWindow:
      ++stats_.drop_data_outside_window;
      tracker.RequireSackNow();
      return;
    case TsnClass::kNext:
    case TsnClass::kInHole:
    case TsnClass::kAhead:
      break;
  }
  // What fills a hole frees memory sooner or later, and may use as much again
  // as the window: the peer counts neither our overhead nor what it holds for
  // lost. What only adds to the end may not.
  const size_t cost = chunk->payload.size() + options_.held_overhead_bytes;
  const size_t limit =
      tsn_class == TsnClass::kAhead ? tcb.window.size() : 2 * tcb.window.size();
  if (held_bytes(tcb) + cost > limit) {
    ++stats_.drop_data_no_buffer;
    tracker.RequireSackNow();
    return;
  }
  ++stats_.data_chunks_received;
  tcb.received_since_sack += chunk->payload.size();
  if (tcb.window.OnArrived(now_, cost, held_bytes(tcb), tcb.rto.srtt()) &&
      !tcb.heartbeat && timers_.IsSet(Timer::kHeartbeat)) {
    // Who only receives does not know the round trip, or how it has changed.
    SendHeartbeat(tcb);
  }
  tracker.Record(chunk->tsn);
  if (chunk->immediate()) tracker.RequireSackNow();
  Inbox::Outcome outcome = Inbox::Outcome::kOk;
  if (static_cast<uint16_t>(chunk->stream) >= tcb.streams.incoming()) {
    // Section 6.5: it is acknowledged like any other, and not delivered.
    ++stats_.drop_data_invalid_stream;
    std::array<uint8_t, 4> identifier{};
    Writer(absl::MakeSpan(identifier))
        .U16(static_cast<uint16_t>(chunk->stream));
    ReportError(tcb, ErrorCause::kInvalidStreamIdentifier, identifier);
    outcome = tcb.reassembly.Skip(chunk->tsn, tracker.cumulative_tsn());
  } else {
    outcome = tcb.reassembly.Add(*chunk, tracker.cumulative_tsn());
  }
  if (!Accept(outcome)) return;
  tcb.reset.OnCumulativeTsn(tracker.cumulative_tsn());
}

bool Core::Accept(Inbox::Outcome outcome) {
  switch (outcome) {
    case Inbox::Outcome::kOk:
      return true;
    case Inbox::Outcome::kMessageTooLarge:
      AbortWith(
          absl::AbortedError("the peer's message is above max_message_in"),
          ErrorCause::kOutOfResource, "");
      return false;
    case Inbox::Outcome::kNoBegin:
      AbortWith(
          absl::AbortedError("the peer sent a fragment without a beginning"),
          ErrorCause::kProtocolViolation, "fragment without a beginning");
      return false;
    case Inbox::Outcome::kBrokenRun:
      AbortWith(
          absl::AbortedError("the peer mixed the fragments of two messages"),
          ErrorCause::kProtocolViolation, "fragments of two messages mixed");
      return false;
    case Inbox::Outcome::kBadFragment:
      AbortWith(absl::AbortedError("the peer sent two fragments for one place, "
                                   "or one behind the last"),
                ErrorCause::kProtocolViolation, "bad fragment number");
      return false;
    case Inbox::Outcome::kTooMuchUnfinished:
      AbortWith(absl::AbortedError("the peer has begun more messages than "
                                   "max_unfinished_bytes allows"),
                ErrorCause::kOutOfResource, "");
      return false;
  }
  return true;
}

void Core::HandleForwardTsn(Tcb& tcb, const ChunkView& chunk) {
  if (!tcb.partial_reliability() || chunk.type != tcb.forward_type()) {
    AbortWith(absl::AbortedError("the peer sent FORWARD TSN without agreement"),
              ErrorCause::kProtocolViolation, "FORWARD TSN was not negotiated");
    return;
  }
  const std::optional<ForwardTsnChunk> forward = ForwardTsnChunk::Parse(chunk);
  if (!forward || tcb.In<state::CookieEchoed>()) {
    ++stats_.drop_invalid_forward_tsn;
    return;
  }
  DataTracker& tracker = tcb.tracker;
  const Tsn before = tracker.cumulative_tsn();
  if (forward->new_cumulative_tsn > before &&
      forward->new_cumulative_tsn - before > options_.max_tsn_window) {
    ++stats_.drop_invalid_forward_tsn;
    return;
  }
  tcb.packet_had_data = true;
  // RFC 3758 section 3.6: one that is out of date is answered all the same.
  if (!tracker.ForwardTo(forward->new_cumulative_tsn)) return;
  if (!Accept(tcb.reassembly.ForwardTo(*forward, tracker.cumulative_tsn()))) {
    return;
  }
  tcb.reset.OnCumulativeTsn(tracker.cumulative_tsn());
}

void Core::HandleSack(Tcb& tcb, const ChunkView& chunk) {
  const std::optional<SackChunk> sack = SackChunk::Parse(chunk);
  if (!sack) {
    ++stats_.drop_malformed_chunk;
    return;
  }
  if (tcb.In<state::CookieEchoed>()) {
    ++stats_.drop_unexpected_chunk;
    return;
  }
  ApplySack(tcb, *sack);
}

void Core::ApplySack(Tcb& tcb, const SackChunk& sack) {
  OutstandingData& outstanding = tcb.outstanding;
  AckSample acked;
  acked.now = now_;
  acked.flight_before = outstanding.flight_bytes();
  if (tcb.pacer.release() > now_ &&
      (outstanding.has_lost() || !queue_.empty()) &&
      acked.flight_before < tcb.congestion.cwnd()) {
    acked.held_by = AckSample::HeldBy::kPacer;
  }
  const SackResult result =
      outstanding.HandleSack(now_, sack, tcb.rto.round_trip());
  if (result.kind == SackResult::Kind::kInvalid) {
    ++stats_.drop_invalid_sack;
    return;
  }
  // Whatever it acknowledges, it is an answer. Section 8.1 would not count one
  // that only repeats what is known, which a peer sends that takes FORWARD TSNs
  // or has its window closed.
  tcb.PeerAnswered();
  if (result.kind == SackResult::Kind::kStale) {
    ++stats_.drop_stale_sack;
    return;
  }
  tcb.OnWindow(sack.a_rwnd, now_ + tcb.rto.rto());
  if (result.rtt) {
    tcb.rto.Measured(*result.rtt);
    timers_.ResetBackoff(Timer::kT3Rtx);
  }
  if (result.shorter_rtt) tcb.rto.Restart(*result.shorter_rtt);
  acked.bytes_acked = result.bytes_acked;
  acked.bytes_proven = result.bytes_proven;
  acked.rate = result.rate;
  if (result.rate.delivered > 0) tcb.rate = result.rate;
  acked.round = result.round;
  acked.rtt = result.newest_rtt;
  acked.round_trip = tcb.rto.round_trip();
  acked.packet_bytes = tcb.path_mtu.size();
  acked.flight_after = outstanding.flight_bytes();
  acked.recovery = RecoveryOf(tcb, sack.cumulative_tsn_ack);
  if (result.cumulative_advanced) {
    acked.cumulative = AckSample::Cumulative::kAdvanced;
  }
  tcb.congestion.OnAcked(acked);
  if (result.reduction_was_spurious) {
    ++stats_.spurious_reductions;
    tcb.congestion.OnSpurious(now_);
    tcb.recovery_exit.reset();
    tcb.timeout_exit.reset();
  }
  if (result.timeout_was_spurious) OnSpuriousTimeout(tcb);
  OnLossJudged(tcb, result.bytes_lost);
  if (tcb.tail_probe) JudgeTailProbe(tcb, sack);
  ArmTailLoss(tcb);
  // RFC 3758 section 3.5 rule C3, at most once per round trip.
  if (outstanding.ShouldForward() &&
      now_ - tcb.last_forward >= tcb.rto.srtt()) {
    tcb.forward_again = true;
  }
  // Section 6.3.2 rules R2 and R3.
  if (outstanding.empty()) {
    timers_.Stop(Timer::kT3Rtx);
  } else if (result.cumulative_advanced || !timers_.IsSet(Timer::kT3Rtx)) {
    Arm(Timer::kT3Rtx);
  }
}

// RFC 5682: the path was only slow for a while.
void Core::OnSpuriousTimeout(Tcb& tcb) {
  ++stats_.spurious_timeouts;
  tcb.congestion.OnSpurious(now_);
  tcb.timeout_exit.reset();
  timers_.ResetBackoff(Timer::kT3Rtx);
  Arm(Timer::kT3Rtx);
}

// RFC 8985 section 7.4: a probe may have hidden a loss. It has not if the peer
// has it twice.
void Core::JudgeTailProbe(Tcb& tcb, const SackChunk& sack) {
  const Tcb::TailProbe probe = *tcb.tail_probe;
  const bool twice = std::any_of(
      sack.duplicate_tsns.begin(), sack.duplicate_tsns.end(),
      [&](Tsn tsn) { return tsn >= probe.first && tsn <= probe.last; });
  if (!twice && sack.cumulative_tsn_ack <= probe.last && !tcb.recovery_exit) {
    return;
  }
  tcb.tail_probe.reset();
  if (!twice && !tcb.recovery_exit) TailWasLost(tcb);
}

void Core::TailWasLost(Tcb& tcb) {
  const size_t flight = tcb.outstanding.flight_bytes();
  tcb.congestion.OnLost({.now = now_, .flight_before = flight});
}

void Core::OnLossJudged(Tcb& tcb, size_t bytes) {
  if (bytes > 0) {
    LossSample lost{.now = now_,
                    .bytes = bytes,
                    .flight_before = tcb.outstanding.flight_bytes() + bytes,
                    .recovery = LossSample::Recovery::kGoesOn};
    if (!tcb.recovery_exit) {
      // Section 7.2.4: one reduction for all losses of one window.
      ++stats_.fast_recoveries;
      tcb.path_mtu.OnLoss();
      tcb.outstanding.BeginEpisode();
      tcb.recovery_exit = tcb.outstanding.next_tsn() - 1;
      tcb.fast_retransmit = true;
      lost.recovery = LossSample::Recovery::kBegins;
    }
    tcb.congestion.OnLost(lost);
  }
  timers_.Set(Timer::kReordering, tcb.outstanding.loss_due());
}

// What is left to do when all chunks of a packet are taken in.
void Core::AfterPacket(Tcb& tcb) {
  if (tcb.packet_had_data) {
    tcb.packet_had_data = false;
    tcb.tracker.OnDataPacket();
    if (auto* sent = std::get_if<state::ShutdownSent>(&tcb.phase)) {
      // Section 9.2: each packet with data is answered by SACK and SHUTDOWN.
      tcb.tracker.RequireSackNow();
      sent->shutdown = Duty::kDue;
      Arm(Timer::kT2Shutdown);
    }
    if (tcb.tracker.sack_due() == DataTracker::Due::kLater &&
        !timers_.IsSet(Timer::kSack)) {
      timers_.Set(Timer::kSack, now_ + options_.sack_delay);
    }
  }
  if (tcb.reset.awaits_quiet()) {
    tcb.reset.OnQuiet(GroundOf(tcb));
    ApplyReset(tcb);
  }
  AdvanceShutdown(tcb);
}

}  // namespace kyuu::sctp::internal
