// A stream cut anywhere, into the server's end of it: see PlayHttp.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "signaling/testing/plays.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::signaling::PlayHttp(absl::MakeConstSpan(data, size));
  return 0;
}
