#include "turn/strangers.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/shares.h"

namespace kyuu::turn {

Strangers::Limits Strangers::LimitsOf(const ServerOptions& options) {
  return {.gain_bytes_per_s = options.unauthenticated_gain_bytes_per_s,
          .gain_bytes_burst = options.unauthenticated_gain_bytes_burst,
          .tries_per_s = options.auth_failures_per_s,
          .tries_burst = options.auth_failures_burst,
          .proven_factor = options.proven_factor,
          .proven_for = options.proven_for,
          .sources = options.unauthenticated_sources};
}

Strangers::Strangers(const Limits& limits, Random& random)
    : limits_(limits),
      hash_key_{random.U64() | 1, random.U64()},
      buckets_((std::max<size_t>(limits.sources, 1) + kWays - 1) / kWays *
               kWays) {}

void Strangers::SetLimits(Limits limits) {
  limits.sources = limits_.sources;
  limits_ = limits;
}

// Multiply and mix, keyed: a sender must not be able to aim at a bucket.
uint64_t Strangers::Hash(const IpAddress& ip) const {
  const Source source = SourceOf(ip);
  Reader r(source.bytes());
  uint64_t x = source.is_v4() ? r.U32() : r.U64();
  x = (x + hash_key_[1]) * hash_key_[0];
  x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
  x = (x ^ x >> 32) * hash_key_[0];
  x ^= x >> 29;
  return x == 0 ? 1 : x;
}

absl::Span<Strangers::Bucket> Strangers::WaysOf(uint64_t source) {
  const size_t set = source % (buckets_.size() / kWays);
  return absl::MakeSpan(buckets_).subspan(set * kWays, kWays);
}

double Strangers::GainBurst(const Bucket& bucket, absl::Time now) const {
  return limits_.gain_bytes_burst *
         (bucket.proven_until > now ? limits_.proven_factor : 1);
}

void Strangers::Fill(Bucket& bucket, absl::Time now) const {
  // Servers on several threads read their clocks before they get here: what one
  // brings late has been filled in already.
  if (now < bucket.filled) return;
  const double seconds = absl::ToDoubleSeconds(now - bucket.filled);
  const double factor = bucket.proven_until > now ? limits_.proven_factor : 1;
  bucket.gain =
      std::min(GainBurst(bucket, now),
               bucket.gain + seconds * limits_.gain_bytes_per_s * factor);
  bucket.tries = std::min(limits_.tries_burst,
                          bucket.tries + seconds * limits_.tries_per_s);
  bucket.filled = now;
}

double Strangers::Worth(const Bucket& bucket, absl::Time now) const {
  if (bucket.source == 0) return 0;
  // A copy: who is only looked at keeps its time of filling.
  Bucket full = bucket;
  Fill(full, now);
  const auto used = [](double left, double burst) {
    return burst > 0 ? 1 - left / burst : 0.0;
  };
  const double most = std::max(used(full.gain, GainBurst(full, now)),
                               used(full.tries, limits_.tries_burst));
  // Only who received our nonce can have proven anything, so a flood of forged
  // sources pushes none of those out.
  return 1 + most + (full.proven_until > now ? 2 : 0);
}

Strangers::Bucket& Strangers::Find(absl::Time now, const IpAddress& ip) {
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
              .tries = limits_.tries_burst,
              .filled = now};
  }
  Fill(*place, now);
  return *place;
}

bool Strangers::TakeGain(absl::Time now, const IpAddress& ip,
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

bool Strangers::TakeTry(absl::Time now, const IpAddress& ip) {
  if (limits_.tries_per_s <= 0) return true;
  Bucket& bucket = Find(now, ip);
  if (bucket.tries < 1) return false;
  bucket.tries -= 1;
  return true;
}

void Strangers::Proven(absl::Time now, const IpAddress& ip) {
  Bucket& bucket = Find(now, ip);
  bucket.tries = std::min(limits_.tries_burst, bucket.tries + 1);
  // The larger budget is there at once: the others behind this address are
  // asking now.
  if (bucket.proven_until <= now) {
    bucket.gain += limits_.gain_bytes_burst * (limits_.proven_factor - 1);
  }
  bucket.proven_until = now + limits_.proven_for;
}

}  // namespace kyuu::turn
