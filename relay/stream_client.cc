#include "relay/stream_client.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "stun/protocol.h"

namespace kyuu::relay {
namespace {

bool IsBindingRequest(absl::Span<const uint8_t> message) {
  return Reader(message).U16() == static_cast<uint16_t>(stun::Method::kBinding);
}

}  // namespace

StreamClient::StreamClient(const StreamClientOptions& options, absl::Time now)
    : options_(options), out_(options.pieces, options.queued_bytes_max) {
  BecomeStranger(now);
}

void StreamClient::BecomeStranger(absl::Time now) {
  standing_ = Standing::kStranger;
  stranger_to_ =
      now + std::max(options_.idle_timeout, options_.binding_timeout);
  timers_.Set(Timer::kIdle, now + options_.idle_timeout);
}

void StreamClient::HandlePacket(absl::Time now, Packet in) {
  if (closed_) return;
  heard_ = now;
  in_.Append(in);
}

std::optional<StreamClient::Message> StreamClient::TakeMessage() {
  const auto message = in_.NextAlike(standing_ == Standing::kStranger
                                         ? options_.stranger_message_bytes
                                         : std::numeric_limits<size_t>::max());
  if (!message.ok()) {
    Close(message.status());
    return std::nullopt;
  }
  if (!message->has_value()) return std::nullopt;
  const absl::Span<const uint8_t> bytes = (*message)->bytes;
  if (standing_ == Standing::kStranger && IsBindingRequest(bytes)) {
    timers_.Set(
        Timer::kIdle,
        std::min<absl::Time>(heard_ + options_.idle_timeout, stranger_to_));
  }
  return Message{bytes, (*message)->segment_size};
}

void StreamClient::Close(absl::Status status) {
  in_.Clear();
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
  in_.GiveBack();
  return out_.Take(out);
}

std::optional<StreamClient::Event> StreamClient::PollEvent() {
  if (in_.held_bytes() > 0) {
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
  out_.Add(bytes);
}

bool StreamClient::SendData(absl::Span<const uint8_t> prefix,
                            absl::Span<const uint8_t> payload, size_t padding) {
  const size_t size = prefix.size() + payload.size() + padding;
  if (closed_ || queued_bytes() + size > options_.queued_bytes_max) {
    return false;
  }
  out_.Add(prefix, payload, padding);
  return true;
}

void StreamClient::Allocated() {
  standing_ = Standing::kAllocated;
  timers_.Stop(Timer::kIdle);
}

void StreamClient::Released(absl::Time now) {
  if (!closed_) BecomeStranger(now);
}

void StreamClient::HandleStreamEnd(absl::Time, const absl::Status& why) {
  if (!why.ok()) out_.Clear();
  End(absl::OkStatus());  // What came before it is told of first.
}

std::string StreamClient::DebugString() const {
  return absl::StrCat(
      "relay::StreamClient ",
      standing_ == Standing::kAllocated ? "allocated" : "stranger", " in ",
      in_.held_bytes(), " out ", queued_bytes(), closed_ ? " closed" : "");
}

}  // namespace kyuu::relay
