#include "sim/link.h"

#include <algorithm>

namespace kyuu::sim {

Link::Arrivals Link::Send(absl::Time now, size_t size, Random& random) {
  ++stats_.sent;
  if (size > options_.mtu) {
    ++stats_.too_big;
    return {};
  }
  absl::Time left = now;  // When the last bit is on the wire.
  if (options_.rate_bits_per_s > 0) {
    const double rate = static_cast<double>(options_.rate_bits_per_s);
    const absl::Duration backlog =
        std::max(busy_until_ - now, absl::ZeroDuration());
    if (absl::ToDoubleSeconds(backlog) * rate / 8 >
        static_cast<double>(options_.queue_bytes)) {
      ++stats_.queue_full;
      return {};
    }
    left = now + backlog + absl::Seconds(static_cast<double>(size) * 8 / rate);
    busy_until_ = left;
  }
  if (options_.loss > 0 && random.Fraction() < options_.loss) {
    ++stats_.lost;
    return {};
  }

  Arrivals arrivals;
  const bool twice =
      options_.duplicate > 0 && random.Fraction() < options_.duplicate;
  if (twice) ++stats_.duplicated;
  for (int copy = 0; copy < (twice ? 2 : 1); ++copy) {
    absl::Time arrival = left + options_.delay;
    if (options_.jitter > absl::ZeroDuration()) {
      // Whole nanoseconds: a fraction of a duration would round differently
      // from machine to machine.
      arrival += absl::Nanoseconds(static_cast<int64_t>(random.Below(
          static_cast<uint64_t>(absl::ToInt64Nanoseconds(options_.jitter)))));
    }
    arrival = std::max(arrival, last_arrival_);
    if (options_.reorder > 0 && random.Fraction() < options_.reorder) {
      ++stats_.reordered;
      arrival += options_.reorder_delay;
    } else {
      last_arrival_ = arrival;
    }
    arrivals.push_back(arrival);
  }
  return arrivals;
}

}  // namespace kyuu::sim
