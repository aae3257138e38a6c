#include "tools/completion/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "CLI/CLI.hpp"

namespace kyuu::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(CompletionTest, TheWordsOfAProgramAreThoseOfItsCommands) {
  CLI::App app("", "p");
  app.set_version_flag("--version", "p 1");
  app.fallthrough();
  std::string text;
  app.add_option("--file", text);
  app.add_subcommand("go", "")->alias("walk")->add_option("-f,--far", text);
  app.add_subcommand("stay", "")->add_option("where", text);
  const auto words = WordsOf(app);
  ASSERT_EQ(words.size(), 4u);
  EXPECT_EQ(words[0].name, "");
  EXPECT_THAT(words[0].words, ElementsAre("--help", "--version", "--file", "go",
                                          "walk", "stay"));
  EXPECT_EQ(words[1].name, "go");
  EXPECT_THAT(words[1].words, ElementsAre("--help", "--far", "--file"));
  EXPECT_EQ(words[2].name, "walk");
  EXPECT_EQ(words[2].words, words[1].words);
  EXPECT_EQ(words[3].name, "stay");
  EXPECT_THAT(words[3].words, ElementsAre("--help", "--file"));
}

TEST(CompletionTest, TheScriptHasACaseForEachCommand) {
  const std::string script =
      BashCompletion("p", {{"", {"--all", "go"}}, {"go", {"--far"}}});
  EXPECT_THAT(script, HasSubstr("    go) words=\"--far\" ;;\n"
                                "    *) words=\"--all go\" ;;\n"));
  EXPECT_THAT(script, HasSubstr("|| words=\"--all go\"\n"));
  EXPECT_THAT(script, HasSubstr("complete -o default -F _p p\n"));
}

TEST(CompletionTest, ZshHasACaseForEachCommand) {
  const std::string script =
      ZshCompletion("p", {{"", {"--all", "go"}}, {"go", {"--far"}}});
  EXPECT_EQ(script.find("#compdef p\n"), 0u);
  EXPECT_THAT(script, HasSubstr("    go) fitting=(--far) ;;\n"
                                "    *) fitting=(--all go) ;;\n"));
  EXPECT_THAT(script, HasSubstr("|| fitting=(--all go)\n"));
  EXPECT_THAT(script, HasSubstr("compdef _p p\n"));
}

TEST(CompletionTest, FishHasALineForEachCommand) {
  const std::string script = FishCompletion(
      "p", {{"", {"--all", "go", "stay"}}, {"go", {"--far"}}, {"stay", {}}});
  EXPECT_THAT(
      script,
      HasSubstr("complete -c p -n 'not __fish_seen_subcommand_from go stay' "
                "-l all\n"
                "complete -c p -n 'not __fish_seen_subcommand_from go stay' "
                "-a 'go stay'\n"
                "complete -c p -n '__fish_seen_subcommand_from go' -l far\n"));
  EXPECT_THAT(script, Not(HasSubstr("from stay'")));
}

TEST(CompletionTest, ThereIsOneForEachShellThatIsNamed) {
  for (const absl::string_view shell : kShells) {
    EXPECT_TRUE(Completion(shell, "p", {{"", {"go"}}}).has_value()) << shell;
  }
  EXPECT_FALSE(Completion("csh", "p", {}).has_value());
}

}  // namespace
}  // namespace kyuu::tools
