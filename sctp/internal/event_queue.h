// The events of an association that were not taken yet, and what the messages
// among them weigh.

#ifndef KYUU_SCTP_INTERNAL_EVENT_QUEUE_H_
#define KYUU_SCTP_INTERNAL_EVENT_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "sctp/event.h"
#include "sctp/internal/ring_queue.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

// EventQueue keeps events in order. Messages are bounded by the receive
// window, whose other half the reassembly is.
class EventQueue {
 public:
  explicit EventQueue(size_t overhead) : overhead_(overhead) {}

  void Push(Event event) {
    if (IsAboutStreams(event)) ++resets_;
    events_.push_back(std::move(event));
  }
  void PushMessage(Message message) {
    held_bytes_ += message.payload.size() + overhead_;
    // A place begins as a message: nothing has to change its kind.
    events_.emplace_back() = std::move(message);
  }
  // `bytes` are the payload of `part`, which is moved from `bytes` where that
  // owns more than it is worth. Parts of one message that wait behind each
  // other become one, up to a size that makes few events.
  void PushPart(MessagePart part, std::vector<uint8_t>& bytes) {
    held_bytes_ += bytes.size();
    MessagePart* last =
        events_.empty() ? nullptr : std::get_if<MessagePart>(&events_.back());
    if (last == nullptr || last->message != part.message ||
        last->payload.size() + bytes.size() > kPartBytes) {
      held_bytes_ += overhead_;
      events_.push_back(std::move(part));
      last = &std::get<MessagePart>(events_.back());
      if (bytes.capacity() > kPartBytes) {
        last->payload = std::exchange(bytes, {});
        return;
      }
    }
    last->part = part.part;
    last->payload.insert(last->payload.end(), bytes.begin(), bytes.end());
    bytes.clear();
  }
  std::optional<Event> Pop() {
    std::optional<Event> event;
    if (events_.empty()) return event;
    event.emplace(events_.pop_front());
    if (const Message* message = std::get_if<Message>(&*event)) {
      held_bytes_ -= message->payload.size() + overhead_;
    } else if (const auto* part = std::get_if<MessagePart>(&*event)) {
      held_bytes_ -= part->payload.size() + overhead_;
    } else if (IsAboutStreams(*event)) {
      --resets_;
    }
    return event;
  }
  bool empty() const { return events_.empty(); }
  // Events that wait and tell of what RFC 6525 does to streams.
  size_t waiting_resets() const { return resets_; }
  // Payload and overhead of the messages that wait.
  size_t held_bytes() const { return held_bytes_; }

  // How the messages of `stream` are to be handed over: kWhole, until set.
  Delivery delivery(StreamId stream) const {
    // Asked for each fragment, and there mostly is none.
    return !in_parts_.empty() && in_parts_.contains(stream) ? Delivery::kParts
                                                            : Delivery::kWhole;
  }
  void SetDelivery(StreamId stream, Delivery delivery) {
    if (delivery == Delivery::kParts) {
      in_parts_.insert(stream);
    } else if (!in_parts_.empty()) {
      in_parts_.erase(stream);
    }
  }
  void ForgetDeliveries() { in_parts_ = {}; }
  // A number for a message in parts.
  uint32_t NextMessage() { return next_message_++; }

 private:
  static bool IsAboutStreams(const Event& event) {
    return std::holds_alternative<StreamsReset>(event) ||
           std::holds_alternative<AssociationReset>(event) ||
           std::holds_alternative<StreamsAdded>(event);
  }

  static constexpr size_t kPartBytes = size_t{64} << 10;

  size_t overhead_;
  size_t held_bytes_ = 0;
  size_t resets_ = 0;
  RingQueue<Event> events_;
  absl::flat_hash_set<StreamId> in_parts_;
  uint32_t next_message_ = 0;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_EVENT_QUEUE_H_
