#include "sctp/internal/core.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "base/random.h"
#include "sctp/event.h"
#include "sctp/internal/congestion_control.h"
#include "sctp/internal/outstanding_data.h"
#include "sctp/internal/send_queue.h"
#include "sctp/internal/state_cookie.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {
namespace {

const char* Name(State state) {
  switch (state) {
    case State::kClosed:
      return "CLOSED";
    case State::kCookieWait:
      return "COOKIE-WAIT";
    case State::kCookieEchoed:
      return "COOKIE-ECHOED";
    case State::kEstablished:
      return "ESTABLISHED";
    case State::kShutdownPending:
      return "SHUTDOWN-PENDING";
    case State::kShutdownSent:
      return "SHUTDOWN-SENT";
    case State::kShutdownReceived:
      return "SHUTDOWN-RECEIVED";
    case State::kShutdownAckSent:
      return "SHUTDOWN-ACK-SENT";
    case State::kEnded:
      return "ENDED";
  }
  return "?";
}

}  // namespace

Core::Core(const Options& options, Random& random)
    : options_(options),
      random_(random),
      // Chunks are padded to 4, so a packet of any other size cannot be full.
      mtu_(options.mtu & ~size_t{3}),
      cookie_key_(random),
      events_(options.held_overhead_bytes),
      queue_(options_, events_, stats_) {
  KYUU_CHECK(options.Validate().ok());
  do {
    local_tag_ = random_.U32();
  } while (local_tag_ == 0);
  local_initial_tsn_ = Tsn(random_.U32());
  // Up to 36 years, which leaves room for the time itself.
  cookie_shift_ = absl::Nanoseconds(random_.U64() >> 4);
}

absl::Time Core::Clamp(absl::Time now) { return now_ = std::max(now_, now); }

absl::Status Core::Connect(absl::Time now) {
  Clamp(now);
  if (state_ == State::kEnded) {
    return absl::FailedPreconditionError("the association has ended");
  }
  if (state_ != State::kClosed) return absl::OkStatus();
  state_ = State::kCookieWait;
  send_init_ = true;
  Arm(Timer::kT1Init);
  return absl::OkStatus();
}

absl::Status Core::Send(absl::Time now, Message&& message,
                        const SendOptions& how) {
  Clamp(now);
  if (state_ > State::kEstablished || shutdown_wanted_) {
    return absl::FailedPreconditionError("the association is ending");
  }
  if (message.payload.empty()) {
    return absl::InvalidArgumentError("SCTP has no empty messages");
  }
  if (message.payload.size() > options_.max_message_out) {
    return absl::InvalidArgumentError("the message is above max_message_out");
  }
  const uint16_t streams =
      tcb_ ? tcb_->outgoing_streams : options_.outgoing_streams;
  if (static_cast<uint16_t>(message.stream) >= streams) {
    return absl::InvalidArgumentError("no such stream");
  }
  if (!queue_.TakeRoom(message.stream, how)) {
    return absl::ResourceExhaustedError("the send buffer is full");
  }
  queue_.Add(now_, std::move(message), how);
  return absl::OkStatus();
}

absl::Status Core::ResetStreams(absl::Time now,
                                absl::Span<const StreamId> streams) {
  Clamp(now);
  if (state_ != State::kEstablished) {
    return absl::FailedPreconditionError("the association is not connected");
  }
  if (!tcb_->peer_extensions.re_config) {
    return absl::FailedPreconditionError("the peer cannot reset streams");
  }
  for (StreamId stream : streams) {
    if (static_cast<uint16_t>(stream) >= tcb_->outgoing_streams) {
      return absl::InvalidArgumentError("no such stream");
    }
  }
  tcb_->reset.Request(streams);
  return absl::OkStatus();
}

std::optional<Event> Core::PollEvent() {
  std::optional<Event> event = events_.Pop();
  if (event && tcb_ && std::holds_alternative<Message>(*event)) {
    // RFC 9260 section 6.2: a window that was small is announced when it has
    // opened again. The due timer makes the driver ask for a packet.
    const size_t half = options_.receive_window_bytes / 2;
    if (tcb_->advertised_rwnd < half && a_rwnd() >= half &&
        tcb_->tracker.sack_due() != DataTracker::Due::kNow) {
      tcb_->tracker.RequireSackNow();
      timers_.Set(Timer::kSack, now_);
    }
  }
  return event;
}

void Core::HandleTimeout(absl::Time now) {
  Clamp(now);
  while (std::optional<Timer> timer = timers_.PopDue(now_)) HandleTimer(*timer);
  if (state_ == State::kEnded) tcb_.reset();
}

Stats Core::stats() const {
  Stats stats = stats_;
  stats.receive_held_bytes = events_.held_bytes();
  stats.send_buffered_bytes = queue_.buffered_bytes();
  stats.send_occupied_bytes = queue_.occupied_bytes();
  if (tcb_) {
    stats.receive_held_bytes += tcb_->reassembly.held_bytes();
    stats.cwnd_bytes = tcb_->congestion.cwnd();
    stats.ssthresh_bytes = tcb_->congestion.ssthresh();
    stats.flight_bytes = tcb_->outstanding.flight_bytes();
    stats.peer_rwnd_bytes = tcb_->peer_a_rwnd;
    stats.srtt = tcb_->rto.srtt();
    stats.rttvar = tcb_->rto.rttvar();
    stats.rto = Timeout(Timer::kT3Rtx);
  }
  return stats;
}

std::string Core::DebugString() const {
  std::string text = Name(state_);
  if (tcb_) {
    absl::StrAppend(&text, " next_tsn=", tcb_->outstanding.next_tsn().value(),
                    " acked=", tcb_->outstanding.cumulative_tsn_ack().value(),
                    " received=", tcb_->tracker.cumulative_tsn().value(),
                    " cwnd=", tcb_->congestion.cwnd(),
                    " flight=", tcb_->outstanding.flight_bytes(),
                    " peer_rwnd=", tcb_->peer_a_rwnd, " a_rwnd=", a_rwnd(),
                    " errors=", error_count_);
  }
  absl::StrAppend(&text, " queued=", queue_.buffered_bytes());
  if (timers_.paused()) absl::StrAppend(&text, " no path");
  for (size_t i = 0; i < Timers::kSize; ++i) {
    const Timer timer = static_cast<Timer>(i);
    if (timers_.deadline(timer) == absl::InfiniteFuture()) continue;
    absl::StrAppend(&text, " ", Name(timer), "=",
                    absl::FormatDuration(timers_.deadline(timer) - now_));
  }
  return text;
}

}  // namespace kyuu::sctp::internal
