#include "base/random.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <string>

#include "absl/types/span.h"

namespace kyuu {

uint16_t Random::U16() { return static_cast<uint16_t>(U32()); }

uint32_t Random::U32() {
  std::array<uint8_t, 4> b;
  Fill(absl::MakeSpan(b));
  return uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 |
         b[3];
}

uint64_t Random::U64() {
  const uint64_t high = U32();
  return high << 32 | U32();
}

uint64_t Random::Below(uint64_t bound) {
  // Numbers below `skip` would make the small remainders more likely.
  const uint64_t skip = (0 - bound) % bound;
  while (true) {
    const uint64_t value = U64();
    if (value >= skip) return value % bound;
  }
}

double Random::Fraction() {
  return static_cast<double>(U64() >> 11) * 0x1.0p-53;
}

std::string Random::IceChars(size_t size) {
  static constexpr char kAlphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result(size, '\0');
  Fill(absl::MakeSpan(reinterpret_cast<uint8_t*>(result.data()), size));
  for (char& c : result) c = kAlphabet[static_cast<uint8_t>(c) & 63];
  return result;
}

SeededRandom::SeededRandom(uint64_t seed) {
  for (uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15;
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    word = z ^ z >> 31;
  }
}

uint64_t SeededRandom::Next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

void SeededRandom::Fill(absl::Span<uint8_t> out) {
  while (!out.empty()) {
    const uint64_t word = Next();
    const size_t count = std::min<size_t>(8, out.size());
    for (size_t i = 0; i < count; ++i) {
      out[i] = static_cast<uint8_t>(word >> 8 * i);
    }
    out.remove_prefix(count);
  }
}

}  // namespace kyuu
