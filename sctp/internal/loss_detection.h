// Which packets in flight are lost: by those that left after them and have
// arrived, and by time once the path is known to reorder (RFC 8985, for SCTP).

#ifndef KYUU_SCTP_INTERNAL_LOSS_DETECTION_H_
#define KYUU_SCTP_INTERNAL_LOSS_DETECTION_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "sctp/internal/serial.h"

namespace kyuu::sctp::internal {

// What is known of the path's round trip. min is infinite, and smoothed zero,
// before the first measurement.
struct RoundTrip {
  absl::Duration min = absl::InfiniteDuration();
  absl::Duration smoothed = absl::ZeroDuration();
};

// Until reordering is seen, a packet is lost once one that left three packets
// after it has arrived. This is the rule of three miss indications (RFC 9260
// section 7.2.4) counted in packets instead of SACKs: the same where each
// packet is answered by a SACK, and still right where one SACK answers a whole
// train. It lets a retransmission be found lost too, which counting by TSN
// cannot. Where fewer follow, and from then on, it is lost if it has not
// arrived a reordering window after it should have (RFC 8985 section 6.2).
class LossDetection {
 public:
  // BeginAck tells that the calls of OnAcked that follow belong to one SACK.
  void BeginAck() { before_ack_ = newest_; }
  // A packet has arrived; `first_time` if it carried what was never sent
  // before, so that the acknowledgement is surely its own.
  enum class Transmission : uint8_t { kFirst, kRepeated };
  void OnAcked(uint32_t packet, absl::Duration elapsed,
               Transmission transmission);
  // What was found lost has arrived all the same.
  void OnReordering() { reordering_seen_ = true; }
  // A repetition was for nothing: the window grows, once in a round trip,
  // which ends when `next_tsn` is acknowledged (RFC 8985 section 6.2, step 4).
  void OnSpurious(Tsn cumulative_tsn_ack, Tsn next_tsn);
  // T3 expired for what was on its way: `packet` is what has arrived of it, and
  // nothing that was sent since has.
  void OnSpuriousTimeout(uint32_t packet) { newest_ = before_ack_ = packet; }

  // Numbers go on with `next` (RFC 6525 section 4.3).
  void RestartAt(Tsn next) { window_round_ = next; }

  // When a packet that was sent at `sent` counts as lost: InfinitePast() if it
  // does already, InfiniteFuture() if nothing that left later has arrived.
  absl::Time LostAt(uint32_t packet, absl::Time sent,
                    const RoundTrip& round_trip) const;
  bool reordering_seen() const { return reordering_seen_; }
  absl::Duration window(const RoundTrip& round_trip) const;

 private:
  uint32_t newest_ = 0;  // Of the packets that have arrived.
  uint32_t before_ack_ = 0;
  absl::Duration newest_elapsed_;  // From its departure to its SACK.
  bool reordering_seen_ = false;
  int window_factor_ = 1;  // In quarters of the shortest round trip.
  Tsn window_round_;
};

// LossEpisode remembers what was found lost since the congestion window was
// reduced, to tell when all of it was a mistake (RFC 3708).
class LossEpisode {
 public:
  // The window is being reduced.
  void Begin() { tsns_.clear(), active_ = true; }
  void End() { tsns_.clear(), active_ = false; }
  // More than kMax losses are taken for real ones.
  void OnLost(Tsn tsn);
  // The peer has `tsn` twice, or had it before it was repeated. True if that
  // was the last one: the reduction was for nothing, and the episode is over.
  bool OnSpurious(Tsn tsn);
  bool Contains(Tsn tsn) const { return tsns_.contains(tsn.value()); }

  static constexpr size_t kMax = 8192;

 private:
  bool active_ = false;
  absl::flat_hash_set<uint32_t> tsns_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_LOSS_DETECTION_H_
