// Finding: what a doctor has found out about one thing.

#ifndef KYUU_TOOLS_FINDINGS_FINDING_H_
#define KYUU_TOOLS_FINDINGS_FINDING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kyuu::tools {

enum class Verdict : uint8_t {
  kPass,
  kWarn,     // Works, and will disappoint somebody.
  kFail,     // Does not work.
  kNotSeen,  // Cannot be told from here, or was not looked at.
};

// "PASS", "WARN", "FAIL" or "NOT SEEN".
absl::string_view ToText(Verdict verdict);

struct Finding {
  Verdict verdict = Verdict::kNotSeen;
  std::string name;  // Of the check, for programs: "tls-expiry".
  std::string what;  // One sentence, which may quote others' text as it is.
  std::string fix;   // Lines to put into a file or to type; may be empty.

  friend bool operator==(const Finding&, const Finding&) = default;
};

// The exit status of a doctor that has found a failure.
inline constexpr int kFailureFound = 5;

// ToText is for people: a line for each finding, its fix indented below it, and
// a line that counts. What others have written is made harmless for a terminal.
std::string ToText(absl::Span<const Finding> findings);

// ToJson is one object: {"findings": [{"verdict": "pass", "name", "what",
// "fix"}], "passed", "warned", "failed", "not_seen"}.
std::string ToJson(absl::Span<const Finding> findings);

// 0, or kFailureFound if there is a failure.
int StatusOf(absl::Span<const Finding> findings);

// Appends `more`.
void Append(std::vector<Finding>& findings, std::vector<Finding> more);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_FINDINGS_FINDING_H_
