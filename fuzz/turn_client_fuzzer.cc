// The TURN client in the hands of a mad driver, an erring server and a network
// that makes things up; client_script.h says what the bytes mean.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "turn/testing/client_script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::turn::RunClientScript(absl::MakeConstSpan(data, size));
  return 0;
}
