#include "tools/kyuu/ping/ping_series.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace kyuu::tools {

PingSeries::PingSeries(Random& random) : tag_{} {
  random.Fill(absl::MakeSpan(tag_));
}

std::vector<uint8_t> PingSeries::Send(absl::Time now) {
  waiting_.emplace(++sent_, now);
  std::vector<uint8_t> message(tag_.begin(), tag_.end());
  for (int shift = 56; shift >= 0; shift -= 8) {
    message.push_back(static_cast<uint8_t>(sent_ >> shift));
  }
  return message;
}

std::optional<PingSeries::Answer> PingSeries::HandleAnswer(
    absl::Time now, absl::Span<const uint8_t> message) {
  Reader reader(message);
  const absl::Span<const uint8_t> tag = reader.Bytes(tag_.size());
  const uint64_t number = reader.U64();
  if (!reader.ok() || reader.remaining() != 0 ||
      !std::equal(tag.begin(), tag.end(), tag_.begin())) {
    return std::nullopt;
  }
  const auto it = waiting_.find(number);
  if (it == waiting_.end() || now - it->second >= kLostAfter) {
    return std::nullopt;
  }
  const absl::Duration took = now - it->second;
  waiting_.erase(it);
  ++received_;
  min_ = std::min(min_, took);
  max_ = std::max(max_, took);
  const double ms = absl::ToDoubleMilliseconds(took);
  const double distance = ms - mean_ms_;
  mean_ms_ += distance / static_cast<double>(received_);
  squares_ += distance * (ms - mean_ms_);
  return Answer{number, took};
}

std::optional<uint64_t> PingSeries::PollLost(absl::Time now) {
  if (now < NextTimeout()) return std::nullopt;
  const uint64_t number = waiting_.begin()->first;
  waiting_.erase(waiting_.begin());
  ++lost_;
  return number;
}

absl::Time PingSeries::NextTimeout() const {
  if (waiting_.empty()) return absl::InfiniteFuture();
  return waiting_.size() > kWaitingMax ? absl::InfinitePast()
                                       : waiting_.begin()->second + kLostAfter;
}

PingSeries::Summary PingSeries::summary() const {
  Summary summary{.sent = sent_, .received = received_, .lost = lost_};
  if (received_ == 0) return summary;
  summary.min = min_;
  summary.mean = absl::Milliseconds(mean_ms_);
  summary.max = max_;
  summary.deviation =
      absl::Milliseconds(std::sqrt(squares_ / static_cast<double>(received_)));
  return summary;
}

}  // namespace kyuu::tools
