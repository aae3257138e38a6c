#include "signaling/internal/name.h"

#include <string>

#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kyuu::signaling::internal {
namespace {

using ::testing::HasSubstr;

TEST(NameTest, WhatIsTakenAndHowItIsShown) {
  struct Row {
    const char* what;
    const char* name;
    const char* shown;
  };
  const Row rows[] = {
      {"ASCII", "Ada", "Ada"},
      {"quotes", "a\"b\\c", "a\"b\\c"},
      {"blank inside", "Ada Lovelace", "Ada Lovelace"},
      {"blanks at the ends", "  Ada ", "Ada"},
      {"blanks in a row", "Ada   L", "Ada L"},
      {"NBSP at the end", "Ada\u00a0", "Ada"},
      {"ideographic space", "Ada\u3000L", "Ada L"},
      {"NFC", "J\u00fcrgen", "J\u00fcrgen"},
      {"NFD", "Ju\u0308rgen", "J\u00fcrgen"},
      {"Cyrillic", "\u0410\u043d\u043d\u0430", "\u0410\u043d\u043d\u0430"},
      {"Hebrew", "\u05d0\u05d3\u05d4", "\u05d0\u05d3\u05d4"},
      {"emoji", "\U0001f600", "\U0001f600"},
      {"emoji with a variation selector", "\u2764\ufe0f", "\u2764"},
      {"emoji with joiners", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
       "\U0001f468\u200d\U0001f469\u200d\U0001f467"},
      {"joiner behind a virama", "\u0915\u094d\u200d\u0937",
       "\u0915\u094d\u200d\u0937"},
  };
  for (const Row& row : rows) {
    const auto prepared = PrepareName(row.name, 64);
    ASSERT_OK(prepared) << row.what;
    EXPECT_EQ(prepared->shown, row.shown) << row.what;
    // Prepared once is prepared.
    const auto again = PrepareName(prepared->shown, 64);
    ASSERT_OK(again) << row.what;
    EXPECT_EQ(again->shown, prepared->shown) << row.what;
    EXPECT_EQ(again->folded, prepared->folded) << row.what;
  }
}

TEST(NameTest, WhatIsRefusedAndWhy) {
  struct Row {
    const char* what;
    const char* name;
    const char* why;
  };
  const Row rows[] = {
      {"nothing", "", "empty"},
      {"blanks", "   ", "empty"},
      {"NBSP alone", "\u00a0", "empty"},
      {"newline", "a\nb", "control characters (U+000A)"},
      {"DEL", "a\x7f", "control characters"},
      {"NEL (C1)", "a\u0085", "control characters (U+0085)"},
      {"CSI (C1)", "x\u009b31mRED", "control characters (U+009B)"},
      {"RLO", "holiday\u202egpj.exe", "direction of text (U+202E)"},
      {"RLO alone", "\u202e", "direction"},
      {"isolate", "a\u2066b", "direction"},
      {"LRM", "Ada\u200e", "direction"},
      {"zero-width space", "Ada\u200b", "invisible characters (U+200B)"},
      {"zero-width space alone", "\u200b", "invisible"},
      {"joiner alone", "\u200d", "invisible"},
      {"joiner behind a letter", "Ada\u200d", "invisible"},
      {"non-joiner between letters", "A\u200cda", "invisible"},
      {"byte order mark", "\ufeff", "invisible"},
      {"soft hyphen", "A\u00adda", "invisible"},
      {"Hangul filler", "\u3164", "invisible"},
      {"tag", "Ada\U000e0041", "invisible"},
      {"line separator", "a\u2028b", "one line"},
      {"paragraph separator", "a\u2029b", "one line"},
      {"private use", "\ue000", "known characters"},
      {"noncharacter", "\ufffe", "known characters"},
      {"unassigned", "\u0378", "known characters"},
      {"not UTF-8", "a\xff", "bytes of UTF-8"},
      {"a variation selector alone", "\ufe0f", "empty"},
  };
  for (const Row& row : rows) {
    const auto prepared = PrepareName(row.name, 64);
    EXPECT_THAT(prepared, StatusIs(absl::StatusCode::kInvalidArgument))
        << row.what;
    EXPECT_THAT(std::string(prepared.status().message()), HasSubstr(row.why))
        << row.what;
  }
  EXPECT_OK(PrepareName(std::string(64, 'x'), 64));
  EXPECT_FALSE(PrepareName(std::string(65, 'x'), 64).ok());
  EXPECT_FALSE(PrepareName(std::string(100000, 'x'), 64).ok());
}

TEST(NameTest, WhichNamesAreTheSame) {
  enum class Same : uint8_t { kFolded, kLookAlike, kDifferent };
  struct Row {
    const char* a;
    const char* b;
    Same same;
  };
  const Row rows[] = {
      {"Ada", "ada", Same::kFolded},
      {"Ada", "ADA", Same::kFolded},
      {"Ada", " Ada\u00a0", Same::kFolded},
      {"J\u00fcrgen", "ju\u0308rgen", Same::kFolded},
      {"Stra\u00dfe", "STRASSE", Same::kFolded},
      {"Ada", "\uff21\uff44\uff41", Same::kFolded},  // Full width.
      {"Ada", "\u0410d\u0430", Same::kLookAlike},    // Cyrillic a.
      {"paypal", "p\u0430yp\u0430l", Same::kLookAlike},
      {"Ada", "Adam", Same::kDifferent},
      {"p1", "p2", Same::kDifferent},
      {"Zo\u00eb", "Zoe", Same::kDifferent},
  };
  for (const Row& row : rows) {
    const auto a = PrepareName(row.a, 64);
    const auto b = PrepareName(row.b, 64);
    ASSERT_OK(a);
    ASSERT_OK(b);
    const std::string what = a->shown + " and " + b->shown;
    EXPECT_EQ(a->folded == b->folded, row.same == Same::kFolded) << what;
    EXPECT_EQ(LookAlike(*a) == LookAlike(*b), row.same != Same::kDifferent)
        << what;
  }
}

}  // namespace
}  // namespace kyuu::signaling::internal
