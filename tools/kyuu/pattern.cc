#include "tools/kyuu/pattern.h"

#include <cstdint>
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

}  // namespace

std::vector<uint8_t> MakePatternMessage(PatternKind kind, uint64_t index,
                                        size_t size) {
  std::vector<uint8_t> message(size);
  uint8_t byte = First(kind, index);
  for (uint8_t& b : message) {
    b = byte;
    byte = Next(kind, byte);
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
  for (const uint8_t b : bytes) {
    if (b != byte) return false;
    byte = Next(kind, byte);
  }
  return true;
}

}  // namespace kyuu::tools
