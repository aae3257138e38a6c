// The codes by which one sends and another receives: "4821-orchard-violin".

#ifndef KYUU_TOOLS_KYUU_CODE_CODE_H_
#define KYUU_TOOLS_KYUU_CODE_CODE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/random.h"

namespace kyuu::tools {

// Code is a number by which the two find each other, which the server sees, and
// two words that it does not: 16 bits, of which a stranger has one guess.
class Code {
 public:
  // The most digits that a number may have.
  static constexpr size_t kDigitsMax = 9;

  // A code of four digits, from 1000, and two words of words.h.
  static Code Make(Random& random);

  // What a person typed: upper or lower case, with hyphens, blanks, dots,
  // commas or underscores between the parts; of a word the first three letters
  // are enough. INVALID_ARGUMENT: it is none, and why, with the nearest word of
  // the list in place of one that is not in it.
  static absl::StatusOr<Code> Parse(absl::string_view text);

  Code(const Code&) = default;
  Code& operator=(const Code&) = default;
  // Wipes the words.
  ~Code();

  const std::string& number() const { return number_; }
  // "orchard-violin": the password.
  const std::string& words() const { return words_; }
  // What a person passes on.
  std::string Text() const { return number_ + "-" + words_; }

  // The same words under another number.
  Code WithOtherNumber(Random& random) const;

 private:
  Code(std::string number, std::string words)
      : number_(std::move(number)), words_(std::move(words)) {}

  std::string number_;
  std::string words_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CODE_CODE_H_
