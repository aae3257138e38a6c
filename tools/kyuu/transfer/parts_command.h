// `kyuu parts`: files that have come in part, listed and thrown away.

#ifndef KYUU_TOOLS_KYUU_TRANSFER_PARTS_COMMAND_H_
#define KYUU_TOOLS_KYUU_TRANSFER_PARTS_COMMAND_H_

#include <string>
#include <vector>

namespace kyuu::tools {

struct PartsOptions {
  std::string folder = ".";
  std::vector<std::string> discard;  // Names; of all files with discard_all.
  bool discard_all = false;
};

// Prints a line for each part in the folder, or for each that is thrown away.
// The exit status: 1 if the folder cannot be read, or one that was named is not
// there or in use.
int RunParts(const PartsOptions& options);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TRANSFER_PARTS_COMMAND_H_
