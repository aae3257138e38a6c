// A model of the path instead of its losses: a congestion control of BBR's kind
// (draft-ietf-ccwg-bbr), for an application that chooses it.

#ifndef KYUU_SCTP_INTERNAL_BBR_CONTROL_H_
#define KYUU_SCTP_INTERNAL_BBR_CONTROL_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/time/time.h"
#include "sctp/internal/congestion_control.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

// BbrControl measures how fast the path delivers and how short it is, and keeps
// about as much in flight as fits between the two ends. Single losses say
// nothing to it; more than kLossThreshold of a round trip bound what may be in
// flight. Where it differs from the draft: below that share a loss lowers no
// bound, and the pauses between probes are the same in each run.
class BbrControl {
 public:
  BbrControl(const Options& options, size_t mtu);

  void OnSent(const SentSample& sent);
  void OnAcked(const AckSample& acked);
  void OnLost(const LossSample& lost);
  void OnTimeout(absl::Time now);
  void OnSpurious(absl::Time now);
  // It may be another path: everything is measured anew.
  void OnPathReady(absl::Time now);

  size_t cwnd() const { return cwnd_; }
  // None: there is no threshold but what the path delivers.
  size_t ssthresh() const { return bound_; }
  double pacing_rate() const { return pacing_rate_; }

  // Section 4.3.1; the states of PROBE_BW are in the order in which they
  // follow.
  enum class State : uint8_t {
    kStartup,
    kDrain,
    kDown,
    kCruise,
    kRefill,
    kUp,
    kProbeRoundTrip,
  };
  State state() const { return state_; }

  // Losses of a round trip beyond which its flight was too much.
  static constexpr double kLossThreshold = 0.02;

 private:
  static constexpr size_t kNoBound = std::numeric_limits<size_t>::max() / 2;

  void Measure(const AckSample& acked);
  void OnRound();
  void AdvanceProbe(const AckSample& acked);
  void ProbeRoundTrip(const AckSample& acked);
  void Enter(State state, absl::Time now);
  void SetWindow(const AckSample& acked);
  bool lost_too_much() const;
  double bandwidth() const;  // In bytes per second; 0 before it is measured.
  absl::Duration round_trip() const;  // The shortest, once it is measured.
  double Product() const;             // Of both, in bytes.
  double window_gain() const;
  double pacing_gain() const;

  size_t mtu_;
  size_t initial_cwnd_;
  size_t cwnd_;
  double pacing_rate_ = std::numeric_limits<double>::infinity();
  State state_ = State::kStartup;
  absl::Time state_since_ = absl::InfinitePast();

  // The fastest delivery of this cycle of probes, and of the last one.
  double fastest_[2] = {0, 0};
  absl::Duration shortest_ = absl::InfiniteDuration();
  absl::Time shortest_seen_ = absl::InfinitePast();
  absl::Duration smoothed_ = absl::ZeroDuration();

  // Startup ends when it is not faster by a quarter for three round trips.
  double full_rate_ = 0;
  int full_rounds_ = 0;
  bool full_ = false;

  // The round trip at hand.
  size_t round_delivered_ = 0;
  size_t round_lost_ = 0;
  size_t round_flight_ = 0;  // The most.
  int rounds_in_state_ = 0;
  bool round_limited_ = false;  // By the application.
  uint32_t cycle_ = 0;

  size_t bound_ = kNoBound;  // What may be in flight without too many losses.
  size_t prior_bound_ = kNoBound;
  size_t prior_cwnd_ = 0;  // Before T3 or the probe of the round trip; or 0.
};
static_assert(CongestionControl<BbrControl>);

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_BBR_CONTROL_H_
