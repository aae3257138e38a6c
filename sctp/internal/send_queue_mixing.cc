// Which messages may be begun beside others whose fragments they are mixed with
// (RFC 8260).

#include <cstddef>

#include "sctp/internal/out_message.h"
#include "sctp/internal/send_queue.h"

namespace kyuu::sctp::internal {

void SendQueue::set_mix_limit(size_t bytes) {
  mix_limit_ = bytes;
  Unpark();
}

// What fits into a packet ends where it begins, so it takes nobody's room.
bool SendQueue::MayBegin(const OutMessage& message) const {
  switch (RoomOf(message)) {
    case OutMessage::Room::kNone:
      return true;
    case OutMessage::Room::kCounted:
      return mixed_bytes_ == 0 ||
             mixed_bytes_ + message.whole_size <= mix_limit_;
    case OutMessage::Room::kBeyond:
      return !mixes_beyond_;
  }
  return true;
}

OutMessage::Room SendQueue::RoomOf(const OutMessage& message) const {
  const size_t size = message.whole_size;
  if (!mixes() || size <= options_.mtu) return OutMessage::Room::kNone;
  // Half of the window is the limit.
  return size / 2 > mix_limit_ ? OutMessage::Room::kBeyond
                               : OutMessage::Room::kCounted;
}

void SendQueue::TakeRoomToMix(OutMessage& message) {
  message.room = RoomOf(message);
  if (message.room == OutMessage::Room::kCounted) {
    mixed_bytes_ += message.whole_size;
  } else if (message.room == OutMessage::Room::kBeyond) {
    mixes_beyond_ = true;
  }
}

void SendQueue::ReturnRoomToMix(const OutMessage& message) {
  if (message.room == OutMessage::Room::kNone) return;
  if (message.room == OutMessage::Room::kCounted) {
    mixed_bytes_ -= message.whole_size;
  } else {
    mixes_beyond_ = false;
  }
  Unpark();
}

void SendQueue::Unpark() {
  while (!parked_.empty()) {
    const StreamId id = parked_.front();
    Stream& stream = stream_state(id);
    if (!MayBegin(Get(stream.messages.front()))) return;
    parked_.pop_front();
    TakeTurn(id, stream);
  }
}

}  // namespace kyuu::sctp::internal
