// What becomes lost, by SACKs or by time, and what turns out not to have been:
// RFC 9260 sections 6.2.1 and 6.3.3, RFC 8985, RFC 3708 and RFC 5682.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "sctp/internal/chunk/sack_chunk.h"
#include "sctp/internal/loss_detection.h"
#include "sctp/internal/outstanding_data.h"
#include "sctp/internal/send_queue.h"
#include "sctp/internal/serial.h"

namespace kyuu::sctp::internal {
namespace {

// Chunks that one SACK may take back. A peer that acknowledges thousands and
// takes them back, in turns, would have them walked for 20 bytes each time. Who
// has really thrown away more tells of the next ones when it has these.
constexpr size_t kMaxReneged = 64;
// Chunks that are found lost at once; the rest is found by the timer, which is
// then due at once.
constexpr size_t kMaxLost = 32;

}  // namespace

// RFC 9260 section 6.2: what the peer has got twice. Of what we have sent once
// it is the network's doing, and says nothing.
void OutstandingData::HandleDuplicates(const SackChunk& sack,
                                       SackResult& result) {
  for (Tsn tsn : sack.duplicate_tsns) OnRepeatedInVain(tsn, result);
}

void OutstandingData::OnRepeatedInVain(Tsn tsn, SackResult& result) {
  if (!episode_.Contains(tsn)) return;
  // The path has kept the order, where it was only slow.
  if (!by_timeout_) loss_.OnSpurious(cumulative_tsn_ack(), next_tsn());
  if (episode_.OnSpurious(tsn)) result.reduction_was_spurious = true;
}

void OutstandingData::BeginEpisode() {
  episode_.Begin();
  for (Tsn tsn : just_lost_) episode_.OnLost(tsn);
  just_lost_ = {};
  by_timeout_ = false;
}

// What is acknowledged in a gap block and then found missing at the head, the
// peer has thrown away again (RFC 9260 section 6.2.1, rule D iii).
void OutstandingData::UndoReneged() {
  for (size_t i = 0; i < kMaxReneged && i < entries_.size(); ++i) {
    const Tsn tsn = first_tsn_ + static_cast<uint32_t>(i);
    if (!at(tsn).reported) return;
    ++chunks_examined_;
    at(tsn).reported = false;
    if (at(tsn).state == State::kAcked) MarkLost(tsn, State::kLost);
  }
}

size_t OutstandingData::DetectLoss(absl::Time now,
                                   const RoundTrip& round_trip) {
  loss_due_ = absl::InfiniteFuture();
  just_lost_.clear();
  size_t found = 0;
  const size_t resent = DetectLoss(now, round_trip, resent_, found);
  return resent + DetectLoss(now, round_trip, sent_, found);
}

// `list` is one of those in flight. Those that left earlier are lost earlier.
size_t OutstandingData::DetectLoss(absl::Time now, const RoundTrip& round_trip,
                                   const Departures& list, size_t& found) {
  size_t bytes = 0;
  while (list.count > 0) {
    ++chunks_examined_;
    const Tsn tsn = list.oldest;
    if (judged_until_ && tsn > *judged_until_) break;
    const Entry& entry = at(tsn);
    const absl::Time lost_at = loss_.LostAt(
        entry.packet, absl::FromUnixNanos(entry.sent_ns), round_trip);
    if (lost_at > now) {
      loss_due_ = std::min(loss_due_, lost_at);
      break;
    }
    if (found == kMaxLost) {
      loss_due_ = now;
      break;
    }
    ++found;
    bytes += WireSize(entry);
    MarkLost(tsn, State::kLost);
  }
  return bytes;
}

void OutstandingData::EnterLost(Tsn tsn, Entry& entry, State state) {
  LeaveState(tsn, entry);
  entry.state = state;
  if (lost_ == 0 || tsn < lost_from_) lost_from_ = tsn;
  ++lost_;
  if (state == State::kTimedOut) Append(timed_out_, tsn, entry);
}

void OutstandingData::MarkLost(Tsn tsn, State state) {
  Entry& entry = at(tsn);
  EnterLost(tsn, entry, state);
  episode_.OnLost(tsn);
  if (just_lost_.size() < LossEpisode::kMax) just_lost_.push_back(tsn);
  if (entry.limited &&
      queue_.partial_reliability() == PartialReliability::kOn &&
      entry.transmissions >= queue_.Get(entry.message).max_transmissions) {
    Abandon(entry.message);
  }
}

// A timer has waited in vain. If what was on its way, as it seemed, has not
// been answered either, then it was not: the path has become shorter, and its
// answers come sooner than any did before.
void OutstandingData::DoubtGuess() {
  if (std::exchange(too_soon_guessed_, false)) min_rtt_doubted_ = true;
}

std::optional<Tsn> OutstandingData::RepeatLastPacket(absl::Time now) {
  std::optional<Tsn> first;
  if (flight_bytes_ == 0) return first;
  DoubtGuess();
  const uint32_t packet = at(Newest()).packet;
  while (flight_bytes_ > 0 && at(Newest()).packet == packet) {
    const Tsn tsn = Newest();
    Entry& entry = at(tsn);
    if (entry.limited &&
        queue_.partial_reliability() != PartialReliability::kOff) {
      const OutMessage& message = queue_.Get(entry.message);
      if (entry.transmissions >= message.max_transmissions ||
          message.expires <= now) {
        break;
      }
    }
    EnterLost(tsn, entry, State::kLost);
    first = tsn;
  }
  return first;
}

void OutstandingData::OnTimeout() {
  just_lost_.clear();
  loss_due_ = absl::InfiniteFuture();
  DoubtGuess();
  // In the order of departure.
  while (flight_bytes_ > 0) {
    const bool once =
        sent_.count > 0 && at(sent_.oldest).packet == OldestPacket();
    MarkLost(once ? sent_.oldest : resent_.oldest, State::kTimedOut);
  }
  // Of several expiries in a row the first one has reduced the window, for all
  // that was in flight then.
  if (!silent_) BeginEpisode();
  by_timeout_ = silent_ = true;
}

// RFC 5682 section 3.1, step 3b: what had not been sent again since T3 expired
// has arrived all the same, or its SACK came too soon for that, so all of it
// was on its way. The rest goes back to where it was, in front of what has been
// sent since.
void OutstandingData::UndoTimeout() {
  // What was repeated has not overtaken it: its SACK was the first one's.
  loss_.OnSpuriousTimeout(
      late_packet_.value_or(at(timed_out_.oldest).packet - 1));
  while (timed_out_.count > 0) {
    const Tsn tsn = timed_out_.newest;
    Entry& entry = at(tsn);
    LeaveState(tsn, entry);
    entry.state = State::kInFlight;
    flight_bytes_ += WireSize(entry);
    Prepend(ListOf(entry), tsn, entry);
  }
  episode_.End();
  silent_ = false;
  // How long it took was the path's delay then.
  rtt_tsn_ = next_tsn();
}

}  // namespace kyuu::sctp::internal
