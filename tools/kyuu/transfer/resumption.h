// Where a file that was there in part went on, and why there.

#ifndef KYUU_TOOLS_KYUU_TRANSFER_RESUMPTION_H_
#define KYUU_TOOLS_KYUU_TRANSFER_RESUMPTION_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace kyuu::tools {

struct Resumption {
  uint64_t found = 0;    // Bytes that were there.
  uint64_t intact = 0;   // As far as they are what was written once.
  uint64_t begin = 0;    // As far as the sender's file is the same.
  bool changed = false;  // The sender's file is another version.
};

// ResumptionText says to a person how `name` of `size` bytes goes on: "a.iso
// goes on at 1.30 GB of 2.00 GB", or that it does not, and why.
std::string ResumptionText(absl::string_view name, uint64_t size,
                           const Resumption& from);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TRANSFER_RESUMPTION_H_
