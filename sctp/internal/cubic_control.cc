#include "sctp/internal/cubic_control.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "absl/time/time.h"
#include "sctp/internal/congestion_control.h"
#include "sctp/internal/hystart.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {
namespace {

// RFC 9438 sections 4.1 and 4.6; C is in packets per second cubed.
constexpr double kC = 0.4;
constexpr double kBeta = 0.7;
// Section 4.3: what Reno's window gains in a round trip if it falls by kBeta.
constexpr double kAlpha = 3 * (1 - kBeta) / (1 + kBeta);
// Packets in flight that no reduction goes below (RFC 9260 section 7.2.3).
constexpr size_t kLeastPackets = 4;
// Faster than the window allows, so that the window stays what limits: slow
// start doubles in a round trip.
constexpr double kGainSlowStart = 2;
constexpr double kGain = 1.25;
// What is below one train of the pacer anyway is not paced.
constexpr absl::Duration kPacedRoundTrip = absl::Milliseconds(2);

double Bytes(size_t size) { return static_cast<double>(size); }

}  // namespace

CubicControl::CubicControl(const Options& options, size_t mtu)
    : mtu_(mtu),
      initial_cwnd_(options.initial_cwnd_packets * mtu),
      cwnd_(initial_cwnd_),
      reduction_(mtu),
      pacing_rate_(std::numeric_limits<double>::infinity()) {
  epoch_.ssthresh = std::numeric_limits<size_t>::max() / 2;
}

void CubicControl::OnSent(const SentSample& sent) {
  if (sent.before == SentSample::Before::kIdle) {
    Skip(sent.now);
    absl::Duration idle = last_sent_ == absl::InfinitePast()
                              ? absl::ZeroDuration()
                              : sent.now - last_sent_;
    while (idle >= sent.rto && cwnd_ > initial_cwnd_) {
      // Slow start leads back to where it was.
      epoch_.ssthresh = std::max(epoch_.ssthresh, cwnd_ / 4 * 3);
      cwnd_ = std::max(cwnd_ / 2, initial_cwnd_);
      idle -= sent.rto;
    }
  }
  last_sent_ = sent.now;
  if (reducing_) reduction_.OnSent(sent.bytes);
}

void CubicControl::OnAcked(const AckSample& acked) {
  if (acked.packet_bytes > 0) mtu_ = acked.packet_bytes;
  if (acked.bytes_acked > 0) silence_ = 0;
  if (acked.round == AckSample::Round::kBegins) {
    used_before_ = used_;
    used_ = 0;
    if (in_slow_start()) hystart_.OnRoundBegins();
  }
  used_ = std::max(used_, acked.flight_before);
  // Section 4.2: no growth during recovery.
  if (reducing_ && acked.recovery == AckSample::Recovery::kFast) {
    cwnd_ =
        reduction_.OnAcked(acked.bytes_acked, acked.flight_after,
                           acked.cumulative == AckSample::Cumulative::kAdvanced
                               ? RateReduction::Progress::kAdvanced
                               : RateReduction::Progress::kNone);
    return Pace(acked.round_trip);
  }
  if (reducing_) cwnd_ = epoch_.ssthresh;
  reducing_ = false;
  if (acked.bytes_acked == 0) return Pace(acked.round_trip);
  // What did not use the window says nothing about a larger one (section 5.8).
  const size_t used = std::max(used_, used_before_);
  if (!in_slow_start()) {
    if (used + mtu_ <= cwnd_) {
      Skip(acked.now);
    } else {
      Avoid(acked);
    }
    counted_until_ = acked.now;
    return Pace(acked.round_trip);
  }
  hystart_.OnRoundTrip(acked.rtt);
  if (hystart_.verdict() == HyStart::Verdict::kDone) {
    epoch_.ssthresh = cwnd_;
    hystart_.Reset();
    return Pace(acked.round_trip);
  }
  // It doubles in a round trip, so that half of it in use is all of it before.
  // What the round trip was once, while a queue stood, may hold it back.
  if (2 * used + mtu_ > cwnd_ || acked.held_by == AckSample::HeldBy::kPacer) {
    size_t growth = acked.bytes_proven;
    if (hystart_.verdict() == HyStart::Verdict::kConservative) {
      growth /= HyStart::kDivisor;
    }
    // What is beyond the threshold grows as slowly as there.
    cwnd_ = std::min(cwnd_ + growth, epoch_.ssthresh + mtu_);
  }
  Pace(acked.round_trip);
}

// Section 5.8: only time in which the window was used counts.
void CubicControl::Skip(absl::Time now) {
  if (epoch_.begin != absl::InfinitePast()) {
    epoch_.begin += now - counted_until_;
  }
  counted_until_ = now;
}

// Sections 4.2 to 4.5.
void CubicControl::Avoid(const AckSample& acked) {
  const double mtu = Bytes(mtu_);
  const double cwnd = Bytes(cwnd_);
  if (epoch_.begin == absl::InfinitePast()) {
    epoch_.begin = counted_until_ = acked.now;
    // Without a loss, as after HyStart++ or a timeout below the last one.
    epoch_.w_max = std::max(epoch_.w_max, cwnd);
    epoch_.k = std::cbrt((epoch_.w_max - cwnd) / mtu / kC);
    epoch_.w_est = cwnd;
    if (epoch_.cwnd_prior == 0) epoch_.cwnd_prior = cwnd;
  }
  const double t = absl::ToDoubleSeconds(acked.now - epoch_.begin +
                                         acked.round_trip.smoothed) -
                   epoch_.k;
  const double target =
      std::clamp(kC * t * t * t * mtu + epoch_.w_max, cwnd, 1.5 * cwnd);
  const double share = Bytes(acked.bytes_proven) / cwnd;
  epoch_.w_est +=
      (epoch_.w_est >= epoch_.cwnd_prior ? 1 : kAlpha) * share * mtu;
  growth_ += (target - cwnd) * share;
  growth_ = std::max(growth_, epoch_.w_est - cwnd);
  if (growth_ < 1) return;
  const size_t whole = static_cast<size_t>(growth_);
  cwnd_ += whole;
  growth_ -= Bytes(whole);
}

void CubicControl::Reduce() {
  prior_cwnd_ = cwnd_;
  prior_epoch_ = epoch_;
  const double cwnd = Bytes(cwnd_);
  // Section 4.7, fast convergence: others have come since.
  epoch_.w_max = cwnd < epoch_.w_max ? cwnd * (1 + kBeta) / 2 : cwnd;
  epoch_.cwnd_prior = cwnd;
  epoch_.ssthresh =
      std::max(static_cast<size_t>(cwnd * kBeta), kLeastPackets * mtu_);
  epoch_.begin = absl::InfinitePast();
  growth_ = 0;
  hystart_.Reset();
}

void CubicControl::OnLost(const LossSample& lost) {
  if (lost.recovery == LossSample::Recovery::kGoesOn) {
    reduction_.OnLost();
    return;
  }
  Reduce();
  if (lost.bytes == 0) {
    cwnd_ = epoch_.ssthresh;
    return;
  }
  reduction_.Begin(lost.flight_before, epoch_.ssthresh);
  reducing_ = true;
  // One packet, and then by what arrives.
  cwnd_ = std::min(cwnd_, lost.flight_before - lost.bytes + mtu_);
}

void CubicControl::OnTimeout(absl::Time) {
  if (silence_ == 0) Reduce();
  if (silence_ == 1) epoch_.ssthresh = std::max(epoch_.ssthresh, prior_cwnd_);
  ++silence_;
  cwnd_ = mtu_;
  reducing_ = false;
}

void CubicControl::OnSpurious(absl::Time) {
  if (prior_cwnd_ == 0) return;
  cwnd_ = std::max(cwnd_, prior_cwnd_);
  epoch_ = prior_epoch_;
  silence_ = 0;
  reducing_ = false;
}

void CubicControl::OnPathReady(absl::Time) {
  // The window may be down to one packet by timeouts already.
  const size_t before = silence_ > 0 ? prior_cwnd_ : cwnd_;
  epoch_ = Epoch{};
  epoch_.ssthresh = std::max(before, initial_cwnd_);
  cwnd_ = initial_cwnd_;
  growth_ = 0;
  silence_ = 0;
  reducing_ = false;
  prior_cwnd_ = 0;  // Of another path, perhaps: not to be restored at once.
  hystart_.Reset();
  // How far the other end of the path is, is not known.
  pacing_rate_ = std::numeric_limits<double>::infinity();
}

void CubicControl::Pace(const RoundTrip& round_trip) {
  if (round_trip.smoothed < kPacedRoundTrip) {
    pacing_rate_ = std::numeric_limits<double>::infinity();
    return;
  }
  // During recovery what arrives lets as much leave, and the window is that and
  // what is in flight.
  const size_t window = reducing_ ? std::max(cwnd_, epoch_.ssthresh) : cwnd_;
  pacing_rate_ = (in_slow_start() ? kGainSlowStart : kGain) * Bytes(window) /
                 absl::ToDoubleSeconds(round_trip.smoothed);
}

}  // namespace kyuu::sctp::internal
