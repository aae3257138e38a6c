#include "tools/kyuu/pattern.h"

#include "base/bytes.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

TEST(Pattern, IsWhatTheManualSays) {
  EXPECT_EQ(ToHex(MakePatternMessage(PatternKind::kBinary, 254, 4)),
            "feff0001");
  EXPECT_EQ(AsText(MakePatternMessage(PatternKind::kText, 24, 4)), "yzab");
  EXPECT_TRUE(MakePatternMessage(PatternKind::kText, 1, 0).empty());
}

TEST(Pattern, NoticesEveryDamage) {
  for (const PatternKind kind : {PatternKind::kBinary, PatternKind::kText}) {
    auto message = MakePatternMessage(kind, 300, 1000);
    EXPECT_TRUE(IsPatternMessage(kind, 300, message));
    EXPECT_FALSE(IsPatternMessage(kind, 301, message));
    EXPECT_TRUE(IsSomePatternMessage(kind, message));
    for (size_t at = 0; at < message.size(); ++at) {
      auto damaged = message;
      damaged[at] ^= 1;
      EXPECT_FALSE(IsSomePatternMessage(kind, damaged)) << at;
    }
    EXPECT_TRUE(IsPatternMessage(kind, 7, {}));
  }
}

}  // namespace
}  // namespace kyuu::tools
