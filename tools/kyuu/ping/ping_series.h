// A series of pings: which came back, and how long it took.

#ifndef KYUU_TOOLS_KYUU_PING_PING_SERIES_H_
#define KYUU_TOOLS_KYUU_PING_PING_SERIES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/random.h"

namespace kyuu::tools {

// PingSeries has no I/O. What it sends is eight random bytes, so that nobody
// can answer what was not asked yet, and the number.
class PingSeries {
 public:
  // What is not back by then is lost. More than that under way is not waited
  // for.
  static constexpr absl::Duration kLostAfter = absl::Seconds(3);
  static constexpr size_t kWaitingMax = 1000;

  struct Answer {
    uint64_t number;
    absl::Duration round_trip;
  };
  struct Summary {
    uint64_t sent = 0;
    uint64_t received = 0;
    uint64_t lost = 0;  // Those under way are neither.
    absl::Duration min;
    absl::Duration mean;
    absl::Duration max;
    absl::Duration deviation;  // Of the population.
  };

  explicit PingSeries(Random& random);

  // The next message; numbers begin with 1.
  std::vector<uint8_t> Send(absl::Time now);
  // nullopt for what was not sent, has come before, or counts as lost.
  std::optional<Answer> HandleAnswer(absl::Time now,
                                     absl::Span<const uint8_t> message);
  // The next one that is lost by `now`.
  std::optional<uint64_t> PollLost(absl::Time now);
  // When PollLost has something, if nothing comes before.
  absl::Time NextTimeout() const;
  bool all_settled() const { return waiting_.empty(); }
  uint64_t sent() const { return sent_; }
  uint64_t received() const { return received_; }
  Summary summary() const;

 private:
  std::array<uint8_t, 8> tag_;
  std::map<uint64_t, absl::Time> waiting_;  // When each was sent.
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
  uint64_t lost_ = 0;
  absl::Duration min_ = absl::InfiniteDuration();
  absl::Duration max_ = absl::ZeroDuration();
  double mean_ms_ = 0;
  double squares_ = 0;  // Of the distances to the mean (Welford).
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PING_PING_SERIES_H_
