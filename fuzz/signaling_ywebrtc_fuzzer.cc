// Five clients of y-webrtc that come, go, and say what the input says: see
// PlayYWebrtc.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "signaling/testing/plays.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::signaling::PlayYWebrtc(absl::MakeConstSpan(data, size));
  return 0;
}
