// Progress of a transfer as one line for a terminal.

#ifndef KYUU_TOOLS_KYUU_PROGRESS_H_
#define KYUU_TOOLS_KYUU_PROGRESS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace kyuu::tools {

// "523 B", "1.5 kB", "52.4 MB": decimal units, three digits.
std::string FormatBytes(double bytes);
// "0:07", "12:30", "1:02:03"; "--:--" for what cannot be told.
std::string FormatClock(absl::Duration duration);

// Progress computes rate and time left from the last few seconds, so that a
// stalled transfer shows as one.
class Progress {
 public:
  // `done` bytes were through before `now`.
  Progress(std::string name, uint64_t size, uint64_t done, absl::Time now)
      : name_(std::move(name)),
        size_(size),
        done_(done),
        mark_(now),
        mark_done_(done),
        last_(now) {}

  // Takes how many bytes are through by now.
  void Update(absl::Time now, uint64_t done);
  // True at most every 100 ms, and at the end: whether to show a line.
  bool ShouldShow(absl::Time now);
  // "a.pdf  43 %  22.4 of 52.4 MB  31.0 MB/s  0:01 left", the name clipped so
  // that it all fits into `columns`.
  std::string Line(size_t columns) const;

 private:
  std::string name_;
  uint64_t size_;
  uint64_t done_;
  absl::Time mark_;
  uint64_t mark_done_;
  double bytes_per_second_ = 0;
  absl::Time last_;
  absl::Time shown_ = absl::InfinitePast();
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PROGRESS_H_
