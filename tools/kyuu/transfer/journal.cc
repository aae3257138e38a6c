#include "tools/kyuu/transfer/journal.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/file_name.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

constexpr char kMagic[] = "part 1";

// Takes a line, without its end, from the front of `text`; nullopt if no whole
// line is left.
std::optional<absl::string_view> TakeLine(absl::string_view& text) {
  const size_t end = text.find('\n');
  if (end == absl::string_view::npos) return std::nullopt;
  const absl::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

std::optional<Journal> ReadHeader(absl::string_view line) {
  const json header = json::parse(line.begin(), line.end(), nullptr, false);
  if (!header.is_object() || header.value("kyuu", json()) != kMagic) {
    return std::nullopt;
  }
  const json name = header.value("name", json());
  const json size = header.value("size", json());
  const json source = header.value("source", json());
  const json version = header.value("version", json());
  if (!name.is_string() || !size.is_number_unsigned() || !source.is_string() ||
      !version.is_string()) {
    return std::nullopt;
  }
  Journal journal;
  journal.name = name;
  journal.size = size;
  journal.file = {source, version};
  if (!IsSafeFileName(journal.name) || journal.size > kFileBytesMax ||
      !IsVersionToken(journal.file.source) ||
      !IsVersionToken(journal.file.version) ||
      header.value("chunk", json()) != JournalChunkBytes(journal.size)) {
    return std::nullopt;
  }
  return journal;
}

}  // namespace

uint64_t JournalChunkBytes(uint64_t size) {
  uint64_t chunk = kJournalChunkBytesMin;
  while (size / chunk > kJournalChunksMax) chunk *= 2;
  return chunk;
}

std::string JournalLine(absl::string_view sha256) {
  return absl::StrCat(sha256, "\n");
}

std::string WriteJournal(const Journal& journal) {
  std::string text = json{{"kyuu", kMagic},
                          {"name", journal.name},
                          {"size", journal.size},
                          {"chunk", JournalChunkBytes(journal.size)},
                          {"source", journal.file.source},
                          {"version", journal.file.version}}
                         .dump(-1, ' ', false, json::error_handler_t::replace);
  text.push_back('\n');
  for (const std::string& sha256 : journal.prefixes) {
    text.append(JournalLine(sha256));
  }
  return text;
}

absl::StatusOr<Journal> ParseJournal(absl::string_view text) {
  if (text.size() > kJournalBytesMax) {
    return absl::InvalidArgumentError("longer than any journal");
  }
  const std::optional<absl::string_view> first = TakeLine(text);
  if (!first || first->size() >= kJournalHeaderBytesMax) {
    return absl::InvalidArgumentError("no journal's first line");
  }
  std::optional<Journal> journal = ReadHeader(*first);
  if (!journal) {
    return absl::InvalidArgumentError("the first line is no journal's");
  }
  const uint64_t chunks = journal->size / JournalChunkBytes(journal->size);
  while (const std::optional<absl::string_view> line = TakeLine(text)) {
    if (!IsSha256(*line)) break;
    if (journal->prefixes.size() == chunks) {
      return absl::InvalidArgumentError("more hashes than chunks");
    }
    journal->prefixes.emplace_back(*line);
  }
  return *std::move(journal);
}

}  // namespace kyuu::tools
