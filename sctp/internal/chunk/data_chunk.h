// DATA: user data (RFC 9260 section 3.3.1).

#ifndef KYUU_SCTP_INTERNAL_CHUNK_DATA_CHUNK_H_
#define KYUU_SCTP_INTERNAL_CHUNK_DATA_CHUNK_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |   Type = 0    |  Res  |I|U|B|E|            Length             |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                              TSN                              |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |      Stream Identifier S      |   Stream Sequence Number n    |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                  Payload Protocol Identifier                  |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   /                   User Data (seq n of Stream S)               /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct DataChunk {
  static constexpr size_t kHeaderSize = 16;

  static constexpr uint8_t kEnd = 1;        // E: last fragment.
  static constexpr uint8_t kBegin = 2;      // B: first fragment.
  static constexpr uint8_t kUnordered = 4;  // U: the SSN means nothing.
  static constexpr uint8_t kImmediate = 8;  // I: do not delay the SACK.

  uint8_t flags = 0;
  Tsn tsn;
  StreamId stream{};
  Ssn ssn;
  Ppid ppid{};
  Bytes payload;  // May be empty here; the association aborts on that.

  bool begin() const { return (flags & kBegin) != 0; }
  bool end() const { return (flags & kEnd) != 0; }
  bool unordered() const { return (flags & kUnordered) != 0; }
  bool immediate() const { return (flags & kImmediate) != 0; }

  static std::optional<DataChunk> Parse(const ChunkView& chunk) {
    if (chunk.value.size() < kHeaderSize - kChunkHeaderSize) {
      return std::nullopt;
    }
    Reader reader(chunk.value);
    DataChunk data;
    data.flags = chunk.flags;
    data.tsn = Tsn(reader.U32());
    data.stream = static_cast<StreamId>(reader.U16());
    data.ssn = Ssn(reader.U16());
    data.ppid = static_cast<Ppid>(reader.U32());
    data.payload = reader.Rest();
    return data;
  }

  void Write(Writer& writer) const {
    const size_t length = kHeaderSize + payload.size();
    writer.U8(static_cast<uint8_t>(ChunkType::kData));
    writer.U8(flags);
    writer.U16(static_cast<uint16_t>(length));
    writer.U32(tsn.value());
    writer.U16(static_cast<uint16_t>(stream));
    writer.U16(ssn.value());
    writer.U32(static_cast<uint32_t>(ppid));
    writer.Bytes(payload);
    writer.Zeros(PaddedSize(length) - length);
  }
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CHUNK_DATA_CHUNK_H_
