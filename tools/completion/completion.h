// What a shell completes on the command line of our programs.

#ifndef KYUU_TOOLS_COMPLETION_COMPLETION_H_
#define KYUU_TOOLS_COMPLETION_COMPLETION_H_

#include <optional>
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

// As BashCompletion, for zsh: to be sourced, or a file _PROGRAM in a folder of
// $fpath.
std::string ZshCompletion(absl::string_view program,
                          absl::Span<const CommandWords> commands);
// For fish: to be sourced, or PROGRAM.fish in a folder of its completions.
std::string FishCompletion(absl::string_view program,
                           absl::Span<const CommandWords> commands);

// That of `shell`, one of kShells; nullopt for another one.
inline constexpr absl::string_view kShells[] = {"bash", "zsh", "fish"};
std::optional<std::string> Completion(absl::string_view shell,
                                      absl::string_view program,
                                      absl::Span<const CommandWords> commands);

// The words of `app` and of each of its commands, by each of its names, with
// the flags of `app` that its commands take, too.
std::vector<CommandWords> WordsOf(const CLI::App& app);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_COMPLETION_COMPLETION_H_
