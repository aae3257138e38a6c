// Makes OpenSSL repeatable in a test binary: its clock and its randomness.
//
// OpenSSL's DTLS retransmission timer reads gettimeofday(). A binary that links
// this library defines that function itself, and the dynamic linker lets
// Debian's shared libssl use it too. Link it into test binaries only.

#ifndef KYUU_SIM_CLOCK_OVERRIDE_H_
#define KYUU_SIM_CLOCK_OVERRIDE_H_

#include <cstdint>

#include "sim/clock.h"

namespace kyuu::sim {

// While a ScopedClockOverride lives, gettimeofday() of the whole process tells
// the time of `clock`, which must outlive it. At most one at a time. Without
// one, gettimeofday() is the system's.
class ScopedClockOverride {
 public:
  explicit ScopedClockOverride(const Clock& clock);
  ~ScopedClockOverride();
  ScopedClockOverride(const ScopedClockOverride&) = delete;
  ScopedClockOverride& operator=(const ScopedClockOverride&) = delete;
};

// While a ScopedSeededOpenssl lives, OpenSSL's RAND_bytes draws from a
// SeededRandom, so that handshakes repeat byte for byte (keys included: never
// outside tests; ECDSA signatures too, since they draw their nonce there).
// At most one at a time.
class ScopedSeededOpenssl {
 public:
  explicit ScopedSeededOpenssl(uint64_t seed);
  ~ScopedSeededOpenssl();
  ScopedSeededOpenssl(const ScopedSeededOpenssl&) = delete;
  ScopedSeededOpenssl& operator=(const ScopedSeededOpenssl&) = delete;
};

}  // namespace kyuu::sim

#endif  // KYUU_SIM_CLOCK_OVERRIDE_H_
