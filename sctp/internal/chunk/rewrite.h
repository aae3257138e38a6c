// Parsing and writing a chunk of any type, for tests and fuzzers.

#ifndef KYUU_SCTP_INTERNAL_CHUNK_REWRITE_H_
#define KYUU_SCTP_INTERNAL_CHUNK_REWRITE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/internal/chunk/sack_chunk.h"

namespace kyuu::sctp::internal {

template <typename Chunk>
std::optional<std::vector<uint8_t>> Rewritten(
    const std::optional<Chunk>& chunk) {
  if (!chunk) return std::nullopt;
  // A rewritten INIT may be longer: extensions are named in two ways.
  std::vector<uint8_t> bytes(65536 + 1024);
  Writer writer(absl::MakeSpan(bytes));
  chunk->Write(writer);
  KYUU_CHECK(writer.ok() && writer.size() % 4 == 0);
  if (writer.size() > 65535) return std::nullopt;
  bytes.resize(writer.size());
  return bytes;
}

// RewriteChunk parses `chunk` and writes it again; nullopt if it has no codec
// or cannot be parsed.
inline std::optional<std::vector<uint8_t>> RewriteChunk(
    const ChunkView& chunk) {
  switch (chunk.type) {
    case ChunkType::kData:
    case ChunkType::kIData:
      return Rewritten(DataChunk::Parse(chunk));
    case ChunkType::kInit:
    case ChunkType::kInitAck: {
      std::optional<InitChunk> init = InitChunk::Parse(chunk);
      // To read, these are the sender's; to write into an INIT ACK, ours.
      if (init && init->type == ChunkType::kInitAck) init->unrecognized.clear();
      return Rewritten(init);
    }
    case ChunkType::kSack:
      return Rewritten(SackChunk::Parse(chunk));
    case ChunkType::kHeartbeat:
    case ChunkType::kHeartbeatAck:
      return Rewritten(HeartbeatChunk::Parse(chunk));
    case ChunkType::kShutdown:
      return Rewritten(ShutdownChunk::Parse(chunk));
    case ChunkType::kCookieEcho:
      return Rewritten(std::optional(CookieEchoChunk::Parse(chunk)));
    case ChunkType::kForwardTsn:
    case ChunkType::kIForwardTsn:
      return Rewritten(ForwardTsnChunk::Parse(chunk));
    case ChunkType::kReConfig:
      return Rewritten(ReconfigChunk::Parse(chunk));
    case ChunkType::kAbort:
    case ChunkType::kError:
      // Read for people only: it must end, and not crash.
      DescribeCauses(chunk);
      HasCause(chunk, ErrorCause::kStaleCookie);
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CHUNK_REWRITE_H_
