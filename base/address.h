// IP addresses and transport addresses as small comparable values.

#ifndef KYUU_BASE_ADDRESS_H_
#define KYUU_BASE_ADDRESS_H_

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kyuu {

enum class IpFamily : uint8_t { kUnspecified, kV4, kV6 };

// IpAddress is an IPv4 or IPv6 address, or nothing (a default-constructed one).
//
// The form is canonical: an IPv4-mapped IPv6 address (::ffff:a.b.c.d, RFC 4291
// section 2.5.5.2) becomes the IPv4 address, so that two spellings of one
// address compare equal and no policy can be passed by with the other one.
class IpAddress {
 public:
  IpAddress() = default;

  // V4 takes the address in host order: V4(0x7f000001) is 127.0.0.1.
  static IpAddress V4(uint32_t host_order);
  static IpAddress V4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
  // V6 takes 16 bytes in network order; `scope_id` is the interface index of a
  // link-local address (RFC 4007 section 6) and is dropped for all others.
  static IpAddress V6(const std::array<uint8_t, 16>& bytes,
                      uint32_t scope_id = 0);
  // FromBytes takes 4 or 16 bytes in network order; any other length yields
  // the unspecified-family address.
  static IpAddress FromBytes(absl::Span<const uint8_t> bytes);

  // Parse reads the forms of RFC 4291 section 2.2 and dotted IPv4; a numeric
  // scope ("fe80::1%2") is accepted, a bracketed form is not.
  // INVALID_ARGUMENT for everything else, host names included.
  static absl::StatusOr<IpAddress> Parse(absl::string_view text);
  // The same where nobody asks what is wrong, which costs half of it: false,
  // and `out` stays as it was.
  static bool Read(absl::string_view text, IpAddress& out);

  IpFamily family() const { return family_; }
  bool is_v4() const { return family_ == IpFamily::kV4; }
  bool is_v6() const { return family_ == IpFamily::kV6; }
  uint32_t scope_id() const;

  // The 4 or 16 bytes in network order; empty for the unspecified family. The
  // view lives as long as this object.
  absl::Span<const uint8_t> bytes() const;
  // The IPv4 address in host order; 0 unless is_v4().
  uint32_t v4() const;

  // The "any" address of its family: 0.0.0.0 or ::.
  bool IsAny() const;
  bool IsLoopback() const;
  // 169.254/16 or fe80::/10.
  bool IsLinkLocal() const;
  bool IsMulticast() const;
  // RFC 1918 or fc00::/7.
  bool IsPrivate() const;

  // "192.0.2.1", "2001:db8::1", "fe80::1%2" (RFC 5952); "" when unspecified.
  std::string ToString() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
  friend bool operator==(const IpAddress&, const IpAddress&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const IpAddress& a) {
    return H::combine(std::move(h), a.family_, a.bytes_, a.scope_id_);
  }

 private:
  // Bytes alone, for tables have many of them: a Path has 50 so, and 60 with a
  // number in it that has to be aligned.
  IpFamily family_ = IpFamily::kUnspecified;
  std::array<uint8_t, 16> bytes_{};    // IPv4 uses the first four.
  std::array<uint8_t, 4> scope_id_{};  // In network order.
};

// IpPrefix is a CIDR block, for example 10.0.0.0/8.
struct IpPrefix {
  IpAddress base;
  int length = 0;  // In bits; at most 32 or 128.

  // Parse reads "ADDRESS/LENGTH" or a bare address (a block of one).
  // INVALID_ARGUMENT otherwise. Host bits are cleared.
  static absl::StatusOr<IpPrefix> Parse(absl::string_view text);
  bool Contains(const IpAddress& address) const;
  std::string ToString() const;

  friend bool operator==(const IpPrefix&, const IpPrefix&) = default;
};

// TransportAddress is an IP address and a port (RFC 8445 section 4).
struct TransportAddress {
  IpAddress ip;
  uint16_t port = 0;  // Host order.

  // Parse reads "192.0.2.1:80" or "[2001:db8::1]:80"; INVALID_ARGUMENT
  // otherwise.
  static absl::StatusOr<TransportAddress> Parse(absl::string_view text);
  std::string ToString() const;

  friend auto operator<=>(const TransportAddress&,
                          const TransportAddress&) = default;
  friend bool operator==(const TransportAddress&,
                         const TransportAddress&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const TransportAddress& a) {
    return H::combine(std::move(h), a.ip, a.port);
  }
};

// By what a client speaks. kTls and kDtls are told apart from what carries them
// where it matters who may read along, and in logs.
enum class Transport : uint8_t { kUdp, kTcp, kTls, kDtls };
// Whether it is a stream of bytes, not datagrams.
constexpr bool IsStream(Transport transport) {
  return transport == Transport::kTcp || transport == Transport::kTls;
}
// "udp", "tcp", "tls", "dtls".
absl::string_view ToText(Transport transport);

// Path is where a datagram travels: our address and the peer's. `local` is the
// bound address of the socket (the ICE base, or the relayed address of a TURN
// allocation), never a translated one.
struct Path {
  TransportAddress local;
  TransportAddress remote;
  Transport transport = Transport::kUdp;

  std::string ToString() const;

  friend auto operator<=>(const Path&, const Path&) = default;
  friend bool operator==(const Path&, const Path&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const Path& p) {
    return H::combine(std::move(h), p.local, p.remote, p.transport);
  }
};

// Datagram is the packet of every engine to which addresses matter. It does
// not own `bytes`; engine.h says how long they live.
struct Datagram {
  Path path;
  absl::Span<const uint8_t> bytes;
  // Of what is sent: rather to be lost than to be cut on its way.
  bool dont_fragment = false;
};

}  // namespace kyuu

#endif  // KYUU_BASE_ADDRESS_H_
