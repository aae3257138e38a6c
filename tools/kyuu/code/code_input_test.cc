#include "tools/kyuu/code/code_input.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

using testing::HasSubstr;
using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

File FileOf(const std::string& text) {
  File file(std::tmpfile(), &std::fclose);
  std::fputs(text.c_str(), file.get());
  std::rewind(file.get());
  return file;
}

std::string TextOf(std::FILE* file) {
  std::rewind(file);
  std::string text(1000, 0);
  text.resize(std::fread(text.data(), 1, text.size(), file));
  return text;
}

TEST(CodeInput, AsksAgainAfterAWordThatIsInNoCode) {
  const File in = FileOf("\n4821 orchid violin\n4821 orc vio\nmore\n");
  const File out = FileOf("");
  const auto code = AskForCode(in.get(), out.get());
  ASSERT_OK(code);
  EXPECT_EQ(code->Text(), "4821-orchard-violin");
  const std::string said = TextOf(out.get());
  EXPECT_THAT(said, testing::StartsWith("Code: a code is"));
  EXPECT_THAT(said, HasSubstr("perhaps it is \"orchard\""));
}

TEST(CodeInput, GivesUpAfterSoManyMistakesAndAtTheEnd) {
  std::string typed;
  for (int i = 0; i < kCodeAttemptsMax; ++i) typed += "nothing\n";
  const File out = FileOf("");
  const File many = FileOf(typed + "4821-orchard-violin\n");
  EXPECT_THAT(AskForCode(many.get(), out.get()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  const File ended = FileOf("");
  EXPECT_THAT(AskForCode(ended.get(), out.get()).status().message(),
              HasSubstr("no code was typed"));
}

TEST(CodeInput, WhatATypedWordDoesToTheTerminalIsMadeHarmless) {
  const File in = FileOf("1-\x1b[31mred-violin\n");
  const File out = FileOf("");
  EXPECT_FALSE(AskForCode(in.get(), out.get()).ok());
  EXPECT_THAT(TextOf(out.get()), testing::Not(HasSubstr("\x1b")));
}

TEST(CodeInput, ReadsAFileOrTheEnvironment) {
  const std::string path = absl::StrCat(testing::TempDir(), "/code");
  std::FILE* file = std::fopen(path.c_str(), "w");
  std::fputs("4821-orchard-violin\nand more", file);
  std::fclose(file);
  EXPECT_EQ(ReadCode(path)->Text(), "4821-orchard-violin");
  EXPECT_THAT(ReadCode(path + "-none"), StatusIs(absl::StatusCode::kNotFound));
  setenv(kCodeVariable, "4822-orchard-violin", 1);
  EXPECT_EQ(ReadCode("")->Text(), "4822-orchard-violin");
  // The file that is named comes first.
  EXPECT_EQ(ReadCode(path)->Text(), "4821-orchard-violin");
  EXPECT_EQ(ReadCodeBesideStdin(path)->Text(), "4821-orchard-violin");
  EXPECT_EQ(ReadCodeBesideStdin("")->Text(), "4822-orchard-violin");
  // Even then: what comes by stdin is no code.
  EXPECT_THAT(ReadCodeBesideStdin("-"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  unsetenv(kCodeVariable);
}

}  // namespace
}  // namespace kyuu::tools
