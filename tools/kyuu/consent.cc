#include "tools/kyuu/consent.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace kyuu::tools {

Verdict Consent::Of(absl::string_view name) const {
  if (everybody || std::find(from.begin(), from.end(), name) != from.end()) {
    return Verdict::kYes;
  }
  return person == Person::kThere ? Verdict::kAsk : Verdict::kNo;
}

void Questions::Ask(std::string key, std::string text, Answer answer) {
  if (questions_.size() >= kQuestionsMax) return answer(Verdict::kNo);
  questions_.push_back({std::move(key), std::move(text), std::move(answer)});
  if (questions_.size() == 1) ShowAgain();
}

void Questions::Withdraw(absl::string_view key) {
  Remove([key](const std::string& k) { return k == key; });
}

void Questions::WithdrawAll(absl::string_view prefix) {
  Remove(
      [prefix](const std::string& k) { return absl::StartsWith(k, prefix); });
}

void Questions::Remove(absl::FunctionRef<bool(const std::string&)> matches) {
  const bool shown = !questions_.empty() && matches(questions_.front().key);
  questions_.erase(
      std::remove_if(questions_.begin(), questions_.end(),
                     [&](const Question& q) { return matches(q.key); }),
      questions_.end());
  if (shown) ShowAgain();
}

bool Questions::HandleLine(absl::string_view line) {
  if (questions_.empty()) return false;
  const std::string word =
      absl::AsciiStrToLower(absl::StripAsciiWhitespace(line));
  const bool yes = word == "y" || word == "yes";
  if (!yes && !word.empty() && word != "n" && word != "no") return false;
  // Out of the list first: the answer may ask or withdraw others.
  Question question = std::move(questions_.front());
  questions_.pop_front();
  question.answer(yes ? Verdict::kYes : Verdict::kNo);
  ShowAgain();
  return true;
}

void Questions::ShowAgain() {
  if (!questions_.empty()) show_(questions_.front().text);
}

}  // namespace kyuu::tools
