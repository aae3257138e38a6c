// The limit on open descriptors (RLIMIT_NOFILE): raised, read and divided.

#ifndef KYUU_NET_LIMITS_H_
#define KYUU_NET_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace kyuu::net {

// What the process may open. Shells and services start with a soft limit of
// 1024 by habit (for the sake of select()), whatever the hard one allows.
struct DescriptorLimit {
  uint64_t before = 0;  // The soft limit as it was.
  uint64_t soft = 0;    // As it is now.
  uint64_t hard = 0;
};

// RaiseDescriptorLimit raises the soft limit to the hard one and returns what
// then holds. Where the system refuses, the old limit stands.
DescriptorLimit RaiseDescriptorLimit();

// How many descriptors each of the two that can use them up may have.
struct DescriptorBudget {
  size_t connections = 0;  // TCP, both of HTTP and of TURN.
  size_t relays = 0;       // UDP sockets of relayed addresses.
};

// DivideDescriptors gives each side what it `wanted`, if `limit` allows after
// `reserved` for all else (listeners, loops, files). Otherwise each gets half,
// and what one does not want the other one may have. However low the limit,
// both get something.
DescriptorBudget DivideDescriptors(uint64_t limit, size_t reserved,
                                   const DescriptorBudget& wanted);

}  // namespace kyuu::net

#endif  // KYUU_NET_LIMITS_H_
