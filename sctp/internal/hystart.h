// Where slow start should end: HyStart++ (RFC 9406).

#ifndef KYUU_SCTP_INTERNAL_HYSTART_H_
#define KYUU_SCTP_INTERNAL_HYSTART_H_

#include <algorithm>

#include "absl/time/time.h"

namespace kyuu::sctp::internal {

// HyStart watches the round trip for a queue that builds up. When it finds one,
// slow start goes on at a quarter of its pace for five round trips
// (conservative slow start), unless the round trip falls again. All values are
// section 4.3's.
class HyStart {
 public:
  enum class Verdict { kFast, kConservative, kDone };

  // `rtt` was measured; zero for nothing.
  void OnRoundTrip(absl::Duration rtt) {
    if (rtt <= absl::ZeroDuration()) return;
    ++samples_;
    round_min_ = std::min(round_min_, rtt);
    if (samples_ < kSamples) return;
    if (conservative_rounds_ > 0) {
      // It was no queue after all.
      if (round_min_ < baseline_) conservative_rounds_ = 0;
    } else if (last_min_ != absl::InfiniteDuration() &&
               round_min_ >= last_min_ + Threshold()) {
      baseline_ = round_min_;
      conservative_rounds_ = 1;
    }
  }
  void OnRoundBegins() {
    last_min_ = round_min_;
    round_min_ = absl::InfiniteDuration();
    samples_ = 0;
    if (conservative_rounds_ > 0) ++conservative_rounds_;
  }
  // Slow start begins anew.
  void Reset() { *this = HyStart(); }

  Verdict verdict() const {
    if (conservative_rounds_ == 0) return Verdict::kFast;
    return conservative_rounds_ > kRounds ? Verdict::kDone
                                          : Verdict::kConservative;
  }
  // By how much slower it goes on in between.
  static constexpr int kDivisor = 4;

 private:
  static constexpr int kSamples = 8;
  static constexpr int kRounds = 5;

  absl::Duration Threshold() const {
    return std::clamp(last_min_ / 8, absl::Milliseconds(4),
                      absl::Milliseconds(16));
  }

  absl::Duration last_min_ = absl::InfiniteDuration();
  absl::Duration round_min_ = absl::InfiniteDuration();
  absl::Duration baseline_ = absl::InfiniteDuration();
  int samples_ = 0;
  int conservative_rounds_ = 0;  // 0: none begun.
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_HYSTART_H_
