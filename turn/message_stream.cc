#include "turn/message_stream.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "turn/channel_data.h"

namespace kyuu::turn {

MessageStream::MessageStream(const MessageStreamOptions& options)
    : options_(options), out_(options.pieces, options.queued_bytes_max) {}

void MessageStream::Send(absl::Span<const uint8_t> message) {
  const size_t room = options_.queued_bytes_max +
                      (IsChannelData(message) ? 0 : options_.stun_bytes_max);
  if (closed_ || out_.queued_bytes() + message.size() > room) {
    ++stats_.messages_dropped;
    return;
  }
  out_.Add(message);
  ++stats_.messages_queued;
}

void MessageStream::Close() {
  in_.Clear();
  End(absl::OkStatus());
}

void MessageStream::HandlePacket(absl::Time, Packet in) {
  if (closed_) return;
  in_.Append(in);
}

std::optional<MessageStream::Packet> MessageStream::PollTransmit(
    absl::Time, absl::Span<uint8_t> out) {
  in_.GiveBack();
  return out_.Take(out);
}

std::optional<MessageStream::Event> MessageStream::PollEvent() {
  if (joined_ && in_.held_bytes() > 0) {
    const absl::Span<const uint8_t> bytes = in_.rest();
    in_.Clear();
    ++stats_.messages_received;
    return Message{bytes};
  }
  // The formats bound a message; the server is one that we have chosen.
  const auto message = in_.Next(std::numeric_limits<size_t>::max());
  if (!message.ok()) {
    in_.Clear();
    End(message.status());
  } else if (message->has_value()) {
    ++stats_.messages_received;
    return Message{**message};
  }
  if (!end_) return std::nullopt;
  return Event(*std::exchange(end_, std::nullopt));
}

void MessageStream::HandleStreamEnd(absl::Time, const absl::Status& why) {
  // Whoever has ended his side hears no more of us.
  out_.Clear();
  End(why);
}

void MessageStream::End(absl::Status status) {
  if (std::exchange(closed_, true)) return;
  end_ = Closed{std::move(status)};
}

std::string MessageStream::DebugString() const {
  return absl::StrCat("turn::MessageStream holds ", held_bytes(), " bytes",
                      closed_ ? ", closed" : "");
}

}  // namespace kyuu::turn
