#include "sim/clock_override.h"

#include <openssl/rand.h>
#include <sys/time.h>
#include <time.h>

#include <optional>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "base/random.h"

namespace kyuu::sim {

namespace {

const Clock* override_clock = nullptr;
std::optional<SeededRandom> override_random;

int FillSeeded(unsigned char* out, int size) {
  override_random->Fill(absl::MakeSpan(out, static_cast<size_t>(size)));
  return 1;
}

int Ready() { return 1; }

const RAND_METHOD kSeeded = {nullptr, FillSeeded, nullptr,
                             nullptr, FillSeeded, Ready};

}  // namespace

ScopedClockOverride::ScopedClockOverride(const Clock& clock) {
  KYUU_CHECK(override_clock == nullptr);
  override_clock = &clock;
}

ScopedClockOverride::~ScopedClockOverride() { override_clock = nullptr; }

ScopedSeededOpenssl::ScopedSeededOpenssl(uint64_t seed) {
  KYUU_CHECK(!override_random.has_value());
  override_random.emplace(seed);
  KYUU_CHECK(RAND_set_rand_method(&kSeeded) == 1);
}

ScopedSeededOpenssl::~ScopedSeededOpenssl() {
  KYUU_CHECK(RAND_set_rand_method(nullptr) == 1);
  override_random.reset();
}

}  // namespace kyuu::sim

// The C library's signature, with its qualifiers.
extern "C" int gettimeofday(struct timeval* __restrict out,
                            void* __restrict) noexcept {
  if (kyuu::sim::override_clock != nullptr) {
    *out = absl::ToTimeval(kyuu::sim::override_clock->now());
    return 0;
  }
  timespec system = {};
  clock_gettime(CLOCK_REALTIME, &system);
  out->tv_sec = system.tv_sec;
  out->tv_usec = system.tv_nsec / 1000;
  return 0;
}
