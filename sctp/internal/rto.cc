#include "sctp/internal/rto.h"

#include <algorithm>

#include "absl/time/time.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

Rto::Rto(const Options& options)
    : min_(options.rto_min), max_(options.rto_max), rto_(options.rto_initial) {}

void Rto::Measured(absl::Duration rtt) {
  rtt = std::max(rtt, absl::ZeroDuration());
  min_rtt_ = std::min(min_rtt_, rtt);
  if (srtt_ == absl::ZeroDuration()) {
    srtt_ = rtt;
    rttvar_ = rtt / 2;
  } else {
    // RTO.Beta = 1/4 and RTO.Alpha = 1/8 (section 16), RTTVAR first.
    rttvar_ = rttvar_ * 3 / 4 + absl::AbsDuration(srtt_ - rtt) / 4;
    srtt_ = srtt_ * 7 / 8 + rtt / 8;
  }
  rto_ = std::clamp(srtt_ + 4 * rttvar_, min_, max_);
}

}  // namespace kyuu::sctp::internal
