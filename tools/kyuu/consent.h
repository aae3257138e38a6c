// Whose calls and files are taken, and the questions about the others.

#ifndef KYUU_TOOLS_KYUU_CONSENT_H_
#define KYUU_TOOLS_KYUU_CONSENT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace kyuu::tools {

// What is said to a call or a file of somebody.
enum class Verdict : uint8_t { kYes, kAsk, kNo };

// Consent decides by what the command line says, and leaves the rest to a
// person where there is one. Without either nothing is taken.
struct Consent {
  // Whether somebody can be asked.
  enum class Person : uint8_t { kThere, kNobody };

  bool everybody = false;         // --yes
  std::vector<std::string> from;  // --from
  std::optional<uint64_t> size_max;
  Person person = Person::kNobody;

  Verdict Of(absl::string_view name) const;
  bool TooLarge(uint64_t size) const { return size_max && size > *size_max; }
};

// Questions are asked one after the other; each is answered once, or withdrawn.
class Questions {
 public:
  // More are answered with no at once.
  static constexpr size_t kQuestionsMax = 64;
  // Shows a question.
  using Show = absl::AnyInvocable<void(const std::string&)>;
  // Takes an answer.
  using Answer = absl::AnyInvocable<void(Verdict)>;

  explicit Questions(Show show) : show_(std::move(show)) {}

  // Asks `text` when the ones before it have their answers.
  void Ask(std::string key, std::string text, Answer answer);
  // The question is of no interest any more; its answer is never called.
  void Withdraw(absl::string_view key);
  // Those whose keys begin with `prefix`.
  void WithdrawAll(absl::string_view prefix);
  bool empty() const { return questions_.empty(); }
  // Takes a line for the question that is shown: "y" or "yes"; "n", "no" or
  // nothing. False for any other line, or if none is shown.
  bool HandleLine(absl::string_view line);
  // Shows the question once more, after other lines.
  void ShowAgain();

 private:
  void Remove(absl::FunctionRef<bool(const std::string&)> matches);

  struct Question {
    std::string key;
    std::string text;
    Answer answer;
  };

  Show show_;
  std::deque<Question> questions_;  // The first is shown.
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CONSENT_H_
