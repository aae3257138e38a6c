// VerdictTable reads the tables by which tests say what each operation does in
// each situation: a line of names for the columns, then one line per row.
//
//   operation    | fresh | closed
//   create offer | S     | -
//   close        | C     | C

#ifndef KYUU_SDP_TESTING_VERDICT_TABLE_H_
#define KYUU_SDP_TESTING_VERDICT_TABLE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace kyuu::sdp {

class VerdictTable {
 public:
  explicit VerdictTable(absl::string_view text) {
    for (const absl::string_view line :
         absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
      std::vector<std::string> cells;
      for (const absl::string_view cell : absl::StrSplit(line, '|')) {
        cells.emplace_back(absl::StripAsciiWhitespace(cell));
      }
      rows_.push_back(std::move(cells));
    }
  }

  // Fails the test unless the table has these rows and columns, in this order,
  // and no cell is missing or empty.
  void ExpectWhole(const std::vector<std::string>& rows,
                   const std::vector<std::string>& columns) const {
    ASSERT_EQ(rows_.size(), rows.size() + 1);
    EXPECT_EQ(std::vector<std::string>(rows_[0].begin() + 1, rows_[0].end()),
              columns);
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows_[i + 1][0], rows[i]);
      ASSERT_EQ(rows_[i + 1].size(), columns.size() + 1) << rows[i];
      for (const std::string& cell : rows_[i + 1]) {
        EXPECT_FALSE(cell.empty()) << rows[i];
      }
    }
  }

  // Of a table that is whole.
  const std::string& At(size_t row, size_t column) const {
    return rows_.at(row + 1).at(column + 1);
  }

 private:
  std::vector<std::vector<std::string>> rows_;  // With those of the names.
};

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_TESTING_VERDICT_TABLE_H_
