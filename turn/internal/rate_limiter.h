// Token buckets per source in a table of fixed size.

#ifndef KYUU_TURN_INTERNAL_RATE_LIMITER_H_
#define KYUU_TURN_INTERNAL_RATE_LIMITER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"

namespace kyuu::turn::internal {

// RateLimiter bounds what one source can make us send before it has proven
// anything. A source is an IPv4 address or an IPv6 /64. Memory never grows: a
// source that is new takes the place of the one, of four, that has used least.
class RateLimiter {
 public:
  // `per_s` tokens come back each second, up to `burst`; 0 disables.
  RateLimiter(double per_s, double burst, size_t sources, Random& random);

  // Takes a token of the source of `ip`; false if it has none left.
  bool Take(absl::Time now, const IpAddress& ip);

 private:
  static constexpr size_t kWays = 4;

  struct Bucket {
    uint64_t source = 0;  // A keyed hash; 0 is a free place.
    double tokens = 0;
    absl::Time filled;
  };

  uint64_t Hash(const IpAddress& ip) const;
  double TokensOf(const Bucket& bucket, absl::Time now) const;

  double per_s_;
  double burst_;
  uint64_t hash_key_[2];
  std::vector<Bucket> buckets_;
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_RATE_LIMITER_H_
