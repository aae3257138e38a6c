// DATA and I-DATA: user data (RFC 9260 section 3.3.1, RFC 8260 section 2.1).

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

// DATA:
//
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
//
// I-DATA, with which fragments name their message and their place in it, so
// that those of several messages may be mixed:
//
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |   Type = 64   |  Res  |I|U|B|E|       Length = Variable       |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                              TSN                              |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |        Stream Identifier      |           Reserved            |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                      Message Identifier                       |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |    Payload Protocol Identifier / Fragment Sequence Number     |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   /                           User Data                           /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct DataChunk {
  static constexpr size_t HeaderSize(ChunkType type) {
    return type == ChunkType::kIData ? 20 : 16;
  }

  static constexpr uint8_t kEnd = 1;        // E: last fragment.
  static constexpr uint8_t kBegin = 2;      // B: first fragment.
  static constexpr uint8_t kUnordered = 4;  // U: outside of all order.
  static constexpr uint8_t kImmediate = 8;  // I: do not delay the SACK.

  uint8_t flags = 0;
  Tsn tsn;
  StreamId stream{};
  Ssn ssn;  // Only in DATA.
  // In I-DATA only with the first fragment.
  Ppid ppid{};
  Bytes payload;  // May be empty here; the association aborts on that.
  // DATA or I-DATA.
  ChunkType type = ChunkType::kData;
  // Only in I-DATA. The first fragment of a message has number 0.
  Mid mid{};
  uint32_t fsn = 0;

  bool begin() const { return (flags & kBegin) != 0; }
  bool end() const { return (flags & kEnd) != 0; }
  bool unordered() const { return (flags & kUnordered) != 0; }
  bool immediate() const { return (flags & kImmediate) != 0; }

  static std::optional<DataChunk> Parse(const ChunkView& chunk) {
    if (chunk.value.size() < HeaderSize(chunk.type) - kChunkHeaderSize) {
      return std::nullopt;
    }
    Reader reader(chunk.value);
    DataChunk data;
    data.type = chunk.type;
    data.flags = chunk.flags;
    data.tsn = Tsn(reader.U32());
    data.stream = static_cast<StreamId>(reader.U16());
    const uint16_t ssn = reader.U16();
    if (chunk.type == ChunkType::kIData) {
      data.mid = Mid(reader.U32());
      const uint32_t shared = reader.U32();
      if (data.begin()) {
        data.ppid = static_cast<Ppid>(shared);
      } else {
        data.fsn = shared;
      }
    } else {
      data.ssn = Ssn(ssn);
      data.ppid = static_cast<Ppid>(reader.U32());
    }
    data.payload = reader.Rest();
    return data;
  }

  void Write(Writer& writer) const {
    const size_t length = HeaderSize(type) + payload.size();
    writer.U8(static_cast<uint8_t>(type));
    writer.U8(flags);
    writer.U16(static_cast<uint16_t>(length));
    writer.U32(tsn.value());
    writer.U16(static_cast<uint16_t>(stream));
    if (type == ChunkType::kIData) {
      writer.U16(0);
      writer.U32(mid.value());
      writer.U32(begin() ? static_cast<uint32_t>(ppid) : fsn);
    } else {
      writer.U16(ssn.value());
      writer.U32(static_cast<uint32_t>(ppid));
    }
    writer.Bytes(payload);
    writer.Zeros(PaddedSize(length) - length);
  }
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CHUNK_DATA_CHUNK_H_
