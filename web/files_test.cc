#include "web/files.h"

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace kyuu::web {
namespace {

TEST(FilesTest, EmbeddedBytesAreTheFiles) {
  for (const File& file : Files()) {
    if (file.path == "/version.js") continue;  // Made from the others.
    std::ifstream in(absl::StrCat("web", file.path), std::ios::binary);
    ASSERT_TRUE(in.is_open()) << file.path;
    const std::string content{std::istreambuf_iterator<char>(in),
                              std::istreambuf_iterator<char>()};
    EXPECT_FALSE(content.empty()) << file.path;
    EXPECT_EQ(file.content, content) << file.path;
  }
}

TEST(FilesTest, ThePageObeysItsOwnContentSecurityPolicy) {
  for (const File& file : Files()) {
    SCOPED_TRACE(file.path);
    // Nothing from another host, and nothing inline but the one script that is
    // there when others do not come: the policy has its hash.
    EXPECT_FALSE(absl::StrContains(file.content, "https://"));
    EXPECT_FALSE(absl::StrContains(file.content, "innerHTML"));
    EXPECT_FALSE(absl::StrContains(file.content, "eval("));
    if (!absl::EndsWith(file.path, ".html")) continue;
    EXPECT_EQ(file.content_type, "text/html; charset=utf-8");
    EXPECT_FALSE(absl::StrContains(file.content, " style=\""));
    EXPECT_FALSE(absl::StrContains(file.content, "<style"));
    EXPECT_EQ(
        std::vector<absl::string_view>(absl::StrSplit(file.content, "<script>"))
            .size(),
        1 + 1);
    EXPECT_FALSE(absl::StrContains(file.content, " onclick="));
  }
}

}  // namespace
}  // namespace kyuu::web
