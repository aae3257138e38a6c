// What one source can cost before it has proven anything: token buckets in a
// table of fixed size, as a Ledger keeps it.

#ifndef KYUU_TURN_STRANGERS_H_
#define KYUU_TURN_STRANGERS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/random.h"
#include "turn/server_options.h"

namespace kyuu::turn {

// Strangers keeps two budgets for each source, which is an IPv4 address or an
// IPv6 /64, since whoever has one address of it has them all:
//
//   gain      bytes by which answers were longer than what they answer: all
//             that a forged source can turn against its owner. Ten thousand
//             clients behind one address cost as little as their requests are
//             short, not as often as they ask.
//   tries     credentials that we computed an HMAC for and that were wrong.
//
// A source that has proven itself lately has a gain budget of its own size.
// Memory never grows: a source that is new takes the place of the one, of four,
// that has used least, of those that have proven nothing if there are any.
class Strangers {
 public:
  struct Limits {
    // What comes back each second, up to `burst`. 0 per second: no limit.
    double gain_bytes_per_s = 0;
    double gain_bytes_burst = 0;
    double tries_per_s = 0;
    double tries_burst = 0;
    // What the gain budget is multiplied with, for so long after a proof.
    double proven_factor = 1;
    absl::Duration proven_for;
    size_t sources = 0;
  };
  static Limits LimitsOf(const ServerOptions& options);

  Strangers(const Limits& limits, Random& random);

  // Takes all but `sources`. What has been used up stays used up.
  void SetLimits(Limits limits);

  // Whether `ip` may be answered with `answer_bytes` to its `request_bytes`;
  // takes what it gains by that. An answer that is no longer than its request
  // is always allowed.
  bool TakeGain(absl::Time now, const IpAddress& ip, size_t request_bytes,
                size_t answer_bytes);
  // Whether a credential of `ip` is worth an HMAC; takes the try. Several
  // servers that ask at once cannot take more tries than there are.
  bool TakeTry(absl::Time now, const IpAddress& ip);
  // The credential that the last try was for was right: gives the try back.
  void Proven(absl::Time now, const IpAddress& ip);

 private:
  static constexpr size_t kWays = 4;

  struct Bucket {
    uint64_t source = 0;  // A keyed hash; 0 is a free place.
    double gain = 0;
    double tries = 0;
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

}  // namespace kyuu::turn

#endif  // KYUU_TURN_STRANGERS_H_
