// ICE's last decisions, for whoever polls and for statistics.

#ifndef KYUU_PEER_INTERNAL_DECISION_LOG_H_
#define KYUU_PEER_INTERNAL_DECISION_LOG_H_

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "base/queue.h"
#include "ice/policy.h"
#include "peer/connection_stats.h"

namespace kyuu::peer::internal {

// Keeps `max`; of more the oldest go, told or not.
class DecisionLog {
 public:
  void Add(absl::Time now, const ice::Decision& decision, size_t max) {
    while (!last_.empty() && last_.size() >= max) last_.pop_front();
    last_.push_back({now, decision});
    untold_ = std::min(untold_ + 1, last_.size());
  }
  // The oldest that was not taken yet.
  std::optional<ice::Decision> Take() {
    if (untold_ == 0) return std::nullopt;
    return last_[last_.size() - untold_--].decision;
  }
  void Clear() { untold_ = 0; }
  std::vector<PathDecision> all() const { return {last_.begin(), last_.end()}; }

 private:
  Queue<PathDecision> last_;
  size_t untold_ = 0;  // The last ones.
};

}  // namespace kyuu::peer::internal

#endif  // KYUU_PEER_INTERNAL_DECISION_LOG_H_
