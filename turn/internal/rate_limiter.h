// What one source can cost before it has proven anything: token buckets in a
// table of fixed size.

#ifndef KYUU_TURN_INTERNAL_RATE_LIMITER_H_
#define KYUU_TURN_INTERNAL_RATE_LIMITER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/random.h"

namespace kyuu::turn::internal {

// RateLimiter keeps two budgets for each source, which is an IPv4 address or an
// IPv6 /64, since whoever has one address of it has them all:
//
//   gain      bytes by which answers were longer than what they answer: all
//             that a forged source can turn against its owner. Ten thousand
//             clients behind one address cost as little as their requests are
//             short, not as often as they ask.
//   failures  wrong credentials that we computed an HMAC for.
//
// A source that has proven itself lately has a gain budget of its own size.
// Memory never grows: a source that is new takes the place of the one, of four,
// that has used least, of those that have proven nothing if there are any.
class RateLimiter {
 public:
  struct Limits {
    // What comes back each second, up to `burst`. 0 per second: no limit.
    double gain_bytes_per_s = 0;
    double gain_bytes_burst = 0;
    double failures_per_s = 0;
    double failures_burst = 0;
    // What the gain budget is multiplied with, for so long after a proof.
    double proven_factor = 1;
    absl::Duration proven_for;
    size_t sources = 0;
  };

  RateLimiter(const Limits& limits, Random& random);

  // Whether `ip` may be answered with `answer_bytes` to its `request_bytes`;
  // takes what it gains by that. An answer that is no longer than its request
  // is always allowed.
  bool TakeGain(absl::Time now, const IpAddress& ip, size_t request_bytes,
                size_t answer_bytes);
  // False if the credentials of `ip` were wrong so often that the next ones
  // are not worth an HMAC. Asks only.
  bool MayTry(absl::Time now, const IpAddress& ip);
  // Notes that its credentials were wrong, or right.
  void Failed(absl::Time now, const IpAddress& ip);
  void Proven(absl::Time now, const IpAddress& ip);

 private:
  static constexpr size_t kWays = 4;

  struct Bucket {
    uint64_t source = 0;  // A keyed hash; 0 is a free place.
    double gain = 0;
    double failures = 0;
    absl::Time filled = absl::InfinitePast();
    absl::Time proven_until = absl::InfinitePast();
  };

  uint64_t Hash(const IpAddress& ip) const;
  absl::Span<Bucket> WaysOf(uint64_t source);
  double GainBurst(const Bucket& bucket, absl::Time now) const;
  void Fill(Bucket& bucket, absl::Time now) const;
  // 0 for a bucket that may be given away first, more for one that should not.
  double Worth(const Bucket& bucket, absl::Time now) const;
  // The bucket of `ip`, filled; takes another's place if it has none.
  Bucket& Find(absl::Time now, const IpAddress& ip);

  Limits limits_;
  uint64_t hash_key_[2];
  std::vector<Bucket> buckets_;
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_RATE_LIMITER_H_
