// StreamMemory: what the peers of all streams together make us hold.

#ifndef KYUU_NET_STREAM_MEMORY_H_
#define KYUU_NET_STREAM_MEMORY_H_

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"

namespace kyuu::net {

// StreamMemory is a budget: each stream has bounds of its own, but thousands of
// them at their bounds are more than a machine has. `on_over` is called when it
// is exceeded; whose streams are cut then is the owner's choice.
class StreamMemory {
 public:
  StreamMemory(size_t limit_bytes, absl::AnyInvocable<void()> on_over)
      : limit_bytes_(limit_bytes), on_over_(std::move(on_over)) {}

  size_t limit_bytes() const { return limit_bytes_; }
  size_t used_bytes() const { return used_bytes_; }
  bool over() const { return used_bytes_ > limit_bytes_; }

 private:
  friend class MemoryShare;

  void Change(size_t before, size_t after) {
    used_bytes_ += after;
    used_bytes_ -= before;
    if (after > before && over()) on_over_();
  }

  const size_t limit_bytes_;
  absl::AnyInvocable<void()> on_over_;
  size_t used_bytes_ = 0;
};

// MemoryShare is what one stream holds of it. Without a memory it only counts.
class MemoryShare {
 public:
  explicit MemoryShare(StreamMemory* memory) : memory_(memory) {}
  ~MemoryShare() { Hold(0); }
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;

  void Hold(size_t bytes) {
    const size_t before = std::exchange(held_, bytes);
    if (memory_ != nullptr && before != bytes) memory_->Change(before, bytes);
  }
  size_t held() const { return held_; }

 private:
  StreamMemory* memory_;
  size_t held_ = 0;
};

// LargestHolders are those of `holders` (bytes, and who) to be cut so that no
// more than `goal_bytes` of `used_bytes` are left: whoever holds most is first.
template <typename Id>
std::vector<std::pair<size_t, Id>> LargestHolders(
    std::vector<std::pair<size_t, Id>> holders, size_t used_bytes,
    size_t goal_bytes) {
  std::sort(holders.begin(), holders.end(),
            [](const auto& a, const auto& b) { return a.first > b.first; });
  size_t count = 0;
  while (count < holders.size() && used_bytes > goal_bytes) {
    used_bytes -= std::min(used_bytes, holders[count++].first);
  }
  holders.resize(count);
  return holders;
}

}  // namespace kyuu::net

#endif  // KYUU_NET_STREAM_MEMORY_H_
