#include "base/random.h"

#include <array>
#include <set>

#include "base/system_random.h"
#include "base/testing.h"

namespace kyuu {
namespace {

TEST(SeededRandom, SameSeedSameBytes) {
  SeededRandom a(7), b(7), c(8);
  const uint64_t first = a.U64();
  EXPECT_EQ(first, b.U64());
  EXPECT_NE(first, c.U64());
}

TEST(SeededRandom, IsTheSameEverywhere) {
  // The first bytes of seed 1, so that a transcript keeps its meaning.
  SeededRandom random(1);
  std::array<uint8_t, 8> bytes;
  random.Fill(absl::MakeSpan(bytes));
  EXPECT_EQ(ToHex(bytes), "c510c70f6daff2b3");
}

TEST(Random, BelowStaysBelowAndReachesEverything) {
  SeededRandom random(3);
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.Below(5));
  EXPECT_EQ(seen, (std::set<uint64_t>{0, 1, 2, 3, 4}));
}

TEST(Random, FractionIsInUnitInterval) {
  SeededRandom random(4);
  double sum = 0;
  for (int i = 0; i < 10000; ++i) {
    const double f = random.Fraction();
    ASSERT_GE(f, 0);
    ASSERT_LT(f, 1);
    sum += f;
  }
  EXPECT_NEAR(sum / 10000, 0.5, 0.02);
}

TEST(Random, IceCharsAreOfTheAlphabet) {
  SeededRandom random(5);
  const std::string text = random.IceChars(500);
  EXPECT_EQ(text.size(), 500u);
  EXPECT_EQ(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789+/"),
            std::string::npos);
}

TEST(SystemRandom, FillsMoreThanItsPoolAndDoesNotRepeat) {
  SystemRandom random;
  std::array<uint8_t, 700> a{}, b{};
  random.Fill(absl::MakeSpan(a));
  random.Fill(absl::MakeSpan(b));
  EXPECT_NE(a, b);
  EXPECT_GT(std::set<uint8_t>(a.begin(), a.end()).size(), 100u);
}

}  // namespace
}  // namespace kyuu
