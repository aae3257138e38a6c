// What others have written, made fit for a terminal.

#ifndef KYUU_TOOLS_KYUU_PRINTABLE_H_
#define KYUU_TOOLS_KYUU_PRINTABLE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace kyuu::tools {

// The code point of UTF-8 `text` at byte `i`, which moves behind it; negative
// for what is none.
int32_t NextCodePoint(absl::string_view text, size_t& i);

// Whether `code_point` is shown by nothing, or changes how others are shown:
// controls, bidi and other format characters, line and paragraph separators,
// what Unicode says may be ignored (fillers, joiners, tags, variation
// selectors), private and unassigned code points.
bool IsHidden(uint32_t code_point);

// Printable returns `text` (UTF-8) without what a terminal would obey and
// without what a reader would not see: control characters, C1 ones included,
// and bytes that are no UTF-8 become U+FFFD; bidi and invisible characters are
// spelt out, "<U+202E>"; tabs become blanks, and what follows a line end is
// indented, so that it cannot pass for a line of somebody else. Emoji that are
// joined, and their variation selectors, stay.
std::string Printable(absl::string_view text);

// Printable for what has to stay on its line: line ends are spelt out too.
std::string PrintableLine(absl::string_view text);

// The columns that `text`, which is Printable, takes on a terminal.
size_t DisplayWidth(absl::string_view text);

// `text` if it takes at most `columns`, else with its middle replaced by "…",
// cut between characters.
std::string Clip(absl::string_view text, size_t columns);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PRINTABLE_H_
