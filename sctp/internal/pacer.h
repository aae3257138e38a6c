// Pacing: packets leave as fast as the congestion control says, not as fast as
// the window lets them (RFC 9002 section 7.7).

#ifndef KYUU_SCTP_INTERNAL_PACER_H_
#define KYUU_SCTP_INTERNAL_PACER_H_

#include <algorithm>
#include <cstddef>

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
    const absl::Duration unused =
        std::max(kTrain, absl::Seconds(burst_bytes_ / rate));
    gone_ = std::max(gone_, now - unused) +
            absl::Seconds(static_cast<double>(bytes) / rate);
    if (gone_ >= now + kTrain) release_ = gone_;
  }
  // When the next packet may leave.
  absl::Time release() const { return release_; }

 private:
  double burst_bytes_;
  absl::Time gone_ = absl::InfinitePast();  // When all that left would be gone.
  absl::Time release_ = absl::InfinitePast();
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_PACER_H_
