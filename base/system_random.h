// The operating system's randomness, by way of OpenSSL.

#ifndef KYUU_BASE_SYSTEM_RANDOM_H_
#define KYUU_BASE_SYSTEM_RANDOM_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "base/random.h"

namespace kyuu {

// SystemRandom draws from RAND_bytes, fit for keys, passwords and transaction
// ids. Bytes are fetched 256 at a time, since a call costs more than its
// bytes. Not thread-safe: each loop has its own.
class SystemRandom final : public Random {
 public:
  // Aborts if the generator cannot be seeded: there is no safe way on.
  void Fill(absl::Span<uint8_t> out) override;

 private:
  std::array<uint8_t, 256> pool_{};
  size_t unused_ = 0;  // Bytes of `pool_` not handed out yet, at its end.
};

}  // namespace kyuu

#endif  // KYUU_BASE_SYSTEM_RANDOM_H_
