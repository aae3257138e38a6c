#include "sctp/internal/send_queue.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "base/check.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

SendQueue::Stream& SendQueue::stream_state(StreamId stream) {
  std::unique_ptr<Stream>& state = streams_[stream];
  if (state == nullptr) state = std::make_unique<Stream>();
  return *state;
}

const SendQueue::Stream* SendQueue::FindStream(StreamId stream) const {
  auto it = streams_.find(stream);
  return it == streams_.end() ? nullptr : it->second.get();
}

void SendQueue::Add(absl::Time now, Message&& message, const SendOptions& how) {
  MessageId id = kNone;
  if (free_.empty()) {
    id = static_cast<MessageId>(pool_.size());
    pool_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  OutMessage& out = Get(id);
  out.stream = message.stream;
  out.ppid = message.ppid;
  out.payload = std::move(message.payload);
  out.ordering = how.ordering;
  if (how.max_retransmits) {
    out.max_transmissions = uint32_t{1} + *how.max_retransmits;
  }
  if (how.lifetime) out.expires = now + *how.lifetime;

  Stream& stream = stream_state(out.stream);
  stream.messages.push_back(id);
  stream.buffered += out.payload.size();
  buffered_bytes_ += out.payload.size();
  occupied_bytes_ += out.payload.size() + options_.send_overhead_bytes;
  ++queued_;
  if (!stream.active) {
    stream.active = true;
    active_.push_back(out.stream);
  }
}

OutMessage* SendQueue::Current(absl::Time now) {
  while (!active_.empty()) {
    if (current_ == kNone) {
      current_ = stream_state(active_.front()).messages.front();
    }
    OutMessage& message = Get(current_);
    if (message.started || message.expires > now ||
        partial_reliability_ == PartialReliability::kOff) {
      return &message;
    }
    // RFC 3758 section 4: expired before its first transmission, so it takes
    // neither a TSN nor an SSN with it.
    ++stats_.messages_abandoned;
    message.abandoned = true;
    PopCurrent();
  }
  return nullptr;
}

void SendQueue::Advance(size_t bytes) {
  OutMessage& message = Get(current_);
  Stream& stream = stream_state(message.stream);
  if (!message.started) {
    message.started = true;
    if (message.ordering == Ordering::kOrdered) {
      message.ssn = stream.next_ssn;
      ++stream.next_ssn;
    }
  }
  message.offset += bytes;
  ++message.fragments;
  ++message.outstanding;
  Unbuffer(message.stream, stream, bytes);
  if (message.complete()) {
    ++stats_.messages_sent;
    PopCurrent();
  }
}

void SendQueue::Unbuffer(StreamId id, Stream& stream, size_t bytes) {
  const bool was_above = stream.buffered > stream.low_threshold;
  stream.buffered -= bytes;
  buffered_bytes_ -= bytes;
  if (was_above && stream.buffered <= stream.low_threshold) {
    events_.Push(BufferedAmountLow{id});
  }
}

// Takes the current message out of its stream, whose turn ends with it.
void SendQueue::PopCurrent() {
  const MessageId id = std::exchange(current_, kNone);
  OutMessage& message = Get(id);
  const StreamId stream_id = active_.pop_front();
  Stream& stream = stream_state(stream_id);
  KYUU_CHECK(stream.messages.pop_front() == id);
  --queued_;
  const size_t rest = message.payload.size() - message.offset;
  if (rest > 0) {
    message.offset = message.payload.size();
    Unbuffer(stream_id, stream, rest);
  }
  if (stream.messages.empty()) {
    stream.active = false;
  } else {
    active_.push_back(stream_id);
  }
  if (message.outstanding == 0) Release(id);
}

void SendQueue::Abandon(MessageId id) {
  OutMessage& message = Get(id);
  ++stats_.messages_abandoned;
  const bool waiting = !message.complete();
  message.abandoned = true;
  if (waiting) {
    KYUU_CHECK(id == current_);
    PopCurrent();
  }
  if (message.outstanding > 0) {
    // Only the entry stays, until the peer has moved past it.
    occupied_bytes_ -= message.payload.size();
    message.payload = {};
  }
}

void SendQueue::Release(MessageId id) {
  OutMessage& message = Get(id);
  occupied_bytes_ -= message.payload.size() + options_.send_overhead_bytes;
  message = OutMessage();
  free_.push_back(id);
  if (refused_ && occupied_bytes_ <= options_.send_buffer_bytes / 2) {
    refused_ = false;
    events_.Push(WritableAgain{});
  }
}

bool SendQueue::IsPaused(StreamId stream) const {
  const Stream* state = FindStream(stream);
  return state != nullptr && state->paused;
}

bool SendQueue::IsDrained(StreamId stream) const {
  const Stream* state = FindStream(stream);
  return state == nullptr || state->messages.empty();
}

void SendQueue::Restart(StreamId stream, Numbering numbering) {
  auto it = streams_.find(stream);
  if (it == streams_.end()) return;
  it->second->paused = false;
  // A stream that starts over is as good as one that was never used.
  if (numbering == Numbering::kFromZero) {
    it->second->next_ssn = Ssn(0);
    if (it->second->messages.empty()) streams_.erase(it);
  }
}

void SendQueue::RestartAll() {
  if (current_ != kNone && Get(current_).started) Abandon(current_);
  for (auto& [id, stream] : streams_) {
    stream->next_ssn = Ssn(0);
    stream->paused = false;
  }
}

void SendQueue::DropWaiting(StreamId id, Stream& stream) {
  while (!stream.messages.empty()) {
    const MessageId message = stream.messages.pop_front();
    --queued_;
    ++stats_.drop_outgoing_no_stream;
    Unbuffer(id, stream, Get(message).payload.size());
    Release(message);
  }
  stream.active = false;
}

void SendQueue::LimitStreams(uint16_t count) {
  // Called before anything was sent, so no message was begun.
  current_ = kNone;
  for (size_t i = active_.size(); i > 0; --i) {
    const StreamId id = active_.pop_front();
    if (static_cast<uint16_t>(id) < count) {
      active_.push_back(id);
    } else {
      DropWaiting(id, stream_state(id));
    }
  }
}

void SendQueue::Clear() {
  pool_.clear();
  free_.clear();
  streams_.clear();
  active_.clear();
  current_ = kNone;
  queued_ = 0;
  buffered_bytes_ = 0;
  occupied_bytes_ = 0;
  refused_ = false;
}

size_t SendQueue::buffered(StreamId stream) const {
  const Stream* state = FindStream(stream);
  return state == nullptr ? 0 : state->buffered;
}

void SendQueue::SetLowThreshold(StreamId stream, size_t bytes) {
  Stream& state = stream_state(stream);
  const bool was_above = state.buffered > state.low_threshold;
  state.low_threshold = bytes;
  // Raising the threshold over the amount counts as falling below it.
  if (was_above && state.buffered <= bytes && state.buffered > 0) {
    events_.Push(BufferedAmountLow{stream});
  }
}

}  // namespace kyuu::sctp::internal
