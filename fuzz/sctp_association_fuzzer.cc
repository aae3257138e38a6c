// An association in every starting state, under packets, waits and commands
// in any order; script.h says what the bytes mean and what must hold.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "sctp/testing/script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::sctp::internal::RunScript(absl::MakeConstSpan(data, size));
  return 0;
}
