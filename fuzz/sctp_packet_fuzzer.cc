// SCTP packets: whatever is understood must survive being written and read
// again, and the checksum must not hide anything.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/chunk/rewrite.h"

using kyuu::Reader;
using namespace kyuu::sctp::internal;  // NOLINT: a fuzz target is one page.

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> packet(data, data + size);
  if (size >= CommonHeader::kSize) FinishPacket(absl::MakeSpan(packet));
  const PacketView view = ParsePacket(packet);
  KYUU_CHECK((view.error == PacketError::kNone) ==
             (size >= CommonHeader::kSize));
  Reader reader(view.chunks);
  while (std::optional<ChunkView> chunk = NextChunk(reader)) {
    const std::optional<std::vector<uint8_t>> once = RewriteChunk(*chunk);
    if (!once) continue;
    Reader again(*once);
    const std::optional<ChunkView> second = NextChunk(again);
    KYUU_CHECK(second && again.empty());
    KYUU_CHECK(RewriteChunk(*second) == once);
  }
  return 0;
}
