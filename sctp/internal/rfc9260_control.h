// The congestion control of RFC 9260 section 7.2.

#ifndef KYUU_SCTP_INTERNAL_RFC9260_CONTROL_H_
#define KYUU_SCTP_INTERNAL_RFC9260_CONTROL_H_

#include <cstddef>
#include <limits>

#include "absl/time/time.h"
#include "sctp/internal/congestion_control.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

// Rfc9260Control is slow start, congestion avoidance and halving. It does not
// pace.
class Rfc9260Control {
 public:
  Rfc9260Control(const Options& options, size_t mtu);

  void OnSent(const SentSample& sent);
  void OnAcked(const AckSample& acked);
  void OnLost(const LossSample& lost);
  // ssthresh remembers the window of before the first of several expiries in a
  // row: like TCP (RFC 5681 section 3.1), and unlike section 7.2.3, an outage
  // is one loss, however long it lasts.
  void OnTimeout(absl::Time now);
  // The window is as it was before.
  void OnSpurious(absl::Time now);
  // Slow start from the beginning to where the window was reduced to.
  void OnPathReady(absl::Time now);

  size_t cwnd() const { return cwnd_; }
  size_t ssthresh() const { return ssthresh_; }
  double pacing_rate() const { return std::numeric_limits<double>::infinity(); }

 private:
  size_t mtu_;
  size_t initial_cwnd_;
  size_t cwnd_;
  size_t ssthresh_;
  size_t partial_bytes_acked_ = 0;
  absl::Time last_sent_ = absl::InfinitePast();
  // Before the last reduction.
  size_t prior_cwnd_ = 0;
  size_t prior_ssthresh_ = 0;
  bool silent_ = false;  // Nothing was acknowledged since T3 expired.
};
static_assert(CongestionControl<Rfc9260Control>);

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_RFC9260_CONTROL_H_
