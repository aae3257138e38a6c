// A stream cut anywhere, into a WebSocket: see PlayWebSocket.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "signaling/testing/plays.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::signaling::PlayWebSocket(absl::MakeConstSpan(data, size));
  return 0;
}
