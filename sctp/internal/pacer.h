// Pacing: packets leave as fast as the congestion control says, not as fast as
// the window lets them (RFC 9002 section 7.7).

#ifndef KYUU_SCTP_INTERNAL_PACER_H_
#define KYUU_SCTP_INTERNAL_PACER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace kyuu::sctp::internal {

// Pacer lets trains of kTrain leave, a driver's and a segmenting network card's
// unit of work, and holds what follows until they would be gone at the rate. A
// timer that comes late by as much costs nothing; after a pause a burst may
// leave, like the first window.
class Pacer {
 public:
  static constexpr absl::Duration kTrain = absl::Milliseconds(1);

  explicit Pacer(size_t burst_bytes)
      : burst_bytes_(static_cast<double>(burst_bytes)) {}

  // `bytes` leave at `now`; `rate` is in bytes per second, infinite for no
  // pacing.
  void OnSent(absl::Time now, size_t bytes, double rate) {
    // An acknowledgement changes the rate, and many chunks follow it.
    if (rate != rate_) {
      rate_ = rate;
      ns_per_byte_ = kSecond / rate;
      unused_ = std::max(kTrain, TimeOf(burst_bytes_));
    }
    gone_ = std::max(gone_, now - unused_) + TimeOf(static_cast<double>(bytes));
    if (gone_ >= now + kTrain) release_ = gone_;
  }
  // When the next packet may leave.
  absl::Time release() const { return release_; }

 private:
  // In ns. Eleven days are as good as for ever, and fit into an int64_t.
  static constexpr double kSecond = 1e9;
  static constexpr double kForEver = 1e15;

  absl::Duration TimeOf(double bytes) const {
    return absl::Nanoseconds(
        static_cast<int64_t>(std::min(bytes * ns_per_byte_ + 0.5, kForEver)));
  }

  double burst_bytes_;
  double rate_ = 0;
  double ns_per_byte_ = 0;
  absl::Duration unused_ = kTrain;          // A pause that counts.
  absl::Time gone_ = absl::InfinitePast();  // When all that left would be gone.
  absl::Time release_ = absl::InfinitePast();
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_PACER_H_
