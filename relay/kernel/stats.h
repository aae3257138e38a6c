// What the program in the kernel has done, in numbers.

#ifndef KYUU_RELAY_KERNEL_STATS_H_
#define KYUU_RELAY_KERNEL_STATS_H_

#include <cstdint>

#include "base/counters.h"

namespace kyuu::relay::kernel {

// What the program did beside relaying, in datagrams. Those that it left to the
// process were relayed by that.
struct KernelStats {
  uint64_t hop_limit = 0;  // Dropped: their hops were used up.
  uint64_t no_way = 0;     // Left: who is next on the way was not known.
  uint64_t too_big = 0;    // Left: the way's MTU is less.
  uint64_t unfunded = 0;   // Left: beyond the bandwidth that it was given.
  uint64_t unsummed = 0;   // Left: without a checksum, or with half of one.
  uint64_t bindings = 0;   // Binding requests answered,
  uint64_t bindings_limited = 0;  // and dropped, beyond one source's share.
  uint64_t narrowed = 0;          // Routers' words that something was too long.

  static constexpr Counter<KernelStats> kCounters[] = {
      KYUU_COUNTER(KernelStats, hop_limit),
      KYUU_COUNTER(KernelStats, no_way),
      KYUU_COUNTER(KernelStats, too_big),
      KYUU_COUNTER(KernelStats, unfunded),
      KYUU_COUNTER(KernelStats, unsummed),
      KYUU_COUNTER(KernelStats, bindings),
      KYUU_COUNTER(KernelStats, bindings_limited),
      KYUU_COUNTER(KernelStats, narrowed)};
};
static_assert(Countable<KernelStats>);

}  // namespace kyuu::relay::kernel

#endif  // KYUU_RELAY_KERNEL_STATS_H_
