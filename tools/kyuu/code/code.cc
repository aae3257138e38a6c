#include "tools/kyuu/code/code.h"

#include <sodium.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "tools/kyuu/code/words.h"

namespace kyuu::tools {
namespace {

// No code is longer, however it is typed.
constexpr size_t kTextMax = 100;
constexpr uint64_t kNumberMin = 1000;
constexpr uint64_t kNumbers = 9000;

std::string NewNumber(Random& random) {
  return absl::StrCat(kNumberMin + random.Below(kNumbers));
}

// How many letters must be put in, taken out or changed (Levenshtein).
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

absl::StatusOr<absl::string_view> FindWord(absl::string_view typed) {
  for (const absl::string_view word : kWords) {
    if (typed.size() >= kWordPrefix && absl::StartsWith(word, typed)) {
      return word;
    }
  }
  const auto nearest =
      *std::min_element(kWords.begin(), kWords.end(),
                        [&](absl::string_view a, absl::string_view b) {
                          return Distance(a, typed) < Distance(b, typed);
                        });
  return absl::InvalidArgumentError(absl::StrCat(
      "no code has the word \"", typed, "\"; perhaps it is \"", nearest, "\""));
}

bool IsNumber(absl::string_view text) {
  return !text.empty() && text.size() <= Code::kDigitsMax &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Code::~Code() { sodium_memzero(words_.data(), words_.size()); }

Code Code::Make(Random& random) {
  const absl::string_view first = kWords[random.Below(kWordCount)];
  const absl::string_view second = kWords[random.Below(kWordCount)];
  return Code(NewNumber(random), absl::StrCat(first, "-", second));
}

absl::StatusOr<Code> Code::Parse(absl::string_view text) {
  if (text.size() > kTextMax) {
    return absl::InvalidArgumentError("that is too long for a code");
  }
  const std::string lower = absl::AsciiStrToLower(text);
  const std::vector<absl::string_view> parts =
      absl::StrSplit(lower, absl::ByAnyChar("- \t\r\n._,"), absl::SkipEmpty());
  if (parts.size() != 3 || !IsNumber(parts[0])) {
    return absl::InvalidArgumentError(
        "a code is a number and two words, as in 4821-orchard-violin");
  }
  KYUU_ASSIGN_OR_RETURN(const absl::string_view first, FindWord(parts[1]));
  KYUU_ASSIGN_OR_RETURN(const absl::string_view second, FindWord(parts[2]));
  return Code(std::string(parts[0]), absl::StrCat(first, "-", second));
}

Code Code::WithOtherNumber(Random& random) const {
  return Code(NewNumber(random), words_);
}

}  // namespace kyuu::tools
