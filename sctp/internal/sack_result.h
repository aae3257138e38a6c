// What a SACK came to, for whoever keeps the timers and the window.

#ifndef KYUU_SCTP_INTERNAL_SACK_RESULT_H_
#define KYUU_SCTP_INTERNAL_SACK_RESULT_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "sctp/internal/congestion_control.h"

namespace kyuu::sctp::internal {

// What a SACK changed.
struct SackResult {
  enum class Kind : uint8_t {
    kApplied,
    kStale,    // Older than one seen before; nothing was changed.
    kInvalid,  // Speaks of TSNs that were never sent; nothing was changed.
  };
  Kind kind = Kind::kApplied;
  bool cumulative_advanced = false;
  // All that was found lost since the last reduction was on its way.
  bool reduction_was_spurious = false;
  // T3 had expired for what was on its way, and is in flight again (RFC 5682).
  bool timeout_was_spurious = false;
  size_t bytes_acked = 0;
  size_t bytes_proven = 0;  // AckSample::bytes_proven.
  size_t bytes_lost = 0;    // Now to be sent again.
  // The round trip of the newest chunk that was sent once (Karn: the answer
  // to a chunk that was sent twice says nothing, section 6.3.1 rule C5).
  std::optional<absl::Duration> rtt;
  // Of one that was sent twice, where the path has become shorter than it was.
  std::optional<absl::Duration> shorter_rtt;
  RateSample rate;  // By the newest packet that it acknowledges.
  AckSample::Round round = AckSample::Round::kSame;
  // The round trip of that packet if it was sent once; else zero.
  absl::Duration newest_rtt = absl::ZeroDuration();
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_SACK_RESULT_H_
