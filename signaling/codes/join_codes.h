// Six digits that stand for a room for some minutes: what a person says to
// another one who is to come there (docs/signaling_protocol.md, "Codes").

#ifndef KYUU_SIGNALING_CODES_JOIN_CODES_H_
#define KYUU_SIGNALING_CODES_JOIN_CODES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/counters.h"
#include "base/random.h"
#include "base/shares.h"
#include "signaling/internal/token_bucket.h"
#include "signaling/rate.h"

namespace kyuu::signaling {

struct JoinCodeOptions {
  absl::Duration lifetime = absl::Minutes(5);
  // Rooms that a code tells, after which it is used up.
  int uses = 5;
  // Codes at a time. Of a million that there could be one in a thousand is
  // good then, at most: by `tried` a source of its own finds one in eight hours
  // if there are so many, and learns the name of a room by it.
  size_t max_codes = 1000;
  size_t max_codes_per_source = 5;
  Rate made = {.per_second = 0.1, .burst = 5};
  // Codes that are shown, good ones and others.
  Rate tried = {.per_second = 1.0 / 30, .burst = 10};
  // By all sources together: many of them find no more than some.
  Rate tried_by_all = {.per_second = 5, .burst = 300};
};

struct JoinCode {
  std::string digits;  // Six.
  absl::Time until;
};

struct JoinCodeStats {
  uint64_t made = 0;
  uint64_t used = 0;
  uint64_t unknown = 0;  // Shown, and no code, or none any more.
  uint64_t limited = 0;  // Refused for being too many.

  static constexpr Counter<JoinCodeStats> kCounters[] = {
      KYUU_COUNTER(JoinCodeStats, made),
      KYUU_COUNTER(JoinCodeStats, used),
      KYUU_COUNTER(JoinCodeStats, unknown),
      KYUU_COUNTER(JoinCodeStats, limited),
  };
};
static_assert(Countable<JoinCodeStats>);

// JoinCodes knows the codes of one server. A value: whoever asks says when.
class JoinCodes {
 public:
  // `random` must outlive it.
  JoinCodes(JoinCodeOptions options, Random& random);

  // A new code for this room ("" is the default one); `address` is who asks, or
  // IpAddress() if that is not known: no share, then. INVALID_ARGUMENT for what
  // is no name of a room, RESOURCE_EXHAUSTED beyond the limits.
  absl::StatusOr<JoinCode> Make(absl::Time now, const IpAddress& address,
                                absl::string_view room);
  // The room of a code. NOT_FOUND if there is none, RESOURCE_EXHAUSTED if too
  // many were tried, whatever this one is.
  absl::StatusOr<std::string> Use(absl::Time now, const IpAddress& address,
                                  absl::string_view digits);

  size_t size() const { return codes_.size(); }
  const JoinCodeStats& stats() const { return stats_; }

 private:
  struct Entry {
    std::string room;
    Source source;
    absl::Time until;
    int uses_left = 0;
  };

  void Expire(absl::Time now);
  void Remove(const std::string& digits);

  const JoinCodeOptions options_;
  Random& random_;
  absl::flat_hash_map<std::string, Entry> codes_;
  // Oldest first. One that was used up may stand there until its time is over.
  std::deque<JoinCode> made_;
  Shares held_;
  internal::RateTable<Source> makers_;
  internal::RateTable<Source> triers_;
  internal::RateTable<int> all_;  // Of one key.
  JoinCodeStats stats_;
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_CODES_JOIN_CODES_H_
