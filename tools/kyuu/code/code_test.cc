#include "tools/kyuu/code/code.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/random.h"
#include "base/testing.h"
#include "tools/kyuu/code/words.h"

namespace kyuu::tools {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Words, AreToldApartByThreeLettersAndStandInOrder) {
  std::set<std::string> beginnings;
  for (const absl::string_view word : kWords) {
    EXPECT_GE(word.size(), 5u) << word;
    EXPECT_LE(word.size(), 8u) << word;
    EXPECT_TRUE(std::all_of(word.begin(), word.end(), absl::ascii_islower));
    EXPECT_TRUE(
        beginnings.insert(std::string(word.substr(0, kWordPrefix))).second)
        << word;
  }
  EXPECT_TRUE(std::is_sorted(kWords.begin(), kWords.end()));
}

TEST(Words, TwoWrongLettersMakeNoWordOfAnother) {
  for (const absl::string_view a : kWords) {
    for (const absl::string_view b : kWords) {
      if (a >= b || a.size() != b.size()) continue;
      size_t different = 0;
      for (size_t i = 0; i < a.size(); ++i) different += a[i] != b[i] ? 1 : 0;
      EXPECT_GE(different, 3u) << a << " " << b;
    }
  }
}

TEST(Code, IsMadeOfANumberAndTwoWords) {
  SeededRandom random(1);
  std::set<std::string> numbers, words;
  for (int i = 0; i < 20000; ++i) {
    const Code code = Code::Make(random);
    const std::vector<std::string> parts = absl::StrSplit(code.Text(), '-');
    ASSERT_EQ(parts.size(), 3u);
    EXPECT_EQ(parts[0].size(), 4u);
    EXPECT_NE(parts[0][0], '0');
    numbers.insert(parts[0]);
    words.insert({parts[1], parts[2]});
    const auto parsed = Code::Parse(code.Text());
    ASSERT_OK(parsed);
    EXPECT_EQ(parsed->Text(), code.Text());
  }
  EXPECT_GT(numbers.size(), 7000u);
  EXPECT_EQ(words.size(), kWordCount);
}

TEST(Code, IsTakenAsPeopleTypeIt) {
  for (const char* typed :
       {"4821-orchard-violin", "4821 Orchard Violin", "  4821-ORCHARD violin\n",
        "4821_orchard.violin", "4821, orc, vio", "4821--orcha--viol-"}) {
    const auto code = Code::Parse(typed);
    ASSERT_OK(code);
    EXPECT_EQ(code->Text(), "4821-orchard-violin") << typed;
    EXPECT_EQ(code->number(), "4821");
    EXPECT_EQ(code->words(), "orchard-violin");
  }
  EXPECT_EQ(Code::Parse("000000001-orchard-violin")->number(), "000000001");
}

TEST(Code, AWordThatIsInNoCodeIsNamedWithTheNearest) {
  EXPECT_THAT(Code::Parse("1-orchid-violin").status().message(),
              AllOf(HasSubstr("\"orchid\""), HasSubstr("\"orchard\"")));
  EXPECT_THAT(Code::Parse("1-orchard-voilin").status().message(),
              AllOf(HasSubstr("\"voilin\""), HasSubstr("\"violin\"")));
  // Two letters may be of several words.
  EXPECT_THAT(Code::Parse("1-or-violin"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  // A word and more is none.
  EXPECT_THAT(Code::Parse("1-orchards-violin").status().message(),
              HasSubstr("\"orchard\""));
}

TEST(Code, RefusesWhatIsNone) {
  for (const std::string& typed :
       {std::string(), std::string("4821"), std::string("orchard-violin"),
        std::string("4821-orchard"), std::string("4821-orchard-violin-orchard"),
        std::string("x821-orchard-violin"),
        std::string("0000000001-orchard-violin"),
        std::string("4821-orchard-vi\xc3\xb6lin"), std::string(101, '1')}) {
    EXPECT_THAT(Code::Parse(typed),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << typed;
  }
}

TEST(Code, OfAnotherNumberKeepsItsWords) {
  SeededRandom random(2);
  const Code code = Code::Make(random);
  const Code other = code.WithOtherNumber(random);
  EXPECT_NE(other.number(), code.number());
  EXPECT_EQ(other.words(), code.words());
}

}  // namespace
}  // namespace kyuu::tools
