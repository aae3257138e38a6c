// Data coming in, and what SACKs say about data going out: RFC 9260 sections
// 6.2, 6.3 and 7.2, and RFC 3758 section 3.6.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

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
#include "sctp/internal/reassembly.h"

namespace kyuu::sctp::internal {

namespace {

// SACKs in which a full window is acknowledged at least.
constexpr size_t kSacksPerWindow = 8;

}  // namespace

size_t Core::a_rwnd() const {
  const size_t held = tcb_->reassembly.held_bytes() + events_.held_bytes();
  return options_.receive_window_bytes -
         std::min(options_.receive_window_bytes, held);
}

bool Core::transmit_urgent() const {
  // A peer that waits for room must hear of it well before the window is used
  // up, or both sides work in turns.
  return tcb_ && (tcb_->tracker.sack_tells_of_gaps() ||
                  (tcb_->tracker.sack_due() == DataTracker::Due::kNow &&
                   tcb_->received_since_sack >=
                       options_.receive_window_bytes / kSacksPerWindow));
}

void Core::HandleData(const ChunkView& view) {
  const std::optional<DataChunk> chunk = DataChunk::Parse(view);
  if (!chunk) {
    ++stats_.drop_malformed_chunk;
    return;
  }
  // A peer that sends data under our tag has accepted the cookie; its COOKIE
  // ACK was lost or is late.
  if (state_ == State::kCookieEchoed) Establish();
  if (state_ != State::kEstablished && state_ != State::kShutdownPending &&
      state_ != State::kShutdownSent) {
    ++stats_.drop_unexpected_chunk;
    return;
  }
  if (chunk->payload.empty()) {
    // Section 6.2: "ABORT chunk with a 'No User Data' error cause".
    AbortWith(absl::AbortedError("the peer sent a DATA chunk without data"),
              ErrorCause::kNoUserData, "");
    return;
  }
  packet_had_data_ = true;
  DataTracker& tracker = tcb_->tracker;
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
    case TsnClass::kAhead:
      break;
  }
  // What fills the first hole frees memory sooner or later, and may use as
  // much again as the window; what only adds to it may not.
  const size_t held = tcb_->reassembly.held_bytes() + events_.held_bytes();
  const size_t cost = chunk->payload.size() + options_.held_overhead_bytes;
  const size_t limit = tsn_class == TsnClass::kNext
                           ? 2 * options_.receive_window_bytes
                           : options_.receive_window_bytes;
  if (held + cost > limit) {
    ++stats_.drop_data_no_buffer;
    tracker.RequireSackNow();
    return;
  }
  ++stats_.data_chunks_received;
  tcb_->received_since_sack += chunk->payload.size();
  tracker.Record(chunk->tsn);
  if (chunk->immediate()) tracker.RequireSackNow();
  Reassembly::Outcome outcome = Reassembly::Outcome::kOk;
  if (static_cast<uint16_t>(chunk->stream) >= tcb_->incoming_streams) {
    // Section 6.5: it is acknowledged like any other, and not delivered.
    ++stats_.drop_data_invalid_stream;
    std::array<uint8_t, 4> identifier{};
    Writer(absl::MakeSpan(identifier))
        .U16(static_cast<uint16_t>(chunk->stream));
    ReportError(ErrorCause::kInvalidStreamIdentifier, identifier);
    outcome = tcb_->reassembly.Skip(chunk->tsn, tracker.cumulative_tsn());
  } else {
    outcome = tcb_->reassembly.Add(*chunk, tracker.cumulative_tsn());
  }
  HandleViolation(outcome);
  if (state_ == State::kEnded) return;
  tcb_->reset.OnCumulativeTsn(tracker.cumulative_tsn());
}

void Core::HandleViolation(Reassembly::Outcome outcome) {
  switch (outcome) {
    case Reassembly::Outcome::kOk:
      return;
    case Reassembly::Outcome::kMessageTooLarge:
      return AbortWith(
          absl::AbortedError("the peer's message is above max_message_in"),
          ErrorCause::kOutOfResource, "");
    case Reassembly::Outcome::kNoBegin:
      return AbortWith(
          absl::AbortedError("the peer sent a fragment without a beginning"),
          ErrorCause::kProtocolViolation, "fragment without a beginning");
    case Reassembly::Outcome::kBrokenRun:
      return AbortWith(
          absl::AbortedError("the peer mixed the fragments of two messages"),
          ErrorCause::kProtocolViolation, "fragments of two messages mixed");
  }
}

void Core::HandleForwardTsn(const ChunkView& chunk) {
  if (!tcb_->peer_extensions.forward_tsn) {
    AbortWith(absl::AbortedError("the peer sent FORWARD TSN without agreement"),
              ErrorCause::kProtocolViolation, "FORWARD TSN was not negotiated");
    return;
  }
  const std::optional<ForwardTsnChunk> forward = ForwardTsnChunk::Parse(chunk);
  if (!forward || state_ == State::kCookieEchoed) {
    ++stats_.drop_invalid_forward_tsn;
    return;
  }
  DataTracker& tracker = tcb_->tracker;
  const Tsn before = tracker.cumulative_tsn();
  if (forward->new_cumulative_tsn > before &&
      forward->new_cumulative_tsn - before > options_.max_tsn_window) {
    ++stats_.drop_invalid_forward_tsn;
    return;
  }
  packet_had_data_ = true;
  // RFC 3758 section 3.6: one that is out of date is answered all the same.
  if (!tracker.ForwardTo(forward->new_cumulative_tsn)) return;
  HandleViolation(
      tcb_->reassembly.ForwardTo(*forward, tracker.cumulative_tsn()));
  if (state_ == State::kEnded) return;
  tcb_->reset.OnCumulativeTsn(tracker.cumulative_tsn());
}

void Core::HandleSack(const ChunkView& chunk) {
  const std::optional<SackChunk> sack = SackChunk::Parse(chunk);
  if (!sack) {
    ++stats_.drop_malformed_chunk;
    return;
  }
  if (state_ == State::kCookieEchoed) {
    ++stats_.drop_unexpected_chunk;
    return;
  }
  ApplySack(*sack);
}

void Core::ApplySack(const SackChunk& sack) {
  OutstandingData& outstanding = tcb_->outstanding;
  AckReport report;
  report.flight_before = outstanding.flight_bytes();
  const SackResult result =
      outstanding.HandleSack(now_, sack, tcb_->rto.round_trip());
  if (result.kind == SackResult::Kind::kInvalid) {
    ++stats_.drop_invalid_sack;
    return;
  }
  // Whatever it acknowledges, it is an answer. Section 8.1 would not count one
  // that only repeats what is known, which a peer sends that takes FORWARD TSNs
  // or has its window closed.
  PeerAnswered();
  if (result.kind == SackResult::Kind::kStale) {
    ++stats_.drop_stale_sack;
    return;
  }
  tcb_->peer_a_rwnd = sack.a_rwnd;
  if (result.rtt) {
    tcb_->rto.Measured(*result.rtt);
    timers_.ResetBackoff(Timer::kT3Rtx);
  }
  if (tcb_->recovery_exit && sack.cumulative_tsn_ack >= *tcb_->recovery_exit) {
    tcb_->recovery_exit.reset();
  }
  report.bytes_acked = result.bytes_acked;
  report.flight_after = outstanding.flight_bytes();
  if (tcb_->recovery_exit) {
    report.recovery = AckReport::Recovery::kFast;
  } else if (tcb_->timeout_exit) {
    report.recovery = AckReport::Recovery::kTimeout;
    // This SACK still speaks of what was sent before.
    if (sack.cumulative_tsn_ack >= *tcb_->timeout_exit) {
      tcb_->timeout_exit.reset();
    }
  }
  if (result.cumulative_advanced) {
    report.cumulative = AckReport::Cumulative::kAdvanced;
  }
  tcb_->congestion.OnAck(report);
  if (result.reduction_was_spurious) {
    ++stats_.spurious_reductions;
    tcb_->congestion.OnSpurious();
    tcb_->recovery_exit.reset();
    tcb_->timeout_exit.reset();
  }
  OnLossJudged(result.loss_detected);
  // RFC 3758 section 3.5 rule C3, at most once per round trip.
  if (outstanding.ShouldForward() &&
      now_ - tcb_->last_forward >= tcb_->rto.srtt()) {
    tcb_->forward_again = true;
  }
  // Section 6.3.2 rules R2 and R3.
  if (outstanding.empty()) {
    timers_.Stop(Timer::kT3Rtx);
  } else if (result.cumulative_advanced || !timers_.IsSet(Timer::kT3Rtx)) {
    Arm(Timer::kT3Rtx);
  }
}

void Core::OnLossJudged(bool found) {
  if (found && !tcb_->recovery_exit) {
    // Section 7.2.4: one reduction for all losses of one window.
    ++stats_.fast_recoveries;
    tcb_->outstanding.BeginEpisode();
    tcb_->congestion.OnFastRetransmit();
    tcb_->recovery_exit = tcb_->outstanding.next_tsn() - 1;
    tcb_->fast_retransmit = true;
  }
  timers_.Set(Timer::kReordering, tcb_->outstanding.loss_due());
}

// What is left to do when all chunks of a packet are taken in.
void Core::AfterPacket() {
  if (packet_had_data_) {
    packet_had_data_ = false;
    tcb_->tracker.OnDataPacket();
    if (state_ == State::kShutdownSent) {
      // Section 9.2: each packet with data is answered by SACK and SHUTDOWN.
      tcb_->tracker.RequireSackNow();
      send_shutdown_ = true;
      Arm(Timer::kT2Shutdown);
    }
    if (tcb_->tracker.sack_due() == DataTracker::Due::kLater &&
        !timers_.IsSet(Timer::kSack)) {
      timers_.Set(Timer::kSack, now_ + options_.sack_delay);
    }
  }
  AdvanceShutdown();
}

}  // namespace kyuu::sctp::internal
