#include "tools/completion/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "CLI/CLI.hpp"

namespace kyuu::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(CompletionTest, TheWordsOfAProgramAreThoseOfItsCommands) {
  CLI::App app("", "p");
  app.set_version_flag("--version", "p 1");
  app.fallthrough();
  std::string text;
  app.add_option("--file", text);
  app.add_subcommand("go", "")->add_option("-f,--far", text);
  app.add_subcommand("stay", "")->add_option("where", text);
  const auto words = WordsOf(app);
  ASSERT_EQ(words.size(), 3u);
  EXPECT_EQ(words[0].name, "");
  EXPECT_THAT(words[0].words,
              ElementsAre("--help", "--version", "--file", "go", "stay"));
  EXPECT_EQ(words[1].name, "go");
  EXPECT_THAT(words[1].words, ElementsAre("--help", "--far", "--file"));
  EXPECT_EQ(words[2].name, "stay");
  EXPECT_THAT(words[2].words, ElementsAre("--help", "--file"));
}

TEST(CompletionTest, TheScriptHasACaseForEachCommand) {
  const std::string script =
      BashCompletion("p", {{"", {"--all", "go"}}, {"go", {"--far"}}});
  EXPECT_THAT(script, HasSubstr("    go) words=\"--far\" ;;\n"
                                "    *) words=\"--all go\" ;;\n"));
  EXPECT_THAT(script, HasSubstr("|| words=\"--all go\"\n"));
  EXPECT_THAT(script, HasSubstr("complete -o default -F _p p\n"));
}

}  // namespace
}  // namespace kyuu::tools
