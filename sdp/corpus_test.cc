// Every file of testdata/ against the table in testdata/README.md.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/random.h"
#include "base/testing.h"
#include "sdp/builder.h"
#include "sdp/description.h"
#include "sdp/session.h"
#include "sdp/testing/session_fixture.h"
#include "sdp/testing/testdata.h"

namespace kyuu::sdp {
namespace {

// By name: the row of the table behind it.
std::map<std::string, std::string> ReadTable() {
  std::ifstream file("sdp/testdata/README.md");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  std::map<std::string, std::string> rows;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::StartsWith(line, "| `")) continue;
    const std::vector<absl::string_view> parts =
        absl::StrSplit(line.substr(3), absl::MaxSplits('`', 1));
    if (parts.size() == 2) {
      rows[std::string(parts[0])] =
          std::string(absl::StripPrefix(parts[1], " | "));
    }
  }
  return rows;
}

std::vector<std::string> FileNames() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator("sdp/testdata")) {
    if (entry.path().extension() == ".sdp")
      names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string Sections(const Description& description) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < description.media_count(); ++i) {
    const MediaSection media = description.media(i);
    std::string part =
        media.is_data_channel() ? "data" : std::string(media.media());
    if (media.rejected()) absl::StrAppend(&part, " (stopped)");
    if (media.bundle_only()) absl::StrAppend(&part, " (bundle-only)");
    if (const auto simulcast = media.Get<Simulcast>()) {
      absl::StrAppend(&part, " (simulcast of ", simulcast->send.count(), ")");
    }
    parts.push_back(std::move(part));
  }
  return absl::StrJoin(parts, ", ");
}

std::string FindingsOf(const Description& description) {
  std::map<std::string, int> counts;
  for (const Finding& finding : description.Judge().kept) {
    ++counts[absl::StrCat(FindingCodeName(finding.code), " of ",
                          AttributeName(finding.attribute), ", ",
                          finding.rule)];
  }
  std::vector<std::string> parts;
  for (const auto& [what, count] : counts) {
    parts.push_back(absl::StrCat(count, " ", what));
  }
  return parts.empty() ? "none" : absl::StrJoin(parts, "; ");
}

// What a Session makes of an offer.
std::string Answer(absl::string_view name, absl::string_view text) {
  if (!absl::StrContains(name, "offer")) return "";
  SeededRandom random(1);
  Session session({}, random);
  const auto change = session.SetRemote(SdpType::kOffer, text);
  if (!change.ok()) return absl::StrCat("refused: ", change.status().message());
  EXPECT_OK(session.CreateAnswer(TransportOf('a'))) << name;
  EXPECT_OK(session.SetLocal(SdpType::kAnswer)) << name;
  if (!session.remote()) return "no data";
  return absl::StrCat("data by ", session.remote()->tag);
}

TEST(CorpusTest, EveryFileIsWhatTheTableSays) {
  const auto rows = ReadTable();
  for (const std::string& name : FileNames()) {
    const std::string text = ReadTestdata(name);
    const auto description = Description::Parse(text);
    ASSERT_OK(description) << name;
    const std::string said =
        absl::StrCat(Sections(*description), " | ", FindingsOf(*description),
                     " | ", Answer(name, text), " |");
    const auto row = rows.find(name);
    EXPECT_EQ(row == rows.end() ? "no row" : row->second, said) << name;
  }
  EXPECT_EQ(rows.size(), FileNames().size());
  EXPECT_GE(rows.size(), 34u);
}

TEST(CorpusTest, EveryFileComesBackByteForByte) {
  for (const std::string& name : FileNames()) {
    const std::string text = ReadTestdata(name);
    const auto description = Description::Parse(text);
    ASSERT_OK(description) << name;
    EXPECT_EQ(description->ToString(), text) << name;
    EXPECT_EQ(description->Copy().ToString(), text) << name;
    Builder lines;
    for (size_t i = 0; i < description->line_count(); ++i) {
      lines.Copy(description->line(i));
    }
    EXPECT_EQ(*lines.Finish(), text) << name;
  }
}

}  // namespace
}  // namespace kyuu::sdp
