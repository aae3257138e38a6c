// The file of kyuud's settings, in TOML.

#ifndef KYUU_TOOLS_KYUUD_CONFIG_FILE_H_
#define KYUU_TOOLS_KYUUD_CONFIG_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/kyuud/settings.h"

namespace kyuu::tools {

// A value that somebody has given to a setting.
struct Given {
  const Setting* setting;
  std::vector<std::string> texts;
  // Where, for people: "--threads", "KYUU_THREADS" or
  // "kyuud.toml:3:11: threads".
  std::string where;
};

// ReadConfigFile reads the file `name`. INVALID_ARGUMENT, with file, line and
// column, if it is no TOML (1.0), has a section or key that is no setting, or a
// value of another kind than the setting's; what the value says is not judged.
// NOT_FOUND if it cannot be read.
absl::StatusOr<std::vector<Given>> ReadConfigFile(const std::string& name);

// FindInConfigFile is the string that stands there for one key, "" if none
// does, whatever is wrong with other keys. INVALID_ARGUMENT if it is no TOML,
// NOT_FOUND if it cannot be read.
absl::StatusOr<std::string> FindInConfigFile(const std::string& name,
                                             absl::string_view section,
                                             absl::string_view key);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_CONFIG_FILE_H_
