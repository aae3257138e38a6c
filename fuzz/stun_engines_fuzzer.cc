// The Binding client and server against each other and against noise;
// binding_script.h says what the bytes mean.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "stun/testing/binding_script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::stun::RunBindingScript(absl::MakeConstSpan(data, size));
  return 0;
}
