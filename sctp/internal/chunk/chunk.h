// What all chunks have in common (RFC 9260 section 3.2): the header, the walk
// over a packet or a list of parameters, and the rules for unknown types.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  Chunk Type   |  Chunk Flags  |         Chunk Length          |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   /                          Chunk Value                          /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// Codecs check format only. They return std::nullopt for what cannot be read:
// the association counts it and needs no text about it.

#ifndef KYUU_SCTP_INTERNAL_CHUNK_CHUNK_H_
#define KYUU_SCTP_INTERNAL_CHUNK_CHUNK_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "base/bytes.h"

namespace kyuu::sctp::internal {

using Bytes = absl::Span<const uint8_t>;

// The IANA registry "Chunk Types".
enum class ChunkType : uint8_t {
  kData = 0,
  kInit = 1,
  kInitAck = 2,
  kSack = 3,
  kHeartbeat = 4,
  kHeartbeatAck = 5,
  kAbort = 6,
  kShutdown = 7,
  kShutdownAck = 8,
  kError = 9,
  kCookieEcho = 10,
  kCookieAck = 11,
  kShutdownComplete = 14,
  kIData = 64,         // RFC 8260.
  kReConfig = 130,     // RFC 6525.
  kPad = 132,          // RFC 4820.
  kForwardTsn = 192,   // RFC 3758.
  kIForwardTsn = 194,  // RFC 8260.
};

inline constexpr size_t kChunkHeaderSize = 4;

inline constexpr size_t PaddedSize(size_t size) {
  return (size + 3) & ~size_t{3};
}

// ChunkView is one chunk of a packet, without its padding. It does not own.
struct ChunkView {
  ChunkType type{};
  uint8_t flags = 0;
  Bytes value;
  Bytes whole;  // Header and value, for reports about an unknown chunk.
};

// NextChunk takes the next chunk from `reader`. nullopt with reader.ok() at
// the end of the packet, and with a failed reader if the chunk is shorter than
// its header or longer than the packet. The padding of the last chunk may be
// missing, which RFC 9260 forbids and some senders do.
inline std::optional<ChunkView> NextChunk(Reader& reader) {
  if (!reader.ok() || reader.empty()) return std::nullopt;
  if (reader.remaining() < kChunkHeaderSize) {
    reader.Fail();
    return std::nullopt;
  }
  const size_t length =
      static_cast<size_t>(reader.Peek(2)) << 8 | reader.Peek(3);
  if (length < kChunkHeaderSize) reader.Fail();
  ChunkView chunk;
  chunk.whole = reader.Bytes(length);
  if (!reader.ok()) return std::nullopt;
  const size_t padding = PaddedSize(length) - length;
  reader.Skip(padding < reader.remaining() ? padding : reader.remaining());
  chunk.type = static_cast<ChunkType>(chunk.whole[0]);
  chunk.flags = chunk.whole[1];
  chunk.value = chunk.whole.subspan(kChunkHeaderSize);
  return chunk;
}

// The two highest bits of an unknown type say what to do (RFC 9260 section
// 3.2): whether to go on after it, and whether to report it.
enum class UnknownAction : uint8_t {
  kStop = 0,
  kStopAndReport = 1,
  kSkip = 2,
  kSkipAndReport = 3,
};
inline UnknownAction UnknownChunkAction(ChunkType type) {
  return static_cast<UnknownAction>(static_cast<uint8_t>(type) >> 6);
}
inline UnknownAction UnknownParameterAction(uint16_t type) {
  return static_cast<UnknownAction>(type >> 14);
}

// ParameterView is a parameter or an error cause: both are type, length and
// value (RFC 9260 sections 3.2.1 and 3.3.10).
//
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |        Parameter Type         |       Parameter Length        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   /                        Parameter Value                        /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct ParameterView {
  uint16_t type = 0;
  Bytes value;
  Bytes whole;
};

// NextParameter works like NextChunk, on a list of parameters.
inline std::optional<ParameterView> NextParameter(Reader& reader) {
  if (!reader.ok() || reader.empty()) return std::nullopt;
  if (reader.remaining() < 4) {
    reader.Fail();
    return std::nullopt;
  }
  const size_t length =
      static_cast<size_t>(reader.Peek(2)) << 8 | reader.Peek(3);
  if (length < 4) reader.Fail();
  ParameterView parameter;
  parameter.whole = reader.Bytes(length);
  if (!reader.ok()) return std::nullopt;
  const size_t padding = PaddedSize(length) - length;
  reader.Skip(padding < reader.remaining() ? padding : reader.remaining());
  parameter.type =
      static_cast<uint16_t>(parameter.whole[0] << 8 | parameter.whole[1]);
  parameter.value = parameter.whole.subspan(4);
  return parameter;
}

// ChunkWriter writes a chunk's header now; when it goes out of scope it writes
// the length and pads. `writer` must stand at a multiple of 4.
class ChunkWriter {
 public:
  ChunkWriter(Writer& writer, ChunkType type, uint8_t flags = 0)
      : writer_(writer), start_(writer.size()) {
    writer.U8(static_cast<uint8_t>(type));
    writer.U8(flags);
    writer.U16(0);
  }
  ChunkWriter(const ChunkWriter&) = delete;
  ChunkWriter& operator=(const ChunkWriter&) = delete;
  ~ChunkWriter() {
    if (!writer_.ok()) return;
    writer_.Patch16(start_ + 2, static_cast<uint16_t>(writer_.size() - start_));
    writer_.Zeros(PaddedSize(writer_.size() - start_) -
                  (writer_.size() - start_));
  }

 private:
  Writer& writer_;
  size_t start_;
};

// ParameterWriter does the same for a parameter or an error cause within a
// chunk, and leaves the padding to what follows.
class ParameterWriter {
 public:
  ParameterWriter(Writer& writer, uint16_t type) : writer_(writer) {
    // The parameter before is padded only now: the padding of the last one is
    // not part of the chunk's length (RFC 9260 section 3.2.1).
    writer.PadTo(4);
    start_ = writer.size();
    writer.U16(type);
    writer.U16(0);
  }
  ParameterWriter(const ParameterWriter&) = delete;
  ParameterWriter& operator=(const ParameterWriter&) = delete;
  ~ParameterWriter() {
    if (!writer_.ok()) return;
    writer_.Patch16(start_ + 2, static_cast<uint16_t>(writer_.size() - start_));
  }

 private:
  Writer& writer_;
  size_t start_ = 0;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CHUNK_CHUNK_H_
