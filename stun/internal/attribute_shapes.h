// The shapes that attribute values come in. stun/attributes.h gives each
// registered attribute its name, its code point and one of these shapes.
//
// Every shape has `kType` and reads and writes its value, without the type and
// length in front and the padding behind:
//   Read   returns nullopt if the value is malformed. Views in the result
//          point into `value`.
//   Write  appends to the writer, and fails it if a field is out of range.

#ifndef KYUU_STUN_INTERNAL_ATTRIBUTE_SHAPES_H_
#define KYUU_STUN_INTERNAL_ATTRIBUTE_SHAPES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "stun/protocol.h"

namespace kyuu::stun {

namespace internal {

//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |0 0 0 0 0 0 0 0|    Family     |           Port                |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                 Address (32 bits or 128 bits)                 |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// RFC 8489 sections 14.1 and 14.2: the XOR form masks the port with the upper
// half of the cookie, and the address with cookie and transaction id.
std::optional<TransportAddress> ReadAddress(absl::Span<const uint8_t> value);
std::optional<TransportAddress> ReadXorAddress(absl::Span<const uint8_t> value,
                                               const TransactionId& id);
void WriteAddress(Writer& w, const TransportAddress& address);
void WriteXorAddress(Writer& w, const TransportAddress& address,
                     const TransactionId& id);

// Address families on the wire (RFC 8489 section 14.1): 1 is IPv4, 2 IPv6.
constexpr IpFamily FamilyFromWire(uint8_t code) {
  return code == 1   ? IpFamily::kV4
         : code == 2 ? IpFamily::kV6
                     : IpFamily::kUnspecified;
}
constexpr uint8_t FamilyToWire(IpFamily family) {
  return family == IpFamily::kV4 ? 1 : family == IpFamily::kV6 ? 2 : 0;
}

}  // namespace internal

// A transport address in clear.
template <uint16_t kCode>
struct PlainAddress {
  static constexpr uint16_t kType = kCode;
  TransportAddress address;

  static std::optional<PlainAddress> Read(absl::Span<const uint8_t> value,
                                          const TransactionId&) {
    const auto address = internal::ReadAddress(value);
    if (!address) return std::nullopt;
    return PlainAddress{*address};
  }
  void Write(Writer& w, const TransactionId&) const {
    internal::WriteAddress(w, address);
  }
  friend bool operator==(const PlainAddress&, const PlainAddress&) = default;
};

// A transport address masked by the cookie and the transaction id.
template <uint16_t kCode>
struct XorAddress {
  static constexpr uint16_t kType = kCode;
  TransportAddress address;

  static std::optional<XorAddress> Read(absl::Span<const uint8_t> value,
                                        const TransactionId& id) {
    const auto address = internal::ReadXorAddress(value, id);
    if (!address) return std::nullopt;
    return XorAddress{*address};
  }
  void Write(Writer& w, const TransactionId& id) const {
    internal::WriteXorAddress(w, address, id);
  }
  friend bool operator==(const XorAddress&, const XorAddress&) = default;
};

// UTF-8 text of at most `kMaxSize` bytes. Not checked to be UTF-8: the text
// takes part in keys byte for byte.
template <uint16_t kCode, size_t kMaxSize>
struct Text {
  static constexpr uint16_t kType = kCode;
  static constexpr size_t kSizeMax = kMaxSize;
  absl::string_view value;

  static std::optional<Text> Read(absl::Span<const uint8_t> value,
                                  const TransactionId&) {
    if (value.size() > kMaxSize) return std::nullopt;
    return Text{AsText(value)};
  }
  void Write(Writer& w, const TransactionId&) const {
    if (value.size() > kMaxSize) return w.Fail();
    w.Text(value);
  }
  friend bool operator==(const Text&, const Text&) = default;
};

// Bytes without a meaning to STUN.
template <uint16_t kCode>
struct Opaque {
  static constexpr uint16_t kType = kCode;
  absl::Span<const uint8_t> value;

  static std::optional<Opaque> Read(absl::Span<const uint8_t> value,
                                    const TransactionId&) {
    return Opaque{value};
  }
  void Write(Writer& w, const TransactionId&) const { w.Bytes(value); }
  friend bool operator==(const Opaque&, const Opaque&) = default;
};

// A type of which only the number and the size of its value are of use.
template <uint16_t kCode, size_t kBytes>
struct CodePoint {
  static constexpr uint16_t kType = kCode;
  static constexpr size_t kSize = kBytes;
};

// Exactly `kSize` bytes, held by value.
template <uint16_t kCode, size_t kSize>
struct FixedBytes {
  static constexpr uint16_t kType = kCode;
  std::array<uint8_t, kSize> value{};

  static std::optional<FixedBytes> Read(absl::Span<const uint8_t> value,
                                        const TransactionId&) {
    FixedBytes result;
    if (value.size() != kSize) return std::nullopt;
    std::memcpy(result.value.data(), value.data(), kSize);
    return result;
  }
  void Write(Writer& w, const TransactionId&) const { w.Bytes(value); }
  friend bool operator==(const FixedBytes&, const FixedBytes&) = default;
};

// A number of 32 bits.
template <uint16_t kCode>
struct Number32 {
  static constexpr uint16_t kType = kCode;
  uint32_t value = 0;

  static std::optional<Number32> Read(absl::Span<const uint8_t> value,
                                      const TransactionId&) {
    Reader r(value);
    Number32 result{r.U32()};
    if (!r.Finish()) return std::nullopt;
    return result;
  }
  void Write(Writer& w, const TransactionId&) const { w.U32(value); }
  friend bool operator==(const Number32&, const Number32&) = default;
};

// A number of 64 bits.
template <uint16_t kCode>
struct Number64 {
  static constexpr uint16_t kType = kCode;
  uint64_t value = 0;

  static std::optional<Number64> Read(absl::Span<const uint8_t> value,
                                      const TransactionId&) {
    Reader r(value);
    Number64 result{r.U64()};
    if (!r.Finish()) return std::nullopt;
    return result;
  }
  void Write(Writer& w, const TransactionId&) const { w.U64(value); }
  friend bool operator==(const Number64&, const Number64&) = default;
};

// A number of 16 bits, followed by two reserved bytes.
template <uint16_t kCode>
struct Number16 {
  static constexpr uint16_t kType = kCode;
  uint16_t value = 0;

  static std::optional<Number16> Read(absl::Span<const uint8_t> value,
                                      const TransactionId&) {
    Reader r(value);
    Number16 result{r.U16()};
    r.Skip(2);
    if (!r.Finish()) return std::nullopt;
    return result;
  }
  void Write(Writer& w, const TransactionId&) const {
    w.U16(value);
    w.Zeros(2);
  }
  friend bool operator==(const Number16&, const Number16&) = default;
};

// An address family, followed by three reserved bytes. A family that is
// neither IPv4 nor IPv6 reads as kUnspecified: to refuse it (440) is policy.
template <uint16_t kCode>
struct Family {
  static constexpr uint16_t kType = kCode;
  IpFamily family = IpFamily::kUnspecified;

  static std::optional<Family> Read(absl::Span<const uint8_t> value,
                                    const TransactionId&) {
    Reader r(value);
    Family result{internal::FamilyFromWire(r.U8())};
    r.Skip(3);
    if (!r.Finish()) return std::nullopt;
    return result;
  }
  void Write(Writer& w, const TransactionId&) const {
    if (family == IpFamily::kUnspecified) return w.Fail();
    w.U8(internal::FamilyToWire(family));
    w.Zeros(3);
  }
  friend bool operator==(const Family&, const Family&) = default;
};

// No value: the attribute's presence is the message.
template <uint16_t kCode>
struct Flag {
  static constexpr uint16_t kType = kCode;

  static std::optional<Flag> Read(absl::Span<const uint8_t> value,
                                  const TransactionId&) {
    if (!value.empty()) return std::nullopt;
    return Flag{};
  }
  void Write(Writer&, const TransactionId&) const {}
  friend bool operator==(const Flag&, const Flag&) = default;
};

}  // namespace kyuu::stun

#endif  // KYUU_STUN_INTERNAL_ATTRIBUTE_SHAPES_H_
