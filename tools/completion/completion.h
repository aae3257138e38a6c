// What a shell completes on the command line of our programs.

#ifndef KYUU_TOOLS_COMPLETION_COMPLETION_H_
#define KYUU_TOOLS_COMPLETION_COMPLETION_H_

#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kyuu::tools {

// CommandWords are the words that may follow a command: flags with "--", and
// commands of its own. A name of "" is the program itself, without a command.
struct CommandWords {
  std::string name;
  std::vector<std::string> words;
};

// A script for bash (`source` it) that completes these words behind `program`,
// and names of files where none fits. The words are ASCII without blanks and
// quotes.
std::string BashCompletion(absl::string_view program,
                           absl::Span<const CommandWords> commands);

// The words of `app` and of each of its commands, with the flags of `app` that
// its commands take, too.
std::vector<CommandWords> WordsOf(const CLI::App& app);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_COMPLETION_COMPLETION_H_
