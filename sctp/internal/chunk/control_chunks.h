// The small chunks: HEARTBEAT and its ACK, COOKIE ECHO and its ACK, SHUTDOWN,
// SHUTDOWN ACK and SHUTDOWN COMPLETE (RFC 9260 sections 3.3.5, 3.3.6, 3.3.8,
// 3.3.9 and 3.3.11 to 3.3.13).

#ifndef KYUU_SCTP_INTERNAL_CHUNK_CONTROL_CHUNKS_H_
#define KYUU_SCTP_INTERNAL_CHUNK_CONTROL_CHUNKS_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/serial.h"

namespace kyuu::sctp::internal {

//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  Type = 4, 5  |  Chunk Flags  |       Heartbeat Length        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |      Heartbeat Info Type = 1  |         HB Info Length        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   /                  Sender-Specific Heartbeat Info               /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct HeartbeatChunk {
  static constexpr uint16_t kInfoType = 1;

  // HEARTBEAT or HEARTBEAT ACK.
  ChunkType type = ChunkType::kHeartbeat;
  // The info without its parameter header.
  Bytes info;

  // The size of the whole chunk, padded.
  size_t size() const { return PaddedSize(8 + info.size()); }

  static std::optional<HeartbeatChunk> Parse(const ChunkView& chunk) {
    Reader reader(chunk.value);
    const std::optional<ParameterView> parameter = NextParameter(reader);
    if (!parameter || parameter->type != kInfoType) return std::nullopt;
    return HeartbeatChunk{chunk.type, parameter->value};
  }
  void Write(Writer& writer) const {
    ChunkWriter chunk(writer, type);
    ParameterWriter parameter(writer, kInfoType);
    writer.Bytes(info);
  }
};

//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |   Type = 10   |  Chunk Flags  |            Length             |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   /                            Cookie                             /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct CookieEchoChunk {
  Bytes cookie;

  static CookieEchoChunk Parse(const ChunkView& chunk) {
    return CookieEchoChunk{chunk.value};
  }
  void Write(Writer& writer) const {
    ChunkWriter chunk(writer, ChunkType::kCookieEcho);
    writer.Bytes(cookie);
  }
};

//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |   Type = 7    |  Chunk Flags  |          Length = 8           |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                      Cumulative TSN Ack                       |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct ShutdownChunk {
  Tsn cumulative_tsn_ack;

  static std::optional<ShutdownChunk> Parse(const ChunkView& chunk) {
    Reader reader(chunk.value);
    const ShutdownChunk shutdown{Tsn(reader.U32())};
    if (!reader.Finish()) return std::nullopt;
    return shutdown;
  }
  void Write(Writer& writer) const {
    ChunkWriter chunk(writer, ChunkType::kShutdown);
    writer.U32(cumulative_tsn_ack.value());
  }
};

// The chunks that are a header and nothing else. In SHUTDOWN COMPLETE and
// ABORT, the T bit says that the verification tag is the sender's own
// (RFC 9260 section 8.5.1).
//
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |Type= 8, 11, 14|  Reserved   |T|          Length = 4           |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
inline constexpr uint8_t kReflectedTag = 1;

inline void WriteEmptyChunk(Writer& writer, ChunkType type, uint8_t flags = 0) {
  ChunkWriter chunk(writer, type, flags);
}

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CHUNK_CONTROL_CHUNKS_H_
