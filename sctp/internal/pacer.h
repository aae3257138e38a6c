// Pacing: packets leave as fast as the congestion control says, not as fast as
// the window lets them (RFC 9002 section 7.7).

#ifndef KYUU_SCTP_INTERNAL_PACER_H_
#define KYUU_SCTP_INTERNAL_PACER_H_

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"

namespace kyuu::sctp::internal {

// Pacer is a leaky bucket: what was not used of the last kBurst may be made up
// for, so that a timer that comes late costs nothing.
class Pacer {
 public:
  static constexpr absl::Duration kBurst = absl::Milliseconds(1);

  // `bytes` leave at `now`; `rate` is in bytes per second, infinite for no
  // pacing.
  void OnSent(absl::Time now, size_t bytes, double rate) {
    release_ = std::max(release_, now - kBurst) +
               absl::Seconds(static_cast<double>(bytes) / rate);
  }
  // When the next packet may leave.
  absl::Time release() const { return release_; }

 private:
  absl::Time release_ = absl::InfinitePast();
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_PACER_H_
