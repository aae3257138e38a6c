#include "base/crc32c.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/types/span.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace kyuu {
namespace {

constexpr uint32_t kReflectedPolynomial = 0x82f63b78;

// Eight tables: table[k][b] is the CRC of byte b followed by k zero bytes.
using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) {
      crc = crc >> 1 ^ (crc & 1 ? kReflectedPolynomial : 0);
    }
    tables[0][b] = crc;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t b = 0; b < 256; ++b) {
      const uint32_t previous = tables[k - 1][b];
      tables[k][b] = previous >> 8 ^ tables[0][previous & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t Crc32cHardware(
    absl::Span<const uint8_t> bytes, uint32_t crc) {
  uint64_t state = ~crc;
  while (bytes.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    state = _mm_crc32_u64(state, word);
    bytes.remove_prefix(8);
  }
  uint32_t narrow = static_cast<uint32_t>(state);
  for (uint8_t b : bytes) narrow = _mm_crc32_u8(narrow, b);
  return ~narrow;
}
#endif

}  // namespace

namespace internal {

uint32_t Crc32cTable(absl::Span<const uint8_t> bytes, uint32_t crc) {
  crc = ~crc;
  while (bytes.size() >= 8) {
    uint32_t next = 0;
    for (size_t i = 0; i < 8; ++i) {
      const uint8_t mixed =
          i < 4 ? static_cast<uint8_t>(bytes[i] ^ crc >> 8 * i) : bytes[i];
      next ^= kTables[7 - i][mixed];
    }
    crc = next;
    bytes.remove_prefix(8);
  }
  for (uint8_t b : bytes) crc = crc >> 8 ^ kTables[0][(crc ^ b) & 0xff];
  return ~crc;
}

bool Crc32cHasHardware() {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("sse4.2");
  return has;
#else
  return false;
#endif
}

}  // namespace internal

uint32_t Crc32c(absl::Span<const uint8_t> bytes, uint32_t crc) {
#if defined(__x86_64__)
  if (internal::Crc32cHasHardware()) return Crc32cHardware(bytes, crc);
#endif
  return internal::Crc32cTable(bytes, crc);
}

}  // namespace kyuu
