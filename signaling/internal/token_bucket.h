// How often something may be done: tokens that come back with time.

#ifndef KYUU_SIGNALING_INTERNAL_TOKEN_BUCKET_H_
#define KYUU_SIGNALING_INTERNAL_TOKEN_BUCKET_H_

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/deadline_queue.h"
#include "signaling/rate.h"

namespace kyuu::signaling::internal {

class TokenBucket {
 public:
  // Full at `now`. `rate`, which thousands have in common, must outlive it.
  TokenBucket(const Rate& rate, absl::Time now)
      : rate_(&rate), tokens_(rate.burst), at_ns_(absl::ToUnixNanos(now)) {}
  TokenBucket(Rate&& rate, absl::Time now) = delete;

  // Take takes `count` tokens and returns zero; or, if there are not so many,
  // returns how long it takes until there are. More than the burst can be taken
  // of a full bucket only, and leaves a debt.
  absl::Duration Take(absl::Time now, double count = 1) {
    Refill(now);
    const double needed = std::min(count, rate_->burst);
    if (tokens_ < needed) {
      return absl::Ceil(absl::Seconds((needed - tokens_) / rate_->per_second),
                        absl::Milliseconds(1));
    }
    tokens_ -= count;
    return absl::ZeroDuration();
  }
  // Gives back what the last Take took.
  void Return() { tokens_ = std::min(rate_->burst, tokens_ + 1); }

  bool IsFull(absl::Time now) {
    Refill(now);
    return tokens_ >= rate_->burst;
  }
  // What could be taken, in thousandths; less than none is none.
  uint64_t MillisLeft(absl::Time now) {
    Refill(now);
    return static_cast<uint64_t>(std::max(tokens_, 0.0) * 1000);
  }
  void SetMillisLeft(uint64_t millis) {
    tokens_ = std::min(rate_->burst, static_cast<double>(millis) / 1000);
  }
  // When it is full again if nothing is taken.
  absl::Time FullAt(absl::Time now) {
    Refill(now);
    return now + absl::Seconds((rate_->burst - tokens_) / rate_->per_second);
  }

 private:
  void Refill(absl::Time now) {
    const int64_t now_ns = absl::ToUnixNanos(now);
    if (now_ns <= at_ns_) return;
    const double elapsed = static_cast<double>(now_ns - at_ns_) * 1e-9;
    tokens_ = std::min(rate_->burst, tokens_ + elapsed * rate_->per_second);
    at_ns_ = now_ns;
  }

  const Rate* rate_;
  double tokens_;
  int64_t at_ns_;  // When they were so many.
};

// RateTable holds a bucket for each key that has taken from it lately. A full
// bucket says nothing and is forgotten, so that it holds at most as many as
// were taken from within the time of a refill.
template <typename Key>
class RateTable {
 public:
  explicit RateTable(Rate rate) : rate_(rate) {}
  RateTable(const RateTable&) = delete;
  RateTable& operator=(const RateTable&) = delete;

  // As TokenBucket::Take.
  absl::Duration Take(absl::Time now, const Key& key) {
    while (std::optional<Key> full = full_at_.PopDue(now)) {
      buckets_.erase(*full);
    }
    TokenBucket& bucket =
        buckets_.try_emplace(key, TokenBucket(rate_, now)).first->second;
    const absl::Duration wait = bucket.Take(now);
    full_at_.Set(key, bucket.FullAt(now));
    return wait;
  }
  // Gives back what the last Take of this key took.
  void Return(absl::Time now, const Key& key) {
    const auto it = buckets_.find(key);
    if (it == buckets_.end()) return;
    it->second.Return();
    full_at_.Set(key, it->second.FullAt(now));
  }
  size_t size() const { return buckets_.size(); }

 private:
  const Rate rate_;
  absl::flat_hash_map<Key, TokenBucket> buckets_;
  DeadlineQueue<Key> full_at_;
};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_TOKEN_BUCKET_H_
