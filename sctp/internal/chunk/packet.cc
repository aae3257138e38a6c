#include "sctp/internal/chunk/packet.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/crc32c.h"

namespace kyuu::sctp::internal {
namespace {

constexpr size_t kChecksumOffset = 8;

// The CRC32c of `packet` with zeros in the place of its checksum.
uint32_t PacketCrc(Bytes packet) {
  std::array<uint8_t, CommonHeader::kSize> header{};
  Writer(absl::MakeSpan(header)).Bytes(packet.first(kChecksumOffset));
  return Crc32c(packet.subspan(CommonHeader::kSize), Crc32c(header));
}

// The CRC as a big-endian number of its little-endian storage.
uint32_t Swapped(uint32_t crc) { return __builtin_bswap32(crc); }

}  // namespace

void CommonHeader::Write(Writer& writer) const {
  writer.U16(source_port);
  writer.U16(destination_port);
  writer.U32(verification_tag);
  writer.U32(0);
}

PacketView ParsePacket(Bytes packet, ZeroChecksum zero) {
  PacketView view;
  Reader reader(packet);
  view.header.source_port = reader.U16();
  view.header.destination_port = reader.U16();
  view.header.verification_tag = reader.U32();
  const uint32_t checksum = reader.U32();
  view.chunks = reader.Rest();
  if (!reader.ok()) {
    view.error = PacketError::kTooShort;
  } else if (checksum == 0 && zero == ZeroChecksum::kAccepted) {
    view.unchecked = true;
  } else if (checksum != Swapped(PacketCrc(packet))) {
    view.error = PacketError::kBadChecksum;
  }
  return view;
}

void FinishPacket(absl::Span<uint8_t> packet) {
  const uint32_t crc = Crc32c(packet);
  Writer(packet.subspan(kChecksumOffset, 4)).U32(Swapped(crc));
}

}  // namespace kyuu::sctp::internal
