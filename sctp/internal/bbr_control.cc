#include "sctp/internal/bbr_control.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/time/time.h"
#include "sctp/internal/congestion_control.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {
namespace {

// Section 2.4. 2.77 is 4 ln 2: it doubles what is delivered in a round trip.
constexpr double kStartupGain = 2.77;
constexpr double kDrainGain = 0.5;
constexpr double kDownGain = 0.9;
constexpr double kUpGain = 1.25;
constexpr double kWindowGain = 2;
// A little slower than the path, so that no queue stays.
constexpr double kMargin = 0.99;
// What others find free of the bound.
constexpr double kHeadroom = 0.85;
// A reduction never takes more (section 2.8).
constexpr double kBeta = 0.7;
constexpr size_t kLeastPackets = 4;
// Between probes for bandwidth; the draft has 2 s to 3 s by chance.
constexpr absl::Duration kProbePause = absl::Seconds(2);
constexpr absl::Duration kProbePauseStep = absl::Milliseconds(250);
// Section 4.3.4: when the round trip is probed for, and for how long.
constexpr absl::Duration kShortestLasts = absl::Seconds(10);
constexpr absl::Duration kRoundTripProbe = absl::Milliseconds(200);
constexpr double kRoundTripProbeGain = 0.5;
// SACKs come for trains of packets, which the path takes as they leave.
constexpr absl::Duration kTrains = absl::Milliseconds(3);

size_t Whole(double bytes) { return static_cast<size_t>(bytes); }
double Bytes(size_t size) { return static_cast<double>(size); }

}  // namespace

BbrControl::BbrControl(const Options& options, size_t mtu)
    : mtu_(mtu),
      initial_cwnd_(options.initial_cwnd_packets * mtu),
      cwnd_(initial_cwnd_) {}

double BbrControl::bandwidth() const {
  return std::max(fastest_[0], fastest_[1]);
}

absl::Duration BbrControl::round_trip() const {
  // What is sent again measures none, and it is all there is after an outage.
  return shortest_ == absl::InfiniteDuration() ? smoothed_ : shortest_;
}

double BbrControl::Product() const {
  return bandwidth() * absl::ToDoubleSeconds(round_trip());
}

double BbrControl::pacing_gain() const {
  switch (state_) {
    case State::kStartup:
      return kStartupGain;
    case State::kDrain:
      return kDrainGain;
    case State::kDown:
      return kDownGain;
    case State::kUp:
      return kUpGain;
    case State::kCruise:
    case State::kRefill:
    case State::kProbeRoundTrip:
      break;
  }
  return 1;
}

double BbrControl::window_gain() const {
  switch (state_) {
    case State::kUp:
      return kWindowGain + kUpGain - 1;
    case State::kProbeRoundTrip:
      return kRoundTripProbeGain;
    default:
      return kWindowGain;
  }
}

bool BbrControl::lost_too_much() const {
  return Bytes(round_lost_) >
         kLossThreshold * Bytes(round_lost_ + round_delivered_) +
             Bytes(2 * mtu_);
}

void BbrControl::OnSent(const SentSample&) {}

void BbrControl::OnAcked(const AckSample& acked) {
  if (acked.packet_bytes > 0) mtu_ = acked.packet_bytes;
  if (acked.bytes_acked == 0) return;
  if (state_since_ == absl::InfinitePast()) state_since_ = acked.now;
  Measure(acked);
  if (acked.round == AckSample::Round::kBegins) OnRound();
  switch (state_) {
    case State::kStartup:
      if (full_) Enter(State::kDrain, acked.now);
      break;
    case State::kDrain:
      if (Bytes(acked.flight_after) <= Product()) {
        Enter(State::kDown, acked.now);
      }
      break;
    case State::kProbeRoundTrip:
      break;
    default:
      AdvanceProbe(acked);
  }
  ProbeRoundTrip(acked);
  SetWindow(acked);
}

void BbrControl::Measure(const AckSample& acked) {
  round_delivered_ += acked.bytes_proven;
  round_flight_ = std::max(round_flight_, acked.flight_before);
  smoothed_ = acked.round_trip.smoothed;
  const double rate = acked.rate.rate();
  if (acked.rate.limit == RateSample::Limit::kApplication) {
    round_limited_ = true;
  }
  if (rate > 0 &&
      (acked.rate.limit == RateSample::Limit::kPath || rate > bandwidth())) {
    double& fastest = fastest_[cycle_ & 1];
    fastest = std::max(fastest, rate);
  }
  if (acked.rtt > absl::ZeroDuration() && acked.rtt <= shortest_) {
    shortest_ = acked.rtt;
    shortest_seen_ = acked.now;
  }
}

// A round trip is over.
void BbrControl::OnRound() {
  ++rounds_in_state_;
  if (state_ == State::kStartup && !round_limited_) {
    if (bandwidth() >= 1.25 * full_rate_) {
      full_rate_ = bandwidth();
      full_rounds_ = 0;
    } else if (++full_rounds_ >= 3) {
      full_ = true;
    }
  }
  const bool probing = state_ == State::kStartup || state_ == State::kUp;
  if (probing && lost_too_much()) {
    full_ = true;
    prior_bound_ = bound_;
    bound_ = std::max(Whole(Product()), Whole(kBeta * Bytes(round_flight_)));
  } else if (lost_too_much() && bound_ < kNoBound) {
    prior_bound_ = bound_;
    bound_ = std::max(Whole(kBeta * Bytes(bound_)), round_delivered_);
  } else if (state_ == State::kUp && bound_ < kNoBound &&
             round_flight_ + mtu_ >= bound_) {
    // Twice as much in each round trip that goes well (section 4.3.3.6).
    bound_ += mtu_ << std::min(rounds_in_state_, 16);
  }
  round_delivered_ = round_lost_ = round_flight_ = 0;
  round_limited_ = false;
}

// Section 4.3.3.
void BbrControl::AdvanceProbe(const AckSample& acked) {
  const double product = Product();
  const absl::Duration since = acked.now - state_since_;
  switch (state_) {
    case State::kDown:
      if (Bytes(acked.flight_after) <=
          std::min(product, kHeadroom * Bytes(bound_))) {
        Enter(State::kCruise, acked.now);
      }
      break;
    case State::kCruise:
      if (since >= kProbePause + (cycle_ % 4) * kProbePauseStep) {
        Enter(State::kRefill, acked.now);
      }
      break;
    case State::kRefill:
      if (rounds_in_state_ >= 1) {
        ++cycle_;
        // What was two cycles ago is forgotten.
        fastest_[cycle_ & 1] = 0;
        Enter(State::kUp, acked.now);
      }
      break;
    case State::kUp:
      if (lost_too_much() ||
          (rounds_in_state_ >= 1 && since >= round_trip() &&
           Bytes(acked.flight_before) >= kUpGain * product)) {
        if (lost_too_much()) OnRound();
        Enter(State::kDown, acked.now);
      }
      break;
    default:
      break;
  }
}

// Section 4.3.4: little is in flight for a moment, so that no queue of ours is
// in what is measured.
void BbrControl::ProbeRoundTrip(const AckSample& acked) {
  if (state_ == State::kProbeRoundTrip) {
    if (acked.now - state_since_ < kRoundTripProbe || rounds_in_state_ < 1) {
      return;
    }
    shortest_seen_ = acked.now;
    cwnd_ = std::max(cwnd_, prior_cwnd_);
    prior_cwnd_ = 0;
    Enter(full_ ? State::kCruise : State::kStartup, acked.now);
  } else if (shortest_ != absl::InfiniteDuration() &&
             acked.now - shortest_seen_ >= kShortestLasts) {
    shortest_ = acked.rtt > absl::ZeroDuration() ? acked.rtt : shortest_;
    prior_cwnd_ = cwnd_;
    Enter(State::kProbeRoundTrip, acked.now);
  }
}

void BbrControl::Enter(State state, absl::Time now) {
  state_ = state;
  state_since_ = now;
  rounds_in_state_ = 0;
}

void BbrControl::SetWindow(const AckSample& acked) {
  const double rate = bandwidth();
  if (rate > 0) {
    const double paced = kMargin * pacing_gain() * rate;
    // It does not slow down before the path is full (section 4.6.2).
    if (full_ || pacing_rate_ == std::numeric_limits<double>::infinity() ||
        paced > pacing_rate_) {
      pacing_rate_ = paced;
    }
    if (!full_ && smoothed_ > absl::ZeroDuration()) {
      pacing_rate_ =
          std::max(pacing_rate_, kStartupGain * Bytes(initial_cwnd_) /
                                     absl::ToDoubleSeconds(smoothed_));
    }
  }
  const size_t least = kLeastPackets * mtu_;
  size_t target =
      Whole(window_gain() * Product() + rate * absl::ToDoubleSeconds(kTrains)) +
      2 * mtu_;
  if (acked.recovery != AckSample::Recovery::kTimeout && prior_cwnd_ > 0 &&
      state_ != State::kProbeRoundTrip) {
    cwnd_ = std::max(cwnd_, prior_cwnd_);
    prior_cwnd_ = 0;
  }
  if (full_) {
    cwnd_ = std::min(cwnd_ + acked.bytes_proven, target);
  } else if (cwnd_ < target || cwnd_ < 2 * initial_cwnd_) {
    cwnd_ += acked.bytes_proven;
  }
  if (bound_ < kNoBound) {
    const bool leave_room =
        state_ == State::kCruise || state_ == State::kProbeRoundTrip;
    cwnd_ =
        std::min(cwnd_, leave_room ? Whole(kHeadroom * Bytes(bound_)) : bound_);
  }
  cwnd_ = std::max(
      cwnd_, acked.recovery == AckSample::Recovery::kTimeout ? mtu_ : least);
}

void BbrControl::OnLost(const LossSample& lost) { round_lost_ += lost.bytes; }

void BbrControl::OnTimeout(absl::Time) {
  // Once for several in a row.
  if (prior_cwnd_ == 0) prior_cwnd_ = cwnd_;
  cwnd_ = mtu_;
}

void BbrControl::OnSpurious(absl::Time) {
  if (state_ != State::kProbeRoundTrip) {
    cwnd_ = std::max(cwnd_, prior_cwnd_);
    prior_cwnd_ = 0;
  }
  bound_ = std::max(bound_, prior_bound_);
  round_lost_ = 0;
}

void BbrControl::OnPathReady(absl::Time) {
  Options options;
  const size_t initial = initial_cwnd_;
  *this = BbrControl(options, mtu_);
  initial_cwnd_ = cwnd_ = initial;
}

}  // namespace kyuu::sctp::internal
