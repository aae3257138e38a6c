// Where a receiver's code comes from: never from the command line, which
// everybody on the machine can read.

#ifndef KYUU_TOOLS_KYUU_CODE_CODE_INPUT_H_
#define KYUU_TOOLS_KYUU_CODE_CODE_INPUT_H_

#include <cstdio>
#include <string>

#include "absl/status/statusor.h"
#include "tools/kyuu/code/code.h"

namespace kyuu::tools {

constexpr char kCodeVariable[] = "KYUU_CODE";
// How often a person may mistype.
constexpr int kCodeAttemptsMax = 5;

// The code in the first line of `file` (`-` is stdin), or, if that is "", of
// the variable KYUU_CODE, or what a person types at the terminal.
// INVALID_ARGUMENT: what is there is no code. NOT_FOUND: the file cannot be
// read. FAILED_PRECONDITION: there is none of these.
absl::StatusOr<Code> ReadCode(const std::string& file);

// The same for a program whose stdin is something else: a person types it at
// the terminal of the process (/dev/tty). INVALID_ARGUMENT for `-`, too.
absl::StatusOr<Code> ReadCodeBesideStdin(const std::string& file);

// Asks on `out` and reads lines of `in`, until one is a code: a word that is in
// no code is no guess. What Parse said of the last one if none is, or if `in`
// ends.
absl::StatusOr<Code> AskForCode(std::FILE* in, std::FILE* out);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CODE_CODE_INPUT_H_
