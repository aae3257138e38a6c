// The header of a DTLS record, as far as it can be judged without keys.

#ifndef KYUU_DTLS_INTERNAL_RECORD_H_
#define KYUU_DTLS_INTERNAL_RECORD_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "dtls/record.h"

namespace kyuu::dtls::internal {

// RecordsSize returns how many bytes at the start of `datagram` are complete
// DTLS records (RFC 6347 section 4.1; a datagram may hold several):
//
//   ContentType type (1)         20 ChangeCipherSpec .. 23 application data
//   ProtocolVersion version (2)  fe ff (DTLS 1.0, in a ClientHello) or fe fd
//   uint16 epoch; uint48 sequence_number; uint16 length
//   opaque fragment[length]      at most 2^14 + 2048 bytes
//
// 0: not DTLS at all. What follows the last complete record is garbage.
inline size_t RecordsSize(absl::Span<const uint8_t> datagram) {
  constexpr uint8_t kChangeCipherSpec = 20, kApplicationData = 23;
  size_t size = 0;
  while (size < datagram.size()) {
    Reader r(datagram.subspan(size));
    const uint8_t type = r.U8();
    const uint16_t version = r.U16();
    r.Skip(2 + 6);
    const size_t length = r.U16();
    r.Skip(length);
    if (!r.ok() || type < kChangeCipherSpec || type > kApplicationData ||
        (version != 0xfeff && version != 0xfefd) ||
        length > kPlaintextMax + 2048) {
      break;
    }
    size = datagram.size() - r.remaining();
  }
  return size;
}

}  // namespace kyuu::dtls::internal

#endif  // KYUU_DTLS_INTERNAL_RECORD_H_
