// How much the peer may have on its way and with us: a window that grows with
// the path.

#ifndef KYUU_SCTP_INTERNAL_RECEIVE_WINDOW_H_
#define KYUU_SCTP_INTERNAL_RECEIVE_WINDOW_H_

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

// ReceiveWindow measures what arrives in a round trip, and offers four times as
// much: a peer in slow start sends twice as much in the next one, and what was
// measured is as old again. It gives back what is not needed any more, by no
// more than what arrives, so that the edge that was promised never moves back
// (RFC 9260 section 6.2). Sizes are in bytes of payload and overhead.
class ReceiveWindow {
 public:
  explicit ReceiveWindow(const Options& options)
      : least_(std::min(options.initial_receive_window_bytes,
                        options.receive_window_bytes)),
        most_(options.receive_window_bytes),
        size_(least_) {}

  size_t size() const { return size_; }

  // `bytes` arrived, and `held` wait for the application or for missing ones;
  // `round_trip` is zero while it is not known. Returns true where so much
  // arrives that a newer measurement of the round trip is worth a packet.
  bool OnArrived(absl::Time now, size_t bytes, size_t held,
                 absl::Duration round_trip) {
    arrived_ += bytes;
    if (now < ends_) return false;
    return EndPeriod(now, held, round_trip);
  }

 private:
  static constexpr absl::Duration kShortest = absl::Milliseconds(1);
  // A period while the round trip is not known.
  static constexpr absl::Duration kUnknown = absl::Milliseconds(100);
  // How old a round trip may be.
  static constexpr absl::Duration kMeasured = absl::Seconds(1);
  static constexpr size_t kRoundTrips = 4;
  static constexpr size_t kShrink = 8;

  bool EndPeriod(absl::Time now, size_t held, absl::Duration round_trip) {
    const absl::Duration period = std::max(
        round_trip > absl::ZeroDuration() ? round_trip : kUnknown, kShortest);
    // Less is not judged: the rest of the period may have been silence.
    if (now - began_ < 2 * period) {
      const double share = absl::FDivDuration(period, now - began_);
      const size_t wanted =
          std::clamp(static_cast<size_t>(
                         static_cast<double>(kRoundTrips * arrived_) * share),
                     least_, most_);
      // An application that does not keep up gets no more to be late with.
      if (wanted > size_ && held < size_ / 2) size_ = wanted;
      if (wanted < size_)
        size_ -= std::min((size_ - wanted) / kShrink, arrived_);
    } else if (size_ > least_) {
      size_ -= std::min(size_ - least_, arrived_);
    }
    const bool ask = kRoundTrips * arrived_ > least_ / kShrink && now >= ask_;
    if (ask) ask_ = now + kMeasured;
    began_ = now;
    ends_ = now + period;
    arrived_ = 0;
    return ask;
  }

  size_t least_;
  size_t most_;
  size_t size_;
  size_t arrived_ = 0;  // In this period.
  absl::Time began_ = absl::InfinitePast();
  absl::Time ends_ = absl::InfinitePast();
  absl::Time ask_ = absl::InfinitePast();
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_RECEIVE_WINDOW_H_
