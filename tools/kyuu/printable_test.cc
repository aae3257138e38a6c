#include "tools/kyuu/printable.h"

#include "base/testing.h"

namespace kyuu::tools {
namespace {

TEST(Printable, LeavesTextAlone) {
  EXPECT_EQ(Printable(""), "");
  EXPECT_EQ(Printable("Grüße 🎈 \u00a0~"), "Grüße 🎈 \u00a0~");
}

TEST(Printable, DefusesControlCharacters) {
  EXPECT_EQ(Printable("a\x1b[31mb"), "a\ufffd[31mb");
  EXPECT_EQ(Printable("a\rb\bc\x7f"), "a\ufffdb\ufffdc\ufffd");
  EXPECT_EQ(Printable("\u009b31m\u0080"), "\ufffd31m\ufffd");
  EXPECT_EQ(Printable("a\tb"), "a b");
  EXPECT_EQ(Printable("cut \xc2"), "cut \xc2");
}

TEST(Printable, IndentsLinesThatCouldPassForAnothers) {
  EXPECT_EQ(Printable("hi\nBob: pay him"), "hi\n  Bob: pay him");
}

}  // namespace
}  // namespace kyuu::tools
