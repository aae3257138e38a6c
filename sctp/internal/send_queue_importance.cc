// Messages that are given up for more important ones (RFC 7496 section 3.2).

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "base/check.h"
#include "sctp/internal/out_message.h"
#include "sctp/internal/send_queue.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {
namespace {

// Displaced messages that a stream may keep the places of, however few others
// it has.
constexpr size_t kSpareDisplaced = 16;

}  // namespace

bool SendQueue::HasRoom(StreamId id, const SendOptions& how) const {
  if (how.budget == Budget::kControl) return true;
  const Stream* stream = FindStream(id);
  const size_t occupied = stream == nullptr ? 0 : stream->occupied;
  return occupied < options_.stream_send_buffer_bytes &&
         (occupied_bytes_ < options_.send_buffer_bytes || Starves(id));
}

void SendQueue::Refuse(StreamId id) {
  Stream& stream = stream_state(id);
  if (!std::exchange(stream.refused, true)) refused_.push_back(id);
}

std::vector<MessageId> SendQueue::FindLessImportant(
    StreamId id, const SendOptions& how) const {
  std::vector<MessageId> found;
  if (partial_reliability_ == PartialReliability::kOff) return found;
  const Stream* stream = FindStream(id);
  const bool full_stream =
      stream != nullptr &&
      stream->occupied >= options_.stream_send_buffer_bytes;
  size_t excess = full_stream
                      ? stream->occupied - options_.stream_send_buffer_bytes
                      : occupied_bytes_ - options_.send_buffer_bytes;
  ++excess;  // A full buffer is one without a single byte.
  const auto visit = [&](MessageId place) {
    for (MessageId part = place; part != kNoMessage && excess > 0;
         part = Get(part).next) {
      const OutMessage& message = Get(part);
      size_t size = message.payload.size();
      if (!message.started) size += options_.send_overhead_bytes;
      excess -= std::min(excess, size);
    }
    found.push_back(place);
    return excess > 0;
  };
  if (full_stream) {
    importance_.ForEach(id, how.importance, visit);
  } else {
    importance_.ForEach(how.importance, visit);
  }
  if (excess > 0) found.clear();
  return found;
}

// Others may be in front of it, and a scheduler may hold its stream: it stays
// where it is, without what it carries, until its turn comes or most of the
// others there are displaced, too.
void SendQueue::Displace(MessageId id) {
  KYUU_CHECK(!Get(id).started);
  Tell(Get(id), Fate::kGivenUp);
  Forget(id);
  ++stats_.messages_abandoned;
  const StreamId stream_id = Get(id).stream;
  Stream& stream = stream_state(stream_id);
  while (id != kNoMessage) {
    OutMessage& part = Get(id);
    DropPayload(part);
    part.displaced = true;
    occupied_bytes_ -= options_.send_overhead_bytes;
    stream.occupied -= options_.send_overhead_bytes;
    ++stream.displaced;
    if (std::exchange(part.open, false)) open_.erase(stream_id);
    // Each goes by itself from here on.
    id = std::exchange(part.next, kNoMessage);
  }
  // The last byte of what was open had no turn.
  Activate(stream_id, stream);
  if (stream.displaced > kSpareDisplaced &&
      2 * stream.displaced > stream.messages.size()) {
    RemoveDisplaced(stream);
  }
}

// It gives way to none any more.
void SendQueue::Forget(MessageId id) {
  OutMessage& message = Get(id);
  if (!message.importance) return;
  importance_.Remove(message);
  message.importance.reset();
}

void SendQueue::DropPayload(OutMessage& message) {
  const size_t size = message.payload.size();
  Stream& stream = stream_state(message.stream);
  Unbuffer(message.stream, stream, size);
  occupied_bytes_ -= size;
  stream.occupied -= size;
  message.payload = {};
  message.abandoned = true;
}

void SendQueue::RemoveDisplaced(Stream& stream) {
  const size_t count = stream.messages.size();
  const size_t held_from = count - stream.held;
  RingQueue<MessageId> kept;
  std::vector<MessageId> removed;
  for (size_t i = 0; i < count; ++i) {
    const MessageId id = stream.messages[i];
    // The turn of the first one may have come.
    if (i == 0 || !Get(id).displaced) {
      kept.push_back(id);
      continue;
    }
    removed.push_back(id);
    if (i < held_from) continue;
    --stream.held;
    --held_;
  }
  stream.messages = std::move(kept);
  for (MessageId id : removed) Release(id);
}

}  // namespace kyuu::sctp::internal
