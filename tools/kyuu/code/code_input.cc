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
  if (!file.empty()) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(
        std::fopen(file.c_str(), "re"), &std::fclose);
    if (!in) {
      return absl::NotFoundError(
          absl::StrCat("no code can be read from ", file));
    }
    return ReadLine(in.get());
  }
  if (const char* known = std::getenv(kCodeVariable)) {
    return Code::Parse(known);
  }
  if (isatty(STDIN_FILENO) != 0) return AskForCode(stdin, stderr);
  return absl::FailedPreconditionError(absl::StrCat(
      "there is no terminal on which to ask for the code: it may be in ",
      kCodeVariable,
      " or in a file, --code-file FILE; or say by which name to "
      "receive, kyuu recv URL NAME"));
}

}  // namespace kyuu::tools
