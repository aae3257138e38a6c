#include "signaling/events/event_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"

namespace kyuu::signaling {
namespace {

// What a queued event costs besides its bytes, as with WebSocket's messages.
constexpr size_t kEventCost = 64;

// The field `data`: a line for each of `text`, whichever way it ends its lines.
std::string DataOf(absl::string_view text) {
  std::string out = "data: ";
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    if (text[i] == '\r' || text[i] == '\n') {
      out += "\ndata: ";
    } else {
      out.push_back(text[i]);
    }
  }
  out += "\n\n";
  return out;
}

}  // namespace

EventStream::EventStream(const EventStreamOptions& options,
                         absl::string_view name, absl::Time now)
    : options_(options) {
  timers_.Set(Timer::kHeartbeat, now + options_.heartbeat);
  timers_.Set(Timer::kPing, now + options_.ping_interval);
  Enqueue(absl::StrCat("event: stream\n", DataOf(name)));
}

void EventStream::HandlePacket(absl::Time /*now*/, Packet in) {
  bytes_ignored_ += in.size();
}

void EventStream::HandleTimeout(absl::Time now) {
  while (std::optional<Timer> due = timers_.PopDue(now)) {
    switch (*due) {
      case Timer::kHeartbeat:
        heartbeat_due_ = true;
        timers_.Set(Timer::kHeartbeat, now + options_.heartbeat);
        break;
      case Timer::kPing:
        Enqueue("event: ping\ndata:\n\n");
        timers_.Set(Timer::kPong, now + options_.pong_timeout);
        break;
      case Timer::kPong:
        Cut(absl::DeadlineExceededError(
            "event stream: the client says nothing"));
        break;
      case Timer::kCount:
        break;
    }
  }
}

std::optional<EventStream::Packet> EventStream::PollTransmit(
    absl::Time now, absl::Span<uint8_t> out) {
  if (std::exchange(heartbeat_due_, false) && out_.empty()) Enqueue(":\n\n");
  Writer w(out);
  while (!out_.empty() && w.written().size() < out.size()) {
    const std::string& event = out_.front();
    const size_t size =
        std::min(out.size() - w.written().size(), event.size() - first_sent_);
    w.Bytes(AsBytes(event).subspan(first_sent_, size));
    first_sent_ += size;
    if (first_sent_ < event.size()) break;
    queued_bytes_ -= event.size() + kEventCost;
    first_sent_ = 0;
    out_.pop_front();
  }
  if (w.written().empty()) return std::nullopt;
  if (!closed_) timers_.Set(Timer::kHeartbeat, now + options_.heartbeat);
  return w.written();
}

std::optional<EventStream::Event> EventStream::PollEvent() {
  return std::exchange(event_, std::nullopt);
}

void EventStream::HandlePosted(absl::Time now) {
  if (closed_) return;
  timers_.Stop(Timer::kPong);
  timers_.Set(Timer::kPing, now + options_.ping_interval);
}

absl::Status EventStream::Send(absl::string_view message) {
  if (closed_) return absl::FailedPreconditionError("the stream is closed");
  std::string event = DataOf(message);
  if (queued_bytes_ + event.size() + kEventCost > options_.max_queued_bytes) {
    absl::Status slow = absl::ResourceExhaustedError(
        "event stream: the client does not read what it is sent");
    Cut(slow);
    return slow;
  }
  Enqueue(std::move(event));
  return absl::OkStatus();
}

void EventStream::SetRetry(absl::Duration retry_after) {
  if (closed_) return;
  Enqueue(
      absl::StrCat("retry: ", absl::ToInt64Milliseconds(retry_after), "\n\n"));
}

void EventStream::Close(uint16_t code, absl::string_view reason) {
  if (closed_) return;
  Enqueue(absl::StrCat("event: close\n",
                       DataOf(absl::StrCat("{\"code\":", code, ",\"reason\":\"",
                                           reason, "\"}"))));
  Finish(absl::OkStatus());
}

void EventStream::HandleStreamEnd() {
  out_.clear();
  first_sent_ = 0;
  queued_bytes_ = 0;
  Finish(absl::UnavailableError("event stream: the client has gone"));
}

void EventStream::Enqueue(std::string event) {
  queued_bytes_ += event.size() + kEventCost;
  out_.push_back(std::move(event));
}

void EventStream::Cut(absl::Status why) {
  out_.clear();
  first_sent_ = 0;
  queued_bytes_ = 0;
  abandoned_ = true;
  Finish(std::move(why));
}

void EventStream::Finish(absl::Status why) {
  if (std::exchange(closed_, true)) return;
  heartbeat_due_ = false;
  timers_.StopAll();
  event_ = EventStreamClosed{std::move(why)};
}

std::string EventStream::DebugString() const {
  return absl::StrCat(
      "event stream ", closed_ ? "closed" : "open", ", ", queued_bytes_,
      " bytes queued, ", bytes_ignored_, " ignored, heartbeat at ",
      absl::FormatTime(timers_.deadline(Timer::kHeartbeat)), ", ping at ",
      absl::FormatTime(timers_.deadline(Timer::kPing)), ", given up at ",
      absl::FormatTime(timers_.deadline(Timer::kPong)));
}

}  // namespace kyuu::signaling
