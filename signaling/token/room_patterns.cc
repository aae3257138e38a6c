#include "signaling/token/room_patterns.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "signaling/internal/name.h"

namespace kyuu::signaling {
namespace {

// Of a name that may be longer as it is written than as it is prepared.
constexpr size_t kMaxNameBytes = 4 * RoomPatterns::kMaxPatternBytes;

std::optional<std::string> Folded(absl::string_view name) {
  const auto prepared = internal::PrepareName(name, kMaxNameBytes);
  if (!prepared.ok()) return std::nullopt;
  return prepared->folded;
}

// How names begin that begin with `text`: a letter behind it keeps blanks at
// its end, which a name would lose.
std::optional<std::string> FoldedBeginning(absl::string_view text) {
  std::optional<std::string> folded = Folded(absl::StrCat(text, "x"));
  if (folded) folded->pop_back();
  return folded;
}

}  // namespace

std::optional<RoomPatterns> RoomPatterns::Of(
    const std::vector<std::string>& patterns) {
  if (patterns.size() > kMaxPatterns) return std::nullopt;
  RoomPatterns made;
  made.all_ = false;
  for (absl::string_view text : patterns) {
    if (text.size() > kMaxPatternBytes) return std::nullopt;
    if (absl::ConsumeSuffix(&text, "*")) {
      if (text.empty()) made.all_ = true;
      made.patterns_.push_back({Pattern::Kind::kBeginning, std::string(text),
                                FoldedBeginning(text)});
    } else {
      made.patterns_.push_back(
          {Pattern::Kind::kWhole, std::string(text), Folded(text)});
    }
  }
  return made;
}

std::vector<std::string> RoomPatterns::patterns() const {
  std::vector<std::string> texts;
  for (const Pattern& pattern : patterns_) {
    texts.push_back(absl::StrCat(
        pattern.text, pattern.kind == Pattern::Kind::kBeginning ? "*" : ""));
  }
  return texts;
}

bool RoomPatterns::AllowsRoom(absl::string_view room) const {
  if (all_) return true;
  const std::optional<std::string> folded = Folded(room);
  return folded &&
         std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const Pattern& pattern) {
                       if (!pattern.folded) return false;
                       return pattern.kind == Pattern::Kind::kWhole
                                  ? *folded == *pattern.folded
                                  : absl::StartsWith(*folded, *pattern.folded);
                     });
}

bool RoomPatterns::AllowsTopic(absl::string_view topic) const {
  return all_ ||
         std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const Pattern& pattern) {
                       return pattern.kind == Pattern::Kind::kWhole
                                  ? topic == pattern.text
                                  : absl::StartsWith(topic, pattern.text);
                     });
}

}  // namespace kyuu::signaling
