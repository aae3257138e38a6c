// STUN messages: what parses is written and parses again; message_check.h says
// what must hold.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "stun/testing/message_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::stun::CheckMessage(absl::MakeConstSpan(data, size));
  return 0;
}
