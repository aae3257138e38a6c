// Messages that come in parts, on their way out.

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/check.h"
#include "sctp/internal/out_message.h"
#include "sctp/internal/send_queue.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

void SendQueue::Open(absl::Time now, StreamId stream, OpenMessage message) {
  message.arrival = next_arrival_++;
  if (message.how.lifetime) message.expires = now + *message.how.lifetime;
  const bool fresh = open_.emplace(stream, message).second;
  KYUU_CHECK(fresh);
}

const OpenMessage* SendQueue::FindOpen(StreamId stream) const {
  const auto it = open_.find(stream);
  return it == open_.end() ? nullptr : &it->second;
}

void SendQueue::Append(StreamId id, std::vector<uint8_t>&& bytes, Part part) {
  OpenMessage& message = open_.at(id);
  if (!bytes.empty()) {
    message.taken += bytes.size();
    const MessageId place = pool_.Take();
    OutMessage& out = Get(place);
    out.stream = id;
    out.ppid = message.ppid;
    out.payload = std::move(bytes);
    out.SetHow(message.how);
    out.expires = message.expires;
    out.arrival = message.arrival;
    out.whole_size = message.size;
    out.open = true;
    const bool first = message.tail == kNoMessage;
    if (first) {
      message.first = place;
      out.importance = message.how.importance;
      if (out.importance) importance_.Add(place, out);
    } else {
      OutMessage& before = Get(message.tail);
      before.open = false;
      before.next = place;
    }
    message.tail = place;
    Enqueue(place, first ? Place::kNew : Place::kBehindItsParts);
  }
  if (part == Part::kLast) {
    Get(message.tail).open = false;
    open_.erase(id);
  }
  // Its last byte may have waited for this.
  Activate(id, stream_state(id));
}

bool SendQueue::GiveUp(StreamId id) {
  const OpenMessage message = open_.at(id);
  if (message.tail == kNoMessage) {
    open_.erase(id);
    return true;
  }
  if (Get(message.first).started) return false;
  ++stats_.messages_abandoned;
  Tell(Get(message.first), Fate::kGivenUp);
  Forget(message.first);
  open_.erase(id);
  // Others may be in front of it, and a scheduler holds its stream: the parts
  // stay where they are, without what they carry, until their turn comes.
  Stream& stream = stream_state(id);
  for (MessageId part = message.first; part != kNoMessage;) {
    OutMessage& out = Get(part);
    DropPayload(out);
    out.open = false;
    part = out.next;
  }
  Activate(id, stream);
  return true;
}

// Whether the open message of a stream was begun and waits for its next part.
// That one is taken even if there is no room left: what takes the room may wait
// for the end of this message.
bool SendQueue::Starves(StreamId id) const {
  const auto it = open_.find(id);
  if (it == open_.end() || it->second.first == kNoMessage) return false;
  const OutMessage& part = Get(it->second.first);
  return part.started && !part.ready();
}

std::vector<StreamId> SendQueue::open_streams() const {
  std::vector<StreamId> streams;
  for (const auto& [id, message] : open_) streams.push_back(id);
  std::sort(streams.begin(), streams.end());
  return streams;
}

MessageId SendQueue::LastBegun(MessageId id) {
  while (Get(id).complete() && Get(id).next != kNoMessage) id = Get(id).next;
  return id;
}

void SendQueue::DropFirst(MessageId id) {
  for (;;) {
    OutMessage& part = Get(id);
    const MessageId next = part.next;
    part.abandoned = true;
    if (std::exchange(part.open, false)) open_.erase(part.stream);
    Finish(id);
    if (next == kNoMessage) return;
    id = next;
  }
}

// The message goes on in the part behind `part`, which is complete.
void SendQueue::PassOn(MessageId id) {
  OutMessage& part = Get(id);
  OutMessage& next = Get(part.next);
  next.started = true;
  if (part.importance) {
    next.importance = part.importance;
    Forget(id);
    importance_.Add(part.next, next);
  }
  next.room = part.room;
  next.mid = part.mid;
  next.last_tsn = part.last_tsn;
  next.fragments = part.fragments;
  if (const auto it = open_.find(part.stream);
      it != open_.end() && it->second.arrival == part.arrival) {
    it->second.first = part.next;
  }
  if (mixes()) return;
  // Nothing may come in between.
  Stream& stream = stream_state(part.stream);
  current_ = part.next;
  stream.active = true;
  scheduler_.Charge(stream.share, next.payload.size(), next.priority);
}

}  // namespace kyuu::sctp::internal
