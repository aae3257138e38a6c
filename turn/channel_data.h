// ChannelData, the short form of a relayed datagram (RFC 8656 section 12.4).

#ifndef KYUU_TURN_CHANNEL_DATA_H_
#define KYUU_TURN_CHANNEL_DATA_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/types/span.h"

namespace kyuu::turn {

//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |         Channel Number        |            Length             |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                       Application Data                        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
inline constexpr size_t kChannelHeaderSize = 4;

// RFC 8656 section 12: numbers that a client may bind.
inline constexpr uint16_t kChannelMin = 0x4000;
inline constexpr uint16_t kChannelMax = 0x4fff;
// RFC 5766 section 11 let clients bind up to here; old ones still do.
inline constexpr uint16_t kChannelMaxRfc5766 = 0x7fff;

// One message; `payload` points into the bytes it was read from.
struct ChannelData {
  uint16_t channel = 0;
  absl::Span<const uint8_t> payload;
};

// IsChannelData tells ChannelData from STUN by the first byte: 64 to 79 (RFC
// 7983 section 7), and up to 127 for the numbers of RFC 5766.
inline bool IsChannelData(absl::Span<const uint8_t> bytes) {
  return !bytes.empty() && (bytes[0] & 0xc0) == 0x40;
}

// ReadChannelData reads a datagram. nullopt if it is not ChannelData or is
// shorter than its length field says; bytes beyond that are padding (section
// 12.5) and left out. Which of the numbers 0x4000 to 0x7fff are bound is for
// the caller to know.
std::optional<ChannelData> ReadChannelData(absl::Span<const uint8_t> datagram);

// WriteChannelHeader fills the first kChannelHeaderSize bytes of `out`, which
// go in front of a payload of `payload_size` bytes, at most 65535.
void WriteChannelHeader(uint16_t channel, size_t payload_size,
                        absl::Span<uint8_t> out);

}  // namespace kyuu::turn

#endif  // KYUU_TURN_CHANNEL_DATA_H_
