#include "turn/framing.h"

#include "base/bytes.h"
#include "stun/protocol.h"
#include "turn/channel_data.h"

namespace kyuu::turn {

absl::StatusOr<std::optional<Frame>> ReadFrame(
    absl::Span<const uint8_t> stream) {
  if (stream.empty()) return std::nullopt;
  Reader r(stream);
  if (IsChannelData(stream)) {
    if (stream.size() < kChannelHeaderSize) return std::nullopt;
    r.U16();
    const size_t size = kChannelHeaderSize + r.U16();
    return Frame{size, (4 - size % 4) % 4};
  }
  // RFC 8489 section 5: the two most significant bits of STUN are zeros.
  if ((stream[0] & 0xc0) != 0) {
    return absl::InvalidArgumentError("neither STUN nor ChannelData");
  }
  if (stream.size() < 8) return std::nullopt;
  r.U16();
  const size_t size = r.U16();
  if (size % 4 != 0 || r.U32() != stun::kMagicCookie) {
    return absl::InvalidArgumentError("no STUN message");
  }
  return Frame{stun::kHeaderSize + size, 0};
}

}  // namespace kyuu::turn
