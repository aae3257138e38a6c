#include "tools/kyuu/consent.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

TEST(Consent, TakesNothingUnasked) {
  EXPECT_EQ(Consent{}.Of("Ada"), Verdict::kNo);
  EXPECT_EQ(Consent{.person = Consent::Person::kThere}.Of("Ada"),
            Verdict::kAsk);
}

TEST(Consent, FollowsTheCommandLine) {
  EXPECT_EQ(Consent{.everybody = true}.Of("Ada"), Verdict::kYes);
  const Consent listed{.from = {"Ada", "Bob"}, .size_max = 1000};
  EXPECT_EQ(listed.Of("Bob"), Verdict::kYes);
  EXPECT_EQ(listed.Of("bob"), Verdict::kNo);
  EXPECT_EQ(listed.Of("Bob\u200b"), Verdict::kNo);
  EXPECT_FALSE(listed.TooLarge(1000));
  EXPECT_TRUE(listed.TooLarge(1001));
  EXPECT_FALSE(Consent{}.TooLarge(uint64_t{1} << 53));
}

class QuestionsTest : public testing::Test {
 protected:
  void Ask(const std::string& key) {
    questions_.Ask(key, key + "?", [this, key](Verdict verdict) {
      answers_.push_back(
          absl::StrCat(key, verdict == Verdict::kYes ? " yes" : " no"));
    });
  }
  std::vector<std::string> shown_, answers_;
  Questions questions_{
      [this](const std::string& text) { shown_.push_back(text); }};
};

TEST_F(QuestionsTest, AreAskedOneAfterTheOther) {
  for (const char* key : {"a", "b", "c", "d"}) Ask(key);
  EXPECT_THAT(shown_, testing::ElementsAre("a?"));
  EXPECT_FALSE(questions_.HandleLine("hello"));
  for (const char* line : {" Yes ", "n", "", "y"}) {
    EXPECT_TRUE(questions_.HandleLine(line));
  }
  EXPECT_THAT(answers_, testing::ElementsAre("a yes", "b no", "c no", "d yes"));
  EXPECT_THAT(shown_, testing::ElementsAre("a?", "b?", "c?", "d?"));
  EXPECT_FALSE(questions_.HandleLine("y"));
}

TEST_F(QuestionsTest, AreWithdrawnWithoutAnAnswer) {
  for (const char* key : {"a", "b", "c"}) Ask(key);
  questions_.Withdraw("b");
  questions_.Withdraw("a");
  EXPECT_THAT(shown_, testing::ElementsAre("a?", "c?"));
  EXPECT_TRUE(questions_.HandleLine("y"));
  EXPECT_THAT(answers_, testing::ElementsAre("c yes"));
  EXPECT_TRUE(questions_.empty());
}

TEST_F(QuestionsTest, OfACallEndWithIt) {
  for (const char* key : {"file:1", "call:2", "file:3"}) Ask(key);
  questions_.WithdrawAll("file:");
  EXPECT_THAT(shown_, testing::ElementsAre("file:1?", "call:2?"));
  EXPECT_TRUE(questions_.HandleLine("n"));
  EXPECT_TRUE(questions_.empty());
}

TEST_F(QuestionsTest, BeyondTheLimitAreRefused) {
  for (size_t i = 0; i <= Questions::kQuestionsMax; ++i) Ask(absl::StrCat(i));
  EXPECT_THAT(answers_, testing::ElementsAre(
                            absl::StrCat(Questions::kQuestionsMax, " no")));
}

}  // namespace
}  // namespace kyuu::tools
