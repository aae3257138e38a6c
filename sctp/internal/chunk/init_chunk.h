// INIT and INIT ACK: the opening of the handshake (RFC 9260 sections 3.3.2
// and 3.3.3), which differ only in their type and in the cookie.

#ifndef KYUU_SCTP_INTERNAL_CHUNK_INIT_CHUNK_H_
#define KYUU_SCTP_INTERNAL_CHUNK_INIT_CHUNK_H_

#include <cstdint>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/serial.h"

namespace kyuu::sctp::internal {

// The parameters that we know by name; the IANA registry "Chunk Parameter
// Types".
enum class InitParameter : uint16_t {
  kIpv4Address = 5,
  kIpv6Address = 6,
  kStateCookie = 7,
  kUnrecognized = 8,
  kCookiePreservative = 9,
  kHostName = 11,
  kSupportedAddressTypes = 12,
  kEcnCapable = 0x8000,
  kZeroChecksum = 0x8001,         // RFC 9653.
  kRandom = 0x8002,               // RFC 4895.
  kChunkList = 0x8003,            // RFC 4895.
  kHmacAlgorithms = 0x8004,       // RFC 4895.
  kPadding = 0x8005,              // RFC 4820.
  kSupportedExtensions = 0x8008,  // RFC 5061 section 4.2.7.
  kForwardTsnSupported = 0xc000,  // RFC 3758 section 3.1.
  kAdaptationLayer = 0xc006,      // RFC 5061 section 4.2.6.
};

// What one end can do beyond RFC 9260.
struct Extensions {
  bool forward_tsn = false;
  bool re_config = false;
  // RFC 8260 section 2.2.1.
  bool i_data = false;
  bool i_forward_tsn = false;
  // RFC 9653: packets without a checksum are taken, since they come over DTLS.
  bool zero_checksum = false;

  friend bool operator==(const Extensions&, const Extensions&) = default;
};

//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  Type = 1, 2  |  Chunk Flags  |         Chunk Length          |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                         Initiate Tag                          |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |          Advertised Receiver Window Credit (a_rwnd)           |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  Number of Outbound Streams   |   Number of Inbound Streams   |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                          Initial TSN                          |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   /              Optional/Variable-Length Parameters              /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct InitChunk {
  // INIT or INIT ACK.
  ChunkType type = ChunkType::kInit;
  uint32_t initiate_tag = 0;
  uint32_t a_rwnd = 0;
  uint16_t outbound_streams = 0;
  uint16_t inbound_streams = 0;
  Tsn initial_tsn;
  Extensions extensions;
  // INIT ACK only; empty if it was missing.
  Bytes cookie;
  // Whole parameters of unknown type that ask to be reported (RFC 9260
  // section 3.2.1): as parsed, those of the sender; to write, those that we
  // report inside of Unrecognized Parameter. At most kMaxUnrecognized.
  static constexpr size_t kMaxUnrecognized = 4;
  absl::InlinedVector<Bytes, kMaxUnrecognized> unrecognized;

  // nullopt if a parameter does not fit; views point into `chunk`.
  static std::optional<InitChunk> Parse(const ChunkView& chunk);
  void Write(Writer& writer) const;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CHUNK_INIT_CHUNK_H_
