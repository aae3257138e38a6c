// Serial number arithmetic (RFC 1982) for TSNs, stream sequence numbers,
// message identifiers and reconfiguration sequence numbers: numbers that wrap.

#ifndef KYUU_SCTP_INTERNAL_SERIAL_H_
#define KYUU_SCTP_INTERNAL_SERIAL_H_

#include <cstdint>
#include <type_traits>

namespace kyuu::sctp::internal {

// Serial is a number modulo 2^32 or 2^16. `a < b` means that b is ahead of a
// by less than half of the range.
template <typename Int, typename Tag>
class Serial {
 public:
  constexpr Serial() = default;
  constexpr explicit Serial(Int value) : value_(value) {}

  constexpr Int value() const { return value_; }
  constexpr Serial operator+(Int n) const {
    return Serial(static_cast<Int>(value_ + n));
  }
  constexpr Serial operator-(Int n) const {
    return Serial(static_cast<Int>(value_ - n));
  }
  // How far this is ahead of `other`, modulo the range.
  constexpr Int operator-(Serial other) const {
    return static_cast<Int>(value_ - other.value_);
  }
  constexpr Serial& operator++() {
    ++value_;
    return *this;
  }

  friend constexpr bool operator==(Serial, Serial) = default;
  friend constexpr bool operator<(Serial a, Serial b) {
    using Signed = std::make_signed_t<Int>;
    return static_cast<Signed>(static_cast<Int>(a.value_ - b.value_)) < 0;
  }
  friend constexpr bool operator>(Serial a, Serial b) { return b < a; }
  friend constexpr bool operator<=(Serial a, Serial b) {
    return a == b || a < b;
  }
  friend constexpr bool operator>=(Serial a, Serial b) { return b <= a; }

 private:
  Int value_ = 0;
};

using Tsn = Serial<uint32_t, struct TsnTag>;
using Ssn = Serial<uint16_t, struct SsnTag>;
using Mid = Serial<uint32_t, struct MidTag>;  // RFC 8260.
using ReconfigSn = Serial<uint32_t, struct ReconfigSnTag>;

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_SERIAL_H_
