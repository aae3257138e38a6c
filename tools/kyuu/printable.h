// What others have written, made fit for a terminal.

#ifndef KYUU_TOOLS_KYUU_PRINTABLE_H_
#define KYUU_TOOLS_KYUU_PRINTABLE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace kyuu::tools {

// Printable returns `text` (UTF-8) without what a terminal would obey: control
// characters, C1 ones included, become U+FFFD, tabs blanks, and what follows a
// line end is indented, so that it cannot pass for a line of somebody else.
std::string Printable(absl::string_view text);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PRINTABLE_H_
