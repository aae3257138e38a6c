// The end of an association: RFC 9260 section 9, and ERROR.

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "sctp/event.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/sack_chunk.h"
#include "sctp/internal/core.h"

namespace kyuu::sctp::internal {
namespace {

constexpr size_t kMaxReason = 128;
// Section 9.2: the guard timer is "5 times RTO.Max" at least, and RTO.Max is
// 60 s in section 16. The peer may have much to send before it can agree.
constexpr absl::Duration kShutdownGuard = absl::Minutes(5);

}  // namespace

void Core::Shutdown(absl::Time now) {
  Clamp(now);
  if (state_ == State::kEnded || shutdown_wanted_) return;
  shutdown_wanted_ = true;
  if (state_ == State::kClosed) {
    End(absl::OkStatus());
  } else if (state_ == State::kEstablished) {
    state_ = State::kShutdownPending;
    AdvanceShutdown();
  }
}

// Goes on with a shutdown as soon as all data is acknowledged.
void Core::AdvanceShutdown() {
  if (state_ != State::kShutdownPending && state_ != State::kShutdownReceived) {
    return;
  }
  if (queue_.buffered_bytes() > 0 || !tcb_->outstanding.empty()) return;
  if (state_ == State::kShutdownPending) {
    state_ = State::kShutdownSent;
    send_shutdown_ = true;
    timers_.Set(Timer::kT5ShutdownGuard, now_ + kShutdownGuard);
  } else {
    state_ = State::kShutdownAckSent;
    send_shutdown_ack_ = true;
  }
  timers_.Stop(Timer::kT3Rtx);
  timers_.Stop(Timer::kReordering);
  timers_.Stop(Timer::kHeartbeat);
  timers_.Stop(Timer::kReconfig);
  Arm(Timer::kT2Shutdown);
}

void Core::HandleShutdown(const ChunkView& chunk) {
  const std::optional<ShutdownChunk> shutdown = ShutdownChunk::Parse(chunk);
  if (!shutdown) {
    ++stats_.drop_malformed_chunk;
    return;
  }
  switch (state_) {
    case State::kEstablished:
    case State::kShutdownPending:
    case State::kShutdownReceived: {
      // It acknowledges like a SACK, and leaves the window as it was.
      SackChunk sack;
      sack.cumulative_tsn_ack = shutdown->cumulative_tsn_ack;
      sack.a_rwnd = static_cast<uint32_t>(tcb_->peer_a_rwnd);
      ApplySack(sack);
      state_ = State::kShutdownReceived;
      shutdown_wanted_ = true;
      AdvanceShutdown();
      return;
    }
    case State::kShutdownSent:
      // Both sides began to shut down.
      state_ = State::kShutdownAckSent;
      send_shutdown_ = false;
      send_shutdown_ack_ = true;
      Arm(Timer::kT2Shutdown);
      return;
    case State::kShutdownAckSent:
      send_shutdown_ack_ = true;
      return;
    default:
      ++stats_.drop_unexpected_chunk;
  }
}

void Core::HandleShutdownAck() {
  if (state_ != State::kShutdownSent && state_ != State::kShutdownAckSent) {
    ++stats_.drop_unexpected_chunk;
    return;
  }
  const uint32_t tag = tcb_->peer_tag;
  End(absl::OkStatus());
  reply_ = Reply{tag, ChunkType::kShutdownComplete, 0, std::nullopt, ""};
}

void Core::HandleShutdownComplete() {
  if (state_ != State::kShutdownAckSent) {
    ++stats_.drop_unexpected_chunk;
    return;
  }
  End(absl::OkStatus());
}

void Core::Abort(absl::Time now, absl::Status status,
                 absl::string_view reason) {
  Clamp(now);
  if (state_ == State::kEnded) return;
  AbortWith(std::move(status), ErrorCause::kUserInitiatedAbort,
            reason.substr(0, kMaxReason));
  tcb_.reset();
}

void Core::HandleAbort(const ChunkView& chunk) {
  End(absl::AbortedError(
      absl::StrCat("the peer aborted: ", DescribeCauses(chunk))));
}

void Core::HandleError(const ChunkView& chunk) {
  if (HasCause(chunk, ErrorCause::kStaleCookie)) HandleStaleCookie();
  // All other causes tell of single chunks or parameters that the peer has
  // dropped; nothing follows from them (section 3.3.10).
}

void Core::AbortWith(absl::Status status, ErrorCause cause,
                     absl::string_view information) {
  // Before the peer's tag is known there is nobody to tell.
  std::optional<Reply> last;
  if (tcb_) {
    last = Reply{tcb_->peer_tag, ChunkType::kAbort,        0,
                 cause,          std::string(information), LastControl()};
  }
  End(std::move(status));
  reply_ = std::move(last);
}

// Closed is the last event and nothing else is sent but a last reply. The
// control block stays until the packet or timer at hand is done with.
void Core::End(absl::Status status) {
  state_ = State::kEnded;
  timers_.StopAll();
  queue_.Clear();
  init_ack_.reset();
  reply_.reset();
  send_init_ = false;
  events_.Push(Closed{std::move(status)});
}

}  // namespace kyuu::sctp::internal
