// Injected randomness. Engines take a `Random&` and never ask the system.

#ifndef KYUU_BASE_RANDOM_H_
#define KYUU_BASE_RANDOM_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/types/span.h"

namespace kyuu {

// Random is a source of bytes. It is the one virtual interface of kyuu: an
// engine must run on the system's generator in production and on a seeded one
// in tests, and both must be the same type to it.
class Random {
 public:
  virtual ~Random() = default;
  // Fills `out` with random bytes. Cannot fail.
  virtual void Fill(absl::Span<uint8_t> out) = 0;

  uint16_t U16();
  uint32_t U32();
  uint64_t U64();
  // A uniform number in [0, bound); `bound` must be positive.
  uint64_t Below(uint64_t bound);
  // A uniform number in [0, 1).
  double Fraction();
  // `size` characters of the `ice-char` alphabet (RFC 8839 section 5.4:
  // letters, digits, '+' and '/'), six bits of randomness each.
  std::string IceChars(size_t size);
};

// SeededRandom repeats: the same seed gives the same bytes on every machine
// (xoshiro256**, seeded by splitmix64). Not for secrets.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed);
  void Fill(absl::Span<uint8_t> out) override;

 private:
  uint64_t Next();
  std::array<uint64_t, 4> state_;
};

}  // namespace kyuu

#endif  // KYUU_BASE_RANDOM_H_
