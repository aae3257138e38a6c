// How the window comes down during fast recovery: proportional rate reduction
// (RFC 9937).

#ifndef KYUU_SCTP_INTERNAL_RATE_REDUCTION_H_
#define KYUU_SCTP_INTERNAL_RATE_REDUCTION_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace kyuu::sctp::internal {

// RateReduction lets leave what has arrived, and less until no more is in
// flight than the target: a queue that overflows is not filled again by what it
// has dropped. All sizes are in bytes.
class RateReduction {
 public:
  explicit RateReduction(size_t mtu) : mtu_(mtu) {}

  // A loss was found with `flight` on its way, the lost included.
  void Begin(size_t flight, size_t target) {
    begun_with_ = std::max<size_t>(flight, 1);
    target_ = target;
    delivered_ = sent_ = 0;
    lost_ = true;
  }
  void OnSent(size_t bytes) { sent_ += bytes; }
  void OnLost() { lost_ = true; }
  // `acked` was acknowledged, and `flight` is left; kAdvanced: there may be
  // progress. Returns the window.
  enum class Progress { kNone, kAdvanced };
  size_t OnAcked(size_t acked, size_t flight, Progress progress) {
    delivered_ += acked;
    const size_t owed = delivered_ - std::min(delivered_, sent_);
    size_t more = 0;
    if (flight > target_) {
      const uint64_t part =
          (uint64_t{delivered_} * target_ + begun_with_ - 1) / begun_with_;
      more = part - std::min<uint64_t>(part, sent_);
    } else {
      size_t limit = std::max(owed, acked);
      if (progress == Progress::kAdvanced && !lost_) limit += mtu_;
      more = std::min(target_ - flight, limit);
    }
    if (sent_ == 0) more = std::max(more, mtu_);
    lost_ = false;
    return std::max(flight + more, mtu_);
  }

 private:
  size_t mtu_;
  size_t begun_with_ = 1;
  size_t target_ = 0;
  size_t delivered_ = 0;
  size_t sent_ = 0;
  bool lost_ = false;  // More was found lost since the last SACK.
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_RATE_REDUCTION_H_
