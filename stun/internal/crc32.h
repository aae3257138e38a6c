// CRC-32 of ITU V.42, the checksum of FINGERPRINT (RFC 8489 section 14.7).

#ifndef KYUU_STUN_INTERNAL_CRC32_H_
#define KYUU_STUN_INTERNAL_CRC32_H_

#include <cstdint>

#include "absl/types/span.h"

namespace kyuu::stun::internal {

// Crc32 returns the CRC-32 (polynomial 0x04c11db7, reflected) of `bytes`. To go
// on from a part computed before, pass its result as `crc`.
uint32_t Crc32(absl::Span<const uint8_t> bytes, uint32_t crc = 0);

}  // namespace kyuu::stun::internal

#endif  // KYUU_STUN_INTERNAL_CRC32_H_
