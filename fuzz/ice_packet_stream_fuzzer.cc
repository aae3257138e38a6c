// Packets on a stream (RFC 4571): however the bytes are cut, the same packets
// are found, and what is sent is found again.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "ice/packet_stream.h"

namespace {

using kyuu::ice::PacketStream;
using Packets = std::vector<std::vector<uint8_t>>;

constexpr size_t kPacketMax = 400;

struct Heard {
  Packets packets;
  bool closed = false;
};

// What a stream hears that gets `bytes` in pieces of `piece`.
Heard Hear(absl::Span<const uint8_t> bytes, size_t piece) {
  PacketStream stream({.packet_bytes_max = kPacketMax});
  Heard heard;
  const absl::Time now = absl::UnixEpoch();
  std::array<uint8_t, 8> out;
  while (!bytes.empty()) {
    const size_t size = std::min(piece, bytes.size());
    stream.HandlePacket(now, bytes.first(size));
    bytes.remove_prefix(size);
    while (auto event = stream.PollEvent()) {
      KYUU_CHECK(!heard.closed);
      if (auto* got = std::get_if<PacketStream::Received>(&*event)) {
        KYUU_CHECK(!got->bytes.empty() && got->bytes.size() <= kPacketMax);
        heard.packets.emplace_back(got->bytes.begin(), got->bytes.end());
      } else {
        heard.closed = true;
      }
    }
    // Less than a packet and its length waits.
    KYUU_CHECK(stream.held_bytes() < kPacketMax + 2);
    KYUU_CHECK(!stream.PollTransmit(now, absl::MakeSpan(out)));
  }
  return heard;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = data[0] + size_t{1};
  const auto bytes = absl::MakeConstSpan(data + 1, size - 1);
  const Heard heard = Hear(bytes, piece);
  const Heard whole = Hear(bytes, size);
  KYUU_CHECK(heard.packets == whole.packets && heard.closed == whole.closed);

  PacketStream sender({.queued_bytes_max = 1 << 20});
  for (const std::vector<uint8_t>& packet : heard.packets) sender.Send(packet);
  std::vector<uint8_t> sent;
  std::vector<uint8_t> out(piece);
  while (auto more =
             sender.PollTransmit(absl::UnixEpoch(), absl::MakeSpan(out))) {
    sent.insert(sent.end(), more->begin(), more->end());
  }
  KYUU_CHECK(Hear(sent, piece).packets == heard.packets);
  return 0;
}
