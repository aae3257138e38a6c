// Congestion control of RFC 9260 section 7.2, behind the few calls that any
// other algorithm would need too.

#ifndef KYUU_SCTP_INTERNAL_CONGESTION_CONTROL_H_
#define KYUU_SCTP_INTERNAL_CONGESTION_CONTROL_H_

#include <cstddef>

#include "absl/time/time.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

// What a SACK said, in bytes as they went over the wire.
struct AckReport {
  size_t bytes_acked = 0;    // Newly acknowledged.
  size_t flight_before = 0;  // In flight before the SACK.
  size_t flight_after = 0;
  // kTimeout: what was in flight when T3 expired is not all acknowledged yet.
  enum class Recovery { kNone, kFast, kTimeout } recovery = Recovery::kNone;
  enum class Cumulative { kSame, kAdvanced } cumulative = Cumulative::kSame;
};

class CongestionControl {
 public:
  CongestionControl(const Options& options, size_t mtu);

  void OnAck(const AckReport& report);
  // Loss found by SACKs; once per recovery (section 7.2.4, rule 2).
  void OnFastRetransmit();
  // T3-rtx expired (section 7.2.3). ssthresh remembers the window of before
  // the first of several expiries in a row: like TCP (RFC 5681 section 3.1),
  // and unlike section 7.2.3, an outage is one loss, however long it lasts.
  void OnTimeout();
  // What OnFastRetransmit or OnTimeout was called for last was no loss: the
  // window is as it was before.
  void OnSpurious();
  // There is a path again, perhaps another one: slow start from the beginning
  // to where the window was reduced to.
  void OnPathReady();
  // The sender was silent for `idle` and begins to send again.
  void OnIdle(absl::Duration idle, absl::Duration rto);

  size_t cwnd() const { return cwnd_; }
  size_t ssthresh() const { return ssthresh_; }

 private:
  size_t mtu_;
  size_t initial_cwnd_;
  size_t cwnd_;
  size_t ssthresh_;
  size_t partial_bytes_acked_ = 0;
  // Before the last reduction.
  size_t prior_cwnd_ = 0;
  size_t prior_ssthresh_ = 0;
  bool silent_ = false;  // Nothing was acknowledged since T3 expired.
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CONGESTION_CONTROL_H_
