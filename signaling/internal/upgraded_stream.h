// What both ends of a WebSocket's stream share: bytes of HTTP, and then, once
// the handshake is through, the WebSocket.

#ifndef KYUU_SIGNALING_INTERNAL_UPGRADED_STREAM_H_
#define KYUU_SIGNALING_INTERNAL_UPGRADED_STREAM_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/queue.h"
#include "base/random.h"
#include "signaling/websocket.h"

namespace kyuu::signaling::internal {

// `Event` is the owner's variant, which has those of WebSocket. The owner is
// the engine; before the upgrade it has its own timers and end.
template <typename Event>
class UpgradedStream {
 public:
  using Packet = absl::Span<const uint8_t>;

  // To be sent before anything of the WebSocket.
  void Write(absl::string_view http);
  void Emit(Event event) { events_.push_back(std::move(event)); }
  // Both sides have agreed at `now`; `options` and `random` must outlive the
  // stream.
  WebSocket& Upgrade(const WebSocketOptions& options, WebSocketRole role,
                     Random& random, absl::Time now) {
    return websocket_.emplace(options, role, random, now);
  }
  // Null before the upgrade.
  WebSocket* websocket() { return websocket_ ? &*websocket_ : nullptr; }
  const WebSocket* websocket() const {
    return websocket_ ? &*websocket_ : nullptr;
  }

  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  // As WebSocket's; FAILED_PRECONDITION before the upgrade.
  absl::Status Send(absl::Time now, MessageKind kind, std::string data) {
    if (!websocket_) return NotOpen();
    return websocket_->Send(now, kind, std::move(data));
  }
  absl::Status SendUtf8(absl::Time now, std::string text) {
    if (!websocket_) return NotOpen();
    return websocket_->SendUtf8(now, std::move(text));
  }
  absl::Status Close(absl::Time now, uint16_t code, absl::string_view reason) {
    if (!websocket_) return NotOpen();
    return websocket_->Close(now, code, reason);
  }
  // Nothing can be sent any more.
  void DropUnsent() { unsent_.reset(); }

  // Of HTTP.
  size_t unsent_bytes() const {
    return unsent_ == nullptr ? 0 : unsent_->text.size() - unsent_->sent;
  }
  size_t queued_bytes() const {
    return unsent_bytes() + (websocket_ ? websocket_->queued_bytes() : 0);
  }
  size_t held_bytes() const {
    return unsent_bytes() + (websocket_ ? websocket_->held_bytes() : 0);
  }
  bool abandoned() const { return websocket_ && websocket_->abandoned(); }

 private:
  static absl::Status NotOpen() {
    return absl::FailedPreconditionError("the WebSocket is not open");
  }

  // An idle connection keeps no memory of its last answer.
  struct Unsent {
    std::string text;
    size_t sent = 0;
  };

  std::unique_ptr<Unsent> unsent_;
  Queue<Event, 0> events_;  // The owner's, few once it is a WebSocket.
  std::optional<WebSocket> websocket_;
};

template <typename Event>
void UpgradedStream<Event>::Write(absl::string_view http) {
  if (unsent_ == nullptr) unsent_ = std::make_unique<Unsent>();
  unsent_->text.erase(0, std::exchange(unsent_->sent, 0));
  unsent_->text.append(http.data(), http.size());
}

template <typename Event>
std::optional<absl::Span<const uint8_t>> UpgradedStream<Event>::PollTransmit(
    absl::Time now, absl::Span<uint8_t> out) {
  if (unsent_bytes() == 0) {
    return websocket_ ? websocket_->PollTransmit(now, out) : std::nullopt;
  }
  Writer w(out);
  const size_t size = std::min(out.size(), unsent_bytes());
  w.Bytes(AsBytes(unsent_->text).subspan(unsent_->sent, size));
  unsent_->sent += size;
  if (unsent_bytes() == 0) unsent_.reset();
  if (size == 0) return std::nullopt;
  return w.written();
}

template <typename Event>
std::optional<Event> UpgradedStream<Event>::PollEvent() {
  if (!events_.empty()) {
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  if (!websocket_) return std::nullopt;
  std::optional<WebSocket::Event> event = websocket_->PollEvent();
  if (!event) return std::nullopt;
  return std::visit([](auto& e) { return Event(std::move(e)); }, *event);
}

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_UPGRADED_STREAM_H_
