// NAT behaviour discovery against servers, a NAT and noise; discovery_script.h
// says what the bytes mean.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "stun/testing/discovery_script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::stun::RunDiscoveryScript(absl::MakeConstSpan(data, size));
  return 0;
}
