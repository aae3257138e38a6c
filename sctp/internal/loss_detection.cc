#include "sctp/internal/loss_detection.h"

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"
#include "sctp/internal/serial.h"

namespace kyuu::sctp::internal {
namespace {

constexpr int32_t kPacketThreshold = 3;
// 5 ms at a round trip of 20 ms, as RFC 8985 has it; at most one round trip.
constexpr int kQuarters = 4;
constexpr int kWindowFactorMax = 64;

int32_t Distance(uint32_t from, uint32_t to) {
  return static_cast<int32_t>(to - from);
}

}  // namespace

void LossDetection::OnAcked(uint32_t packet, absl::Duration elapsed,
                            Transmission transmission) {
  if (Distance(newest_, packet) > 0) {
    newest_ = packet;
    newest_elapsed_ = elapsed;
  }
  // One that left before another arrived after it: not in the same SACK.
  if (transmission == Transmission::kFirst &&
      Distance(before_ack_, packet) < 0) {
    reordering_seen_ = true;
  }
}

void LossDetection::OnSpurious(Tsn cumulative_tsn_ack, Tsn next_tsn) {
  if (reordering_seen_ && cumulative_tsn_ack < window_round_) return;
  reordering_seen_ = true;
  window_round_ = next_tsn;
  window_factor_ = std::min(window_factor_ + 1, kWindowFactorMax);
}

absl::Duration LossDetection::window(const RoundTrip& round_trip) const {
  if (round_trip.min == absl::InfiniteDuration()) return round_trip.smoothed;
  return std::min(window_factor_ * round_trip.min / kQuarters,
                  round_trip.smoothed);
}

absl::Time LossDetection::LostAt(uint32_t packet, absl::Time sent,
                                 const RoundTrip& round_trip) const {
  const int32_t behind = Distance(packet, newest_);
  if (!reordering_seen_ && behind >= kPacketThreshold) {
    return absl::InfinitePast();
  }
  if (behind <= 0) return absl::InfiniteFuture();
  return sent + newest_elapsed_ + window(round_trip);
}

void LossEpisode::OnLost(Tsn tsn) {
  if (!active_) return;
  if (tsns_.size() >= kMax) return End();
  tsns_.insert(tsn.value());
}

bool LossEpisode::OnSpurious(Tsn tsn) {
  if (tsns_.erase(tsn.value()) == 0 || !tsns_.empty()) return false;
  active_ = false;
  return true;
}

}  // namespace kyuu::sctp::internal
