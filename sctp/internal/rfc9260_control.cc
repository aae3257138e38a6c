#include "sctp/internal/rfc9260_control.h"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "absl/time/time.h"
#include "sctp/internal/congestion_control.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

Rfc9260Control::Rfc9260Control(const Options& options, size_t mtu)
    : mtu_(mtu),
      initial_cwnd_(options.initial_cwnd_packets * mtu),
      cwnd_(initial_cwnd_),
      // Section 7.2.1: "The initial value of ssthresh MAY be arbitrarily high".
      ssthresh_(std::numeric_limits<size_t>::max() / 2) {}

void Rfc9260Control::OnSent(const SentSample& sent) {
  if (sent.before == SentSample::Before::kIdle) {
    // Section 7.2.1: an idle path is no longer known, and the window is halved
    // for each RTO, here not below the window that a new path would get.
    absl::Duration idle = sent.now - last_sent_;
    while (idle >= sent.rto && cwnd_ > initial_cwnd_) {
      cwnd_ = std::max(cwnd_ / 2, initial_cwnd_);
      idle -= sent.rto;
    }
  }
  last_sent_ = sent.now;
}

void Rfc9260Control::OnAcked(const AckSample& acked) {
  if (acked.packet_bytes > 0) mtu_ = acked.packet_bytes;
  if (acked.bytes_acked > 0) silent_ = false;
  // Sections 7.2.1 and 7.2.2: the window grows only when the cumulative TSN
  // moves, when it was in full use, and outside of fast recovery.
  if (acked.cumulative == AckSample::Cumulative::kSame ||
      acked.recovery == AckSample::Recovery::kFast) {
    return;
  }
  const bool in_full_use = acked.flight_before + mtu_ > cwnd_;
  if (cwnd_ <= ssthresh_) {
    if (!in_full_use) return;
    // Every acknowledged byte counts (L is unbounded): a peer that drains its
    // socket answers a whole train of packets with a single SACK. After a
    // timeout it may have had all of it before, which says nothing about what
    // the path carries now (RFC 3465 section 2.3: L is 1).
    const size_t growth = acked.recovery == AckSample::Recovery::kTimeout
                              ? std::min(acked.bytes_acked, mtu_)
                              : acked.bytes_acked;
    // What is beyond the threshold grows as slowly as there.
    cwnd_ = std::min(cwnd_ + growth, std::max(ssthresh_, cwnd_) + mtu_);
    return;
  }
  partial_bytes_acked_ += acked.bytes_acked;
  if (in_full_use && partial_bytes_acked_ >= cwnd_) {
    partial_bytes_acked_ -= cwnd_;
    cwnd_ += mtu_;
  }
  // A window that was not used has not shown that it could be larger.
  if (!in_full_use)
    partial_bytes_acked_ = std::min(partial_bytes_acked_, cwnd_);
  if (acked.flight_after == 0) partial_bytes_acked_ = 0;
}

void Rfc9260Control::OnLost(const LossSample& lost) {
  if (lost.recovery == LossSample::Recovery::kGoesOn) return;
  prior_cwnd_ = cwnd_;
  prior_ssthresh_ = ssthresh_;
  ssthresh_ = std::max(cwnd_ / 2, 4 * mtu_);
  cwnd_ = ssthresh_;
  partial_bytes_acked_ = 0;
}

void Rfc9260Control::OnTimeout(absl::Time) {
  if (!silent_) {
    prior_cwnd_ = cwnd_;
    prior_ssthresh_ = ssthresh_;
    ssthresh_ = std::max(cwnd_ / 2, 4 * mtu_);
  }
  silent_ = true;
  cwnd_ = mtu_;
  partial_bytes_acked_ = 0;
}

void Rfc9260Control::OnSpurious(absl::Time) {
  cwnd_ = std::max(cwnd_, prior_cwnd_);
  ssthresh_ = std::max(ssthresh_, prior_ssthresh_);
  silent_ = false;
}

void Rfc9260Control::OnPathReady(absl::Time) {
  // The window may be down to one packet by timeouts already.
  if (cwnd_ > initial_cwnd_) ssthresh_ = std::min(ssthresh_, cwnd_);
  cwnd_ = initial_cwnd_;
  partial_bytes_acked_ = 0;
  // Of another path, perhaps: not to be restored at once.
  prior_cwnd_ = prior_ssthresh_ = 0;
}

}  // namespace kyuu::sctp::internal
