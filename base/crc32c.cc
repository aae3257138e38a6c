#include "base/crc32c.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/types/span.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
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
// x^n modulo the polynomial, reflected: bit 31 is x^0.
constexpr uint32_t PowerOfX(size_t n) {
  uint32_t power = 0x80000000;
  for (; n > 0; --n) {
    power = power >> 1 ^ (power & 1 ? kReflectedPolynomial : 0);
  }
  return power;
}

uint64_t Load(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

// The state after `kBytes` zero bytes. A reflected product of 32 by 32 bits
// lacks one factor x, and the instruction that reduces it adds 32.
template <size_t kBytes>
__attribute__((target("sse4.2,pclmul"))) uint64_t Advance(uint64_t state) {
  constexpr uint32_t kFactor = PowerOfX(8 * kBytes - 33);
  const __m128i product =
      _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<int64_t>(state)),
                           _mm_cvtsi64_si128(kFactor), 0);
  return _mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(product)));
}

// Takes blocks of three times `kBytes` as three streams side by side: the
// instruction takes three cycles, and one can begin in each.
template <size_t kBytes>
__attribute__((target("sse4.2,pclmul"))) uint64_t ThreeStreams(
    absl::Span<const uint8_t>& bytes, uint64_t state) {
  while (bytes.size() >= 3 * kBytes) {
    const uint8_t* p = bytes.data();
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < kBytes; i += 8) {
      state = _mm_crc32_u64(state, Load(p + i));
      second = _mm_crc32_u64(second, Load(p + kBytes + i));
      third = _mm_crc32_u64(third, Load(p + 2 * kBytes + i));
    }
    state = Advance<2 * kBytes>(state) ^ Advance<kBytes>(second) ^ third;
    bytes.remove_prefix(3 * kBytes);
  }
  return state;
}

// One block is most of a full packet, the other a small one's.
constexpr size_t kLongStream = 384;
constexpr size_t kShortStream = 64;

__attribute__((target("sse4.2,pclmul"))) uint32_t Crc32cHardware(
    absl::Span<const uint8_t> bytes, uint32_t crc) {
  uint64_t state = static_cast<uint32_t>(~crc);
  state = ThreeStreams<kLongStream>(bytes, state);
  state = ThreeStreams<kShortStream>(bytes, state);
  while (bytes.size() >= 8) {
    state = _mm_crc32_u64(state, Load(bytes.data()));
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
  static const bool has =
      __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
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
