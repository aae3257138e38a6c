// The TURN server between mad clients, mad peers and a mad driver;
// server_script.h says what the bytes mean.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "turn/testing/server_script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::turn::RunServerScript(absl::MakeConstSpan(data, size));
  return 0;
}
