#include "turn/internal/rate_limiter.h"

#include <algorithm>

#include "absl/types/span.h"
#include "base/bytes.h"

namespace kyuu::turn::internal {

RateLimiter::RateLimiter(double per_s, double burst, size_t sources,
                         Random& random)
    : per_s_(per_s),
      burst_(burst),
      hash_key_{random.U64() | 1, random.U64()},
      buckets_(per_s > 0 ? (sources + kWays - 1) / kWays * kWays : 0) {}

// Multiply and mix, keyed: a sender must not be able to aim at a bucket.
uint64_t RateLimiter::Hash(const IpAddress& ip) const {
  Reader r(ip.bytes());
  uint64_t x = ip.is_v4() ? r.U32() : r.U64();
  x = (x + hash_key_[1]) * hash_key_[0];
  x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
  x = (x ^ x >> 32) * hash_key_[0];
  x ^= x >> 29;
  return x == 0 ? 1 : x;
}

double RateLimiter::TokensOf(const Bucket& bucket, absl::Time now) const {
  const double seconds =
      std::max(0.0, absl::ToDoubleSeconds(now - bucket.filled));
  return std::min(burst_, bucket.tokens + seconds * per_s_);
}

bool RateLimiter::Take(absl::Time now, const IpAddress& ip) {
  if (buckets_.empty()) return true;
  const uint64_t source = Hash(ip);
  const size_t set = source % (buckets_.size() / kWays);
  absl::Span<Bucket> ways =
      absl::MakeSpan(buckets_).subspan(set * kWays, kWays);
  Bucket* place = &ways[0];
  double most = -1;
  for (Bucket& bucket : ways) {
    if (bucket.source == source) {
      place = &bucket;
      break;
    }
    const double tokens =
        bucket.source == 0 ? burst_ + 1 : TokensOf(bucket, now);
    if (tokens > most) {
      most = tokens;
      place = &bucket;
    }
  }
  if (place->source != source) *place = {source, burst_, now};
  place->tokens = TokensOf(*place, now);
  place->filled = now;
  if (place->tokens < 1) return false;
  place->tokens -= 1;
  return true;
}

}  // namespace kyuu::turn::internal
