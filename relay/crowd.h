// Crowd: who of many has had his share.

#ifndef KYUU_RELAY_CROWD_H_
#define KYUU_RELAY_CROWD_H_

#include <cstddef>
#include <limits>

#include "absl/container/flat_hash_map.h"
#include "base/address.h"

namespace kyuu::relay {

// All clients of a loop wait in one queue of the kernel. Where some send more
// than the loop can relay it stays full, and whoever sends fifty packets a
// second waits behind them all and loses as large a part as they do. So once
// the queue has been nearly full it is read to its end, and of each client only
// a share is served: those who send little lose nothing and hardly wait.
//
// One Begin() for each such reading, and an Admits() for whatever is read.
class Crowd {
 public:
  // What all clients together have of a reading, in bytes: a millisecond of
  // relaying, where a train takes as long as kTrain bytes more.
  static constexpr size_t kBytes = 3'000'000;
  static constexpr size_t kTrain = 10'000;

  void Begin() {
    // As many as the time before: how many it will be shows at the end. Whom
    // nobody waits for has all of it.
    share_ = served_.size() > 1 ? kBytes / served_.size()
                                : std::numeric_limits<size_t>::max();
    served_.clear();
  }
  // Whether a train of `client` is to be served. The first always is, and one
  // that begins within the share is served whole.
  bool Admits(const TransportAddress& client, size_t bytes) {
    size_t& served = served_[client];
    if (served >= share_) return false;
    served += bytes + kTrain;
    return true;
  }

 private:
  size_t share_ = std::numeric_limits<size_t>::max();
  absl::flat_hash_map<TransportAddress, size_t> served_;
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_CROWD_H_
