// The deadlines of a stream that do not depend on its peer's good will.

#ifndef KYUU_NET_INTERNAL_STREAM_DEADLINES_H_
#define KYUU_NET_INTERNAL_STREAM_DEADLINES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "base/timer.h"
#include "net/stream.h"

namespace kyuu::net::internal {

// StreamDeadlines watches whether a stream gets on: while something waits in
// it, some of it has to be taken within the write timeout; once our side has
// ended, the peer has to end its own within the linger, or at least go on
// acknowledging what was sent.
class StreamDeadlines {
 public:
  enum class Verdict : uint8_t { kWait, kStalled, kOver };

  StreamDeadlines(absl::Duration write_timeout, absl::Duration linger)
      : write_timeout_(write_timeout), linger_(linger) {}

  // To be called whenever something was written or flushed.
  void Observe(absl::Time now, const Stream& stream);
  // Our direction has ended at `now`.
  void BeginLinger(absl::Time now, const Stream& stream);
  // What the deadlines that are due mean: kStalled, the peer has got stuck;
  // kOver, all that was sent has arrived and there is nothing to wait for.
  Verdict Judge(absl::Time now, const Stream& stream);
  absl::Time NextTimeout() const {
    return std::min(write_due_, lingering_ == nullptr
                                    ? absl::InfiniteFuture()
                                    : lingering_->timers.NextTimeout());
  }

 private:
  // What few of thousands have at a time.
  struct Lingering {
    enum class Timer : uint8_t {
      kStep,  // Since nothing more was acknowledged.
      kEnd,   // Since our direction has ended.
      kCount
    };
    TimerTable<Timer> timers;
    size_t unacknowledged = 0;
  };

  const absl::Duration write_timeout_;
  const absl::Duration linger_;
  // Since something waits and nothing of it was taken.
  absl::Time write_due_ = absl::InfiniteFuture();
  uint64_t taken_bytes_ = 0;
  std::unique_ptr<Lingering> lingering_;
};

}  // namespace kyuu::net::internal

#endif  // KYUU_NET_INTERNAL_STREAM_DEADLINES_H_
