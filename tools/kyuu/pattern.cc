#include "tools/kyuu/pattern.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/types/span.h"

namespace kyuu::tools {
namespace {

uint8_t First(PatternKind kind, uint64_t index) {
  return kind == PatternKind::kText ? static_cast<uint8_t>('a' + index % 26)
                                    : static_cast<uint8_t>(index);
}

uint8_t Next(PatternKind kind, uint8_t byte) {
  if (kind == PatternKind::kText && byte == 'z') return 'a';
  return static_cast<uint8_t>(byte + 1);
}

// After as many bytes it begins anew.
size_t Period(PatternKind kind) {
  return kind == PatternKind::kText ? 26 : 256;
}

}  // namespace

std::vector<uint8_t> MakePatternMessage(PatternKind kind, uint64_t index,
                                        size_t size) {
  // Whole periods, some of them.
  std::array<uint8_t, 1024> block;
  const size_t filled =
      std::min(size, block.size() / Period(kind) * Period(kind));
  uint8_t byte = First(kind, index);
  for (size_t i = 0; i < filled; ++i) {
    block[i] = byte;
    byte = Next(kind, byte);
  }
  std::vector<uint8_t> message;
  message.reserve(size);
  while (message.size() < size) {
    message.insert(message.end(), block.begin(),
                   block.begin() + std::min(filled, size - message.size()));
  }
  return message;
}

bool IsPatternMessage(PatternKind kind, uint64_t index,
                      absl::Span<const uint8_t> bytes) {
  return bytes.empty() ||
         (bytes[0] == First(kind, index) && IsSomePatternMessage(kind, bytes));
}

bool IsSomePatternMessage(PatternKind kind, absl::Span<const uint8_t> bytes) {
  if (bytes.empty()) return true;
  uint8_t byte = bytes[0];
  if (kind == PatternKind::kText && (byte < 'a' || byte > 'z')) return false;
  const size_t begun = std::min(bytes.size(), Period(kind));
  for (const uint8_t b : bytes.first(begun)) {
    if (b != byte) return false;
    byte = Next(kind, byte);
  }
  // Each byte is that of a period before.
  return std::memcmp(bytes.data() + begun, bytes.data(),
                     bytes.size() - begun) == 0;
}

}  // namespace kyuu::tools
