// CUBIC (RFC 9438) with HyStart++ (RFC 9406), paced.

#ifndef KYUU_SCTP_INTERNAL_CUBIC_CONTROL_H_
#define KYUU_SCTP_INTERNAL_CUBIC_CONTROL_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "sctp/internal/congestion_control.h"
#include "sctp/internal/hystart.h"
#include "sctp/internal/rate_reduction.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

// CubicControl grows the window by the time since the last loss, not by round
// trips: fast to where that was, carefully there, and fast again beyond.
class CubicControl {
 public:
  CubicControl(const Options& options, size_t mtu);

  // A window that was not used for an RTO is halved, as RFC 9260 section 7.2.1
  // has it, and the time does not count (RFC 9438 section 5.8).
  void OnSent(const SentSample& sent);
  void OnAcked(const AckSample& acked);
  void OnLost(const LossSample& lost);
  // The first expiry counts as a loss. A second one in a row means that nothing
  // passes at all: what the path carried before is tried again, by slow start.
  void OnTimeout(absl::Time now);
  void OnSpurious(absl::Time now);
  // Slow start from the beginning to the window of before the outage.
  void OnPathReady(absl::Time now);

  size_t cwnd() const { return cwnd_; }
  size_t ssthresh() const { return epoch_.ssthresh; }
  double pacing_rate() const { return pacing_rate_; }

 private:
  // What a reduction changes, and its undoing restores.
  struct Epoch {
    size_t ssthresh = 0;
    double w_max = 0;  // The window of the last loss, in bytes.
    double k = 0;      // Seconds from the begin until it is w_max again.
    double w_est = 0;  // What Reno would have, in bytes.
    double cwnd_prior = 0;
    // When congestion avoidance began; infinitely past before it has.
    absl::Time begin = absl::InfinitePast();
  };

  void Reduce();
  void Skip(absl::Time now);
  void Avoid(const AckSample& acked);
  void Pace(const RoundTrip& round_trip);
  bool in_slow_start() const { return cwnd_ < epoch_.ssthresh; }

  size_t mtu_;
  size_t initial_cwnd_;
  size_t cwnd_;
  Epoch epoch_;
  HyStart hystart_;
  RateReduction reduction_;
  bool reducing_ = false;
  absl::Time counted_until_;  // Of the time since the epoch's begin.
  double growth_ = 0;         // Parts of a byte that the window has grown by.
  // The most in flight in this round trip, and in the last one.
  size_t used_ = 0;
  size_t used_before_ = 0;
  absl::Time last_sent_ = absl::InfinitePast();
  double pacing_rate_;
  // Before the last reduction.
  size_t prior_cwnd_ = 0;
  Epoch prior_epoch_;
  int silence_ = 0;  // Expiries of T3 since anything was acknowledged.
};
static_assert(CongestionControl<CubicControl>);

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CUBIC_CONTROL_H_
