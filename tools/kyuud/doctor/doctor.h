// `kyuud doctor`: what is wrong with the machine and the configuration.

#ifndef KYUU_TOOLS_KYUUD_DOCTOR_DOCTOR_H_
#define KYUU_TOOLS_KYUUD_DOCTOR_DOCTOR_H_

#include <string>
#include <utility>
#include <vector>

namespace kyuu::tools {

// RunDoctor looks at what `arguments`, the flags of kyuud and "--json", and
// `environment` would make, before or beside a running server. Prints what it
// finds and returns the exit status: 0 if nothing has failed, kFailureFound, or
// 2 with a line on stderr if the flags themselves are wrong.
int RunDoctor(
    std::vector<std::string> arguments,
    const std::vector<std::pair<std::string, std::string>>& environment);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_DOCTOR_DOCTOR_H_
