#include "tools/kyuu/printable.h"

#include "base/testing.h"

namespace kyuu::tools {
namespace {

TEST(Printable, LeavesTextAlone) {
  EXPECT_EQ(Printable(""), "");
  EXPECT_EQ(Printable("Grüße 🎈 \u00a0~"), "Grüße 🎈 \u00a0~");
  // Joined, selected and coloured emoji are one picture each.
  for (const char* emoji : {"👩‍👧", "❤️", "🏳️‍🌈",
                            "👍🏽", "👩🏽‍🚀"}) {
    EXPECT_EQ(Printable(emoji), emoji);
  }
}

TEST(Printable, DefusesControlCharacters) {
  EXPECT_EQ(Printable("a\x1b[31mb"), "a\ufffd[31mb");
  EXPECT_EQ(Printable("a\rb\bc\x7f"), "a\ufffdb\ufffdc\ufffd");
  EXPECT_EQ(Printable("\u009b31m\u0080\u0085"), "\ufffd31m\ufffd\ufffd");
  EXPECT_EQ(Printable("a\tb"), "a b");
}

TEST(Printable, DefusesBytesThatAreNoUtf8) {
  // A terminal set to one byte a character obeys 9b as CSI.
  EXPECT_EQ(Printable("x\x9b"
                      "31m"),
            "x\ufffd31m");
  EXPECT_EQ(Printable("cut \xc2"), "cut \ufffd");
}

TEST(Printable, SpellsOutWhatNobodySees) {
  EXPECT_EQ(Printable("holiday\u202egpj.exe"), "holiday<U+202E>gpj.exe");
  EXPECT_EQ(Printable("Ada\u200b"), "Ada<U+200B>");
  for (const char* hidden :
       {"\u200d", "\u200e", "\u2028", "\u2029", "\u2066", "\u2069", "\ufeff",
        "\u00ad", "\u061c", "\u3164", "\u115f", "\u034f", "\U000e0041",
        "\ue000", "\ufe0f"}) {
    EXPECT_THAT(Printable(hidden), testing::StartsWith("<U+")) << hidden;
  }
}

TEST(Printable, IndentsLinesThatCouldPassForAnothers) {
  EXPECT_EQ(Printable("hi\nBob: pay him"), "hi\n  Bob: pay him");
  EXPECT_EQ(PrintableLine("hi\nBob: pay him"), "hi\ufffdBob: pay him");
}

TEST(Printable, ClipsBetweenCharacters) {
  EXPECT_EQ(Clip("short", 5), "short");
  EXPECT_EQ(Clip("a long name.txt", 9), "a lo….txt");
  EXPECT_EQ(Clip("ääääääääää", 5), "ää…ää");
  EXPECT_EQ(Clip("長い名前です", 7), "長…す");
  EXPECT_EQ(Clip("abc", 0), "");
  EXPECT_EQ(Clip("abc", 1), "…");
  for (size_t columns = 0; columns < 14; ++columns) {
    EXPECT_LE(DisplayWidth(Clip("長い名x前ですäy", columns)), columns);
  }
}

}  // namespace
}  // namespace kyuu::tools
