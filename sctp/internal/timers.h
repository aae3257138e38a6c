// The timers of an association: their deadlines, how far each has backed off,
// and that they stand still while there is no path.

#ifndef KYUU_SCTP_INTERNAL_TIMERS_H_
#define KYUU_SCTP_INTERNAL_TIMERS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "base/timer.h"

namespace kyuu::sctp::internal {

enum class Timer : uint8_t {
  kT1Init,           // The INIT ACK is awaited (RFC 9260 section 5.1).
  kT1Cookie,         // The COOKIE ACK is awaited.
  kT2Shutdown,       // The answer to SHUTDOWN or SHUTDOWN ACK (section 9.2).
  kT3Rtx,            // The acknowledgement of data (section 6.3.2).
  kT5ShutdownGuard,  // The whole shutdown (section 9.2).
  kReordering,       // Data that others have overtaken (RFC 8985 section 6.3).
  kSack,             // A SACK that may wait (section 6.2).
  kHeartbeat,        // The next HEARTBEAT, or the answer to one (section 8.3).
  kReconfig,         // The answer to a RE-CONFIG (RFC 6525 section 5.1.1).
  kPacing,           // The next packet, where it would leave too soon.
  kTailLoss,         // The SACK of the last packets (RFC 8985 section 7).
  kResetDelay,       // The next reset of a stream (Options::reset_delay).
  kPathMtu,          // The answer to a probe, or the next search (RFC 8899).
  kCount,
};

const char* Name(Timer timer);

// A TimerTable whose timers that wait for the peer each have a back-off of
// their own, so that a stream that is slow to reset does not slow data down.
// Those timers stand still between Pause and Resume: a packet that cannot be
// sent is not late.
class Timers {
 public:
  static constexpr size_t kSize = TimerTable<Timer>::kSize;

  // Whether the timer waits for an answer of the peer to what was sent.
  static bool AwaitsPeer(Timer timer) {
    return timer != Timer::kT5ShutdownGuard && timer != Timer::kReordering &&
           timer != Timer::kSack && timer != Timer::kPacing &&
           timer != Timer::kResetDelay;
  }

  void Set(Timer timer, absl::Time deadline);
  void Stop(Timer timer);
  // Stops all timers and forgets all back-offs.
  void StopAll();
  // True while it stands still too.
  bool IsSet(Timer timer) const;
  absl::Time deadline(Timer timer) const { return table_.deadline(timer); }
  absl::Time NextTimeout() const { return table_.NextTimeout(); }
  std::optional<Timer> PopDue(absl::Time now) { return table_.PopDue(now); }

  // `rto` doubled for each expiry of `timer` in a row, at most `max`.
  absl::Duration BackedOff(Timer timer, absl::Duration rto,
                           absl::Duration max) const;
  // Expiries in a row that BackOff was told of.
  int backoff(Timer timer) const { return backoffs_[Index(timer)]; }
  void BackOff(Timer timer) { ++backoffs_[Index(timer)]; }
  void ResetBackoff(Timer timer) { backoffs_[Index(timer)] = 0; }

  bool paused() const { return paused_; }
  void Pause();
  // Resume lets new deadlines count again; those that were waiting have to be
  // Set again by the caller. Forgets all back-offs.
  void Resume();

 private:
  static size_t Index(Timer timer) { return static_cast<size_t>(timer); }

  TimerTable<Timer> table_;
  std::array<int, kSize> backoffs_{};
  bool paused_ = false;
  std::array<bool, kSize> waiting_{};  // Set, and standing still.
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_TIMERS_H_
