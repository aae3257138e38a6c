// The common header and the checksum of an SCTP packet.

#ifndef KYUU_SCTP_INTERNAL_CHUNK_PACKET_H_
#define KYUU_SCTP_INTERNAL_CHUNK_PACKET_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"

namespace kyuu::sctp::internal {

// RFC 9260 section 3.1:
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |      Source Port Number       |    Destination Port Number    |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                       Verification Tag                        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                           Checksum                            |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct CommonHeader {
  static constexpr size_t kSize = 12;

  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint32_t verification_tag = 0;

  // Writes the header with a checksum of zero; FinishPacket fills it in.
  void Write(Writer& writer) const;
};

enum class PacketError : uint8_t { kNone, kTooShort, kBadChecksum };

// Whether a packet may do without its checksum, whose field is then zero
// (RFC 9653 section 5.3).
enum class ZeroChecksum : uint8_t { kRefused, kAccepted };

// PacketView is a packet whose checksum was right, or zero and accepted.
struct PacketView {
  CommonHeader header;
  Bytes chunks;
  bool unchecked = false;  // There was none.
  PacketError error = PacketError::kNone;
};

// ParsePacket reads the header and checks the CRC32c over the whole packet.
// The chunks are valid only if `error` is kNone.
PacketView ParsePacket(Bytes packet,
                       ZeroChecksum zero = ZeroChecksum::kRefused);

// FinishPacket computes the CRC32c of a packet that is complete but for its
// checksum, which is still zero, and stores it, least significant byte first
// (RFC 9260 appendix A).
void FinishPacket(absl::Span<uint8_t> packet);

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CHUNK_PACKET_H_
