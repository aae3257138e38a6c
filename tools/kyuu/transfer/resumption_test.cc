#include "tools/kyuu/transfer/resumption.h"

#include "base/testing.h"

namespace kyuu::tools {
namespace {

constexpr uint64_t kGb = 1'000'000'000;

TEST(Resumption, SaysWhereAndWhy) {
  const auto text = [](const Resumption& from) {
    return ResumptionText("a", 2 * kGb, from);
  };
  EXPECT_EQ(text({.found = kGb, .intact = kGb, .begin = kGb}),
            "a goes on at 1.00 GB of 2.00 GB");
  EXPECT_EQ(
      text({.found = kGb, .intact = kGb, .begin = kGb, .changed = true}),
      "a goes on at 1.00 GB of 2.00 GB: the file was written to since, but is "
      "the same up to there");
  EXPECT_EQ(
      text({.found = kGb, .intact = kGb, .begin = kGb / 2, .changed = true}),
      "a goes on at 500 MB of 2.00 GB: the file has changed since, and is the "
      "same up to there");
  EXPECT_EQ(text({.found = kGb, .intact = kGb, .changed = true}),
            "a starts from nothing: the file has changed since");
  EXPECT_EQ(text({.found = kGb, .intact = kGb / 2, .begin = kGb / 2}),
            "a goes on at 500 MB of 2.00 GB: what was kept (1.00 GB) is "
            "damaged from there on");
  EXPECT_EQ(text({.found = kGb, .intact = kGb}),
            "a starts from nothing: what was kept (1.00 GB) is another file, "
            "or damaged, from there on");
}

// The sender's file has shrunk below what was there.
TEST(Resumption, OfAShorterFileAllMayBeThere) {
  EXPECT_EQ(
      ResumptionText(
          "a", kGb / 2,
          {.found = kGb, .intact = kGb / 2, .begin = kGb / 2, .changed = true}),
      "a goes on at 500 MB of 500 MB: the file was written to since, but "
      "is the same up to there");
}

}  // namespace
}  // namespace kyuu::tools
