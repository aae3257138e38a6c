// Lifecycles: of which channel, and which of the application's numbers, a
// message is whose fate the association tells.

#ifndef KYUU_SCTP_INTERNAL_LIFECYCLES_H_
#define KYUU_SCTP_INTERNAL_LIFECYCLES_H_

#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "sctp/data_channel_state.h"
#include "sctp/event.h"

namespace kyuu::sctp::internal {

// Two channels may have messages on one stream: those of the second wait behind
// the reset that ends the first, and their limits may give them up there. So it
// is not the stream that says whose a message is.
class Lifecycles {
 public:
  // The association's lifecycle id for a message of the application's.
  std::optional<uint64_t> For(std::optional<uint64_t> lifecycle) const {
    return lifecycle ? std::optional(next_) : std::nullopt;
  }
  // The association has taken the message.
  void Taken(ChannelId channel, std::optional<uint64_t> lifecycle) {
    if (lifecycle) untold_[next_++] = {channel, *lifecycle};
  }
  std::optional<ChannelMessageSettled> Settle(const MessageSettled& settled) {
    const auto it = untold_.find(settled.lifecycle);
    if (it == untold_.end()) return std::nullopt;
    ChannelMessageSettled told = it->second;
    told.fate = settled.fate;
    untold_.erase(it);
    return told;
  }
  // Nothing of what was taken is told any more.
  void Clear() { untold_ = {}; }

 private:
  absl::flat_hash_map<uint64_t, ChannelMessageSettled> untold_;
  uint64_t next_ = 0;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_LIFECYCLES_H_
