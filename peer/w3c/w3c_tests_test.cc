// docs/w3c_tests.md names our tests that W3C's are answered by, and all of
// them.

#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::peer {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

struct Row {
  std::string heading;  // The file there.
  std::string test;
  std::string verdict;
  std::vector<std::string> ours;
};

std::vector<Row> ReadTable() {
  std::vector<Row> rows;
  std::string heading;
  const std::string text = Read("docs/w3c_tests.md");
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, "## ")) heading = std::string(line.substr(3));
    if (!absl::StartsWith(line, "| ") || line == "| test | verdict | ours |") {
      continue;
    }
    std::vector<std::string> cells;
    for (const absl::string_view cell : absl::StrSplit(line, '|')) {
      cells.emplace_back(absl::StripAsciiWhitespace(cell));
    }
    // What is before the first line and behind the last one counts.
    EXPECT_EQ(cells.size(), 5u) << line;
    if (cells.size() != 5) continue;
    rows.push_back({heading, cells[1], cells[2],
                    absl::StrSplit(cells[3], ", ", absl::SkipEmpty())});
  }
  return rows;
}

// Ours, by name.
std::set<std::string> ReadTests() {
  std::set<std::string> tests;
  for (const char* name : {"add_ice_candidate", "data_channel",
                           "negotiation_needed", "rollback"}) {
    const std::string text = Read(absl::StrCat("peer/w3c/", name, "_test.cc"));
    for (const absl::string_view part : absl::StrSplit(text, "\nTEST_F(")) {
      if (!absl::StartsWith(part, "W3c")) continue;
      const absl::string_view inside = part.substr(0, part.find(')'));
      std::string test(
          absl::StripAsciiWhitespace(inside.substr(inside.find(',') + 1)));
      EXPECT_TRUE(tests.insert(test).second) << test << " is there twice";
    }
  }
  return tests;
}

TEST(W3cTestsTest, TheTableNamesOurTestsAndAllOfThem) {
  const std::vector<Row> rows = ReadTable();
  const std::set<std::string> tests = ReadTests();
  EXPECT_GT(rows.size(), 100u);
  EXPECT_GT(tests.size(), 50u);
  std::set<std::string> named;
  for (const Row& row : rows) {
    for (const std::string& test : row.ours) {
      EXPECT_TRUE(tests.contains(test)) << row.test << ": there is no " << test;
      named.insert(test);
    }
  }
  for (const std::string& test : tests) {
    EXPECT_TRUE(named.contains(test)) << test << " is in no row";
  }
}

// What holds, and what differs, is asked; what differs or is left says why.
TEST(W3cTestsTest, EveryRowHasAVerdict) {
  std::set<std::string> seen;
  for (const Row& row : ReadTable()) {
    EXPECT_TRUE(seen.insert(absl::StrCat(row.heading, ": ", row.test)).second)
        << row.test << " is there twice";
    const bool holds = absl::StartsWith(row.verdict, "holds");
    const bool differs = absl::StartsWith(row.verdict, "differs: ");
    const bool left = absl::StartsWith(row.verdict, "DOM") ||
                      absl::StartsWith(row.verdict, "media");
    EXPECT_EQ(holds + differs + left, 1) << row.test << ": " << row.verdict;
    EXPECT_EQ(row.ours.empty(), left) << row.test;
    EXPECT_FALSE(row.test.empty());
  }
}

}  // namespace
}  // namespace kyuu::peer
