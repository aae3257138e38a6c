// CRC32c, the checksum of SCTP (RFC 9260 appendix A).

#ifndef KYUU_BASE_CRC32C_H_
#define KYUU_BASE_CRC32C_H_

#include <cstdint>

#include "absl/types/span.h"

namespace kyuu {

// Crc32c returns the CRC32c (polynomial 0x1edc6f41, reflected) of `bytes`, as
// a number; SCTP stores it with the least significant byte first. To go on
// from a part computed before, pass its result as `crc`. Uses the instructions
// of the processor that there are: SSE 4.2, or AVX-512's products.
uint32_t Crc32c(absl::Span<const uint8_t> bytes, uint32_t crc = 0);

namespace internal {
using Crc32cMethod = uint32_t (*)(absl::Span<const uint8_t> bytes,
                                  uint32_t crc);
// The portable implementation, by tables.
uint32_t Crc32cTable(absl::Span<const uint8_t> bytes, uint32_t crc);
// All that this processor can run, the fastest first (for tests).
absl::Span<const Crc32cMethod> Crc32cMethods();
}  // namespace internal

}  // namespace kyuu

#endif  // KYUU_BASE_CRC32C_H_
