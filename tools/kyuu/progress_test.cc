#include "tools/kyuu/progress.h"

#include "base/testing.h"
#include "tools/kyuu/printable.h"

namespace kyuu::tools {
namespace {

TEST(Progress, FormatsBytesAndDurations) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(523), "523 B");
  EXPECT_EQ(FormatBytes(999.6), "1.00 kB");
  EXPECT_EQ(FormatBytes(1500), "1.50 kB");
  EXPECT_EQ(FormatBytes(52428800), "52.4 MB");
  EXPECT_EQ(FormatBytes(123.4e9), "123 GB");
  EXPECT_EQ(FormatClock(absl::Seconds(7)), "0:07");
  EXPECT_EQ(FormatClock(absl::Seconds(750)), "12:30");
  EXPECT_EQ(FormatClock(absl::Seconds(3723)), "1:02:03");
  EXPECT_EQ(FormatClock(absl::InfiniteDuration()), "--:--");
}

TEST(Progress, TellsRateAndTimeLeft) {
  absl::Time now = absl::UnixEpoch();
  Progress progress("a.pdf", 10'000'000, 0, now);
  for (int i = 1; i <= 4; ++i) {
    now += absl::Milliseconds(600);
    progress.Update(now, static_cast<uint64_t>(i) * 600'000);
  }
  EXPECT_EQ(progress.Line(80),
            "a.pdf  24 %  2.40 MB of 10.0 MB  1.00 MB/s  0:07 left");
}

// What was there before has not moved now.
TEST(Progress, OfAFileThatGoesOnCountsWhatMoves) {
  absl::Time now = absl::UnixEpoch();
  Progress progress("a.pdf", 10'000'000, 7'000'000, now);
  now += absl::Milliseconds(600);
  progress.Update(now, 7'600'000);
  EXPECT_EQ(progress.Line(80),
            "a.pdf  76 %  7.60 MB of 10.0 MB  1.00 MB/s  0:02 left");
}

// A line that is wider than the terminal scrolls it ten times a second.
TEST(Progress, FitsTheTerminal) {
  const absl::Time now = absl::UnixEpoch();
  Progress progress(std::string(300, 'n') + ".pdf", 100, 0, now);
  for (size_t columns = 0; columns < 120; ++columns) {
    EXPECT_LE(DisplayWidth(progress.Line(columns)), columns);
  }
  EXPECT_THAT(progress.Line(80), testing::HasSubstr(".pdf  0 %"));
}

TEST(Progress, ShowsRarelyButAlwaysTheEnd) {
  absl::Time now = absl::UnixEpoch();
  Progress progress("a", 100, 0, now);
  EXPECT_TRUE(progress.ShouldShow(now));
  EXPECT_FALSE(progress.ShouldShow(now + absl::Milliseconds(50)));
  progress.Update(now + absl::Milliseconds(60), 100);
  EXPECT_TRUE(progress.ShouldShow(now + absl::Milliseconds(60)));
}

}  // namespace
}  // namespace kyuu::tools
