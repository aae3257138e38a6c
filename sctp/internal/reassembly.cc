#include "sctp/internal/reassembly.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/held_chunks.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/tsn_intervals.h"

namespace kyuu::sctp::internal {
namespace {

uint32_t WaitingKey(StreamId stream, Ssn ssn) {
  return static_cast<uint32_t>(stream) << 16 | ssn.value();
}

void Append(std::vector<uint8_t>& to, absl::Span<const uint8_t> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

}  // namespace

Reassembly::Reassembly(const Options& options, Tsn peer_initial_tsn,
                       EventQueue& events, Stats& stats)
    : options_(options),
      events_(events),
      stats_(stats),
      next_tsn_(peer_initial_tsn),
      held_(options.max_tsn_window) {}

Reassembly::Outcome Reassembly::Add(const DataChunk& chunk, Tsn cumulative) {
  if (chunk.tsn != next_tsn_) {
    if (chunk.begin() && chunk.end() &&
        chunk.payload.size() <= options_.max_message_in) {
      Deliver(Message{chunk.stream,
                      chunk.ppid,
                      {chunk.payload.begin(), chunk.payload.end()}},
              chunk.unordered(), chunk.ssn, Arrival::kBeyondHole);
      return Outcome::kOk;
    }
    held_bytes_ += chunk.payload.size() + options_.held_overhead_bytes;
    const std::optional<TsnInterval> run = held_.Insert(chunk, next_tsn_);
    if (run) TakeRun(*run);
    return Outcome::kOk;
  }
  ++next_tsn_;
  const Outcome outcome = Continue(chunk);
  if (outcome != Outcome::kOk) return outcome;
  return AdvanceTo(cumulative);
}

Reassembly::Outcome Reassembly::Skip(Tsn tsn, Tsn cumulative) {
  if (tsn != next_tsn_) return Outcome::kOk;
  return AdvanceTo(cumulative);
}

// Takes the chunk at the cumulative TSN into the assembly.
Reassembly::Outcome Reassembly::Continue(const DataChunk& chunk) {
  if (chunk.begin()) {
    if (assembly_.active) {
      // The sender gave the rest up and never told: only RFC 3758 may do so,
      // and the message is the peer's to lose.
      DropAssembly();
    }
    if (chunk.end() && chunk.payload.size() <= options_.max_message_in) {
      Deliver(Message{chunk.stream,
                      chunk.ppid,
                      {chunk.payload.begin(), chunk.payload.end()}},
              chunk.unordered(), chunk.ssn, Arrival::kInSequence);
      return Outcome::kOk;
    }
    assembly_ = Assembly();
    assembly_.active = true;
    assembly_.unordered = chunk.unordered();
    assembly_.stream = chunk.stream;
    assembly_.ssn = chunk.ssn;
    assembly_.ppid = chunk.ppid;
    // Messages of one kind follow each other: one allocation each.
    assembly_.payload.reserve(std::max(last_size_, 2 * chunk.payload.size()));
  } else if (!assembly_.active) {
    if (!forwarded_) return Outcome::kNoBegin;
    // The rest of a message of which a FORWARD TSN has given up the beginning.
    ++stats_.drop_unexpected_chunk;
    return Outcome::kOk;
  } else if (chunk.stream != assembly_.stream ||
             chunk.unordered() != assembly_.unordered ||
             (!chunk.unordered() && chunk.ssn != assembly_.ssn)) {
    return Outcome::kBrokenRun;
  }
  if (assembly_.given + assembly_.payload.size() + chunk.payload.size() >
      options_.largest_message_in()) {
    return Outcome::kMessageTooLarge;
  }
  Append(assembly_.payload, chunk.payload);
  if (assembly_.as == Assembly::As::kWhole &&
      (assembly_.payload.size() > options_.max_message_in ||
       events_.delivery(assembly_.stream) == Delivery::kParts)) {
    BeginParts();
  }
  if (assembly_.as != Assembly::As::kWhole) {
    GivePart(chunk.end() ? Part::kLast : Part::kMore);
  } else if (chunk.end()) {
    last_size_ = assembly_.payload.size();
    assembly_.active = false;
    Deliver(Message{assembly_.stream, assembly_.ppid,
                    std::exchange(assembly_.payload, {})},
            assembly_.unordered, assembly_.ssn, Arrival::kInSequence);
  }
  return Outcome::kOk;
}

void Reassembly::BeginParts() {
  assembly_.as = Assembly::As::kParts;
  assembly_.message = events_.NextMessage();
  if (assembly_.unordered) return;
  if (assembly_.ssn < next_ssns_[assembly_.stream]) {
    assembly_.as = Assembly::As::kNothing;
  } else {
    // As for a whole one: none that is missing can still come.
    FlushUpTo(assembly_.stream, assembly_.ssn);
  }
}

// Hands over what there is of the assembly.
void Reassembly::GivePart(Part part) {
  const uint64_t offset = assembly_.given;
  assembly_.given += assembly_.payload.size();
  if (assembly_.as == Assembly::As::kParts) {
    events_.PushPart({.stream = assembly_.stream,
                      .ppid = assembly_.ppid,
                      .message = assembly_.message,
                      .offset = offset,
                      .part = part},
                     assembly_.payload);
  } else {
    assembly_.payload.clear();
  }
  if (part == Part::kMore) return;
  assembly_.active = false;
  if (assembly_.as == Assembly::As::kNothing) {
    ++stats_.drop_stale_ssn;
    return;
  }
  if (part == Part::kLast) ++stats_.messages_received;
  if (assembly_.unordered || part == Part::kGivenUp) return;
  next_ssns_[assembly_.stream] = assembly_.ssn + 1;
  if (!waiting_.empty()) FlushFrom(assembly_.stream);
}

void Reassembly::DropAssembly() {
  ++stats_.messages_skipped;
  ForgetAssembly();
}

void Reassembly::ForgetAssembly() {
  if (assembly_.given > 0) {
    assembly_.payload = {};
    GivePart(Part::kGivenUp);
  }
  assembly_ = Assembly();
}

// Goes through what was held, up to the cumulative TSN.
Reassembly::Outcome Reassembly::AdvanceTo(Tsn cumulative) {
  while (next_tsn_ <= cumulative) {
    const Tsn tsn = next_tsn_;
    ++next_tsn_;
    if (held_.Find(tsn) == nullptr) {
      // Taken out early as part of a whole message, or skipped: either way
      // not the rest of the assembly, which then has none.
      if (assembly_.active) DropAssembly();
      if (held_.empty()) {
        next_tsn_ = cumulative + 1;
        break;
      }
      continue;
    }
    const HeldChunk held = TakeHeld(tsn);
    const Outcome outcome = Continue(held.View(tsn));
    if (outcome != Outcome::kOk) return outcome;
  }
  return Outcome::kOk;
}

HeldChunk Reassembly::TakeHeld(Tsn tsn) {
  HeldChunk held = held_.Take(tsn);
  held_bytes_ -= held.payload.size() + options_.held_overhead_bytes;
  return held;
}

// Delivers a whole message beyond a hole.
void Reassembly::TakeRun(const TsnInterval& run) {
  size_t size = 0;
  for (Tsn tsn = run.first; tsn <= run.last; ++tsn) {
    size += held_.Find(tsn)->payload.size();
  }
  // Left where it is, it ends the association when its turn comes.
  if (size > options_.max_message_in) return;
  HeldChunk first = TakeHeld(run.first);
  const bool unordered = (first.flags & DataChunk::kUnordered) != 0;
  Message message{first.stream, first.ppid, std::move(first.payload)};
  message.payload.reserve(size);
  for (Tsn tsn = run.first + 1; tsn <= run.last; ++tsn) {
    Append(message.payload, TakeHeld(tsn).payload);
  }
  Deliver(std::move(message), unordered, first.ssn, Arrival::kBeyondHole);
}

void Reassembly::Deliver(Message message, bool unordered, Ssn ssn,
                         Arrival arrival) {
  if (unordered) {
    ++stats_.messages_received;
    events_.PushMessage(std::move(message));
    return;
  }
  const StreamId stream = message.stream;
  Ssn& next = next_ssns_[stream];
  if (ssn < next) {
    ++stats_.drop_stale_ssn;
    return;
  }
  if (ssn != next) {
    if (arrival == Arrival::kBeyondHole) {
      const size_t weight =
          message.payload.size() + options_.held_overhead_bytes;
      if (waiting_.emplace(WaitingKey(stream, ssn), std::move(message))
              .second) {
        held_bytes_ += weight;
      } else {
        ++stats_.drop_stale_ssn;
      }
      return;
    }
    // All TSNs before this one have arrived or were given up, so no message
    // of the stream that is missing can still come.
    FlushUpTo(stream, ssn);
  }
  ++stats_.messages_received;
  events_.PushMessage(std::move(message));
  next = ssn + 1;
  if (!waiting_.empty()) FlushFrom(stream);
}

// Delivers the waiting messages of `stream` from the next SSN until before
// `end`, passing over those that are missing.
void Reassembly::FlushUpTo(StreamId stream, Ssn end) {
  Ssn& next = next_ssns_[stream];
  while (next < end && !waiting_.empty()) {
    // Up to the end or to where the numbers wrap around.
    const bool wraps = end.value() < next.value();
    const uint32_t stop =
        wraps ? WaitingKey(stream, Ssn(0xffff)) : WaitingKey(stream, end) - 1;
    auto it = waiting_.lower_bound(WaitingKey(stream, next));
    if (it == waiting_.end() || it->first > stop) {
      if (!wraps) break;
      next = Ssn(0);
      continue;
    }
    next = Ssn(static_cast<uint16_t>(it->first)) + 1;
    held_bytes_ -= it->second.payload.size() + options_.held_overhead_bytes;
    ++stats_.messages_received;
    events_.PushMessage(std::move(it->second));
    waiting_.erase(it);
  }
  next = end;
}

// Delivers waiting messages of `stream` as long as none is missing.
void Reassembly::FlushFrom(StreamId stream) {
  Ssn& next = next_ssns_[stream];
  for (auto it = waiting_.find(WaitingKey(stream, next)); it != waiting_.end();
       it = waiting_.find(WaitingKey(stream, next))) {
    held_bytes_ -= it->second.payload.size() + options_.held_overhead_bytes;
    ++stats_.messages_received;
    events_.PushMessage(std::move(it->second));
    waiting_.erase(it);
    ++next;
  }
}

Reassembly::Outcome Reassembly::ForwardTo(const ForwardTsnChunk& forward,
                                          Tsn cumulative) {
  const Tsn end = forward.new_cumulative_tsn;
  forwarded_ = true;
  if (next_tsn_ <= end) {
    // A message that continues here has lost a part.
    if (assembly_.active) {
      // An ordered one is counted below, by its sequence number.
      if (assembly_.unordered) ++stats_.messages_skipped;
      ForgetAssembly();
    }
    held_.DropRange(next_tsn_, end, [this](const HeldChunk& held) {
      held_bytes_ -= held.payload.size() + options_.held_overhead_bytes;
    });
    next_tsn_ = end + 1;
  }
  for (const SkippedStream& skip : forward.skipped) {
    if (skip.ssn < next_ssns_[skip.stream]) continue;
    ++stats_.messages_skipped;
    FlushUpTo(skip.stream, skip.ssn + 1);
    FlushFrom(skip.stream);
  }
  return AdvanceTo(cumulative);
}

void Reassembly::ResetStreams(absl::Span<const StreamId> streams) {
  auto drop = [this](auto from, auto to) {
    for (auto it = from; it != to; ++it) {
      held_bytes_ -= it->second.payload.size() + options_.held_overhead_bytes;
      ++stats_.drop_stale_ssn;
    }
    waiting_.erase(from, to);
  };
  // What was handed over of a message has no end then.
  if (assembly_.given > 0 &&
      (streams.empty() || std::find(streams.begin(), streams.end(),
                                    assembly_.stream) != streams.end())) {
    DropAssembly();
  }
  if (streams.empty()) {
    drop(waiting_.begin(), waiting_.end());
    next_ssns_.Clear();
    return;
  }
  for (StreamId stream : streams) {
    // Of one that nothing has come on there is nothing.
    Ssn* const next = next_ssns_.Find(stream);
    if (next == nullptr) continue;
    *next = Ssn(0);
    if (waiting_.empty()) continue;
    drop(waiting_.lower_bound(WaitingKey(stream, Ssn(0))),
         waiting_.upper_bound(WaitingKey(stream, Ssn(0xffff))));
  }
}

}  // namespace kyuu::sctp::internal
