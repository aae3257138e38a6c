// The STUN attributes that RFC 8489, 8445, 8656, 5780, 6062, 7635 and 8016
// register, as small values.
//
//   writer.Add(stun::Priority{0x6e0001ff});
//   std::optional<stun::Priority> p = view.Get<stun::Priority>();
//
// Each has `kType`, its code point in the IANA registry "STUN Attributes".
// Those with text or opaque bytes hold views: they live as long as the message
// they were read from.

#ifndef KYUU_STUN_ATTRIBUTES_H_
#define KYUU_STUN_ATTRIBUTES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "stun/internal/attribute_shapes.h"
#include "stun/protocol.h"

namespace kyuu::stun {

// RFC 8489 section 14: Session Traversal Utilities for NAT.
using MappedAddress = PlainAddress<0x0001>;
// Section 14.3: fewer than 509 bytes; RFC 5389 allowed 512.
using Username = Text<0x0006, 512>;
using Userhash = FixedBytes<0x001e, 32>;
// Sections 14.9 and 14.10: fewer than 128 characters, at most 763 bytes.
using Realm = Text<0x0014, 763>;
using Nonce = Text<0x0015, 763>;
using XorMappedAddress = XorAddress<0x0020>;
using Software = Text<0x8022, 763>;
using AlternateServer = PlainAddress<0x8023>;
using AlternateDomain = Text<0x8003, 255>;

// RFC 8445 section 16.1: Interactive Connectivity Establishment.
using Priority = Number32<0x0024>;
using UseCandidate = Flag<0x0025>;
using IceControlled = Number64<0x8029>;   // The tie-breaker.
using IceControlling = Number64<0x802a>;  // The tie-breaker.

// RFC 8656 section 18: Traversal Using Relays around NAT.
using ChannelNumber = Number16<0x000c>;
using XorPeerAddress = XorAddress<0x0012>;
using Data = Opaque<0x0013>;
using XorRelayedAddress = XorAddress<0x0016>;
using RequestedAddressFamily = Family<0x0017>;
using DontFragment = Flag<0x001a>;
using ReservationToken = FixedBytes<0x0022, 8>;
using AdditionalAddressFamily = Family<0x8000>;
// As the draft of it had it (draft-martinsen-tram-ssoda): coturn's clients
// before 4.16 ask so. Not registered.
using SsodaAddressFamily = Family<0x8032>;

// RFC 5780 section 7: NAT behaviour discovery.
using Padding = Opaque<0x0026>;
using ResponsePort = Number16<0x0027>;
using CacheTimeout = Number32<0x8027>;  // Registered, no longer used.
using ResponseOrigin = PlainAddress<0x802b>;
using OtherAddress = PlainAddress<0x802c>;

// RFC 6062 section 6.2: TCP allocations.
using ConnectionId = Number32<0x002a>;

// RFC 7635 section 6: third-party authorization.
using AccessToken = Opaque<0x001b>;
using ThirdPartyAuthorization = Text<0x802e, 763>;
using Origin = Text<0x802f, 267>;  // draft-ietf-tram-stun-origin.

// RFC 8016 section 3: mobility.
using MobilityTicket = Opaque<0x8030>;

// draft-hancke-webrtc-sped: a datagram of DTLS's handshake in a Binding
// message, and the CRC-32 of each one received. The draft calls them
// DTLS-IN-STUN-DATA and DTLS-IN-STUN-ACK.
using MetaDtlsInStun = Opaque<0xc070>;
using MetaDtlsInStunAcknowledgement = Opaque<0xc071>;

// Integrity and fingerprint are written and checked by stun/message.h; here
// are their code points and sizes only.
using MessageIntegrity = CodePoint<0x0008, 20>;
using MessageIntegritySha256 = CodePoint<0x001c, 32>;
using Fingerprint = CodePoint<0x8028, 4>;

// LIFETIME (RFC 8656 section 18.2).
struct Lifetime {
  static constexpr uint16_t kType = 0x000d;
  uint32_t seconds = 0;

  static std::optional<Lifetime> Read(absl::Span<const uint8_t> value,
                                      const TransactionId&);
  void Write(Writer& w, const TransactionId&) const;
  friend bool operator==(const Lifetime&, const Lifetime&) = default;
};

// EVEN-PORT (RFC 8656 section 18.7): one byte whose first bit asks to reserve
// the next higher port too.
struct EvenPort {
  static constexpr uint16_t kType = 0x0018;
  bool reserve_next = false;

  static std::optional<EvenPort> Read(absl::Span<const uint8_t> value,
                                      const TransactionId&);
  void Write(Writer& w, const TransactionId&) const;
  friend bool operator==(const EvenPort&, const EvenPort&) = default;
};

// REQUESTED-TRANSPORT (RFC 8656 section 18.8): an IP protocol number.
struct RequestedTransport {
  static constexpr uint16_t kType = 0x0019;
  static constexpr uint8_t kUdp = 17;
  static constexpr uint8_t kTcp = 6;  // RFC 6062
  uint8_t protocol = kUdp;

  static std::optional<RequestedTransport> Read(absl::Span<const uint8_t> value,
                                                const TransactionId&);
  void Write(Writer& w, const TransactionId&) const;
  friend bool operator==(const RequestedTransport&,
                         const RequestedTransport&) = default;
};

// CHANGE-REQUEST (RFC 5780 section 7.2): from where to answer.
struct ChangeRequest {
  static constexpr uint16_t kType = 0x0003;
  bool change_ip = false;
  bool change_port = false;

  static std::optional<ChangeRequest> Read(absl::Span<const uint8_t> value,
                                           const TransactionId&);
  void Write(Writer& w, const TransactionId&) const;
  friend bool operator==(const ChangeRequest&, const ChangeRequest&) = default;
};

// ERROR-CODE (RFC 8489 section 14.8). A reason may be empty; at most 763 bytes.
struct ErrorCode {
  static constexpr uint16_t kType = 0x0009;
  Error code = Error::kServerError;
  absl::string_view reason;

  static std::optional<ErrorCode> Read(absl::Span<const uint8_t> value,
                                       const TransactionId&);
  void Write(Writer& w, const TransactionId&) const;
  friend bool operator==(const ErrorCode&, const ErrorCode&) = default;
};

// ADDRESS-ERROR-CODE (RFC 8656 section 18.12): why one family of a dual
// allocation was refused.
struct AddressErrorCode {
  static constexpr uint16_t kType = 0x8001;
  IpFamily family = IpFamily::kUnspecified;
  Error code = Error::kServerError;
  absl::string_view reason;

  static std::optional<AddressErrorCode> Read(absl::Span<const uint8_t> value,
                                              const TransactionId&);
  void Write(Writer& w, const TransactionId&) const;
  friend bool operator==(const AddressErrorCode&,
                         const AddressErrorCode&) = default;
};

// UNKNOWN-ATTRIBUTES (RFC 8489 section 14.13): at most `kMax` types are kept,
// which also bounds the answer to a request full of unknown attributes.
struct UnknownAttributes {
  static constexpr uint16_t kType = 0x000a;
  static constexpr size_t kMax = 16;
  std::array<uint16_t, kMax> types{};
  size_t count = 0;

  bool empty() const { return count == 0; }
  // Appends `type`, unless it is there already or the list is full.
  void Insert(uint16_t type);

  static std::optional<UnknownAttributes> Read(absl::Span<const uint8_t> value,
                                               const TransactionId&);
  void Write(Writer& w, const TransactionId&) const;
  friend bool operator==(const UnknownAttributes&,
                         const UnknownAttributes&) = default;
};

// The IANA registry "STUN Password Algorithms" (RFC 8489 section 18.5).
enum class PasswordHash : uint16_t { kMd5 = 1, kSha256 = 2 };

// PASSWORD-ALGORITHM (RFC 8489 section 14.12): the one that the client chose.
struct PasswordAlgorithm {
  static constexpr uint16_t kType = 0x001d;
  PasswordHash algorithm = PasswordHash::kMd5;
  absl::Span<const uint8_t> parameters;

  static std::optional<PasswordAlgorithm> Read(absl::Span<const uint8_t> value,
                                               const TransactionId&);
  void Write(Writer& w, const TransactionId&) const;
  friend bool operator==(const PasswordAlgorithm&,
                         const PasswordAlgorithm&) = default;
};

// PASSWORD-ALGORITHMS (RFC 8489 section 14.11): the server's list in order of
// preference. The client must echo it byte for byte, so it is kept encoded.
struct PasswordAlgorithms {
  static constexpr uint16_t kType = 0x8002;
  absl::Span<const uint8_t> encoded;

  bool Contains(PasswordHash algorithm) const;
  // SHA-256, then MD5, each without parameters; 8 bytes of static storage.
  static PasswordAlgorithms Sha256ThenMd5();

  // nullopt unless `value` is a whole number of well-formed entries.
  static std::optional<PasswordAlgorithms> Read(absl::Span<const uint8_t> value,
                                                const TransactionId&);
  void Write(Writer& w, const TransactionId&) const;
  friend bool operator==(const PasswordAlgorithms&,
                         const PasswordAlgorithms&) = default;
};

// ICMP (RFC 8656 section 18.13): what a router said of a relayed packet.
struct Icmp {
  static constexpr uint16_t kType = 0x8004;
  uint8_t type = 0;   // 7 bits.
  uint16_t code = 0;  // 9 bits.
  uint32_t error_data = 0;

  static std::optional<Icmp> Read(absl::Span<const uint8_t> value,
                                  const TransactionId&);
  void Write(Writer& w, const TransactionId&) const;
  friend bool operator==(const Icmp&, const Icmp&) = default;
};

// EncodedFamily returns the family that the value of an address attribute says
// it is of; kUnspecified if it says another. IpAddress reads an IPv4 address
// that is mapped into IPv6 as the IPv4 address; this tells the two apart.
IpFamily EncodedFamily(absl::Span<const uint8_t> value);

// AttributeName returns the registry's name, for example "XOR-MAPPED-ADDRESS",
// or "" for a type that is not of this file.
absl::string_view AttributeName(uint16_t type);

// True for types below 0x8000: who does not know one must refuse the message
// (RFC 8489 section 14).
constexpr bool IsComprehensionRequired(uint16_t type) { return type < 0x8000; }

}  // namespace kyuu::stun

#endif  // KYUU_STUN_ATTRIBUTES_H_
