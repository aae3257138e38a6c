#include "sctp/internal/outstanding_data.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/chunk/sack_chunk.h"
#include "sctp/internal/send_queue.h"
#include "sctp/internal/serial.h"

namespace kyuu::sctp::internal {
namespace {

// Streams named in one FORWARD TSN; the rest follows in the next one.
constexpr size_t kMaxSkipped = 64;
// Messages and streams that are looked at for one FORWARD TSN: the peer chooses
// how many there are to be. Again, the rest follows.
constexpr size_t kMaxForwardSteps = 4096;
// Peers name so many gap blocks, or a few hundred; who names as many may have
// had more to name.
constexpr size_t kBlocksOfSomePeers = 20;

uint32_t Micros(absl::Time time) {
  return static_cast<uint32_t>(absl::ToUnixMicros(time));
}

}  // namespace

DataChunk OutstandingData::ChunkOf(Tsn tsn, const Entry& entry) {
  const OutMessage& message = queue_.Get(entry.message);
  DataChunk chunk;
  chunk.flags = entry.flags;
  chunk.tsn = tsn;
  chunk.stream = message.stream;
  chunk.type = data_type_;
  chunk.ssn = message.ssn();
  chunk.mid = message.mid;
  chunk.fsn = entry.fsn;
  chunk.ppid = message.ppid;
  chunk.payload =
      absl::MakeConstSpan(message.payload).subspan(entry.offset, entry.size);
  return chunk;
}

DataChunk OutstandingData::Send(absl::Time now, OutMessage& message,
                                size_t size) {
  const Tsn tsn = next_tsn();
  Entry entry;
  entry.fsn = message.fragments;
  entry.before = std::exchange(message.last_tsn, tsn);
  entry.message = queue_.current_id();
  entry.offset = static_cast<uint32_t>(message.offset);
  entry.size = static_cast<uint16_t>(size);
  if (message.fragments == 0) entry.flags |= DataChunk::kBegin;
  if (message.ends_with(size)) entry.flags |= DataChunk::kEnd;
  if (message.ordering == Ordering::kUnordered) {
    entry.flags |= DataChunk::kUnordered;
  }
  entry.limited = message.max_transmissions != UINT32_MAX ||
                  message.expires != absl::InfiniteFuture();
  entry.transmissions = 1;
  Depart(now, entry);
  entries_.push_back(entry);
  EnterFlight(tsn, at(tsn));
  queue_.Advance(size);
  return ChunkOf(tsn, entry);
}

size_t OutstandingData::NextLostSize(absl::Time now) {
  if (lost_from_ < first_tsn_) lost_from_ = first_tsn_;
  while (lost_ > 0) {
    const Entry& entry = at(lost_from_);
    if (!entry.is_lost()) {
      ++lost_from_;
      continue;
    }
    const MessageId id = entry.message;
    // It had to wait for its loss to be noticed.
    if (!entry.limited ||
        queue_.partial_reliability() == PartialReliability::kOff ||
        queue_.Get(id).expires > now) {
      return WireSize(entry);
    }
    Abandon(id);
  }
  return 0;
}

DataChunk OutstandingData::Resend(absl::Time now) {
  Entry& entry = at(lost_from_);
  KYUU_CHECK(entry.is_lost());
  LeaveState(lost_from_, entry);
  Depart(now, entry);
  if (entry.transmissions < std::numeric_limits<uint16_t>::max()) {
    ++entry.transmissions;
  }
  EnterFlight(lost_from_, entry);
  return ChunkOf(lost_from_, entry);
}

// What its SACK will be measured by (draft-ietf-ccwg-bbr section 4.1.2.2).
void OutstandingData::Depart(absl::Time now, Entry& entry) {
  if (flight_bytes_ == 0) first_sent_us_ = delivered_us_ = Micros(now);
  entry.packet = packet_;
  entry.delivered = delivered_;
  entry.delivered_us = delivered_us_;
  entry.first_sent_us = first_sent_us_;
  entry.sent_ns = absl::ToUnixNanos(now);
  entry.starved = limited_;
}

void OutstandingData::Append(Departures& list, Tsn tsn, Entry& entry) {
  if (list.count++ == 0) {
    list.oldest = tsn;
  } else {
    at(list.newest).later = tsn;
    entry.earlier = list.newest;
  }
  list.newest = tsn;
}

void OutstandingData::Prepend(Departures& list, Tsn tsn, Entry& entry) {
  if (list.count++ == 0) {
    list.newest = tsn;
  } else {
    at(list.oldest).earlier = tsn;
    entry.later = list.oldest;
  }
  list.oldest = tsn;
}

void OutstandingData::Remove(Departures& list, Tsn tsn, const Entry& entry) {
  if (--list.count == 0) return;
  if (tsn == list.oldest) {
    list.oldest = entry.later;
  } else if (tsn == list.newest) {
    list.newest = entry.earlier;
  } else {
    at(entry.earlier).later = entry.later;
    at(entry.later).earlier = entry.earlier;
  }
}

Tsn OutstandingData::Newest() const {
  if (resent_.count == 0) return sent_.newest;
  if (sent_.count == 0) return resent_.newest;
  const uint32_t behind = at(sent_.newest).packet - at(resent_.newest).packet;
  return static_cast<int32_t>(behind) > 0 ? sent_.newest : resent_.newest;
}

uint32_t OutstandingData::OldestPacket() const {
  if (resent_.count == 0) return at(sent_.oldest).packet;
  const uint32_t resent = at(resent_.oldest).packet;
  if (sent_.count == 0) return resent;
  const uint32_t sent = at(sent_.oldest).packet;
  return static_cast<int32_t>(sent - resent) < 0 ? sent : resent;
}

void OutstandingData::EnterFlight(Tsn tsn, Entry& entry) {
  entry.state = State::kInFlight;
  flight_bytes_ += WireSize(entry);
  Append(ListOf(entry), tsn, entry);
}

void OutstandingData::LeaveState(Tsn tsn, Entry& entry) {
  if (entry.is_lost()) --lost_;
  if (entry.state == State::kTimedOut) Remove(timed_out_, tsn, entry);
  if (entry.state != State::kInFlight) return;
  flight_bytes_ -= WireSize(entry);
  Remove(ListOf(entry), tsn, entry);
}

bool OutstandingData::IsValid(const SackChunk& sack) const {
  const uint32_t ahead = sack.cumulative_tsn_ack - cumulative_tsn_ack();
  if (ahead > entries_.size()) return false;
  for (const GapAckBlock& block : sack.gap_ack_blocks) {
    // The TSN after the cumulative one is missing by definition.
    if (block.start < 2 || block.end < block.start) return false;
    if (block.end > entries_.size() - ahead) return false;
  }
  return true;
}

SackResult OutstandingData::HandleSack(absl::Time now, const SackChunk& sack,
                                       const RoundTrip& round_trip) {
  SackResult result;
  const Tsn cumulative = sack.cumulative_tsn_ack;
  if (cumulative < cumulative_tsn_ack()) {
    result.kind = SackResult::Kind::kStale;
    return result;
  }
  // All of it is looked at first: it is applied whole or not at all.
  if (!IsValid(sack)) {
    result.kind = SackResult::Kind::kInvalid;
    return result;
  }
  newly_acked_ = false;
  sampled_packet_.reset();
  newest_acked_.reset();
  late_packet_.reset();
  answered_too_soon_ = false;
  const bool was_silent = silent_;
  loss_.BeginAck();
  const absl::Duration min_rtt = round_trip.min;
  if (cumulative >= first_tsn_) {
    result.cumulative_advanced = true;
    queue_.OnAcknowledged(now);
    ++forward_version_;
    PopUpTo(now, cumulative, min_rtt, result);
  }
  for (const GapAckBlock& block : sack.gap_ack_blocks) {
    ApplyBlock(now, cumulative + block.start, cumulative + block.end, min_rtt,
               result);
  }
  UndoReneged();
  HandleDuplicates(sack, result);
  // The first SACK may tell of what had arrived before the path was lost.
  if (((late_packet_ && !was_silent) || answered_too_soon_) &&
      timed_out_.count > 0) {
    UndoTimeout();
    result.timeout_was_spurious = true;
  }
  judged_until_.reset();
  if (sack.gap_ack_blocks.size() >= kBlocksOfSomePeers) {
    judged_until_ = cumulative + sack.gap_ack_blocks.back().end;
  }
  if (newly_acked_) result.bytes_lost = DetectLoss(now, round_trip);
  if (result.rtt) rtt_tsn_ = next_tsn();
  if (limited_ && static_cast<int32_t>(delivered_ - limited_until_) > 0) {
    limited_ = false;
  }
  if (newest_acked_) {
    result.rate = MeasureRate(now, min_rtt);
    const absl::Duration elapsed =
        absl::Nanoseconds(absl::ToUnixNanos(now) - newest_acked_->sent_ns);
    if (newest_acked_->transmissions == 1) result.newest_rtt = elapsed;
    first_sent_us_ = static_cast<uint32_t>(newest_acked_->sent_ns / 1000);
    if (static_cast<int32_t>(newest_acked_->packet - round_end_) >= 0) {
      result.round = AckSample::Round::kBegins;
      round_end_ = packet_ + 1;
    }
  }
  if (newly_acked_) delivered_us_ = Micros(now);
  // A guess about the rest, and there is none.
  if (entries_.empty()) too_soon_guessed_ = false;
  return result;
}

RateSample OutstandingData::MeasureRate(absl::Time now,
                                        absl::Duration min_rtt) const {
  const Entry& newest = *newest_acked_;
  const uint32_t sent_us = static_cast<uint32_t>(newest.sent_ns / 1000);
  RateSample rate;
  rate.interval = absl::Microseconds(std::max(
      sent_us - newest.first_sent_us, Micros(now) - newest.delivered_us));
  // Packets that SACKs let go in a train tell more than the path can.
  if (min_rtt != absl::InfiniteDuration() &&
      rate.interval + absl::Microseconds(1) < min_rtt) {
    return {};
  }
  rate.delivered = delivered_ - newest.delivered;
  if (newest.starved) rate.limit = RateSample::Limit::kApplication;
  return rate;
}

void OutstandingData::ApplyBlock(absl::Time now, Tsn first, Tsn last,
                                 absl::Duration min_rtt, SackResult& result) {
  for (Tsn tsn = FirstUnreported(first); tsn <= last;
       tsn = FirstUnreported(tsn + 1)) {
    Acknowledge(now, tsn, min_rtt, result);
    Entry& entry = at(tsn);
    entry.reported = true;
    entry.later = last + 1;
  }
}

// The first chunk from `tsn` on that no gap block has told of. The way there is
// halved as it is gone, so that going it again and again costs a few steps,
// however the peer has put the runs together.
Tsn OutstandingData::FirstUnreported(Tsn tsn) {
  const Tsn end = next_tsn();
  ++chunks_examined_;
  while (tsn < end && at(tsn).reported) {
    ++chunks_examined_;
    Entry& entry = at(tsn);
    if (entry.later < end && at(entry.later).reported) {
      entry.later = at(entry.later).later;
    }
    tsn = entry.later;
  }
  return tsn;
}

void OutstandingData::RestartAt(Tsn next) {
  KYUU_CHECK(entries_.empty());
  first_tsn_ = rtt_tsn_ = lost_from_ = next;
  loss_.RestartAt(next);
  episode_.End();
  judged_until_.reset();
}

void OutstandingData::PopUpTo(absl::Time now, Tsn tsn, absl::Duration min_rtt,
                              SackResult& result) {
  while (!entries_.empty() && first_tsn_ <= tsn) {
    Acknowledge(now, first_tsn_, min_rtt, result);
    const MessageId id = entries_.pop_front().message;
    ++first_tsn_;
    OutMessage& message = queue_.Get(id);
    if (--message.outstanding == 0 && message.complete()) queue_.Release(id);
  }
}

void OutstandingData::Acknowledge(absl::Time now, Tsn tsn,
                                  absl::Duration min_rtt, SackResult& result) {
  Entry& entry = at(tsn);
  if (entry.state == State::kAcked || entry.state == State::kAbandoned) return;
  const State before = entry.state;
  LeaveState(tsn, entry);
  entry.state = State::kAcked;
  result.bytes_acked += WireSize(entry);
  newly_acked_ = true;
  silent_ = false;
  if (before == State::kLost || before == State::kTimedOut) {
    // It was on its way all the time, or only its SACK was lost, and it is not
    // sent again. How long ago it left says nothing about the round trip now;
    // and nothing says when it arrived if there was no room for it so far.
    if (judged_until_ && tsn > *judged_until_) return;
    if (before == State::kLost) {
      loss_.OnReordering();
    } else if (!late_packet_ ||
               static_cast<int32_t>(entry.packet - *late_packet_) > 0) {
      late_packet_ = entry.packet;
    }
    if (episode_.OnSpurious(tsn)) result.reduction_was_spurious = true;
    return;
  }
  delivered_ += static_cast<uint32_t>(WireSize(entry));
  result.bytes_proven += WireSize(entry);
  const bool sent_once = entry.transmissions == 1;
  if (sent_once) {
    // Chunks that left together for the first time all tell the same.
    if (sampled_packet_ == entry.packet) return;
    sampled_packet_ = entry.packet;
  }
  const absl::Duration elapsed =
      absl::Nanoseconds(absl::ToUnixNanos(now) - entry.sent_ns);
  if (sent_once && tsn >= rtt_tsn_) result.rtt = elapsed;
  if (!sent_once && elapsed < min_rtt && !min_rtt_doubted_) {
    // The answer came too soon to be about the last transmission (RFC 3522
    // section 3.2, told by time): what was repeated was on its way.
    if (min_rtt == absl::InfiniteDuration()) return;
    OnRepeatedInVain(tsn, result);
    answered_too_soon_ = too_soon_guessed_ = true;
    return;
  }
  too_soon_guessed_ = false;
  if (sent_once) {
    min_rtt_doubted_ = false;
  } else if (elapsed < min_rtt) {
    result.shorter_rtt = elapsed;
  }
  if (!newest_acked_ ||
      static_cast<int32_t>(entry.packet - newest_acked_->packet) > 0) {
    newest_acked_ = entry;
  }
  loss_.OnAcked(entry.packet, elapsed,
                sent_once ? LossDetection::Transmission::kFirst
                          : LossDetection::Transmission::kRepeated);
}

void OutstandingData::Abandon(MessageId id) {
  id = queue_.LastBegun(id);
  OutMessage& message = queue_.Get(id);
  ++forward_version_;
  if (!message.complete()) {
    // The peer may have all that was sent, and acknowledged it; then nothing
    // would tell it that the rest never comes. A TSN that is used up without
    // being sent gives the FORWARD TSN something to move to.
    Entry unsent;
    unsent.message = id;
    unsent.state = State::kAbandoned;
    unsent.before = std::exchange(message.last_tsn, next_tsn());
    entries_.push_back(unsent);
    ++message.fragments;
    ++message.outstanding;
  }
  Tsn tsn = message.last_tsn;
  for (uint32_t i = 0; i < message.fragments && tsn >= first_tsn_; ++i) {
    LeaveState(tsn, at(tsn));
    at(tsn).state = State::kAbandoned;
    tsn = at(tsn).before;
  }
  queue_.Abandon(id);
}

bool OutstandingData::ShouldForward() const {
  return !entries_.empty() && entries_.front().state == State::kAbandoned;
}

ForwardTsnChunk OutstandingData::Forward(size_t space) const {
  const bool mixed = data_type_ == ChunkType::kIData;
  ForwardTsnChunk forward;
  forward.type = mixed ? ChunkType::kIForwardTsn : ChunkType::kForwardTsn;
  forward.new_cumulative_tsn = cumulative_tsn_ack();
  const size_t room = std::min((space - ForwardTsnChunk::kHeaderSize) /
                                   ForwardTsnChunk::EntrySize(forward.type),
                               kMaxSkipped);
  size_t budget = kMaxForwardSteps;
  for (Tsn tsn = first_tsn_; tsn < next_tsn();) {
    if (at(tsn).state != State::kAbandoned) break;
    const OutMessage& message = queue_.Get(at(tsn).message);
    size_t steps = 1;
    // I-FORWARD-TSN names messages of both kinds (RFC 8260 section 2.3.1).
    if (mixed || message.ordering == Ordering::kOrdered) {
      auto it = std::find_if(forward.skipped.begin(), forward.skipped.end(),
                             [&](const SkippedStream& skip) {
                               return skip.stream == message.stream &&
                                      skip.ordering == message.ordering;
                             });
      steps += static_cast<size_t>(it - forward.skipped.begin());
      if (steps > budget) break;
      if (it != forward.skipped.end()) {
        it->ssn = message.ssn();
        it->mid = message.mid;
      } else if (forward.skipped.size() < room) {
        forward.skipped.push_back(
            {message.stream, message.ssn(), message.mid, message.ordering});
      } else {
        break;
      }
    }
    if (steps > budget) break;
    budget -= steps;
    // It was given up whole, and lies in one piece unless others are mixed in.
    tsn = (mixed ? tsn : message.last_tsn) + 1;
    forward.new_cumulative_tsn = tsn - 1;
  }
  return forward;
}

}  // namespace kyuu::sctp::internal
