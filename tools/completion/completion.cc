#include "tools/completion/completion.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

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

// $words[1] is the program (zshcompsys(1)). Read from a folder of $fpath it is
// the body of a function, and runs; sourced, it is made known.
constexpr absl::string_view kZshScript =
    R"(#compdef PROGRAM
# What zsh completes behind PROGRAM. Made by: PROGRAM completion zsh
_PROGRAM() {
  local -a fitting
  case $words[2] in
CASES  esac
  # The first word may be a command, and not yet a whole one.
  (( CURRENT != 2 )) || fitting=(FIRST)
  compadd -a fitting || _files
}
if [[ $funcstack[1] == _PROGRAM ]]; then
  _PROGRAM "$@"
else
  compdef _PROGRAM PROGRAM
fi
)";

// Lines for fish (complete(1)): "--flag" is one of its -l flags; what stands
// with them as -a would be their arguments, and has a line of its own.
std::string FishLines(absl::string_view head,
                      absl::Span<const std::string> words) {
  std::string flags;
  std::vector<absl::string_view> others;
  for (absl::string_view word : words) {
    if (absl::ConsumePrefix(&word, "--")) {
      absl::StrAppend(&flags, " -l ", word);
    } else {
      others.push_back(word);
    }
  }
  std::string lines;
  if (!flags.empty()) absl::StrAppend(&lines, head, flags, "\n");
  if (!others.empty()) {
    absl::StrAppend(&lines, head, " -a '", absl::StrJoin(others, " "), "'\n");
  }
  return lines;
}

// The flags of `app` that its commands take, too.
void AddOptionsOfAll(const CLI::App& app, std::vector<std::string>& words) {
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_configurable()) continue;  // --help, --version.
    for (const std::string& name : option->get_lnames()) {
      words.push_back(absl::StrCat("--", name));
    }
  }
}

}  // namespace

std::string ZshCompletion(absl::string_view program,
                          absl::Span<const CommandWords> commands) {
  std::string cases, first;
  for (const CommandWords& command : commands) {
    const std::string words = absl::StrJoin(command.words, " ");
    if (command.name.empty()) {
      first = words;
      continue;
    }
    absl::StrAppend(&cases, "    ", command.name, ") fitting=(", words,
                    ") ;;\n");
  }
  absl::StrAppend(&cases, "    *) fitting=(", first, ") ;;\n");
  return absl::StrReplaceAll(
      kZshScript, {{"PROGRAM", program}, {"CASES", cases}, {"FIRST", first}});
}

std::string FishCompletion(absl::string_view program,
                           absl::Span<const CommandWords> commands) {
  std::string script =
      absl::StrCat("# What fish completes behind ", program,
                   ". Made by: ", program, " completion fish\n");
  std::vector<absl::string_view> names;
  for (const CommandWords& command : commands) {
    if (!command.name.empty()) names.push_back(command.name);
  }
  for (const CommandWords& command : commands) {
    const std::string condition =
        command.name.empty()
            ? absl::StrCat("not __fish_seen_subcommand_from ",
                           absl::StrJoin(names, " "))
            : absl::StrCat("__fish_seen_subcommand_from ", command.name);
    absl::StrAppend(&script, FishLines(absl::StrCat("complete -c ", program,
                                                    " -n '", condition, "'"),
                                       command.words));
  }
  return script;
}

std::optional<std::string> Completion(absl::string_view shell,
                                      absl::string_view program,
                                      absl::Span<const CommandWords> commands) {
  if (shell == "bash") return BashCompletion(program, commands);
  if (shell == "zsh") return ZshCompletion(program, commands);
  if (shell == "fish") return FishCompletion(program, commands);
  return std::nullopt;
}

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
    // Valid until the next one is added.
    CommandWords& words = commands.emplace_back();
    words.name = command->get_name();
    AddFlags(*command, words.words);
    if (command->get_fallthrough()) AddOptionsOfAll(app, words.words);
    for (const std::string& alias : command->get_aliases()) {
      commands[0].words.push_back(alias);
      commands.push_back(commands.back());
      commands.back().name = alias;
    }
  }
  return commands;
}

}  // namespace kyuu::tools
