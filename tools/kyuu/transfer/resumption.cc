#include "tools/kyuu/transfer/resumption.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tools/kyuu/progress.h"

namespace kyuu::tools {
namespace {

std::string Bytes(uint64_t bytes) {
  return FormatBytes(static_cast<double>(bytes));
}

}  // namespace

std::string ResumptionText(absl::string_view name, uint64_t size,
                           const Resumption& from) {
  const std::string where =
      from.begin == 0
          ? "starts from nothing"
          : absl::StrCat("goes on at ", Bytes(from.begin), " of ", Bytes(size));
  // What of a larger file was there may be all of it.
  const uint64_t useful = std::min(from.found, size);
  std::string why;
  if (from.intact < useful && from.begin == from.intact) {
    why = absl::StrCat("what was kept (", Bytes(from.found),
                       ") is damaged from there on");
  } else if (from.begin < from.intact) {
    why = from.changed
              ? absl::StrCat(
                    "the file has changed since",
                    from.begin == 0 ? "" : ", and is the same up to there")
              : absl::StrCat("what was kept (", Bytes(from.found),
                             ") is another file, or damaged, from there on");
  } else if (from.changed) {
    why = "the file was written to since, but is the same up to there";
  }
  return absl::StrCat(name, " ", where, why.empty() ? "" : ": ", why);
}

}  // namespace kyuu::tools
