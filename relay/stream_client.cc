#include "relay/stream_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "turn/framing.h"

namespace kyuu::relay {

StreamClient::StreamClient(const StreamClientOptions& options, absl::Time now)
    : options_(options) {
  timers_.Set(Timer::kIdle, now + options_.idle_timeout);
}

void StreamClient::HandlePacket(absl::Time, Packet in) {
  if (closed_) return;
  in_.insert(in_.end(), in.begin(), in.end());
  Cut();
}

// Takes the messages off that are whole.
void StreamClient::Cut() {
  const absl::Span<const uint8_t> all = in_;
  size_t at = 0;
  while (!closed_) {
    const auto frame = turn::ReadFrame(all.subspan(at));
    if (!frame.ok()) {
      Close(frame.status());
      break;
    }
    if (!frame->has_value()) break;
    if (standing_ == Standing::kStranger &&
        (*frame)->bytes() > options_.stranger_message_bytes) {
      Close(absl::ResourceExhaustedError(absl::StrCat(
          "a message of ", (*frame)->bytes(), " bytes without an allocation")));
      break;
    }
    if (all.size() - at < (*frame)->bytes()) break;
    const auto bytes = all.subspan(at, (*frame)->message_bytes);
    events_.push_back(Message{{bytes.begin(), bytes.end()}});
    at += (*frame)->bytes();
  }
  in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(at));
}

void StreamClient::Close(absl::Status status) {
  if (closed_) return;
  closed_ = true;
  timers_.Stop(Timer::kIdle);
  events_.push_back(Closed{std::move(status)});
}

void StreamClient::HandleTimeout(absl::Time now) {
  while (const std::optional<Timer> due = timers_.PopDue(now)) {
    switch (*due) {
      case Timer::kIdle:
        Close(absl::DeadlineExceededError("no allocation for too long"));
        break;
      case Timer::kCount:
        break;
    }
  }
}

std::optional<StreamClient::Packet> StreamClient::PollTransmit(
    absl::Time, absl::Span<uint8_t> out) {
  size_t size = std::min(out.size(), queued_bytes());
  if (size == 0) return std::nullopt;
  if (!out_messages_.empty()) {
    size_t& left = out_messages_.front();
    size = std::min(size, left);
    left -= size;
    if (left == 0) out_messages_.pop_front();
  }
  std::copy_n(out_.begin() + static_cast<ptrdiff_t>(sent_), size, out.begin());
  sent_ += size;
  if (sent_ == out_.size()) {
    out_.clear();
    sent_ = 0;
  } else if (sent_ >= options_.queued_bytes_max) {
    // Not sooner, or each call would move all that waits.
    out_.erase(0, sent_);
    sent_ = 0;
  }
  return out.first(size);
}

std::optional<StreamClient::Event> StreamClient::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void StreamClient::SendAnswer(absl::Span<const uint8_t> bytes) {
  if (closed_) return;
  if (queued_bytes() + bytes.size() >
      options_.queued_bytes_max + options_.answers_bytes_max) {
    abandoned_ = true;
    return Close(absl::ResourceExhaustedError("it does not read its answers"));
  }
  absl::StrAppend(&out_, AsText(bytes));
  Queued(bytes.size());
}

void StreamClient::Queued(size_t bytes) {
  if (options_.pieces == StreamClientOptions::Pieces::kMessages) {
    out_messages_.push_back(bytes);
  }
}

bool StreamClient::SendData(absl::Span<const uint8_t> prefix,
                            absl::Span<const uint8_t> payload, size_t padding) {
  const size_t size = prefix.size() + payload.size() + padding;
  if (closed_ || queued_bytes() + size > options_.queued_bytes_max) {
    return false;
  }
  absl::StrAppend(&out_, AsText(prefix), AsText(payload));
  out_.append(padding, '\0');
  Queued(size);
  return true;
}

void StreamClient::Allocated() {
  standing_ = Standing::kAllocated;
  timers_.Stop(Timer::kIdle);
}

void StreamClient::Released(absl::Time now) {
  standing_ = Standing::kStranger;
  if (!closed_) timers_.Set(Timer::kIdle, now + options_.idle_timeout);
}

void StreamClient::HandleStreamEnd(absl::Time, const absl::Status& why) {
  if (!why.ok()) {
    out_.clear();
    out_messages_.clear();
    sent_ = 0;
  }
  Close(absl::OkStatus());
}

std::string StreamClient::DebugString() const {
  return absl::StrCat(
      "relay::StreamClient ",
      standing_ == Standing::kAllocated ? "allocated" : "stranger", " in ",
      in_.size(), " out ", queued_bytes(), closed_ ? " closed" : "");
}

}  // namespace kyuu::relay
