#include "tools/kyuu/qr/qr_code.h"

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

// 7 x 7: a dark frame, a light one, a dark square (ISO/IEC 18004, 6.3.3).
bool IsFinder(const QrCode& code, int top, int left) {
  for (int row = 0; row < 7; ++row) {
    for (int column = 0; column < 7; ++column) {
      const int ring = std::min({row, column, 6 - row, 6 - column});
      if (code.IsDark(top + row, left + column) != (ring != 1)) return false;
    }
  }
  return true;
}

// What a reader sees of the lines: true is dark. What is not white is black.
std::vector<std::vector<bool>> Modules(const std::string& text) {
  std::vector<std::vector<bool>> rows;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    EXPECT_TRUE(absl::ConsumePrefix(&line, "\033[97;40m"));
    EXPECT_TRUE(absl::ConsumeSuffix(&line, "\033[0m"));
    std::vector<bool> top;
    std::vector<bool> bottom;
    while (!line.empty()) {
      const bool full = absl::ConsumePrefix(&line, "█");
      const bool upper = !full && absl::ConsumePrefix(&line, "▀");
      const bool lower = !full && !upper && absl::ConsumePrefix(&line, "▄");
      if (!full && !upper && !lower) {
        EXPECT_TRUE(absl::ConsumePrefix(&line, " "));
      }
      top.push_back(!full && !upper);
      bottom.push_back(!full && !lower);
    }
    rows.push_back(top);
    rows.push_back(bottom);
  }
  return rows;
}

TEST(QrCode, HasTheThreeFindersAndASizeByItsText) {
  for (const auto& [bytes, width] :
       {std::pair{1, 21}, {17, 21}, {18, 25}, {32, 25}, {2953, 177}}) {
    const auto code =
        QrCode::Make(std::string(static_cast<size_t>(bytes), 'x'));
    ASSERT_TRUE(code) << bytes;
    EXPECT_EQ(code->width(), width);
    EXPECT_TRUE(IsFinder(*code, 0, 0));
    EXPECT_TRUE(IsFinder(*code, 0, width - 7));
    EXPECT_TRUE(IsFinder(*code, width - 7, 0));
    EXPECT_FALSE(IsFinder(*code, width - 7, width - 7));
  }
}

TEST(QrCode, WhatDoesNotFitIsNone) {
  EXPECT_FALSE(QrCode::Make(std::string(2954, 'x')));
  EXPECT_FALSE(QrCode::Make(""));
  EXPECT_FALSE(QrCode::Make(std::string("a\0b", 3)));
}

TEST(QrCode, IsDrawnWithItsMargin) {
  const auto code = QrCode::Make("4821-orchard-violin");
  ASSERT_TRUE(code);
  const auto rows = Modules(code->Draw());
  ASSERT_EQ(rows.size(), 30);
  for (int row = 0; row < 29; ++row) {
    ASSERT_EQ(rows[static_cast<size_t>(row)].size(), code->columns());
    for (int column = 0; column < 29; ++column) {
      EXPECT_EQ(rows[static_cast<size_t>(row)][static_cast<size_t>(column)],
                code->IsDark(row - QrCode::kMargin, column - QrCode::kMargin))
          << row << " " << column;
    }
  }
}

TEST(QrCode, ATerminalSaysByItsLocaleWhetherItShowsUtf8) {
  EXPECT_TRUE(ShowsUtf8("", "", "en_GB.UTF-8"));
  EXPECT_TRUE(ShowsUtf8("", "C.utf8", "C"));
  EXPECT_FALSE(ShowsUtf8("C", "C.UTF-8", "en_GB.UTF-8"));
  EXPECT_FALSE(ShowsUtf8("", "", ""));
  EXPECT_FALSE(ShowsUtf8("", "", "de_DE@euro"));
}

TEST(QrCode, AnImageHasTheSameModulesInsideAMarginOfFour) {
  const auto code = QrCode::Make("https://kyuu.example/?room=garden");
  ASSERT_TRUE(code);
  const std::string svg = code->Svg();
  const int side = code->width() + 8;
  EXPECT_TRUE(absl::StartsWith(
      svg, absl::StrCat("<svg xmlns=\"http://www.w3.org/2000/svg\" "
                        "viewBox=\"0 0 ",
                        side, " ", side, "\" ")));
  // The second path: rows of modules, "M5 4h7v1h-7z".
  const std::vector<std::string> paths = absl::StrSplit(svg, "d=\"");
  ASSERT_EQ(paths.size(), 3u);
  std::vector<std::vector<bool>> dark(
      static_cast<size_t>(side), std::vector<bool>(static_cast<size_t>(side)));
  const std::string path = paths[2].substr(0, paths[2].find('"'));
  for (const absl::string_view part :
       absl::StrSplit(path, 'M', absl::SkipEmpty())) {
    int x = 0, y = 0, length = 0, back = 0;
    ASSERT_EQ(std::sscanf(std::string(part).c_str(), "%d %dh%dv1h-%dz", &x, &y,
                          &length, &back),
              4)
        << part;
    EXPECT_EQ(length, back);
    for (int i = x; i < x + length; ++i) {
      dark.at(static_cast<size_t>(y)).at(static_cast<size_t>(i)) = true;
    }
  }
  for (int row = 0; row < side; ++row) {
    for (int column = 0; column < side; ++column) {
      EXPECT_EQ(dark[static_cast<size_t>(row)][static_cast<size_t>(column)],
                code->IsDark(row - 4, column - 4))
          << row << " " << column;
    }
  }
}

}  // namespace
}  // namespace kyuu::tools
