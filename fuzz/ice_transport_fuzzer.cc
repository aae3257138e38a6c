// A whole IceTransport: its peer, its servers and the network do as the bytes
// say.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "ice/testing/transport_script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::Reader r(absl::MakeConstSpan(data, size));
  kyuu::ice::testing::TransportScript script(r.U8());
  for (int i = 0; i < 500 && !r.empty(); ++i) script.Step(r);
  script.Finish();
  return 0;
}
