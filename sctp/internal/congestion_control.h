// What a congestion control is to an association: what it hears, and what it
// says.

#ifndef KYUU_SCTP_INTERNAL_CONGESTION_CONTROL_H_
#define KYUU_SCTP_INTERNAL_CONGESTION_CONTROL_H_

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

// A chunk that leaves. All sizes are in bytes as they go over the wire, chunk
// headers included.
struct SentSample {
  absl::Time now;
  size_t bytes = 0;
  // kIdle: nothing was outstanding before it.
  enum class Before : uint8_t { kBusy, kIdle } before = Before::kBusy;
  absl::Duration rto;
};

// How fast data arrived at the peer: `delivered` bytes were acknowledged in the
// `interval` that ends with the newest chunk of a SACK and began when that was
// sent. Zero if the SACK acknowledged nothing that tells.
struct RateSample {
  size_t delivered = 0;
  absl::Duration interval = absl::ZeroDuration();

  // In bytes per second; 0 for no sample.
  double rate() const {
    return interval <= absl::ZeroDuration()
               ? 0
               : static_cast<double>(delivered) /
                     absl::ToDoubleSeconds(interval);
  }
};

// What a SACK said.
struct AckSample {
  absl::Time now;
  size_t bytes_acked = 0;    // Newly acknowledged.
  size_t flight_before = 0;  // In flight before the SACK.
  size_t flight_after = 0;
  // kTimeout: what was in flight when T3 expired is not all acknowledged yet.
  enum class Recovery : uint8_t {
    kNone,
    kFast,
    kTimeout
  } recovery = Recovery::kNone;
  enum class Cumulative : uint8_t {
    kSame,
    kAdvanced
  } cumulative = Cumulative::kSame;
  RateSample rate;
};

// CongestionControl decides how much may be in flight, and how fast it leaves.
// It never sees a TSN: which chunks are lost is loss_detection.h's to find.
template <typename C>
concept CongestionControl =
    std::constructible_from<C, const Options&, size_t /* mtu */> &&
    requires(C control, const C& view, absl::Time now, const SentSample& sent,
             const AckSample& acked) {
  control.OnSent(sent);
  control.OnAcked(acked);
  // SACKs tell of a loss; once per recovery (RFC 9260 section 7.2.4, rule 2).
  control.OnLost(now);
  // T3-rtx expired (section 7.2.3).
  control.OnTimeout(now);
  // What OnLost or OnTimeout was called for last was no loss.
  control.OnSpurious(now);
  // There is a path again, perhaps another one.
  control.OnPathReady(now);
  // What may be in flight, in bytes.
  { view.cwnd() } -> std::same_as<size_t>;
  // Up to where slow start goes; for stats().
  { view.ssthresh() } -> std::same_as<size_t>;
  // In bytes per second; infinite for as fast as the window allows.
  { view.pacing_rate() } -> std::same_as<double>;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CONGESTION_CONTROL_H_
