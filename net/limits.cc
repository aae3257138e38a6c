#include "net/limits.h"

#include <sys/resource.h>

#include <algorithm>

namespace kyuu::net {

DescriptorLimit RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  DescriptorLimit result{limit.rlim_cur, limit.rlim_cur, limit.rlim_max};
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) result.soft = result.hard;
  return result;
}

DescriptorBudget DivideDescriptors(uint64_t limit, size_t reserved,
                                   const DescriptorBudget& wanted) {
  // So low a limit that nothing is left would serve nobody: then they compete.
  const uint64_t shared =
      std::max<uint64_t>(limit - std::min<uint64_t>(limit, reserved), 8);
  if (shared >= uint64_t{wanted.connections} + wanted.relays) return wanted;
  const size_t all = static_cast<size_t>(shared);
  const size_t half = all / 2;
  DescriptorBudget budget;
  budget.connections = std::min(
      wanted.connections, std::max(half, all - std::min(all, wanted.relays)));
  budget.relays = std::min(wanted.relays, all - budget.connections);
  return budget;
}

}  // namespace kyuu::net
