// Two ends of a link over a bad way: see PlayLinks.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "signaling/testing/plays.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::signaling::PlayLinks(absl::MakeConstSpan(data, size));
  return 0;
}
