// The files of the page, compiled in, so that kyuud is one program.

#ifndef KYUU_WEB_FILES_H_
#define KYUU_WEB_FILES_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kyuu::web {

// File is one file of the page; everything lives as long as the program.
struct File {
  absl::string_view path;          // "/index.html"
  absl::string_view content_type;  // "text/html; charset=utf-8"
  absl::string_view content;
};

// Files returns all of them. "/index.html" is among them; nothing says that
// "/" is the same. "/version.js" tells the page's service worker which files
// there are, and has a hash of all of them.
absl::Span<const File> Files();

}  // namespace kyuu::web

#endif  // KYUU_WEB_FILES_H_
