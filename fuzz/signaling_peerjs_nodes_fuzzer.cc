// Two nodes of PeerJS whose clients and messages come, go, and are damaged as
// the input says: see PlayPeerJsNodes.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "signaling/testing/plays.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::signaling::PlayPeerJsNodes(absl::MakeConstSpan(data, size));
  return 0;
}
