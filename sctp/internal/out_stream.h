// What the queue of outgoing messages knows of a stream.

#ifndef KYUU_SCTP_INTERNAL_OUT_STREAM_H_
#define KYUU_SCTP_INTERNAL_OUT_STREAM_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "sctp/internal/out_message.h"
#include "sctp/internal/ring_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/stream_scheduler.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

struct OutStream {
  RingQueue<MessageId> messages;  // That wait for their next fragment.
  StreamScheduler::Share share;
  size_t buffered = 0;
  size_t low_threshold = 0;
  size_t occupied = 0;
  uint32_t alive = 0;      // Messages neither acknowledged nor given up.
  uint32_t held = 0;       // Those of them that wait for the reset.
  uint32_t displaced = 0;  // Those of them that only keep their place.
  bool active = false;     // In the scheduler or parked, or current.
  bool refused = false;    // A message, so WritableAgain is owed.
  bool resting = false;    // Nothing in it has to be kept.
};

// What is left of a stream on which nothing is under way.
struct OutNumbers {
  Mid next_mid;  // Of ordered messages.
  Mid next_unordered_mid;
  bool used = false;  // Since its last reset.
  enum class Pause : uint8_t { kNo, kSoon, kPatient } pause = Pause::kNo;
};

// A stream whose reset waits.
struct DelayedReset {
  StreamId stream{};
  absl::Time at;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_OUT_STREAM_H_
