#include "base/crc32.h"

#include <array>
#include <cstddef>

namespace kyuu {
namespace {

// Eight tables, so that eight bytes go in one step: table k advances a byte
// over k more bytes of zeros.
using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables MakeTables() {
  Tables t{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) {
      crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320u : 0u);
    }
    t[0][i] = crc;
  }
  for (size_t k = 1; k < t.size(); ++k) {
    for (size_t i = 0; i < 256; ++i) {
      t[k][i] = t[k - 1][i] >> 8 ^ t[0][t[k - 1][i] & 0xff];
    }
  }
  return t;
}

constexpr Tables kTables = MakeTables();

}  // namespace

uint32_t Crc32(absl::Span<const uint8_t> bytes, uint32_t crc) {
  crc = ~crc;
  while (bytes.size() >= 8) {
    uint32_t next = 0;
    for (size_t i = 0; i < 4; ++i) {
      next ^= kTables[7 - i][(crc >> 8 * i & 0xff) ^ bytes[i]];
      next ^= kTables[3 - i][bytes[4 + i]];
    }
    crc = next;
    bytes.remove_prefix(8);
  }
  for (const uint8_t byte : bytes) {
    crc = crc >> 8 ^ kTables[0][(crc & 0xff) ^ byte];
  }
  return ~crc;
}

}  // namespace kyuu
