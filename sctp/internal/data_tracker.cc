#include "sctp/internal/data_tracker.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "sctp/internal/chunk/sack_chunk.h"
#include "sctp/internal/serial.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {
namespace {

// A peer's window is 1400 packets when it has begun with so many.
constexpr int kTwoByTwoAtFirst = 4096;
// Where less than one packet in so many is lost, the SACKs are no burden.
constexpr int kEachAfterGap = 512;

}  // namespace

DataTracker::DataTracker(const Options& options, Tsn peer_initial_tsn)
    : max_window_(options.max_tsn_window),
      max_intervals_(options.max_gap_intervals),
      max_blocks_(options.max_sack_gap_blocks),
      max_duplicates_(options.max_sack_duplicates),
      cumulative_tsn_(peer_initial_tsn - 1),
      two_by_two_(kTwoByTwoAtFirst) {}

TsnClass DataTracker::Classify(Tsn tsn) const {
  if (tsn <= cumulative_tsn_) return TsnClass::kDuplicate;
  if (tsn == cumulative_tsn_ + 1) return TsnClass::kNext;
  if (tsn - cumulative_tsn_ > max_window_) return TsnClass::kOutsideWindow;
  if (gaps_.empty()) return TsnClass::kAhead;
  if (gaps_.Contains(tsn)) return TsnClass::kDuplicate;
  if (gaps_.size() >= max_intervals_ && gaps_.WouldGrow(tsn)) {
    return TsnClass::kOutsideWindow;
  }
  return tsn < gaps_.back().last ? TsnClass::kInHole : TsnClass::kAhead;
}

void DataTracker::Record(Tsn tsn) {
  if (tsn != cumulative_tsn_ + 1) {
    gaps_.Add(tsn);
    tells_ = true;
    each_ = kEachAfterGap;
    // Section 6.7: an endpoint that finds a gap "SHOULD send a SACK
    // immediately", and goes on to do so while the gap is there.
    due_ = Due::kNow;
    return;
  }
  cumulative_tsn_ = tsn;
  if (gaps_.empty()) return;
  due_ = Due::kNow;
  tells_ = true;
  if (gaps_.front().first == tsn + 1) {
    cumulative_tsn_ = gaps_.front().last;
    gaps_.RemoveUpTo(cumulative_tsn_);
  }
}

void DataTracker::RecordDuplicate(Tsn tsn) {
  // Section 6.2: duplicates alone are acknowledged without delay.
  due_ = Due::kNow;
  tells_ = true;
  if (duplicates_.size() < max_duplicates_) duplicates_.push_back(tsn);
}

bool DataTracker::ForwardTo(Tsn tsn) {
  due_ = Due::kNow;
  if (tsn <= cumulative_tsn_) return false;
  cumulative_tsn_ = tsn;
  gaps_.RemoveUpTo(tsn);
  if (!gaps_.empty() && gaps_.front().first == tsn + 1) {
    cumulative_tsn_ = gaps_.front().last;
    gaps_.RemoveUpTo(cumulative_tsn_);
  }
  return true;
}

void DataTracker::RestartAt(Tsn next) {
  cumulative_tsn_ = next - 1;
  gaps_ = {};
  duplicates_.clear();
}

void DataTracker::OnDataPacket() {
  ++packets_since_sack_;
  two_by_two_ = std::max(two_by_two_ - 1, 0);
  each_ = std::max(each_ - 1, 0);
  if (due_ == Due::kNow) return;
  // Section 6.2: "for at least every second packet (not every second DATA
  // chunk) received".
  due_ = packets_since_sack_ >= 2 || each_ > 0 ? Due::kNow : Due::kLater;
}

SackChunk DataTracker::TakeSack(uint32_t a_rwnd, size_t space) {
  SackChunk sack;
  sack.cumulative_tsn_ack = cumulative_tsn_;
  sack.a_rwnd = a_rwnd;
  size_t room = (space - std::min(space, SackChunk::kHeaderSize)) / 4;
  const size_t blocks = std::min({gaps_.size(), max_blocks_, room});
  for (const auto& [first, last] : gaps_) {
    if (sack.gap_ack_blocks.size() == blocks) break;
    sack.gap_ack_blocks.push_back(
        {static_cast<uint16_t>(first - cumulative_tsn_),
         static_cast<uint16_t>(last - cumulative_tsn_)});
  }
  room -= blocks;
  const size_t duplicates = std::min(duplicates_.size(), room);
  sack.duplicate_tsns.assign(
      duplicates_.begin(),
      duplicates_.begin() + static_cast<std::ptrdiff_t>(duplicates));
  duplicates_.clear();
  due_ = Due::kNot;
  tells_ = false;
  packets_since_sack_ = 0;
  return sack;
}

}  // namespace kyuu::sctp::internal
