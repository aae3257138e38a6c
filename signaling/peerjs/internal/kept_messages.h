// Messages for peers that are not there yet.

#ifndef KYUU_SIGNALING_PEERJS_INTERNAL_KEPT_MESSAGES_H_
#define KYUU_SIGNALING_PEERJS_INTERNAL_KEPT_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/deadline_queue.h"
#include "signaling/internal/shares.h"
#include "signaling/peerjs/peerjs_options.h"

namespace kyuu::signaling::internal {

struct KeptMessage {
  std::string from;     // The sender's id,
  uint64_t number = 0;  // and which peer of that id it is.
  Source source;        // Its address.
  std::string text;
};

// KeptMessages has a queue for each absent peer that somebody has a message
// for, and bounds them all by the bytes of `options`.
class KeptMessages {
 public:
  // What a message costs beside its text and the ids.
  static constexpr size_t kMessageBytes = 128;

  explicit KeptMessages(const PeerJsOptions& options) : options_(options) {}

  // Keep puts `message` behind the others for `to`; false, and nothing is kept,
  // beyond a bound.
  bool Keep(absl::Time now, const std::string& to, KeptMessage message);
  // Take returns all that is kept for `to`, in order; none are any more.
  std::vector<KeptMessage> Take(const std::string& to);
  // PopDue returns a peer that has not come in time, if there is one: Take()
  // what was kept for it.
  std::optional<std::string> PopDue(absl::Time now) {
    return deadlines_.PopDue(now);
  }
  absl::Time NextTimeout() const { return deadlines_.NextTimeout(); }
  size_t bytes() const { return bytes_; }

 private:
  const PeerJsOptions& options_;
  absl::flat_hash_map<std::string, std::vector<KeptMessage>> queues_;
  DeadlineQueue<std::string> deadlines_;
  size_t bytes_ = 0;
  absl::flat_hash_map<Source, size_t> per_source_;
  absl::flat_hash_map<uint64_t, size_t> per_peer_;  // By its number.
};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_PEERJS_INTERNAL_KEPT_MESSAGES_H_
