#include "tools/kyuu/code/code_input.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tools/kyuu/printable.h"

namespace kyuu::tools {
namespace {

// A line, as far as a code could be long; nullopt at the end.
std::optional<std::string> Line(std::FILE* in) {
  std::array<char, 256> line;
  if (std::fgets(line.data(), line.size(), in) == nullptr) return std::nullopt;
  return std::string(line.data());
}

absl::StatusOr<Code> ReadLine(std::FILE* in) {
  return Code::Parse(Line(in).value_or(""));
}

struct Closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Closer>;

// The code that need not be asked for; nullopt without one.
std::optional<absl::StatusOr<Code>> KnownCode(const std::string& file) {
  if (!file.empty()) {
    const File in(std::fopen(file.c_str(), "re"));
    if (!in) {
      return absl::NotFoundError(
          absl::StrCat("no code can be read from ", file));
    }
    return ReadLine(in.get());
  }
  const char* known = std::getenv(kCodeVariable);
  if (known == nullptr) return std::nullopt;
  return Code::Parse(known);
}

absl::Status NoTerminal(absl::string_view otherwise) {
  return absl::FailedPreconditionError(absl::StrCat(
      "there is no terminal on which to ask for the code: it may "
      "be in ",
      kCodeVariable, " or in a file, --code-file FILE; or ", otherwise));
}

}  // namespace

absl::StatusOr<Code> AskForCode(std::FILE* in, std::FILE* out) {
  absl::Status why = absl::InvalidArgumentError("no code was typed");
  for (int i = 0; i < kCodeAttemptsMax; ++i) {
    std::fputs("Code: ", out);
    std::fflush(out);
    const std::optional<std::string> line = Line(in);
    if (!line) return why;
    absl::StatusOr<Code> code = Code::Parse(*line);
    if (code.ok()) return code;
    why = code.status();
    std::fprintf(out, "%s\n", PrintableLine(why.message()).c_str());
  }
  return why;
}

absl::StatusOr<Code> ReadCode(const std::string& file) {
  if (file == "-") return ReadLine(stdin);
  if (auto known = KnownCode(file)) return *std::move(known);
  if (isatty(STDIN_FILENO) != 0) return AskForCode(stdin, stderr);
  return NoTerminal("say by which name to receive, kyuu recv URL NAME");
}

absl::StatusOr<Code> ReadCodeBesideStdin(const std::string& file) {
  if (file == "-") {
    return absl::InvalidArgumentError(
        "stdin is what is sent: the code cannot come by it");
  }
  if (auto known = KnownCode(file)) return *std::move(known);
  const File in(std::fopen("/dev/tty", "re"));
  const File out(std::fopen("/dev/tty", "we"));
  if (in && out) return AskForCode(in.get(), out.get());
  return NoTerminal("meet by names");
}

}  // namespace kyuu::tools
