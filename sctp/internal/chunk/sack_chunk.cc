#include "sctp/internal/chunk/sack_chunk.h"

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"

namespace kyuu::sctp::internal {

std::optional<SackChunk> SackChunk::Parse(const ChunkView& chunk) {
  SackChunk sack;
  Reader reader(chunk.value);
  sack.cumulative_tsn_ack = Tsn(reader.U32());
  sack.a_rwnd = reader.U32();
  const size_t blocks = reader.U16();
  const size_t duplicates = reader.U16();
  if (!reader.ok() || reader.remaining() != 4 * (blocks + duplicates)) {
    return std::nullopt;
  }
  sack.gap_ack_blocks.resize(blocks);
  for (GapAckBlock& block : sack.gap_ack_blocks) {
    block.start = reader.U16();
    block.end = reader.U16();
  }
  sack.duplicate_tsns.resize(duplicates);
  for (Tsn& tsn : sack.duplicate_tsns) tsn = Tsn(reader.U32());
  return sack;
}

void SackChunk::Write(Writer& writer) const {
  ChunkWriter chunk(writer, ChunkType::kSack);
  writer.U32(cumulative_tsn_ack.value());
  writer.U32(a_rwnd);
  writer.U16(static_cast<uint16_t>(gap_ack_blocks.size()));
  writer.U16(static_cast<uint16_t>(duplicate_tsns.size()));
  for (const GapAckBlock& block : gap_ack_blocks) {
    writer.U16(block.start);
    writer.U16(block.end);
  }
  for (Tsn tsn : duplicate_tsns) writer.U32(tsn.value());
}

}  // namespace kyuu::sctp::internal
