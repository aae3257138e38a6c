#include "turn/internal/rate_limiter.h"

#include <algorithm>

#include "base/bytes.h"

namespace kyuu::turn::internal {

RateLimiter::RateLimiter(const Limits& limits, Random& random)
    : limits_(limits),
      hash_key_{random.U64() | 1, random.U64()},
      buckets_((std::max<size_t>(limits.sources, 1) + kWays - 1) / kWays *
               kWays) {}

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

absl::Span<RateLimiter::Bucket> RateLimiter::WaysOf(uint64_t source) {
  const size_t set = source % (buckets_.size() / kWays);
  return absl::MakeSpan(buckets_).subspan(set * kWays, kWays);
}

double RateLimiter::GainBurst(const Bucket& bucket, absl::Time now) const {
  return limits_.gain_bytes_burst *
         (bucket.proven_until > now ? limits_.proven_factor : 1);
}

void RateLimiter::Fill(Bucket& bucket, absl::Time now) const {
  // A driver's clock does not go back; if it does, nothing is taken away.
  const double seconds =
      std::max(0.0, absl::ToDoubleSeconds(now - bucket.filled));
  const double factor = bucket.proven_until > now ? limits_.proven_factor : 1;
  bucket.gain =
      std::min(GainBurst(bucket, now),
               bucket.gain + seconds * limits_.gain_bytes_per_s * factor);
  bucket.failures =
      std::min(limits_.failures_burst,
               bucket.failures + seconds * limits_.failures_per_s);
  bucket.filled = now;
}

double RateLimiter::Worth(const Bucket& bucket, absl::Time now) const {
  if (bucket.source == 0) return 0;
  // A copy: who is only looked at keeps its time of filling.
  Bucket full = bucket;
  Fill(full, now);
  const auto used = [](double left, double burst) {
    return burst > 0 ? 1 - left / burst : 0.0;
  };
  const double most = std::max(used(full.gain, GainBurst(full, now)),
                               used(full.failures, limits_.failures_burst));
  // Only who received our nonce can have proven anything, so a flood of forged
  // sources pushes none of those out.
  return 1 + most + (full.proven_until > now ? 2 : 0);
}

RateLimiter::Bucket& RateLimiter::Find(absl::Time now, const IpAddress& ip) {
  const uint64_t source = Hash(ip);
  const absl::Span<Bucket> ways = WaysOf(source);
  auto place = std::find_if(
      ways.begin(), ways.end(),
      [source](const Bucket& bucket) { return bucket.source == source; });
  if (place == ways.end()) {
    place = std::min_element(ways.begin(), ways.end(),
                             [&](const Bucket& a, const Bucket& b) {
                               return Worth(a, now) < Worth(b, now);
                             });
    *place = {.source = source,
              .gain = limits_.gain_bytes_burst,
              .failures = limits_.failures_burst,
              .filled = now};
  }
  Fill(*place, now);
  return *place;
}

bool RateLimiter::TakeGain(absl::Time now, const IpAddress& ip,
                           size_t request_bytes, size_t answer_bytes) {
  if (limits_.gain_bytes_per_s <= 0 || answer_bytes <= request_bytes) {
    return true;
  }
  const auto gain = static_cast<double>(answer_bytes - request_bytes);
  Bucket& bucket = Find(now, ip);
  if (bucket.gain < gain) return false;
  bucket.gain -= gain;
  return true;
}

bool RateLimiter::MayTry(absl::Time now, const IpAddress& ip) {
  return limits_.failures_per_s <= 0 || Find(now, ip).failures >= 1;
}

void RateLimiter::Failed(absl::Time now, const IpAddress& ip) {
  Bucket& bucket = Find(now, ip);
  bucket.failures = std::max(0.0, bucket.failures - 1);
}

void RateLimiter::Proven(absl::Time now, const IpAddress& ip) {
  Bucket& bucket = Find(now, ip);
  // The larger budget is there at once: the others behind this address are
  // asking now.
  if (bucket.proven_until <= now) {
    bucket.gain += limits_.gain_bytes_burst * (limits_.proven_factor - 1);
  }
  bucket.proven_until = now + limits_.proven_for;
}

}  // namespace kyuu::turn::internal
