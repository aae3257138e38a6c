// FORWARD TSN: data that will not come any more (RFC 3758 section 3.2).

#ifndef KYUU_SCTP_INTERNAL_CHUNK_FORWARD_TSN_CHUNK_H_
#define KYUU_SCTP_INTERNAL_CHUNK_FORWARD_TSN_CHUNK_H_

#include <cstddef>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

// An ordered stream that is to go on after sequence number `ssn`.
struct SkippedStream {
  StreamId stream{};
  Ssn ssn;

  friend bool operator==(const SkippedStream&, const SkippedStream&) = default;
};

//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  Type = 192   |  Flags = 0x00 |        Length = Variable      |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                      New Cumulative TSN                       |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |         Stream-1              |       Stream Sequence-1       |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   /                                                               /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct ForwardTsnChunk {
  static constexpr size_t kHeaderSize = 8;

  Tsn new_cumulative_tsn;
  absl::InlinedVector<SkippedStream, 16> skipped;

  static std::optional<ForwardTsnChunk> Parse(const ChunkView& chunk) {
    Reader reader(chunk.value);
    ForwardTsnChunk forward;
    forward.new_cumulative_tsn = Tsn(reader.U32());
    if (!reader.ok() || reader.remaining() % 4 != 0) return std::nullopt;
    forward.skipped.reserve(reader.remaining() / 4);
    while (!reader.empty()) {
      const StreamId stream = static_cast<StreamId>(reader.U16());
      forward.skipped.push_back({stream, Ssn(reader.U16())});
    }
    return forward;
  }
  void Write(Writer& writer) const {
    ChunkWriter chunk(writer, ChunkType::kForwardTsn);
    writer.U32(new_cumulative_tsn.value());
    for (const SkippedStream& skip : skipped) {
      writer.U16(static_cast<uint16_t>(skip.stream));
      writer.U16(skip.ssn.value());
    }
  }
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CHUNK_FORWARD_TSN_CHUNK_H_
