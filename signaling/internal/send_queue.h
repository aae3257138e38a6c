// Messages of an engine that wait for PollTransmit, and what they weigh.

#ifndef KYUU_SIGNALING_INTERNAL_SEND_QUEUE_H_
#define KYUU_SIGNALING_INTERNAL_SEND_QUEUE_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "signaling/envelope.h"

namespace kyuu::signaling::internal {

// SendQueue is first in, first out. Texts that go to many are shared. Its owner
// bounds it by bytes().
class SendQueue {
 public:
  // What a message costs beside its text.
  static constexpr size_t kMessageBytes = 64;

  void Push(ConnectionId to, absl::Cord text) {
    bytes_ += text.size() + kMessageBytes;
    queue_.push_back({to, std::move(text)});
  }
  std::optional<Envelope> Pop() {
    if (queue_.empty()) return std::nullopt;
    const Entry next = std::move(queue_.front());
    queue_.pop_front();
    bytes_ -= next.text.size() + kMessageBytes;
    return Envelope{next.to, std::string(next.text)};
  }
  size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    ConnectionId to{};
    absl::Cord text;
  };
  std::deque<Entry> queue_;
  size_t bytes_ = 0;
};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_SEND_QUEUE_H_
