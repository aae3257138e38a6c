#include "relay/stream_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "turn/framing.h"

namespace kyuu::relay {
namespace {

// What a client's buffer may keep while nothing is in it.
constexpr size_t kIdleBytes = 512;

}  // namespace

StreamClient::StreamClient(const StreamClientOptions& options, absl::Time now)
    : options_(options) {
  timers_.Set(Timer::kIdle, now + options_.idle_timeout);
}

void StreamClient::HandlePacket(absl::Time, Packet in) {
  if (closed_) return;
  in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(taken_));
  taken_ = 0;
  in_.insert(in_.end(), in.begin(), in.end());
}

bool StreamClient::has_message() const {
  const auto frame = turn::ReadFrame(rest());
  return frame.ok() && frame->has_value() && (*frame)->bytes() <= rest().size();
}

std::optional<StreamClient::Message> StreamClient::TakeMessage() {
  const auto frame = turn::ReadFrame(rest());
  if (!frame.ok()) {
    Close(frame.status());
    return std::nullopt;
  }
  if (!frame->has_value()) return std::nullopt;
  if (standing_ == Standing::kStranger &&
      (*frame)->bytes() > options_.stranger_message_bytes) {
    Close(absl::ResourceExhaustedError(absl::StrCat(
        "a message of ", (*frame)->bytes(), " bytes without an allocation")));
    return std::nullopt;
  }
  if (rest().size() < (*frame)->bytes()) return std::nullopt;
  const Message message{rest().first((*frame)->message_bytes)};
  taken_ += (*frame)->bytes();
  return message;
}

void StreamClient::Close(absl::Status status) {
  taken_ = in_.size();
  End(std::move(status));
}

void StreamClient::End(absl::Status status) {
  if (closed_) return;
  closed_ = true;
  timers_.Stop(Timer::kIdle);
  end_ = Closed{std::move(status)};
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
  // Thousands of clients hold nothing between their messages.
  if (taken_ == in_.size() && in_.capacity() > kIdleBytes) {
    std::vector<uint8_t>().swap(in_);
    taken_ = 0;
  }
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
  if (taken_ < in_.size()) {
    if (const std::optional<Message> message = TakeMessage()) return *message;
  }
  if (!end_) return std::nullopt;
  return Event(*std::exchange(end_, std::nullopt));
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
  End(absl::OkStatus());  // What came before it is told of first.
}

std::string StreamClient::DebugString() const {
  return absl::StrCat(
      "relay::StreamClient ",
      standing_ == Standing::kAllocated ? "allocated" : "stranger", " in ",
      rest().size(), " out ", queued_bytes(), closed_ ? " closed" : "");
}

}  // namespace kyuu::relay
