// The header of a DTLS record, as far as it can be judged without keys.

#ifndef KYUU_DTLS_INTERNAL_RECORD_H_
#define KYUU_DTLS_INTERNAL_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "dtls/record.h"

namespace kyuu::dtls::internal {

// RFC 5246 section 6.2.1. The numbers 20 to 23 are all there are.
enum class ContentType : uint8_t {
  kChangeCipherSpec = 20,
  kAlert = 21,
  kHandshake = 22,
  kApplicationData = 23,
};

// The two epochs of a session that never renegotiates: in the clear, and under
// the keys of its one handshake.
inline constexpr uint16_t kClearEpoch = 0;
inline constexpr uint16_t kProtectedEpoch = 1;

// Sequence numbers have 48 bits.
inline constexpr uint64_t kSequenceEnd = uint64_t{1} << 48;

inline constexpr uint16_t kDtls10 = 0xfeff;  // In a ClientHello.
inline constexpr uint16_t kDtls12 = 0xfefd;

// Record is a view of one record (RFC 6347 section 4.1):
//
//   ContentType type (1)
//   ProtocolVersion version (2)
//   uint16 epoch; uint48 sequence_number; uint16 length
//   opaque fragment[length]      at most 2^14 + 2048 bytes
struct Record {
  ContentType type = ContentType::kApplicationData;
  uint16_t epoch = kClearEpoch;
  uint64_t sequence = 0;
  absl::Span<const uint8_t> bytes;  // Header and fragment.

  static constexpr size_t kHeaderBytes = 13;
};

// TakeRecord removes the first record of `datagram` (which may hold several)
// and returns it; nullopt if no whole one is there.
inline std::optional<Record> TakeRecord(absl::Span<const uint8_t>& datagram) {
  Reader r(datagram);
  const uint8_t type = r.U8();
  const uint16_t version = r.U16();
  Record record;
  record.epoch = r.U16();
  record.sequence = r.U48();
  const size_t length = r.U16();
  r.Skip(length);
  if (!r.ok() || type < static_cast<uint8_t>(ContentType::kChangeCipherSpec) ||
      type > static_cast<uint8_t>(ContentType::kApplicationData) ||
      (version != kDtls10 && version != kDtls12) ||
      length > kPlaintextMax + 2048) {
    return std::nullopt;
  }
  record.type = static_cast<ContentType>(type);
  record.bytes = datagram.first(Record::kHeaderBytes + length);
  datagram.remove_prefix(record.bytes.size());
  return record;
}

}  // namespace kyuu::dtls::internal

#endif  // KYUU_DTLS_INTERNAL_RECORD_H_
