#include "base/crc32c.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/types/span.h"

#if defined(__x86_64__)
#include <immintrin.h>
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

__attribute__((target("sse4.2"))) uint32_t OneStream(
    absl::Span<const uint8_t> bytes, uint64_t state) {
  while (bytes.size() >= 8) {
    state = _mm_crc32_u64(state, Load(bytes.data()));
    bytes.remove_prefix(8);
  }
  uint32_t narrow = static_cast<uint32_t>(state);
  if (bytes.size() >= 4) {
    uint32_t word;
    std::memcpy(&word, bytes.data(), sizeof(word));
    narrow = _mm_crc32_u32(narrow, word);
    bytes.remove_prefix(4);
  }
  for (uint8_t b : bytes) narrow = _mm_crc32_u8(narrow, b);
  return ~narrow;
}

__attribute__((target("sse4.2,pclmul"))) uint32_t Crc32cStreams(
    absl::Span<const uint8_t> bytes, uint32_t crc) {
  uint64_t state = static_cast<uint32_t>(~crc);
  state = ThreeStreams<kLongStream>(bytes, state);
  state = ThreeStreams<kShortStream>(bytes, state);
  return OneStream(bytes, state);
}

#define KYUU_FOLDING \
  __attribute__((target("sse4.2,avx512f,avx512bw,vpclmulqdq")))

// What takes 16 bytes to a place `kBits` further on: their first half has 64
// more to go, and a reflected product of 64 by 32 bits lacks 33 factors x.
template <size_t kBits>
struct Further {
  static constexpr int64_t kFirstHalf = PowerOfX(kBits + 64 - 33);
  static constexpr int64_t kSecondHalf = PowerOfX(kBits - 33);
};

template <size_t kBits>
KYUU_FOLDING __m512i FoldFactors() {
  return _mm512_set4_epi64(
      Further<kBits>::kSecondHalf, Further<kBits>::kFirstHalf,
      Further<kBits>::kSecondHalf, Further<kBits>::kFirstHalf);
}

// `state`, moved on by `factors`, added to what is there.
KYUU_FOLDING __m512i Fold(__m512i state, __m512i factors, __m512i there) {
  constexpr int kSumOfThree = 0x96;
  return _mm512_ternarylogic_epi64(
      _mm512_clmulepi64_epi128(state, factors, 0x00),
      _mm512_clmulepi64_epi128(state, factors, 0x11), there, kSumOfThree);
}

KYUU_FOLDING __m512i Load64(const uint8_t* bytes) {
  return _mm512_loadu_si512(bytes);
}

template <int kIndex>
KYUU_FOLDING __m128i Quarter(__m512i all) {
  // The form without a mask has a variable that g++ 12 finds uninitialized.
  return _mm512_maskz_extracti32x4_epi32(0xf, all, kIndex);
}

// The first block of 64 bytes, or so many zeros in front of what there is
// beyond whole blocks: zeros before the state change nothing.
KYUU_FOLDING __m512i FirstBlock(absl::Span<const uint8_t>& bytes,
                                uint32_t state) {
  const size_t odd = bytes.size() % 64;
  const size_t begin = (64 - odd) % 64;
  // Of the four bytes of the state, each where the word is turned to.
  const int turned = static_cast<int>(8 * (begin % 8));
  const __m512i start = _mm512_maskz_mov_epi8(
      uint64_t{0xf} << begin, _mm512_set1_epi64(static_cast<int64_t>(
                                  std::rotl(uint64_t{state}, turned))));
  // What is masked out is not read.
  const __m512i block =
      _mm512_maskz_loadu_epi8(~uint64_t{0} << begin, bytes.data() - begin);
  bytes.remove_prefix(64 - begin);
  return _mm512_xor_si512(block, start);
}

// Takes all bytes, of which there are four at least.
KYUU_FOLDING uint32_t FoldBlocks(absl::Span<const uint8_t> bytes,
                                 uint32_t state) {
  __m512i sum = FirstBlock(bytes, state);
  const __m512i by_one = FoldFactors<512>();
  if (bytes.size() >= 192) {
    // Four side by side: a product takes several cycles.
    const __m512i by_four = FoldFactors<4 * 512>();
    __m512i second = Load64(bytes.data());
    __m512i third = Load64(bytes.data() + 64);
    __m512i fourth = Load64(bytes.data() + 128);
    for (bytes.remove_prefix(192); bytes.size() >= 256;
         bytes.remove_prefix(256)) {
      const uint8_t* p = bytes.data();
      sum = Fold(sum, by_four, Load64(p));
      second = Fold(second, by_four, Load64(p + 64));
      third = Fold(third, by_four, Load64(p + 128));
      fourth = Fold(fourth, by_four, Load64(p + 192));
    }
    sum = Fold(sum, by_one, second);
    sum = Fold(sum, by_one, third);
    sum = Fold(sum, by_one, fourth);
  }
  for (; bytes.size() >= 64; bytes.remove_prefix(64)) {
    sum = Fold(sum, by_one, Load64(bytes.data()));
  }
  // The first three quarters go to the place of the last one.
  const __m512i to_last = _mm512_set_epi64(
      0, 0, Further<128>::kSecondHalf, Further<128>::kFirstHalf,
      Further<256>::kSecondHalf, Further<256>::kFirstHalf,
      Further<384>::kSecondHalf, Further<384>::kFirstHalf);
  const __m512i moved = Fold(sum, to_last, _mm512_setzero_si512());
  const __m128i all =
      _mm_xor_si128(_mm_xor_si128(Quarter<0>(moved), Quarter<1>(moved)),
                    _mm_xor_si128(Quarter<2>(moved), Quarter<3>(sum)));
  const uint64_t half =
      _mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(all)));
  return static_cast<uint32_t>(
      _mm_crc32_u64(half, static_cast<uint64_t>(_mm_extract_epi64(all, 1))));
}

KYUU_FOLDING uint32_t Crc32cFolding(absl::Span<const uint8_t> bytes,
                                    uint32_t crc) {
  if (bytes.size() < 64) return OneStream(bytes, static_cast<uint32_t>(~crc));
  // The state has its four bytes in the first block.
  const size_t few = bytes.size() % 64 < 4 ? bytes.size() % 64 : 0;
  if (few > 0) crc = OneStream(bytes.first(few), static_cast<uint32_t>(~crc));
  return ~FoldBlocks(bytes.subspan(few), ~crc);
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

absl::Span<const Crc32cMethod> Crc32cMethods() {
  static const std::vector<Crc32cMethod> methods = [] {
    std::vector<Crc32cMethod> found;
#if defined(__x86_64__)
    const bool streams =
        __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
    if (streams && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("vpclmulqdq")) {
      found.push_back(Crc32cFolding);
    }
    if (streams) found.push_back(Crc32cStreams);
#endif
    found.push_back(Crc32cTable);
    return found;
  }();
  return methods;
}

}  // namespace internal

uint32_t Crc32c(absl::Span<const uint8_t> bytes, uint32_t crc) {
  static const internal::Crc32cMethod fastest =
      internal::Crc32cMethods().front();
  return fastest(bytes, crc);
}

}  // namespace kyuu
