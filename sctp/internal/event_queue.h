// The events of an association that were not taken yet, and what the messages
// among them weigh.

#ifndef KYUU_SCTP_INTERNAL_EVENT_QUEUE_H_
#define KYUU_SCTP_INTERNAL_EVENT_QUEUE_H_

#include <cstddef>
#include <optional>
#include <utility>
#include <variant>

#include "sctp/event.h"
#include "sctp/internal/ring_queue.h"

namespace kyuu::sctp::internal {

// EventQueue keeps events in order. Messages are bounded by the receive
// window, whose other half the reassembly is.
class EventQueue {
 public:
  explicit EventQueue(size_t overhead) : overhead_(overhead) {}

  void Push(Event event) {
    if (std::holds_alternative<StreamsReset>(event)) ++resets_;
    events_.push_back(std::move(event));
  }
  void PushMessage(Message message) {
    held_bytes_ += message.payload.size() + overhead_;
    // A place begins as a message: nothing has to change its kind.
    events_.emplace_back() = std::move(message);
  }
  std::optional<Event> Pop() {
    std::optional<Event> event;
    if (events_.empty()) return event;
    event.emplace(events_.pop_front());
    if (const Message* message = std::get_if<Message>(&*event)) {
      held_bytes_ -= message->payload.size() + overhead_;
    } else if (std::holds_alternative<StreamsReset>(*event)) {
      --resets_;
    }
    return event;
  }
  bool empty() const { return events_.empty(); }
  size_t waiting_resets() const { return resets_; }
  // Payload and overhead of the messages that wait.
  size_t held_bytes() const { return held_bytes_; }

 private:
  size_t overhead_;
  size_t held_bytes_ = 0;
  size_t resets_ = 0;
  RingQueue<Event> events_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_EVENT_QUEUE_H_
