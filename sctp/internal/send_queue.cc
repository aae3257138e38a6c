#include "sctp/internal/send_queue.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/check.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/give_back.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {
namespace {

// A message whose time is up may leave for as long as this: its own side may
// take a moment until it asks, and a burst of them is sent as a burst where
// windows turn around in no time, as on one machine. Where a round trip takes
// longer, what the window holds back has the end that it was given.
constexpr absl::Duration kGrace = absl::Milliseconds(10);

// Streams that may keep their state while nothing is under way on them, so that
// one message at a time costs no allocation.
constexpr size_t kSpareStreams = 32;

}  // namespace

SendQueue::Stream& SendQueue::stream_state(StreamId stream) {
  Stream& state = streams_.Make(stream);
  if (std::exchange(state.resting, false)) --resting_;
  return state;
}

const SendQueue::Stream* SendQueue::FindStream(StreamId stream) const {
  return streams_.Find(stream);
}

void SendQueue::Add(absl::Time now, Message&& message, const SendOptions& how) {
  const MessageId id = pool_.Take();
  OutMessage& out = Get(id);
  out.stream = message.stream;
  out.ppid = message.ppid;
  out.payload = std::move(message.payload);
  out.SetHow(how);
  if (how.lifetime) out.expires = now + *how.lifetime;
  out.arrival = next_arrival_++;
  out.whole_size = out.payload.size();
  out.importance = how.importance;
  if (out.importance) importance_.Add(id, out);
  Enqueue(id, Place::kNew);
}

void SendQueue::Enqueue(MessageId id, Place place) {
  OutMessage& out = Get(id);
  Stream& stream = stream_state(out.stream);
  stream.messages.push_back(id);
  ++stream.alive;
  ++alive_;
  stream.buffered += out.payload.size();
  buffered_bytes_ += out.payload.size();
  stream.occupied += out.payload.size() + options_.send_overhead_bytes;
  occupied_bytes_ += out.payload.size() + options_.send_overhead_bytes;
  Numbers& numbers = numbers_[out.stream];
  numbers.used = true;
  // A part goes with those before it, in spite of a pause that came later.
  if (place == Place::kNew ? all_paused_ || numbers.pause != Numbers::Pause::kNo
                           : stream.held > 0) {
    ++stream.held;
    ++held_;
  } else {
    Activate(out.stream, stream);
  }
}

// Gives the stream a turn if it has a message for it.
void SendQueue::Activate(StreamId id, Stream& stream) {
  if (stream.active || stream.messages.size() <= stream.held ||
      !Get(stream.messages.front()).ready()) {
    return;
  }
  stream.active = true;
  TakeTurn(id, stream);
}

void SendQueue::TakeTurn(StreamId id, Stream& stream) {
  scheduler_.Enter(id, stream.share, Get(stream.messages.front()).arrival);
}

bool SendQueue::IsExpired(absl::Time now, const OutMessage& message) const {
  return partial_reliability_ == PartialReliability::kOn &&
         message.expires + kGrace <= now;
}

OutMessage* SendQueue::Current(absl::Time now) {
  if (!mixes() && current_ != kNoMessage && Get(current_).started) {
    return waits_for_part() ? nullptr : &Get(current_);
  }
  while (!scheduler_.empty()) {
    const StreamId id = scheduler_.next();
    Stream& stream = stream_state(id);
    current_ = stream.messages.front();
    OutMessage& message = Get(current_);
    if (message.started) return &message;
    if (message.abandoned) {
      DropFirst(current_);
    } else if (IsExpired(now, message)) {
      // RFC 3758 section 4: expired before its first transmission, so it takes
      // neither a TSN nor an SSN with it.
      ++stats_.messages_abandoned;
      Tell(message, Fate::kGivenUp);
      DropFirst(current_);
    } else if (MayBegin(message)) {
      return &message;
    } else {
      scheduler_.Leave(stream.share);
      parked_.push_back(id);
    }
  }
  current_ = kNoMessage;
  return nullptr;
}

void SendQueue::Advance(size_t bytes) {
  const MessageId id = current_;
  OutMessage& message = Get(id);
  Stream& stream = stream_state(message.stream);
  const bool begins = !message.started;
  if (begins) {
    if (message.importance) importance_.Remove(message);
    message.started = true;
    if (message.importance) importance_.Add(id, message);
    Numbers& numbers = numbers_[message.stream];
    Mid& next = message.ordering == Ordering::kOrdered
                    ? numbers.next_mid
                    : numbers.next_unordered_mid;
    message.mid = next;
    ++next;
    TakeRoomToMix(message);
  }
  message.offset += bytes;
  ++message.fragments;
  ++message.outstanding;
  Unbuffer(message.stream, stream, bytes);
  if (mixes() && !message.complete() && message.ready()) {
    scheduler_.ServeAgain(bytes, message.priority);
    return;
  }
  // Without mixing, all of the message is its turn.
  if (mixes() || begins) {
    scheduler_.Serve(mixes() ? bytes : message.payload.size(),
                     message.priority);
  }
  if (message.complete()) {
    if (message.is_end()) ++stats_.messages_sent;
    Finish(id);
    return;
  }
  if (mixes()) {
    stream.active = false;
    current_ = kNoMessage;
  }
  if (!message.ready()) TellWritable(message.stream, stream);
}

void SendQueue::Unbuffer(StreamId id, Stream& stream, size_t bytes) {
  const bool was_above = stream.buffered > stream.low_threshold;
  stream.buffered -= bytes;
  buffered_bytes_ -= bytes;
  if (was_above && stream.buffered <= stream.low_threshold) {
    events_.Push(BufferedAmountLow{id});
  }
}

void SendQueue::Finish(MessageId id) {
  current_ = kNoMessage;
  OutMessage& message = Get(id);
  const StreamId stream_id = message.stream;
  Stream& stream = stream_state(stream_id);
  KYUU_CHECK(stream.messages.pop_front() == id);
  const size_t rest = message.payload.size() - message.offset;
  if (rest > 0) {
    message.offset = message.payload.size();
    Unbuffer(stream_id, stream, rest);
  }
  if (stream.share.place != StreamScheduler::kNowhere) {
    scheduler_.Leave(stream.share);
  }
  stream.active = false;
  if (message.started && message.next != kNoMessage) {
    PassOn(id);
  } else {
    ReturnRoomToMix(message);
  }
  if (current_ == kNoMessage) Activate(stream_id, stream);
  if (message.outstanding == 0) Release(id);
}

void SendQueue::Abandon(MessageId id) {
  OutMessage& message = Get(id);
  ++stats_.messages_abandoned;
  const bool waiting = !message.complete();
  KYUU_CHECK(message.outstanding > 0);
  message.abandoned = true;
  Tell(message, Fate::kGivenUp);
  Forget(id);
  if (waiting) {
    KYUU_CHECK(mixes() || id == current_);
    DropFirst(id);
  }
  // Only the entry stays, until the peer has moved past it.
  occupied_bytes_ -= message.payload.size();
  stream_state(message.stream).occupied -= message.payload.size();
  message.payload = {};
}

// Of a message in parts by the part that is last, or was.
void SendQueue::Tell(OutMessage& message, Fate fate) {
  if (!message.lifecycle) return;
  events_.Push(MessageSettled{message.stream, *message.lifecycle, fate});
  message.lifecycle.reset();
}

void SendQueue::Release(MessageId id) {
  OutMessage& message = Get(id);
  if (!message.abandoned && message.is_end()) Tell(message, Fate::kDelivered);
  const StreamId stream_id = message.stream;
  Stream& stream = stream_state(stream_id);
  KYUU_CHECK(!message.open);
  Forget(id);
  size_t size = message.payload.size() + options_.send_overhead_bytes;
  if (message.displaced) {
    // Displace has counted it out.
    --stream.displaced;
    size = 0;
  }
  const size_t half = options_.send_buffer_bytes / 2;
  const bool was_above = occupied_bytes_ > half;
  occupied_bytes_ -= size;
  stream.occupied -= size;
  --stream.alive;
  --alive_;
  pool_.Return(id);
  Settle(stream_id, stream);
  TellWritable(stream_id, stream);
  if (was_above && occupied_bytes_ <= half) TellAllWritable();
  Rest(stream);
}

void SendQueue::TellWritable(StreamId id, Stream& stream) {
  if (!stream.refused ||
      stream.occupied > options_.stream_send_buffer_bytes / 2 ||
      (occupied_bytes_ > options_.send_buffer_bytes / 2 && !Starves(id))) {
    return;
  }
  stream.refused = false;
  std::erase(refused_, id);
  GiveBack(refused_);
  events_.Push(WritableAgain{id});
}

void SendQueue::TellAllWritable() {
  const std::vector<StreamId> refused = refused_;
  for (StreamId id : refused) {
    Stream& stream = stream_state(id);
    TellWritable(id, stream);
    Rest(stream);
  }
}

void SendQueue::Rest(Stream& stream) {
  if (stream.resting || stream.alive > 0 || stream.buffered > 0 ||
      stream.low_threshold > 0 || stream.active || stream.refused) {
    return;
  }
  stream.resting = true;
  ++resting_;
  if (resting_ <= kSpareStreams || resting_ <= streams_.size() / 2) return;
  // Where they are many, each has paid for its own removal.
  streams_.EraseIf([](const Stream& state) { return state.resting; });
  resting_ = 0;
}

void SendQueue::Pause(StreamId id, ResetTiming timing) {
  Pause(id, numbers_[id], timing);
}

bool SendQueue::PauseUsed(StreamId id) {
  Numbers* numbers = numbers_.Find(id);
  if (numbers == nullptr || !numbers->used) return false;
  Pause(id, *numbers, ResetTiming::kSoon);
  return true;
}

void SendQueue::Pause(StreamId id, Numbers& numbers, ResetTiming timing) {
  if (numbers.pause != Numbers::Pause::kNo) {
    if (timing == ResetTiming::kSoon) Hurry(id, numbers);
    return;
  }
  numbers.pause = timing == ResetTiming::kSoon ? Numbers::Pause::kSoon
                                               : Numbers::Pause::kPatient;
  ++paused_;
  if (IsSettled(id)) {
    AddSettled(id, numbers);
  } else {
    ++settling_;
  }
}

void SendQueue::Hurry(StreamId id) {
  if (Numbers* numbers = numbers_.Find(id)) Hurry(id, *numbers);
}

void SendQueue::Hurry(StreamId id, Numbers& numbers) {
  if (numbers.pause != Numbers::Pause::kPatient) return;
  numbers.pause = Numbers::Pause::kSoon;
  if (IsSettled(id)) AddSettled(id, numbers);
}

bool SendQueue::IsSettled(StreamId id) const {
  const Stream* stream = FindStream(id);
  return stream == nullptr || stream->alive == stream->held;
}

void SendQueue::AddSettled(StreamId id, const Numbers& numbers) {
  if (numbers.pause == Numbers::Pause::kPatient) {
    delayed_.push_back({id, acknowledged_at_ + options_.reset_delay});
  } else {
    settled_.push_back(id);
  }
}

void SendQueue::Ripen(absl::Time now) {
  while (!delayed_.empty() && delayed_.front().at <= now) {
    const StreamId id = delayed_.pop_front().stream;
    Numbers& numbers = numbers_[id];
    if (numbers.pause != Numbers::Pause::kPatient || !IsSettled(id)) continue;
    numbers.pause = Numbers::Pause::kSoon;
    settled_.push_back(id);
  }
}

void SendQueue::Settle(StreamId id, const Stream& stream) {
  if (settling_ == 0 || stream.alive != stream.held) return;
  const Numbers numbers = numbers_.Get(id);
  if (numbers.pause == Numbers::Pause::kNo) return;
  --settling_;
  AddSettled(id, numbers);
}

std::vector<StreamId> SendQueue::TakeSettled(size_t max) {
  const auto end = settled_.begin() +
                   static_cast<std::ptrdiff_t>(std::min(max, settled_.size()));
  std::vector<StreamId> taken(settled_.begin(), end);
  settled_.erase(settled_.begin(), end);
  GiveBack(settled_);
  return taken;
}

void SendQueue::Restart(StreamId id, Numbering numbering) {
  Numbers& numbers = numbers_[id];
  if (numbers.pause != Numbers::Pause::kNo) --paused_;
  numbers.pause = Numbers::Pause::kNo;
  // A stream that starts over is as good as one that was never used.
  if (numbering == Numbering::kFromZero) numbers = Numbers();
  Stream* stream = streams_.Find(id);
  if (stream == nullptr) return;
  Resume(id, *stream, numbers);
  Rest(*stream);
}

void SendQueue::Resume(StreamId id, Stream& stream, Numbers& numbers) {
  if (stream.alive > 0) numbers.used = true;
  held_ -= stream.held;
  stream.held = 0;
  Activate(id, stream);
}

void SendQueue::ResumeAll(Numbering numbering) {
  all_paused_ = false;
  if (numbering == Numbering::kFromZero) numbers_.Clear();
  std::vector<StreamId> waiting;
  for (const auto& [id, stream] : streams_) {
    if (stream->alive > 0) waiting.push_back(id);
  }
  std::sort(waiting.begin(), waiting.end());
  for (StreamId id : waiting) Resume(id, stream_state(id), numbers_[id]);
}

void SendQueue::RestartAll() {
  for (const auto& [id, stream] : streams_) {
    stats_.drop_outgoing_restart += stream->messages.size();
  }
  const std::vector<StreamId> refused = std::move(refused_);
  Clear();
  for (StreamId id : refused) events_.Push(WritableAgain{id});
}

void SendQueue::DropWaiting(StreamId id, Stream& stream) {
  while (!stream.messages.empty()) {
    const MessageId message = stream.messages.pop_front();
    ++stats_.drop_outgoing_no_stream;
    Unbuffer(id, stream, Get(message).payload.size());
    // It is still active, and so stays where it is.
    Get(message).open = false;
    if (Get(message).next == kNoMessage) Tell(Get(message), Fate::kGivenUp);
    Get(message).lifecycle.reset();
    Release(message);
  }
  open_.erase(id);
  stream.active = false;
  Rest(stream);
}

void SendQueue::LimitStreams(uint16_t count) {
  // Called before anything was sent, so no message was begun.
  current_ = kNoMessage;
  std::vector<StreamId> beyond;
  for (const auto& [id, stream] : streams_) {
    if (static_cast<uint16_t>(id) >= count) beyond.push_back(id);
  }
  std::sort(beyond.begin(), beyond.end());
  for (StreamId id : beyond) {
    Stream& stream = stream_state(id);
    if (stream.share.place != StreamScheduler::kNowhere) {
      scheduler_.Leave(stream.share);
    }
    DropWaiting(id, stream);
  }
}

void SendQueue::Clear() {
  pool_.Clear();
  streams_.Clear();
  numbers_.Clear();
  resting_ = 0;
  scheduler_.Clear();
  current_ = kNoMessage;
  importance_.Clear();
  open_ = {};
  mixed_bytes_ = 0;
  mixes_beyond_ = false;
  parked_.clear();
  settled_.clear();
  delayed_.clear();
  settling_ = 0;
  paused_ = 0;
  all_paused_ = false;
  alive_ = 0;
  held_ = 0;
  refused_.clear();
  buffered_bytes_ = 0;
  occupied_bytes_ = 0;
}

void SendQueue::End() {
  decltype(streams_) unsent;
  for (const auto& [id, stream] : streams_) {
    if (stream->buffered == 0) continue;
    unsent.Make(id).buffered = stream->buffered;
  }
  Clear();
  streams_ = std::move(unsent);
}

size_t SendQueue::buffered(StreamId stream) const {
  const Stream* state = FindStream(stream);
  return state == nullptr ? 0 : state->buffered;
}

void SendQueue::SetLowThreshold(StreamId id, size_t bytes) {
  // Zero is what a stream without a state has.
  if (bytes == 0 && FindStream(id) == nullptr) return;
  Stream& state = stream_state(id);
  const bool was_above = state.buffered > state.low_threshold;
  state.low_threshold = bytes;
  // Raising the threshold over the amount counts as falling below it.
  if (was_above && state.buffered <= bytes && state.buffered > 0) {
    events_.Push(BufferedAmountLow{id});
  }
  Rest(state);
}

}  // namespace kyuu::sctp::internal
