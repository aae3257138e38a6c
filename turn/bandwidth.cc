#include "turn/bandwidth.h"

#include <algorithm>

namespace kyuu::turn {
namespace {

double TakeFrom(ByteBucket& bucket, absl::Time now, double bytes_per_s,
                absl::Duration burst, double wanted) {
  if (bytes_per_s <= 0) return wanted;
  const double there = bucket.Fill(now, bytes_per_s, burst);
  // Whoever asks first, each time, must not starve the others.
  const double left_to_others =
      bytes_per_s * absl::ToDoubleSeconds(kBandwidthSlice) * kBandwidthSharers;
  const double share =
      std::max(there - left_to_others, there / kBandwidthSharers);
  const double taken = std::clamp(share, 0.0, wanted);
  bucket.Take(taken);
  return taken;
}

}  // namespace

double ByteBucket::Fill(absl::Time now, double bytes_per_s,
                        absl::Duration burst) {
  const double most = bytes_per_s * absl::ToDoubleSeconds(burst);
  if (filled_ == absl::InfinitePast()) {
    bytes_ = most;
  } else if (now > filled_) {
    bytes_ += bytes_per_s * absl::ToDoubleSeconds(now - filled_);
  }
  bytes_ = std::min(bytes_, most);
  filled_ = std::max(filled_, now);
  return bytes_;
}

double Bandwidth::TakeUser(absl::Time now, Direction direction,
                           absl::string_view user, double wanted) {
  if (limits_.user_bytes_per_s <= 0) return wanted;
  auto both = users_.find(user);
  if (both == users_.end()) {
    ForgetFull(now);
    both = users_.try_emplace(std::string(user)).first;
  }
  return TakeFrom(both->second[static_cast<size_t>(direction)], now,
                  limits_.user_bytes_per_s, limits_.burst, wanted);
}

double Bandwidth::TakeRealm(absl::Time now, Direction direction, RealmId realm,
                            double bytes_per_s, double wanted) {
  if (bytes_per_s <= 0) return wanted;
  return TakeFrom(realms_[realm][static_cast<size_t>(direction)], now,
                  bytes_per_s, limits_.burst, wanted);
}

double Bandwidth::TakeTotal(absl::Time now, Direction direction,
                            double wanted) {
  return TakeFrom(total_[static_cast<size_t>(direction)], now,
                  limits_.total_bytes_per_s, limits_.burst, wanted);
}

void Bandwidth::ForgetFull(absl::Time now) {
  if (users_.size() < forget_at_) return;
  const double most =
      limits_.user_bytes_per_s * absl::ToDoubleSeconds(limits_.burst);
  absl::erase_if(users_, [&](auto& user) {
    return std::all_of(
        user.second.begin(), user.second.end(), [&](ByteBucket& bucket) {
          return bucket.Fill(now, limits_.user_bytes_per_s, limits_.burst) >=
                 most;
        });
  });
  // So that looking at all of them is rare.
  forget_at_ = std::max<size_t>(1024, 2 * users_.size());
}

}  // namespace kyuu::turn
