// NAT behaviour discovery under a script of bytes, for fuzzing.

#ifndef KYUU_STUN_TESTING_DISCOVERY_SCRIPT_H_
#define KYUU_STUN_TESTING_DISCOVERY_SCRIPT_H_

#include <cstdint>

#include "absl/types/span.h"

namespace kyuu::stun {

// RunDiscoveryScript lets a NatDiscovery, two servers and noise meet as the
// script says, to its end, and aborts unless it closes exactly once.
void RunDiscoveryScript(absl::Span<const uint8_t> script);

}  // namespace kyuu::stun

#endif  // KYUU_STUN_TESTING_DISCOVERY_SCRIPT_H_
