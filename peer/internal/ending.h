// What a connection remembers while it ends.

#ifndef KYUU_PEER_INTERNAL_ENDING_H_
#define KYUU_PEER_INTERNAL_ENDING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace kyuu::peer::internal {

// What the peer still has to do before a graceful end. Less of either than
// before is progress.
struct LeftToTake {
  size_t bytes = 0;  // Not acknowledged.
  size_t channels = 0;

  friend bool operator==(const LeftToTake&, const LeftToTake&) = default;
};

// From Connection::Shutdown on.
struct ShuttingDown {
  absl::Time review_at;  // Without progress until then it becomes a hang-up.
  absl::Time deadline;   // With progress too.
  LeftToTake left;       // At the last review.

  absl::Time next() const {
    return review_at < deadline ? review_at : deadline;
  }
};

// From the hang-up on: why, and what is left to do.
struct Closing {
  enum class Step : uint8_t {
    kLastRecords,  // They leave first: they need the path.
    kGivingBack,   // ICE closes, and its relays' allocations.
    kOver,         // Closed is to be told.
    kTold,
  };
  absl::Status status;
  absl::Time deadline;  // Whatever the peer and the servers do.
  // The last SCTP packet (an ABORT), sealed before DTLS closed.
  std::vector<uint8_t> farewell;
  Step step = Step::kLastRecords;

  bool over() const { return step >= Step::kOver; }
};

}  // namespace kyuu::peer::internal

#endif  // KYUU_PEER_INTERNAL_ENDING_H_
