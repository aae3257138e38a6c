// The end of an association: RFC 9260 section 9, and ERROR.

#include <optional>
#include <string>
#include <utility>
#include <variant>

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
  GiveUpOpenMessages();
  if (In<state::Closed>()) return End(absl::OkStatus());
  if (auto* wait = std::get_if<state::CookieWait>(&state_)) {
    wait->afterwards = Afterwards::kShutDown;
  } else if (Tcb* tcb = FindTcb()) {
    if (auto* echoed = std::get_if<state::CookieEchoed>(&tcb->phase)) {
      echoed->afterwards = Afterwards::kShutDown;
    } else if (tcb->In<state::Established>()) {
      tcb->phase = state::ShutdownPending();
      AdvanceShutdown(*tcb);
    }
  }
}

// Goes on with a shutdown as soon as all data is acknowledged.
void Core::AdvanceShutdown(Tcb& tcb) {
  const bool pending = tcb.In<state::ShutdownPending>();
  if (!pending && !tcb.In<state::ShutdownReceived>()) return;
  if (queue_.buffered_bytes() > 0 || !tcb.outstanding.empty()) return;
  if (pending) {
    tcb.phase = state::ShutdownSent();
    timers_.Set(Timer::kT5ShutdownGuard, now_ + kShutdownGuard);
  } else {
    tcb.phase = state::ShutdownAckSent();
  }
  timers_.Stop(Timer::kT3Rtx);
  timers_.Stop(Timer::kReordering);
  timers_.Stop(Timer::kHeartbeat);
  timers_.Stop(Timer::kReconfig);
  timers_.Stop(Timer::kResetDelay);
  Arm(Timer::kT2Shutdown);
}

void Core::HandleShutdown(Tcb& tcb, const ChunkView& chunk) {
  const std::optional<ShutdownChunk> shutdown = ShutdownChunk::Parse(chunk);
  if (!shutdown) {
    ++stats_.drop_malformed_chunk;
  } else if (tcb.carries_data()) {
    // It acknowledges like a SACK, and leaves the window as it was.
    SackChunk sack;
    sack.cumulative_tsn_ack = shutdown->cumulative_tsn_ack;
    sack.a_rwnd = static_cast<uint32_t>(tcb.peer_a_rwnd);
    ApplySack(tcb, sack);
    GiveUpOpenMessages();
    if (In<state::Ended>()) return;
    tcb.phase = state::ShutdownReceived();
    AdvanceShutdown(tcb);
  } else if (tcb.In<state::ShutdownSent>()) {
    // Both sides began to shut down.
    tcb.phase = state::ShutdownAckSent();
    Arm(Timer::kT2Shutdown);
  } else if (auto* sent = std::get_if<state::ShutdownAckSent>(&tcb.phase)) {
    sent->shutdown_ack = Duty::kDue;
  } else {
    ++stats_.drop_unexpected_chunk;
  }
}

void Core::HandleShutdownAck(const Tcb& tcb) {
  if (!tcb.In<state::ShutdownSent>() && !tcb.In<state::ShutdownAckSent>()) {
    ++stats_.drop_unexpected_chunk;
    return;
  }
  const uint32_t tag = tcb.peer_tag;
  End(absl::OkStatus());
  reply_ = Reply{tag, ChunkType::kShutdownComplete, 0, std::nullopt, ""};
}

void Core::HandleShutdownComplete(const Tcb& tcb) {
  if (!tcb.In<state::ShutdownAckSent>()) {
    ++stats_.drop_unexpected_chunk;
    return;
  }
  End(absl::OkStatus());
}

void Core::Abort(absl::Time now, absl::Status status,
                 absl::string_view reason) {
  Clamp(now);
  if (In<state::Ended>()) return;
  AbortWith(std::move(status), ErrorCause::kUserInitiatedAbort,
            reason.substr(0, kMaxReason));
}

void Core::HandleAbort(const ChunkView& chunk) {
  End(absl::AbortedError(
      absl::StrCat("the peer aborted: ", DescribeCauses(chunk))));
}

void Core::HandleError(Tcb& tcb, const ChunkView& chunk) {
  if (HasCause(chunk, ErrorCause::kStaleCookie)) HandleStaleCookie(tcb);
  // All other causes tell of single chunks or parameters that the peer has
  // dropped; nothing follows from them (section 3.3.10).
}

void Core::AbortWith(absl::Status status, ErrorCause cause,
                     absl::string_view information) {
  // Before the peer's tag is known there is nobody to tell.
  std::optional<Reply> last;
  if (Tcb* tcb = FindTcb()) {
    last = Reply{tcb->peer_tag, ChunkType::kAbort,        0,
                 cause,         std::string(information), LastControl(*tcb)};
  }
  End(std::move(status));
  reply_ = std::move(last);
}

// Closed is the last event and nothing else is sent but a last reply. With the
// state its data goes, a control block among it.
void Core::End(absl::Status status) {
  state_.emplace<state::Ended>();
  timers_.StopAll();
  queue_.End();
  init_ack_.reset();
  reply_.reset();
  events_.Push(Closed{std::move(status)});
}

}  // namespace kyuu::sctp::internal
