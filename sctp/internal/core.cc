#include "sctp/internal/core.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
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
#include "sctp/internal/init_terms.h"
#include "sctp/internal/send_queue.h"
#include "sctp/internal/states.h"
#include "sctp/internal/tcb.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {
namespace {

// Whether the peer of `tcb`, which may be null, can be asked for what RFC 6525
// has.
absl::Status MayReconfigure(const Tcb* tcb) {
  if (tcb == nullptr || !tcb->In<state::Established>()) {
    return absl::FailedPreconditionError("the association is not connected");
  }
  if (!tcb->peer_extensions.re_config) {
    return absl::FailedPreconditionError("the peer does not know RE-CONFIG");
  }
  return absl::OkStatus();
}

absl::Status BeingReset() {
  return absl::FailedPreconditionError("the association is being reset");
}

}  // namespace

Core::Core(const Options& options, Random& random)
    : options_(options),
      random_(random),
      // Chunks are padded to 4, so a packet of any other size cannot be full.
      mtu_(options.mtu & ~size_t{3}),
      max_mtu_(options.max_mtu & ~size_t{3}),
      cookie_key_(random),
      events_(options.held_overhead_bytes),
      queue_(options_, events_, stats_) {
  KYUU_CHECK(options.Validate().ok());
  local_tag_ = NewTag(random_);
  local_initial_tsn_ = Tsn(random_.U32());
  // Up to 36 years, which leaves room for the time itself.
  cookie_shift_ = absl::Nanoseconds(random_.U64() >> 4);
}

absl::Time Core::Clamp(absl::Time now) { return now_ = std::max(now_, now); }

absl::Status Core::Connect(absl::Time now) {
  Clamp(now);
  if (In<state::Ended>()) {
    return absl::FailedPreconditionError("the association has ended");
  }
  if (!In<state::Closed>()) return absl::OkStatus();
  state_.emplace<state::CookieWait>();
  Arm(Timer::kT1Init);
  return absl::OkStatus();
}

bool Core::is_connected() const {
  const Tcb* tcb = FindTcb();
  return tcb != nullptr && tcb->In<state::Established>();
}

// Whether Shutdown was called, by us or by the peer, or all is over.
bool Core::is_ending() const {
  if (const auto* wait = std::get_if<state::CookieWait>(&state_)) {
    return wait->afterwards == Afterwards::kShutDown;
  }
  const Tcb* tcb = FindTcb();
  if (tcb == nullptr) return In<state::Ended>();
  if (const auto* echoed = std::get_if<state::CookieEchoed>(&tcb->phase)) {
    return echoed->afterwards == Afterwards::kShutDown;
  }
  return !tcb->In<state::Established>();
}

// Whether a message may be put into the queue of `stream`.
absl::Status Core::MayAdd(StreamId stream) const {
  if (is_ending()) {
    return absl::FailedPreconditionError("the association is ending");
  }
  const Tcb* tcb = FindTcb();
  const uint16_t streams =
      tcb != nullptr ? tcb->streams.outgoing() : options_.outgoing_streams;
  if (static_cast<uint16_t>(stream) >= streams) {
    return absl::InvalidArgumentError("no such stream");
  }
  if (queue_.FindOpen(stream) != nullptr) {
    return absl::FailedPreconditionError(
        "a message in parts is open on the stream");
  }
  return absl::OkStatus();
}

absl::Status Core::Send(absl::Time now, Message&& message,
                        const SendOptions& how) {
  Clamp(now);
  if (message.payload.empty()) {
    return absl::InvalidArgumentError("SCTP has no empty messages");
  }
  if (message.payload.size() > options_.max_message_out) {
    return absl::InvalidArgumentError("the message is above max_message_out");
  }
  if (absl::Status s = MayAdd(message.stream); !s.ok()) return s;
  if (!MakeRoom(message.stream, how)) {
    return absl::ResourceExhaustedError("the send buffer is full");
  }
  queue_.Add(now_, std::move(message), how);
  return absl::OkStatus();
}

bool Core::MakeRoom(StreamId stream, const SendOptions& how) {
  while (!queue_.HasRoom(stream, how)) {
    const std::vector<MessageId> given_up =
        queue_.FindLessImportant(stream, how);
    if (given_up.empty()) {
      queue_.Refuse(stream);
      return false;
    }
    stats_.messages_displaced += given_up.size();
    for (const MessageId id : given_up) {
      if (queue_.Get(id).started) {
        FindTcb()->outstanding.Abandon(id);
      } else {
        queue_.Displace(id);
      }
    }
  }
  return true;
}

absl::Status Core::BeginMessage(absl::Time now, StreamId stream, Ppid ppid,
                                std::optional<size_t> size,
                                const SendOptions& how) {
  Clamp(now);
  if (size == size_t{0}) {
    return absl::InvalidArgumentError("SCTP has no empty messages");
  }
  if (size > options_.max_message_out) {
    return absl::InvalidArgumentError("the message is above max_message_out");
  }
  if (absl::Status s = MayAdd(stream); !s.ok()) return s;
  using Size = OpenMessage::Size;
  queue_.Open(now_, stream,
              {.ppid = ppid,
               .how = how,
               .kind = size ? Size::kExact : Size::kAtMost,
               .size = size.value_or(options_.max_message_out)});
  return absl::OkStatus();
}

absl::Status Core::SendPart(absl::Time now, StreamId stream,
                            std::vector<uint8_t>&& bytes, Part part) {
  Clamp(now);
  const OpenMessage* open = queue_.FindOpen(stream);
  if (open == nullptr) {
    return absl::FailedPreconditionError(
        "no message is open on the stream, or it was given up");
  }
  if (part == Part::kGivenUp) {
    GiveUpMessage(stream);
    return absl::OkStatus();
  }
  const size_t taken = open->taken + bytes.size();
  if (taken > open->size) {
    return absl::InvalidArgumentError(
        "the message becomes larger than announced or allowed");
  }
  if (open->kind == OpenMessage::Size::kExact) {
    if (part == Part::kLast && taken < open->size) {
      return absl::InvalidArgumentError(
          "the message is shorter than announced");
    }
    if (taken == open->size) part = Part::kLast;
  }
  if (!bytes.empty()) {
    if (!MakeRoom(stream, open->how)) {
      return absl::ResourceExhaustedError("the send buffer is full");
    }
  } else if (part == Part::kMore) {
    return absl::OkStatus();
  } else if (open->tail == kNoMessage) {
    return absl::InvalidArgumentError("SCTP has no empty messages");
  }
  queue_.Append(stream, std::move(bytes), part);
  return absl::OkStatus();
}

void Core::GiveUpMessage(StreamId stream) {
  const MessageId begun = queue_.FindOpen(stream)->first;
  if (queue_.GiveUp(stream)) return;
  Tcb* tcb = FindTcb();
  if (tcb != nullptr && tcb->partial_reliability()) {
    tcb->outstanding.Abandon(begun);
  } else {
    // The peer could never be told.
    Abort(now_, absl::CancelledError("a message was given up half-way"),
          "a message was given up half-way");
  }
}

// No part of them would be taken any more.
void Core::GiveUpOpenMessages() {
  for (const StreamId stream : queue_.open_streams()) {
    if (queue_.FindOpen(stream) != nullptr) GiveUpMessage(stream);
  }
}

absl::Status Core::ResetStreams(absl::Time now,
                                absl::Span<const StreamId> streams,
                                ResetTiming timing) {
  Clamp(now);
  Tcb* tcb = FindTcb();
  if (absl::Status s = MayReconfigure(tcb); !s.ok()) return s;
  for (StreamId stream : streams) {
    if (static_cast<uint16_t>(stream) >= tcb->streams.outgoing()) {
      return absl::InvalidArgumentError("no such stream");
    }
  }
  if (tcb->reset.resets_all()) return BeingReset();
  tcb->reset.Request(streams, timing);
  return absl::OkStatus();
}

absl::Status Core::ResetAssociation(absl::Time now) {
  Clamp(now);
  Tcb* tcb = FindTcb();
  if (absl::Status s = MayReconfigure(tcb); !s.ok()) return s;
  if (tcb->reset.resets_all()) return BeingReset();
  if (tcb->reset.resets_streams()) {
    return absl::FailedPreconditionError("streams are being reset");
  }
  tcb->reset.RequestAll();
  return absl::OkStatus();
}

absl::Status Core::AddStreams(absl::Time now, uint16_t outgoing,
                              uint16_t incoming) {
  Clamp(now);
  Tcb* tcb = FindTcb();
  if (absl::Status s = MayReconfigure(tcb); !s.ok()) return s;
  return tcb->streams.Ask(outgoing, incoming);
}

void Core::HurryReset(absl::Time now, StreamId stream) {
  Clamp(now);
  queue_.Hurry(stream);
}

std::optional<Event> Core::PollEvent() {
  std::optional<Event> event = events_.Pop();
  Tcb* tcb = FindTcb();
  if (event && tcb != nullptr &&
      (std::holds_alternative<Message>(*event) ||
       std::holds_alternative<MessagePart>(*event))) {
    // RFC 9260 section 6.2: a window that was small is announced when it has
    // opened again. The due timer makes the driver ask for a packet.
    const size_t half = tcb->window.size() / 2;
    if (tcb->advertised_rwnd < half && a_rwnd(*tcb) >= half &&
        tcb->tracker.sack_due() != DataTracker::Due::kNow) {
      tcb->tracker.RequireSackNow();
      timers_.Set(Timer::kSack, now_);
    }
  }
  return event;
}

void Core::HandleTimeout(absl::Time now) {
  Clamp(now);
  while (std::optional<Timer> timer = timers_.PopDue(now_)) HandleTimer(*timer);
}

Stats Core::stats() const {
  Stats stats = stats_;
  stats.receive_held_bytes = events_.held_bytes();
  stats.send_buffered_bytes = queue_.buffered_bytes();
  stats.send_occupied_bytes = queue_.occupied_bytes();
  if (const Tcb* tcb = FindTcb()) {
    stats.receive_held_bytes += tcb->reassembly.held_bytes();
    stats.cwnd_bytes = tcb->congestion.cwnd();
    stats.ssthresh_bytes = tcb->congestion.ssthresh();
    stats.flight_bytes = tcb->outstanding.flight_bytes();
    stats.peer_rwnd_bytes = tcb->peer_a_rwnd;
    stats.delivery_rate = tcb->rate.rate();
    stats.srtt = tcb->rto.srtt();
    stats.rttvar = tcb->rto.rttvar();
    stats.rto = Timeout(Timer::kT3Rtx);
    stats.packet_bytes = tcb->path_mtu.size();
    stats.terms = tcb->terms();
  }
  return stats;
}

const char* Core::StateName() const {
  const auto name_of = [](const auto& state) { return state.kName; };
  const auto name_in = [&](const auto& state) {
    if constexpr (requires { state.phase; }) {
      return std::visit(name_of, state.phase);
    } else {
      return name_of(state);
    }
  };
  return std::visit(name_in, state_);
}

std::string Core::DebugString() const {
  std::string text = StateName();
  if (const Tcb* tcb = FindTcb()) {
    absl::StrAppend(&text, " next_tsn=", tcb->outstanding.next_tsn().value(),
                    " acked=", tcb->outstanding.cumulative_tsn_ack().value(),
                    " received=", tcb->tracker.cumulative_tsn().value(),
                    " cwnd=", tcb->congestion.cwnd(),
                    " flight=", tcb->outstanding.flight_bytes(),
                    " peer_rwnd=", tcb->peer_a_rwnd, " a_rwnd=", a_rwnd(*tcb),
                    " errors=", tcb->error_count);
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
