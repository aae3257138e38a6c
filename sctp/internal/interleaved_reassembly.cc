#include "sctp/internal/interleaved_reassembly.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {
namespace {

constexpr int kStreamShift = 33;
constexpr uint64_t kUnorderedBit = uint64_t{1} << 32;
constexpr uint32_t kHalf = uint32_t{1} << 31;

StreamId StreamOf(uint64_t key) {
  return static_cast<StreamId>(key >> kStreamShift);
}

uint64_t BeginOf(uint32_t stream) { return uint64_t{stream} << kStreamShift; }

}  // namespace

InterleavedReassembly::Key InterleavedReassembly::KeyOf(StreamId stream,
                                                        Ordering ordering,
                                                        Mid mid) {
  return BeginOf(static_cast<uint16_t>(stream)) |
         (ordering == Ordering::kUnordered ? kUnorderedBit : 0) | mid.value();
}

InterleavedReassembly::Outcome InterleavedReassembly::Add(
    const DataChunk& chunk) {
  const auto ordering =
      chunk.unordered() ? Ordering::kUnordered : Ordering::kOrdered;
  bool is_next = true;
  if (ordering == Ordering::kOrdered) {
    const Mid next = next_mids_.Get(chunk.stream);
    if (chunk.mid < next) {
      // Given up by the peer before, or used twice.
      ++stats_.drop_stale_ssn;
      return Outcome::kOk;
    }
    is_next = chunk.mid == next;
  }
  const Key key = KeyOf(chunk.stream, ordering, chunk.mid);
  // Most are whole in one chunk, and it is their turn.
  if (is_next && chunk.begin() && chunk.end() &&
      chunk.payload.size() <= options_.max_message_in &&
      !messages_.contains(key)) {
    DeliverAtOnce(chunk, ordering);
    return Outcome::kOk;
  }
  const auto [it, fresh] = messages_.try_emplace(key);
  if (fresh) held_bytes_ += kOverheads * options_.held_overhead_bytes;
  const Outcome outcome = AddFragment(it->second, chunk);
  if (outcome != Outcome::kOk) return outcome;
  Incoming& message = it->second;
  if (!message.in_parts &&
      (message.payload.size() > options_.max_message_in ||
       events_.delivery(chunk.stream) == Delivery::kParts)) {
    MakeParts(message);
  }
  if (message.in_parts && !message.is_whole()) {
    if (is_next) GivePart(chunk.stream, message, Part::kMore);
    return Outcome::kOk;
  }
  if (!message.is_whole()) {
    return unfinished_bytes_ >
                   options_.max_unfinished_bytes + options_.max_message_in
               ? Outcome::kTooMuchUnfinished
               : Outcome::kOk;
  }
  if (!message.in_parts) {
    // From here on the window counts it.
    unfinished_bytes_ -= message.payload.size();
    held_bytes_ += message.payload.size();
  }
  if (!is_next) return Outcome::kOk;
  Deliver(it);
  if (ordering == Ordering::kOrdered) TurnOfTheNext(chunk.stream);
  return Outcome::kOk;
}

void InterleavedReassembly::DeliverAtOnce(const DataChunk& chunk,
                                          Ordering ordering) {
  ++stats_.messages_received;
  events_.PushMessage(Message{
      chunk.stream, chunk.ppid, {chunk.payload.begin(), chunk.payload.end()}});
  if (ordering == Ordering::kOrdered) TurnOfTheNext(chunk.stream);
}

void InterleavedReassembly::TurnOfTheNext(StreamId stream) {
  ++next_mids_[stream];
  if (!messages_.empty()) DeliverFrom(stream);
}

InterleavedReassembly::Outcome InterleavedReassembly::AddFragment(
    Incoming& message, const DataChunk& chunk) {
  const uint32_t fsn = chunk.fsn;
  // Each number once, 0 with the beginning and nothing behind the end.
  if (chunk.begin() != (fsn == 0) || fsn < message.next_fsn ||
      (message.last_fsn && fsn > *message.last_fsn)) {
    return Outcome::kBadFragment;
  }
  if (chunk.end()) {
    if (message.last_fsn ||
        (!message.early.empty() && message.early.rbegin()->first >= fsn)) {
      return Outcome::kBadFragment;
    }
    message.last_fsn = fsn;
  }
  const absl::Span<const uint8_t> payload = chunk.payload;
  if (message.given + message.payload.size() + message.early_bytes +
          payload.size() >
      options_.largest_message_in()) {
    return Outcome::kMessageTooLarge;
  }
  if (fsn != message.next_fsn) {
    const auto [early, fresh] = message.early.try_emplace(fsn);
    if (!fresh) return Outcome::kBadFragment;
    early->second.assign(payload.begin(), payload.end());
    message.early_bytes += payload.size();
    held_bytes_ += payload.size() + options_.held_overhead_bytes;
    return Outcome::kOk;
  }
  if (chunk.begin()) {
    message.ppid = chunk.ppid;
    // Messages of one kind follow each other: one allocation each. Among many
    // that are not finished, a guess would be paid for by each.
    if (!chunk.end()) {
      message.payload.reserve(
          std::max(messages_.size() == 1 ? last_size_ : 0, 2 * payload.size()));
    }
  }
  Append(message, payload);
  while (!message.early.empty() &&
         message.early.begin()->first == message.next_fsn) {
    const auto early = message.early.begin();
    message.early_bytes -= early->second.size();
    held_bytes_ -= early->second.size() + options_.held_overhead_bytes;
    Append(message, early->second);
    message.early.erase(early);
  }
  if (message.is_whole() && message.next_fsn > 1) {
    last_size_ = message.payload.size();
  }
  return Outcome::kOk;
}

void InterleavedReassembly::Append(Incoming& message,
                                   absl::Span<const uint8_t> bytes) {
  message.payload.insert(message.payload.end(), bytes.begin(), bytes.end());
  (message.in_parts ? held_bytes_ : unfinished_bytes_) += bytes.size();
  ++message.next_fsn;
}

void InterleavedReassembly::MakeParts(Incoming& message) {
  message.in_parts = true;
  message.message = events_.NextMessage();
  unfinished_bytes_ -= message.payload.size();
  held_bytes_ += message.payload.size();
}

// Hands over what there is of a message whose turn it is.
void InterleavedReassembly::GivePart(StreamId stream, Incoming& message,
                                     Part part) {
  if (message.payload.empty() && part == Part::kMore) return;
  const uint64_t offset = message.given;
  held_bytes_ -= message.payload.size();
  message.given += message.payload.size();
  events_.PushPart({.stream = stream,
                    .ppid = message.ppid,
                    .message = message.message,
                    .offset = offset,
                    .part = part},
                   message.payload);
}

// Hands a whole message over.
InterleavedReassembly::Messages::iterator InterleavedReassembly::Deliver(
    Messages::iterator it) {
  Incoming& message = it->second;
  const StreamId stream = StreamOf(it->first);
  held_bytes_ -= kOverheads * options_.held_overhead_bytes;
  ++stats_.messages_received;
  if (message.in_parts) {
    GivePart(stream, message, Part::kLast);
  } else {
    held_bytes_ -= message.payload.size();
    events_.PushMessage(
        Message{stream, message.ppid, std::move(message.payload)});
  }
  return messages_.erase(it);
}

// Forgets a message, whole or not.
InterleavedReassembly::Messages::iterator InterleavedReassembly::Drop(
    Messages::iterator it) {
  Incoming& message = it->second;
  (message.is_whole() || message.in_parts ? held_bytes_ : unfinished_bytes_) -=
      message.payload.size();
  message.payload = {};
  if (message.given > 0) {
    GivePart(StreamOf(it->first), message, Part::kGivenUp);
  }
  held_bytes_ -= message.early_bytes + (message.early.size() + kOverheads) *
                                           options_.held_overhead_bytes;
  return messages_.erase(it);
}

// Delivers messages of `stream` as long as none is missing.
void InterleavedReassembly::DeliverFrom(StreamId stream) {
  Mid& next = next_mids_[stream];
  for (;; ++next) {
    const auto it = messages_.find(KeyOf(stream, Ordering::kOrdered, next));
    if (it == messages_.end()) return;
    if (!it->second.is_whole()) {
      if (it->second.in_parts) GivePart(stream, it->second, Part::kMore);
      return;
    }
    Deliver(it);
  }
}

// Calls `take` with each message of `stream` from `first` to `last`, in order;
// it removes the message and returns the one behind it.
template <typename F>
void InterleavedReassembly::TakeRange(StreamId stream, Ordering ordering,
                                      Mid first, Mid last, F&& take) {
  if (last.value() < first.value()) {
    // The numbers wrap around in between.
    TakeRange(stream, ordering, first, Mid(UINT32_MAX), take);
    first = Mid(0);
  }
  const Key end = KeyOf(stream, ordering, last);
  auto it = messages_.lower_bound(KeyOf(stream, ordering, first));
  while (it != messages_.end() && it->first <= end) it = take(it);
}

void InterleavedReassembly::ForwardTo(const ForwardTsnChunk& forward) {
  for (const SkippedStream& skip : forward.skipped) {
    if (skip.ordering == Ordering::kUnordered) {
      // All that the peer has begun up to this one, it has finished or given
      // up.
      TakeRange(skip.stream, skip.ordering, skip.mid - (kHalf - 1), skip.mid,
                [this](Messages::iterator it) {
                  ++stats_.messages_skipped;
                  return Drop(it);
                });
      continue;
    }
    Mid& next = next_mids_[skip.stream];
    if (skip.mid < next) continue;
    ++stats_.messages_skipped;
    TakeRange(skip.stream, skip.ordering, next, skip.mid,
              [this](Messages::iterator it) {
                return it->second.is_whole() ? Deliver(it) : Drop(it);
              });
    next = skip.mid + 1;
    DeliverFrom(skip.stream);
  }
}

void InterleavedReassembly::ResetStreams(absl::Span<const StreamId> streams) {
  auto drop = [this](Messages::iterator from, Messages::iterator to) {
    while (from != to) {
      ++stats_.drop_stale_ssn;
      from = Drop(from);
    }
  };
  if (streams.empty()) {
    drop(messages_.begin(), messages_.end());
    next_mids_.Clear();
    return;
  }
  for (StreamId stream : streams) {
    if (Mid* const next = next_mids_.Find(stream)) *next = Mid(0);
    if (messages_.empty()) continue;
    const uint32_t number = static_cast<uint16_t>(stream);
    drop(messages_.lower_bound(BeginOf(number)),
         messages_.lower_bound(BeginOf(number + 1)));
  }
}

}  // namespace kyuu::sctp::internal
