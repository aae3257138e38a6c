// Which TSNs have arrived, and when to say so (RFC 9260 section 6.2).

#ifndef KYUU_SCTP_INTERNAL_DATA_TRACKER_H_
#define KYUU_SCTP_INTERNAL_DATA_TRACKER_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "sctp/internal/chunk/sack_chunk.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/tsn_intervals.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

// What a TSN is, seen from here.
enum class TsnClass : uint8_t {
  kNext,           // The one after the cumulative TSN.
  kInHole,         // New, between others that have arrived.
  kAhead,          // New, beyond all of them and a hole.
  kDuplicate,      // Has arrived already.
  kOutsideWindow,  // Too far ahead, or one hole too many.
};

class DataTracker {
 public:
  DataTracker(const Options& options, Tsn peer_initial_tsn);

  Tsn cumulative_tsn() const { return cumulative_tsn_; }
  bool has_gaps() const { return !gaps_.empty(); }
  TsnClass Classify(Tsn tsn) const;

  // Record takes a TSN as arrived that is new.
  void Record(Tsn tsn);
  void RecordDuplicate(Tsn tsn);
  // ForwardTo moves the cumulative TSN to `tsn` at least (RFC 3758 section
  // 3.6); false if it is there already.
  bool ForwardTo(Tsn tsn);

  // The peer goes on with `next`, whatever has arrived (RFC 6525 section 4.3).
  void RestartAt(Tsn next);

  // When the SACK is due. A packet that carried DATA asks for one at once if
  // it told of a loss, or is the second since the last; else later.
  enum class Due { kNot, kLater, kNow };
  Due sack_due() const { return due_; }
  void OnDataPacket();
  void RequireSackNow() { due_ = Due::kNow; }
  // True if the SACK that is due must not wait for packets that came together
  // with this one: if it tells of a gap, a duplicate, or that a gap was filled,
  // since the peer counts such SACKs (section 7.2.4); and at the beginning and
  // for a while after a gap, when the peer's window is small and a SACK opens
  // it by a packet, whatever it acknowledges (section 7.2.1).
  bool is_sack_urgent() const {
    return due_ == Due::kNow && (tells_ || each_ > 0 || two_by_two_ > 0);
  }

  // TakeSack builds the SACK with as many blocks and duplicates as fit in
  // `space` bytes, and takes it for sent.
  SackChunk TakeSack(uint32_t a_rwnd, size_t space);

 private:
  uint32_t max_window_;
  size_t max_intervals_;
  size_t max_blocks_;
  size_t max_duplicates_;

  Tsn cumulative_tsn_;
  TsnIntervals gaps_;
  absl::InlinedVector<Tsn, 8> duplicates_;
  Due due_ = Due::kNot;
  bool tells_ = false;  // Something that the peer counts came since the SACK.
  // So many packets more are acknowledged two by two, or each for itself, even
  // if they come as one train: without it foreign senders that lose 5 % wait
  // for timeouts.
  int two_by_two_;
  int each_ = 0;
  // The very first packet is acknowledged at once: its sender's window is
  // small, and it has no round trip measured yet.
  int packets_since_sack_ = 1;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_DATA_TRACKER_H_
