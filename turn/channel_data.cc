#include "turn/channel_data.h"

#include "base/bytes.h"

namespace kyuu::turn {

std::optional<ChannelData> ReadChannelData(absl::Span<const uint8_t> datagram) {
  Reader r(datagram);
  const uint16_t channel = r.U16();
  const absl::Span<const uint8_t> payload = r.Bytes(r.U16());
  if (!r.ok() || channel < kChannelMin || channel > kChannelMaxRfc5766) {
    return std::nullopt;
  }
  return ChannelData{channel, payload};
}

void WriteChannelHeader(uint16_t channel, size_t payload_size,
                        absl::Span<uint8_t> out) {
  Writer w(out);
  w.U16(channel);
  w.U16(static_cast<uint16_t>(payload_size));
}

}  // namespace kyuu::turn
