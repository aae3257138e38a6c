// What a congestion control is to an association: what it hears, and what it
// says.

#ifndef KYUU_SCTP_INTERNAL_CONGESTION_CONTROL_H_
#define KYUU_SCTP_INTERNAL_CONGESTION_CONTROL_H_

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "sctp/internal/loss_detection.h"
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
// `interval`, which is the longer one of how long they took to leave and how
// long their SACKs took to come (draft-ietf-ccwg-bbr section 4.1). Zero if the
// SACK acknowledged nothing that tells.
struct RateSample {
  size_t delivered = 0;
  absl::Duration interval = absl::ZeroDuration();
  // kApplication: there was less to send than the path would have taken, which
  // may be more than this.
  enum class Limit : uint8_t { kPath, kApplication } limit = Limit::kPath;

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
  size_t bytes_acked = 0;  // Newly acknowledged.
  // Of these, what was in flight. The rest had been given up and not been sent
  // again yet: the peer had it all the time, and that says nothing about what
  // the path carries now.
  size_t bytes_proven = 0;
  size_t flight_before = 0;  // In flight before the SACK.
  size_t flight_after = 0;
  // kPacer: there was more to send, and room in the window.
  enum class HeldBy : uint8_t { kNothing, kPacer } held_by = HeldBy::kNothing;
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
  // kBegins: a packet has arrived that left since the last one began, so that a
  // round trip has passed.
  enum class Round : uint8_t { kSame, kBegins } round = Round::kSame;
  RateSample rate;
  // Of the newest packet that it acknowledges and that was sent once; zero if
  // there is none.
  absl::Duration rtt = absl::ZeroDuration();
  RoundTrip round_trip;
  // The largest packet that the path is known to carry, which windows grow by;
  // 0 if that is what it was.
  size_t packet_bytes = 0;
};

// What was just found lost.
struct LossSample {
  absl::Time now;
  size_t bytes = 0;          // 0 if it has been repaired by now.
  size_t flight_before = 0;  // In flight with it.
  // kBegins, once per recovery: the window is to be reduced (RFC 9260 section
  // 7.2.4, rule 2). kGoesOn: it has been, for others of the same window.
  enum class Recovery : uint8_t {
    kBegins,
    kGoesOn
  } recovery = Recovery::kBegins;
};

// CongestionControl decides how much may be in flight, and how fast it leaves.
// It never sees a TSN: which chunks are lost is loss_detection.h's to find.
template <typename C>
concept CongestionControl =
    std::constructible_from<C, const Options&, size_t /* mtu */> &&
    requires(C control, const C& view, absl::Time now, const SentSample& sent,
             const AckSample& acked, const LossSample& lost) {
  control.OnSent(sent);
  control.OnAcked(acked);
  // SACKs, or their absence, tell of a loss.
  control.OnLost(lost);
  // T3-rtx expired (section 7.2.3).
  control.OnTimeout(now);
  // What the window was reduced for last was no loss.
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
