// CRC-32 of ITU V.42, the checksum of STUN's FINGERPRINT (RFC 8489 section
// 14.7).

#ifndef KYUU_BASE_CRC32_H_
#define KYUU_BASE_CRC32_H_

#include <cstdint>

#include "absl/types/span.h"

namespace kyuu {

// Crc32 returns the CRC-32 (polynomial 0x04c11db7, reflected) of `bytes`. To go
// on from a part computed before, pass its result as `crc`.
uint32_t Crc32(absl::Span<const uint8_t> bytes, uint32_t crc = 0);

}  // namespace kyuu

#endif  // KYUU_BASE_CRC32_H_
