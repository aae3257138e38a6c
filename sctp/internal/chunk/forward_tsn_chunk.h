// FORWARD TSN and I-FORWARD-TSN: data that will not come any more (RFC 3758
// section 3.2, RFC 8260 section 2.3.1).

#ifndef KYUU_SCTP_INTERNAL_CHUNK_FORWARD_TSN_CHUNK_H_
#define KYUU_SCTP_INTERNAL_CHUNK_FORWARD_TSN_CHUNK_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

// A stream that is to go on after a message.
struct SkippedStream {
  StreamId stream{};
  Ssn ssn{};  // In FORWARD TSN, which names ordered messages only.
  Mid mid{};  // In I-FORWARD-TSN, which names both kinds.
  Ordering ordering = Ordering::kOrdered;

  friend bool operator==(const SkippedStream&, const SkippedStream&) = default;
};

//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |Type = 192, 194|  Flags = 0x00 |        Length = Variable      |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                      New Cumulative TSN                       |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// followed by one of these for each stream; in FORWARD TSN:
//
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |            Stream             |        Stream Sequence        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// in I-FORWARD-TSN:
//
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |       Stream Identifier       |          Reserved           |U|
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                       Message Identifier                      |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct ForwardTsnChunk {
  static constexpr size_t kHeaderSize = 8;
  static constexpr uint16_t kUnordered = 1;
  static constexpr size_t EntrySize(ChunkType type) {
    return type == ChunkType::kIForwardTsn ? 8 : 4;
  }

  Tsn new_cumulative_tsn;
  absl::InlinedVector<SkippedStream, 16> skipped;
  // FORWARD TSN or I-FORWARD-TSN.
  ChunkType type = ChunkType::kForwardTsn;

  static std::optional<ForwardTsnChunk> Parse(const ChunkView& chunk) {
    Reader reader(chunk.value);
    ForwardTsnChunk forward;
    forward.type = chunk.type;
    forward.new_cumulative_tsn = Tsn(reader.U32());
    const size_t size = EntrySize(chunk.type);
    if (!reader.ok() || reader.remaining() % size != 0) return std::nullopt;
    forward.skipped.reserve(reader.remaining() / size);
    while (!reader.empty()) {
      SkippedStream skip;
      skip.stream = static_cast<StreamId>(reader.U16());
      if (chunk.type == ChunkType::kIForwardTsn) {
        if ((reader.U16() & kUnordered) != 0) {
          skip.ordering = Ordering::kUnordered;
        }
        skip.mid = Mid(reader.U32());
      } else {
        skip.ssn = Ssn(reader.U16());
      }
      forward.skipped.push_back(skip);
    }
    return forward;
  }
  void Write(Writer& writer) const {
    ChunkWriter chunk(writer, type);
    writer.U32(new_cumulative_tsn.value());
    for (const SkippedStream& skip : skipped) {
      writer.U16(static_cast<uint16_t>(skip.stream));
      if (type == ChunkType::kIForwardTsn) {
        writer.U16(skip.ordering == Ordering::kUnordered ? kUnordered : 0);
        writer.U32(skip.mid.value());
      } else {
        writer.U16(skip.ssn.value());
      }
    }
  }
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CHUNK_FORWARD_TSN_CHUNK_H_
