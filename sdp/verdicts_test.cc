// docs/sdp_verdicts.md says what the code does.

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/testing.h"
#include "sdp/description.h"

namespace kyuu::sdp {
namespace {

// Nothing is wrong with it. A line is put in place of "{where}".
constexpr absl::string_view kText =
    "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
    "a=group:BUNDLE audio data\r\n{session}"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:audio\r\na=rtcp-mux\r\n"
    "a=rtpmap:111 opus/48000/2\r\n{audio}"
    "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:video\r\na=rtpmap:96 "
    "VP8/90000\r\n"
    "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=extmap:2 urn:x\r\n"
    "a=rid:h send\r\na=rid:l send\r\n{video}"
    "m=video 0 UDP/TLS/RTP/SAVPF 98\r\na=mid:stopped\r\n{stopped}"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:data\r\n"
    "a=sctp-port:5000\r\n{data}";

std::string With(absl::string_view where, absl::string_view line) {
  std::string text = absl::StrReplaceAll(
      kText, {{absl::StrCat("{", where, "}"), absl::StrCat(line, "\r\n")}});
  for (const char* other : {"session", "audio", "video", "stopped", "data"}) {
    text = absl::StrReplaceAll(text, {{absl::StrCat("{", other, "}"), ""}});
  }
  return text;
}

// The number of the line that With() puts there.
size_t LineOf(absl::string_view where) {
  const auto before =
      kText.substr(0, kText.find(absl::StrCat("{", where, "}")));
  size_t count = 1;
  for (const char c : before) count += c == '\n' ? 1 : 0;
  return count;
}

struct Row {
  std::string line, where, verdict, code, column, rule;
};

std::vector<Row> ReadTable() {
  std::ifstream file("docs/sdp_verdicts.md");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  std::vector<Row> rows;
  for (const absl::string_view row : absl::StrSplit(text, '\n')) {
    if (!absl::StartsWith(row, "| `")) continue;
    std::vector<std::string> cells = absl::StrSplit(row, " |");
    for (std::string& cell : cells) {
      cell = std::string(absl::StripAsciiWhitespace(
          absl::StripPrefix(absl::StripAsciiWhitespace(cell), "|")));
    }
    if (cells.size() < 6) {
      ADD_FAILURE() << row;
      continue;
    }
    const std::string line = cells[0].substr(1, cells[0].size() - 2);
    rows.push_back({line, cells[1], cells[2], cells[3], cells[4], cells[5]});
  }
  return rows;
}

// As the code has it, in the words of the table.
Row VerdictOf(const Row& row) {
  Row said{row.line, row.where, "fine", "", "", ""};
  const auto description = Description::Parse(With(row.where, row.line));
  if (!description.ok()) {
    const auto position = PositionOf(description.status());
    if (!position) return said;
    EXPECT_EQ(position->line, LineOf(row.where)) << row.line;
    said.verdict = "error";
    said.column = absl::StrCat(position->column);
    said.rule = position->rule;
    return said;
  }
  std::vector<std::string> codes, columns, rules;
  for (const Finding& finding : description->Judge().kept) {
    EXPECT_EQ(finding.line, LineOf(row.where)) << row.line;
    codes.emplace_back(FindingCodeName(finding.code));
    columns.push_back(absl::StrCat(finding.column));
    rules.emplace_back(finding.rule);
  }
  if (codes.empty()) return said;
  said.verdict = "finding";
  said.code = absl::StrJoin(codes, ", ");
  said.column = absl::StrJoin(columns, ", ");
  said.rule = absl::StrJoin(rules, ", ");
  return said;
}

TEST(VerdictsTest, NothingIsWrongWithoutALine) {
  const auto description = Description::Parse(With("none", ""));
  ASSERT_OK(description);
  EXPECT_OK(description->Strict());
}

TEST(VerdictsTest, TheTableSaysWhatTheCodeDoes) {
  const std::vector<Row> rows = ReadTable();
  EXPECT_GT(rows.size(), 100u);
  for (const Row& row : rows) {
    const Row said = VerdictOf(row);
    const auto words = [](const Row& r) {
      return absl::StrCat("| `", r.line, "` | ", r.where, " | ", r.verdict,
                          " | ", r.code, " | ", r.column, " | ", r.rule, " |");
    };
    EXPECT_EQ(words(row), words(said));
  }
}

// Every attribute that has a type of its own has a row.
TEST(VerdictsTest, EveryAttributeIsInTheTable) {
  const std::vector<Row> rows = ReadTable();
  for (int i = 2; i <= static_cast<int>(AttributeType::kTlsId); ++i) {
    const absl::string_view name = AttributeName(static_cast<AttributeType>(i));
    // Directions are one attribute under four names.
    if (ParseDirection(name)) continue;
    bool found = false;
    for (const Row& row : rows) {
      const absl::string_view line = row.line;
      found |= line == absl::StrCat("a=", name) ||
               absl::StartsWith(line, absl::StrCat("a=", name, ":"));
    }
    EXPECT_TRUE(found) << name;
  }
}

}  // namespace
}  // namespace kyuu::sdp
