// Bytes that nobody finds in memory afterwards.

#ifndef KYUU_TOOLS_KYUU_CODE_SECRET_H_
#define KYUU_TOOLS_KYUU_CODE_SECRET_H_

#include <sodium.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace kyuu::tools {

// Secret is `kSize` bytes, zero at first, that are wiped when it goes. It is
// not copied.
template <size_t kSize>
class Secret {
 public:
  Secret() = default;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { sodium_memzero(bytes_.data(), kSize); }

  uint8_t* data() { return bytes_.data(); }
  const uint8_t* data() const { return bytes_.data(); }
  // A view that lives as long as this object.
  absl::Span<const uint8_t> view() const { return bytes_; }
  absl::Span<uint8_t> span() { return absl::MakeSpan(bytes_); }

 private:
  std::array<uint8_t, kSize> bytes_{};
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CODE_SECRET_H_
