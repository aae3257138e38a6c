// SCTP packets: whatever is understood must survive being written and read
// again, and the checksum must not hide anything. And an INIT from a
// description: what is called good connects.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "sctp/association.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/chunk/rewrite.h"
#include "sctp/options.h"
#include "sctp/out_of_band.h"

using kyuu::Reader;
using namespace kyuu::sctp::internal;  // NOLINT: a fuzz target is one page.

namespace {

void ConnectWith(Bytes init) {
  kyuu::SeededRandom random(1);
  const kyuu::sctp::Options options;
  kyuu::sctp::Association association(options, random);
  const absl::Status status = association.ConnectWith(
      absl::UnixEpoch(), {.local = kyuu::sctp::MakeInit(options, random),
                          .remote = {init.begin(), init.end()}});
  KYUU_CHECK(status == kyuu::sctp::ValidateInit(init));
  KYUU_CHECK(association.is_connected() == status.ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> packet(data, data + size);
  if (size >= CommonHeader::kSize) {
    kyuu::Writer(absl::MakeSpan(packet).subspan(8, 4)).U32(0);
    FinishPacket(absl::MakeSpan(packet));
  }
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
  ConnectWith({data, size});
  return 0;
}
