#include "sdp/internal/judge.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "sdp/internal/line_syntax.h"

namespace kyuu::sdp::internal {
namespace {

using Mids = absl::flat_hash_map<absl::string_view, size_t>;

void JudgeAttribute(const Line& line, FindingList& findings) {
  if (line.attribute_name.empty()) {
    findings.Add({Finding::Code::kAttributeName, line.number, 3, line.attribute,
                  "attribute name missing", "RFC 8866 section 5.13"});
  }
  if (line.attribute == AttributeType::kUnknown) return;
  std::optional<absl::string_view> value;
  if (line.attribute_name.size() < line.value.size()) {
    value = line.attribute_value;
  }
  const auto error = CheckAttribute(line.attribute, value);
  if (!error) return;
  const size_t column =
      3 + line.attribute_name.size() + (value ? 1 : 0) + error->offset;
  findings.Add({line.attribute == AttributeType::kCandidate
                    ? Finding::Code::kCandidate
                    : Finding::Code::kAttributeValue,
                line.number, column, line.attribute, error->message,
                error->rule});
}

void JudgeLine(const Line& line, bool in_media, FindingList& findings) {
  if (in_media && IsSessionOnly(line.type)) {
    findings.Add({Finding::Code::kPlace, line.number, 1, line.attribute,
                  "not allowed in a media section", "RFC 8866 section 9"});
  }
  if (line.type == 'a') return JudgeAttribute(line, findings);
  std::optional<SyntaxError> error;
  if (line.type == 'm') {
    MediaLine media;
    error = ParseMediaLine(line.value, media);
    if (!error) error = CheckMediaLine(line.value, media);
  } else {
    error = CheckLine(line.type, line.value);
  }
  if (!error) return;
  findings.Add({Finding::Code::kLine, line.number, 3 + error->offset,
                line.attribute, error->message, error->rule});
}

// The section of each mid; a second one of the same mid is a finding.
Mids CollectMids(const Description& description, FindingList& findings) {
  Mids mids;
  for (size_t i = 0; i < description.media_count(); ++i) {
    const MediaSection section = description.media(i);
    const auto mid = section.mid();
    if (!mid || mids.emplace(*mid, i).second) continue;
    findings.Add({Finding::Code::kRepeated, section.line(0).number, 1,
                  AttributeType::kMid, "another section has this mid",
                  "RFC 5888 section 4"});
  }
  return mids;
}

// The first RTP section of each BUNDLE group, by section: the others may leave
// to it what belongs to the transport (RFC 9143 section 7.1.3). That mids are
// there, and in one group only, is section 7.
std::vector<bool> JudgeGroups(const Description& description, const Mids& mids,
                              FindingList& findings) {
  constexpr absl::string_view kRule = "RFC 9143 section 7";
  std::vector<bool> bundled(description.media_count());
  std::vector<bool> leads(description.media_count());
  const Block session = description.session();
  for (size_t i = 0; i < session.line_count(); ++i) {
    const Line line = session.line(i);
    if (line.attribute != AttributeType::kGroup) continue;
    const auto group = Group::Parse(line.attribute_value);
    if (!group.ok() || group->semantics != "BUNDLE") continue;
    bool led = false;
    for (const absl::string_view mid : group->mids) {
      const auto column = static_cast<size_t>(mid.data() - line.value.data());
      const auto found = mids.find(mid);
      if (found == mids.end()) {
        findings.Add({Finding::Code::kReference, line.number, 3 + column,
                      line.attribute, "no section has this mid", kRule});
      } else if (bundled[found->second]) {
        findings.Add({Finding::Code::kRepeated, line.number, 3 + column,
                      line.attribute, "mid is bundled twice", kRule});
      } else {
        bundled[found->second] = true;
        if (!led && description.media(found->second).is_rtp()) {
          led = leads[found->second] = true;
        }
      }
    }
  }
  return leads;
}

}  // namespace

Findings FindingList::Take() {
  std::stable_sort(findings_.kept.begin(), findings_.kept.end(),
                   [](const Finding& a, const Finding& b) {
                     return std::pair(a.line, a.column) <
                            std::pair(b.line, b.column);
                   });
  return std::move(findings_);
}

Findings Judge(const Description& description, size_t findings_max) {
  FindingList findings(findings_max);
  const size_t session_lines = description.session().line_count();
  for (size_t i = 0; i < description.line_count(); ++i) {
    JudgeLine(description.line(i), i >= session_lines, findings);
  }
  const Mids mids = CollectMids(description, findings);
  const std::vector<bool> leads = JudgeGroups(description, mids, findings);
  for (size_t i = 0; i < description.media_count(); ++i) {
    JudgeSection(description.media(i), leads[i], findings);
  }
  return findings.Take();
}

}  // namespace kyuu::sdp::internal
