#include "tools/kyuu/progress.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "tools/kyuu/printable.h"

namespace kyuu::tools {

std::string FormatBytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < std::size(kUnits)) {
    bytes /= 1000;
    ++unit;
  }
  if (unit == 0) return absl::StrFormat("%.0f B", bytes);
  return absl::StrFormat("%.*f %s",
                         bytes < 9.995   ? 2
                         : bytes < 99.95 ? 1
                                         : 0,
                         bytes, kUnits[unit]);
}

std::string FormatClock(absl::Duration duration) {
  if (duration < absl::ZeroDuration() || duration > absl::Hours(99)) {
    return "--:--";
  }
  const int64_t seconds = absl::ToInt64Seconds(duration);
  if (seconds < 3600) {
    return absl::StrFormat("%d:%02d", seconds / 60, seconds % 60);
  }
  return absl::StrFormat("%d:%02d:%02d", seconds / 3600, seconds / 60 % 60,
                         seconds % 60);
}

void Progress::Update(absl::Time now, uint64_t done) {
  done_ = done;
  last_ = now;
  const absl::Duration elapsed = now - mark_;
  if (elapsed < absl::Milliseconds(500) && bytes_per_second_ > 0) return;
  if (elapsed < absl::Milliseconds(50)) return;
  const double rate =
      static_cast<double>(done_ - mark_done_) / absl::ToDoubleSeconds(elapsed);
  bytes_per_second_ =
      bytes_per_second_ == 0 ? rate : 0.6 * bytes_per_second_ + 0.4 * rate;
  mark_ = now;
  mark_done_ = done_;
}

bool Progress::ShouldShow(absl::Time now) {
  if (now - shown_ < absl::Milliseconds(100) && done_ != size_) return false;
  shown_ = now;
  return true;
}

std::string Progress::Line(size_t columns) const {
  const double percent = size_ == 0 ? 100
                                    : 100.0 * static_cast<double>(done_) /
                                          static_cast<double>(size_);
  const absl::Duration left =
      bytes_per_second_ <= 0
          ? absl::InfiniteDuration()
          : absl::Seconds(static_cast<double>(size_ - done_) /
                          bytes_per_second_);
  const std::string rest =
      absl::StrFormat("  %.0f %%  %s of %s  %s/s  %s left", percent,
                      FormatBytes(static_cast<double>(done_)),
                      FormatBytes(static_cast<double>(size_)),
                      FormatBytes(bytes_per_second_), FormatClock(left));
  const size_t room = columns > rest.size() ? columns - rest.size() : 0;
  return Clip(absl::StrCat(Clip(name_, room), rest), columns);
}

}  // namespace kyuu::tools
