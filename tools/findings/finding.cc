#include "tools/findings/finding.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/printable.h"

namespace kyuu::tools {
namespace {

size_t Count(absl::Span<const Finding> findings, Verdict verdict) {
  return static_cast<size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [&](const Finding& f) { return f.verdict == verdict; }));
}

const char* ToWord(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kWarn:
      return "warn";
    case Verdict::kFail:
      return "fail";
    case Verdict::kNotSeen:
      return "not_seen";
  }
  return "";
}

}  // namespace

absl::string_view ToText(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "PASS";
    case Verdict::kWarn:
      return "WARN";
    case Verdict::kFail:
      return "FAIL";
    case Verdict::kNotSeen:
      return "NOT SEEN";
  }
  return "";
}

std::string ToText(absl::Span<const Finding> findings) {
  std::string text;
  for (const Finding& finding : findings) {
    absl::StrAppendFormat(&text, "%-8s  %-16s  %s\n", ToText(finding.verdict),
                          finding.name, PrintableLine(finding.what));
    if (finding.fix.empty()) continue;
    for (const absl::string_view line : absl::StrSplit(finding.fix, '\n')) {
      absl::StrAppend(&text, line.empty() ? "" : "          ",
                      PrintableLine(line), "\n");
    }
  }
  absl::StrAppend(&text, Count(findings, Verdict::kPass), " passed, ",
                  Count(findings, Verdict::kWarn), " warnings, ",
                  Count(findings, Verdict::kFail), " failures, ",
                  Count(findings, Verdict::kNotSeen), " not seen\n");
  return text;
}

std::string ToJson(absl::Span<const Finding> findings) {
  nlohmann::json list = nlohmann::json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"verdict", ToWord(finding.verdict)},
                    {"name", finding.name},
                    {"what", finding.what},
                    {"fix", finding.fix}});
  }
  const nlohmann::json all = {{"findings", std::move(list)},
                              {"passed", Count(findings, Verdict::kPass)},
                              {"warned", Count(findings, Verdict::kWarn)},
                              {"failed", Count(findings, Verdict::kFail)},
                              {"not_seen", Count(findings, Verdict::kNotSeen)}};
  // What others have written need not be UTF-8.
  return absl::StrCat(
      all.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace), "\n");
}

int StatusOf(absl::Span<const Finding> findings) {
  return Count(findings, Verdict::kFail) == 0 ? 0 : kFailureFound;
}

void Append(std::vector<Finding>& findings, std::vector<Finding> more) {
  findings.insert(findings.end(), std::make_move_iterator(more.begin()),
                  std::make_move_iterator(more.end()));
}

}  // namespace kyuu::tools
