// SACK: what has arrived (RFC 9260 section 3.3.4).

#ifndef KYUU_SCTP_INTERNAL_CHUNK_SACK_CHUNK_H_
#define KYUU_SCTP_INTERNAL_CHUNK_SACK_CHUNK_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/serial.h"

namespace kyuu::sctp::internal {

// A run of TSNs that arrived beyond a hole: offsets from the cumulative TSN
// ack, both ends included.
struct GapAckBlock {
  uint16_t start = 0;
  uint16_t end = 0;

  friend bool operator==(const GapAckBlock&, const GapAckBlock&) = default;
};

//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |   Type = 3    |  Chunk Flags  |         Chunk Length          |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                      Cumulative TSN Ack                       |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |          Advertised Receiver Window Credit (a_rwnd)           |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   | Number of Gap Ack Blocks = N  |  Number of Duplicate TSNs = M |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |    Gap Ack Block #1 Start     |     Gap Ack Block #1 End      |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   /                              ...                              /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                       Duplicate TSN M                         |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct SackChunk {
  static constexpr size_t kHeaderSize = 16;

  Tsn cumulative_tsn_ack;
  uint32_t a_rwnd = 0;
  absl::InlinedVector<GapAckBlock, 16> gap_ack_blocks;
  absl::InlinedVector<Tsn, 8> duplicate_tsns;

  // nullopt unless the two counts agree with the length. The blocks are
  // returned as they came: in any order, overlapping or reversed.
  static std::optional<SackChunk> Parse(const ChunkView& chunk);
  void Write(Writer& writer) const;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CHUNK_SACK_CHUNK_H_
