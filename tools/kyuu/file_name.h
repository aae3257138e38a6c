// Names of files that somebody else has chosen.

#ifndef KYUU_TOOLS_KYUU_FILE_NAME_H_
#define KYUU_TOOLS_KYUU_FILE_NAME_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace kyuu::tools {

// The longest name of a file, in bytes, on every file system of Linux.
inline constexpr size_t kFileNameBytesMax = 255;

// Whether a name may be offered: the table of limits in
// docs/application_protocol.md.
bool IsSafeFileName(absl::string_view name);

// CleanFileName returns a name that may be offered for a file of ours that is
// called `name`, which a file system took: '\' and control characters become
// '_'.
std::string CleanFileName(absl::string_view name);

// StoredFileName returns the name under which a file offered as `name`, which
// is safe, is stored. It never begins with a dot: shells, editors and git read
// such files unasked (".bashrc" becomes "_bashrc"). Bidi and invisible
// characters, which would make it look like another name, become '_', and so
// do bytes that are no UTF-8.
std::string StoredFileName(absl::string_view name);

// PortableFileName returns `name` without what FAT and its relatives refuse:
// any of :*?"<>| and a dot or blank at the end become '_'.
std::string PortableFileName(absl::string_view name);

// NumberedFileName returns "a (2).tar.gz" of "a.tar.gz" and 2, and the name
// itself for 0. The stem is cut, between characters, where the whole would be
// longer than kFileNameBytesMax.
std::string NumberedFileName(absl::string_view name, int number);

// At most `bytes` bytes from the beginning of `text`, cut between characters.
absl::string_view Utf8Prefix(absl::string_view text, size_t bytes);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_FILE_NAME_H_
