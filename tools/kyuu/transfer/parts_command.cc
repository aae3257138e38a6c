#include "tools/kyuu/transfer/parts_command.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/kyuu/printable.h"
#include "tools/kyuu/transfer/part_file.h"

namespace kyuu::tools {
namespace {

int Complain(const std::string& what, absl::string_view why) {
  std::fprintf(stderr, "kyuu: %s: %s\n", PrintableLine(what).c_str(),
               PrintableLine(why).c_str());
  return 1;
}

}  // namespace

int RunParts(const PartsOptions& options) {
  // Of runs that were killed there may be more than are kept.
  const absl::StatusOr<std::vector<PartInfo>> parts =
      ListParts(options.folder, SIZE_MAX);
  if (!parts.ok()) return Complain("parts", parts.status().message());
  std::set<std::string> missing(options.discard.begin(), options.discard.end());
  const bool discards = options.discard_all || !missing.empty();
  int code = 0;
  for (const PartInfo& part : *parts) {
    const bool named = std::find(options.discard.begin(), options.discard.end(),
                                 part.name) != options.discard.end();
    if (discards && !options.discard_all && !named) continue;
    missing.erase(part.name);
    if (discards) {
      const absl::Status removed = RemovePart(part);
      if (!removed.ok()) {
        code = Complain(part.name, removed.message());
        continue;
      }
    }
    std::printf("%s%s\n", discards ? "thrown away: " : "",
                PrintableLine(PartText(part)).c_str());
  }
  for (const std::string& name : missing) {
    code = Complain(name, "no part of it is here");
  }
  return code;
}

}  // namespace kyuu::tools
