// Streams of events, and posts of those who may and may not: see PlayEvents.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "signaling/testing/plays.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::signaling::PlayEvents(absl::MakeConstSpan(data, size));
  return 0;
}
