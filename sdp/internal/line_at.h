// One line of a table, taken apart.

#ifndef KYUU_SDP_INTERNAL_LINE_AT_H_
#define KYUU_SDP_INTERNAL_LINE_AT_H_

#include <cstddef>

#include "sdp/internal/line_table.h"
#include "sdp/section.h"

namespace kyuu::sdp::internal {

// LineAt returns the line `index`, which must be less than line_count().
inline Line LineAt(LineTable table, size_t index) {
  const absl::string_view text = table.line(index);
  Line line{text[0], text.substr(2), table.attribute(index), {}, {}, index + 1};
  if (line.type == 'a') {
    // A known name ends where its letters do.
    size_t colon = AttributeName(line.attribute).size();
    if (colon == 0) {
      colon = line.value.find(':');
    } else if (colon == line.value.size()) {
      colon = absl::string_view::npos;
    }
    line.attribute_name = line.value.substr(0, colon);
    if (colon != absl::string_view::npos) {
      line.attribute_value = line.value.substr(colon + 1);
    }
  }
  return line;
}

}  // namespace kyuu::sdp::internal

#endif  // KYUU_SDP_INTERNAL_LINE_AT_H_
