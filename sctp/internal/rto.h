// The retransmission timeout (RFC 9260 section 6.3.1), before any back-off
// (section 6.3.3 rule E2), which each timer has for itself: timers.h.

#ifndef KYUU_SCTP_INTERNAL_RTO_H_
#define KYUU_SCTP_INTERNAL_RTO_H_

#include "absl/time/time.h"
#include "sctp/internal/loss_detection.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

class Rto {
 public:
  explicit Rto(const Options& options);

  // Measured takes a round trip, rules C2 and C3.
  void Measured(absl::Duration rtt);
  // The path has become another one, with this round trip.
  void Restart(absl::Duration rtt) {
    srtt_ = absl::ZeroDuration();
    Measured(rtt);
  }

  absl::Duration rto() const { return rto_; }
  // Zero before the first measurement.
  absl::Duration srtt() const { return srtt_; }
  absl::Duration rttvar() const { return rttvar_; }
  RoundTrip round_trip() const { return {.min = min_rtt_, .smoothed = srtt_}; }
  // The shortest round trip seen; infinite before the first.
  absl::Duration min_rtt() const { return min_rtt_; }

 private:
  absl::Duration min_;
  absl::Duration max_;
  absl::Duration rto_;
  absl::Duration srtt_ = absl::ZeroDuration();
  absl::Duration rttvar_ = absl::ZeroDuration();
  absl::Duration min_rtt_ = absl::InfiniteDuration();
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_RTO_H_
