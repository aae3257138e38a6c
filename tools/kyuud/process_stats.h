// ProcessStats: what the kernel says about this process.

#ifndef KYUU_TOOLS_KYUUD_PROCESS_STATS_H_
#define KYUU_TOOLS_KYUUD_PROCESS_STATS_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace kyuu::tools {

// What cannot be read, as when there is no descriptor left, is not there.
struct ProcessStats {
  absl::Duration cpu;  // User and system.
  std::optional<uint64_t> resident_bytes;
  std::optional<uint64_t> virtual_bytes;
  uint64_t heap_bytes = 0;  // Allocated and not freed; 0 under sanitizers.
  std::optional<uint64_t> open_descriptors;
  std::optional<uint64_t> max_descriptors;  // None if there is no limit.
  std::optional<absl::Time> started;
};

ProcessStats ReadProcessStats();

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_PROCESS_STATS_H_
