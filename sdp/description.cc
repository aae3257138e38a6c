#include "sdp/description.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "sdp/internal/error.h"
#include "sdp/internal/judge.h"
#include "sdp/internal/line_at.h"
#include "sdp/internal/scan.h"

namespace kyuu::sdp {

using internal::LineAt;
using internal::ParseDigits;
using internal::TakeToken;

Description Description::Copy() const {
  Description copy;
  if (block_ == nullptr) return copy;
  const size_t words = table().word_count();
  copy.block_ = std::make_unique_for_overwrite<uint64_t[]>(words);
  std::copy_n(block_.get(), words, copy.block_.get());
  return copy;
}

Findings Description::Judge(const Limits& limits) const {
  return internal::Judge(*this, limits.findings_max);
}

absl::Status Description::Strict() const {
  const Findings findings = Judge({.findings_max = 1});
  if (findings.empty()) return absl::OkStatus();
  const Finding& first = findings.kept.front();
  const absl::string_view name = AttributeName(first.attribute);
  return internal::ErrorAt(
      first.line, first.column,
      absl::StrCat(name, name.empty() ? "" : ": ", first.message,
                   findings.dropped == 0
                       ? std::string()
                       : absl::StrCat(", and ", findings.dropped, " more")),
      first.rule);
}

std::string Description::ToString() const {
  std::string out;
  AppendTo(out);
  return out;
}

void Description::AppendTo(std::string& out) const {
  const internal::LineTable lines = table();
  if (lines.conforming()) {
    out.append(lines.text().data(), lines.text().size());
    return;
  }
  for (size_t i = 0; i < lines.line_count(); ++i) {
    absl::StrAppend(&out, lines.line(i), "\r\n");
  }
}

Line Description::line(size_t index) const {
  KYUU_CHECK(index < line_count());
  return LineAt(table(), index);
}

Origin Description::origin() const {
  if (line_count() < 2) return {};
  absl::string_view rest = line(1).value;
  Origin origin;
  origin.username = TakeToken(rest);
  origin.session_id = ParseDigits(TakeToken(rest)).value_or(0);
  origin.session_version = ParseDigits(TakeToken(rest)).value_or(0);
  origin.network_type = TakeToken(rest);
  origin.address_type = TakeToken(rest);
  origin.address = TakeToken(rest);
  return origin;
}

Block Description::session() const {
  const internal::LineTable lines = table();
  return Block(lines, 0,
               lines.media_count() == 0 ? lines.line_count() : lines.media(0));
}

MediaSection Description::media(size_t index) const {
  const internal::LineTable lines = table();
  KYUU_CHECK(index < lines.media_count());
  const size_t end = index + 1 < lines.media_count() ? lines.media(index + 1)
                                                     : lines.line_count();
  return MediaSection(lines, lines.media(index), end);
}

std::vector<std::vector<absl::string_view>> Description::BundleGroups() const {
  std::vector<std::vector<absl::string_view>> groups;
  const Block block = session();
  for (const absl::string_view value : block.Values(AttributeType::kGroup)) {
    absl::string_view rest = value;
    if (TakeToken(rest) != "BUNDLE") continue;
    const Pieces mids(rest, ' ');
    groups.emplace_back(mids.begin(), mids.end());
  }
  return groups;
}

std::optional<absl::string_view> Description::Inherited(
    size_t media_index, AttributeType attribute) const {
  const auto value = media(media_index).Value(attribute);
  return value ? value : session().Value(attribute);
}

std::optional<Position> PositionOf(const absl::Status& status) {
  const auto payload = status.GetPayload(internal::kPositionUrl);
  if (!payload) return std::nullopt;
  const std::string text(*payload);
  absl::string_view rest = text;
  Position position;
  position.line = ParseDigits(TakeToken(rest)).value_or(0);
  position.column = ParseDigits(TakeToken(rest)).value_or(0);
  position.rule = std::string(rest);
  return position;
}

}  // namespace kyuu::sdp
