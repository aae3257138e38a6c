// Messages to a peer, numbered, kept until it says that they have arrived.

#ifndef KYUU_SIGNALING_INTERNAL_OUTBOX_H_
#define KYUU_SIGNALING_INTERNAL_OUTBOX_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/cord.h"
#include "base/queue.h"

namespace kyuu::signaling::internal {

// What a message costs in a queue beside its text.
inline constexpr size_t kQueuedMessageBytes = 64;

// Outbox numbers messages from 1. Its owner bounds it: by Forget() while the
// peer is there, whose messages are then on their way though it may be slow to
// say so, and by giving the peer up while it is away.
class Outbox {
 public:
  Outbox() = default;
  // One whose oldest messages, up to number `forgotten`, are not here.
  explicit Outbox(uint64_t forgotten) : forgotten_(forgotten) {}

  void Push(absl::Cord text);
  // All up to `number` have arrived. False, and nothing happens, for a number
  // that was never sent.
  bool Acknowledge(uint64_t number);
  // The oldest one cannot be sent again. There is one.
  void Forget();

  // True if all behind `number` are still there, to be sent again.
  bool CanResumeAfter(uint64_t number) const {
    return number >= forgotten_ && number <= sent();
  }
  // Those not acknowledged, in their order.
  const Queue<absl::Cord>& messages() const { return messages_; }
  uint64_t forgotten() const { return forgotten_; }
  uint64_t sent() const { return forgotten_ + messages_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  void PopFront();

  Queue<absl::Cord> messages_;
  uint64_t forgotten_ = 0;  // The number of the last one that is not here.
  size_t bytes_ = 0;
};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_OUTBOX_H_
