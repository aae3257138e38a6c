#include "base/system_random.h"

#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

#include "absl/types/span.h"
#include "base/check.h"

namespace kyuu {

void SystemRandom::Fill(absl::Span<uint8_t> out) {
  if (out.size() >= pool_.size()) {
    KYUU_CHECK(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1);
    return;
  }
  while (!out.empty()) {
    if (unused_ == 0) {
      KYUU_CHECK(RAND_bytes(pool_.data(), static_cast<int>(pool_.size())) == 1);
      unused_ = pool_.size();
    }
    const size_t count = std::min(unused_, out.size());
    uint8_t* source = pool_.data() + (pool_.size() - unused_);
    std::memcpy(out.data(), source, count);
    std::memset(source, 0, count);
    unused_ -= count;
    out.remove_prefix(count);
  }
}

}  // namespace kyuu
