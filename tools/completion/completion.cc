#include "tools/completion/completion.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace kyuu::tools {
namespace {

// $1 is the program, $2 what is to be completed (bash(1), "Programmable
// Completion").
constexpr absl::string_view kScript =
    R"(# What bash completes behind PROGRAM. Made by: PROGRAM completion bash
_PROGRAM() {
  local words
  case ${COMP_WORDS[1]} in
CASES  esac
  # The first word may be a command, and not yet a whole one.
  [ "$COMP_CWORD" != 1 ] || words="FIRST"
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$2")
}
complete -o default -F _PROGRAM PROGRAM
)";

void AddFlags(const CLI::App& app, std::vector<std::string>& words) {
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      words.push_back(absl::StrCat("--", name));
    }
  }
}

}  // namespace

std::string BashCompletion(absl::string_view program,
                           absl::Span<const CommandWords> commands) {
  std::string cases, first;
  for (const CommandWords& command : commands) {
    const std::string words = absl::StrJoin(command.words, " ");
    if (command.name.empty()) {
      first = words;
      continue;
    }
    absl::StrAppend(&cases, "    ", command.name, ") words=\"", words,
                    "\" ;;\n");
  }
  absl::StrAppend(&cases, "    *) words=\"", first, "\" ;;\n");
  return absl::StrReplaceAll(
      kScript, {{"PROGRAM", program}, {"CASES", cases}, {"FIRST", first}});
}

std::vector<CommandWords> WordsOf(const CLI::App& app) {
  std::vector<CommandWords> commands(1);
  AddFlags(app, commands[0].words);
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    commands[0].words.push_back(command->get_name());
    CommandWords& words = commands.emplace_back();
    words.name = command->get_name();
    AddFlags(*command, words.words);
    if (!command->get_fallthrough()) continue;
    for (const CLI::Option* option : app.get_options()) {
      if (!option->get_configurable()) continue;  // --help, --version.
      for (const std::string& name : option->get_lnames()) {
        words.words.push_back(absl::StrCat("--", name));
      }
    }
  }
  return commands;
}

}  // namespace kyuu::tools
