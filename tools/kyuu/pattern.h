// The messages that `kyuu peer` sends and checks (docs/kyuu.md).

#ifndef KYUU_TOOLS_KYUU_PATTERN_H_
#define KYUU_TOOLS_KYUU_PATTERN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace kyuu::tools {

enum class PatternKind : uint8_t { kBinary, kText };

// Message `index` of `size` bytes: byte j is index + j modulo 256, or for text
// the letter 'a' + (index + j) % 26.
std::vector<uint8_t> MakePatternMessage(PatternKind kind, uint64_t index,
                                        size_t size);
// Whether `bytes` is message `index`.
bool IsPatternMessage(PatternKind kind, uint64_t index,
                      absl::Span<const uint8_t> bytes);
// Whether `bytes` is any such message: for channels without order.
bool IsSomePatternMessage(PatternKind kind, absl::Span<const uint8_t> bytes);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PATTERN_H_
