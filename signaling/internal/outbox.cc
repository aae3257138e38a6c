#include "signaling/internal/outbox.h"

#include <utility>

#include "base/check.h"

namespace kyuu::signaling::internal {

void Outbox::Push(absl::Cord text) {
  bytes_ += text.size() + kQueuedMessageBytes;
  messages_.push_back(std::move(text));
}

bool Outbox::Acknowledge(uint64_t number) {
  if (number > sent()) return false;
  while (forgotten_ < number) PopFront();
  return true;
}

void Outbox::Forget() {
  KYUU_CHECK(!messages_.empty());
  PopFront();
}

void Outbox::PopFront() {
  bytes_ -= messages_.front().size() + kQueuedMessageBytes;
  messages_.pop_front();
  ++forgotten_;
}

}  // namespace kyuu::signaling::internal
