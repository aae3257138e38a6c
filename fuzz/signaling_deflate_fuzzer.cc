// Compressed messages, and offers of them: see PlayDeflate.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "signaling/testing/plays.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::signaling::PlayDeflate(absl::MakeConstSpan(data, size));
  return 0;
}
