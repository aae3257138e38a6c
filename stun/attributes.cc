#include "stun/attributes.h"

#include <algorithm>

#include "stun/attribute_set.h"

namespace kyuu::stun {

namespace internal {
namespace {

constexpr uint16_t kPortMask = kMagicCookie >> 16;

// The 16 bytes that an address is XORed with: cookie, then transaction id.
std::array<uint8_t, 16> AddressMask(const TransactionId& id) {
  std::array<uint8_t, 16> mask;
  Writer w(absl::MakeSpan(mask));
  w.U32(kMagicCookie);
  w.Bytes(id.bytes);
  return mask;
}

}  // namespace

std::optional<TransportAddress> ReadAddress(absl::Span<const uint8_t> value) {
  Reader r(value);
  r.Skip(1);  // Must be ignored on receipt.
  const IpFamily family = FamilyFromWire(r.U8());
  const uint16_t port = r.U16();
  const absl::Span<const uint8_t> ip =
      r.Bytes(family == IpFamily::kV4 ? 4 : 16);
  if (!r.Finish() || family == IpFamily::kUnspecified) return std::nullopt;
  return TransportAddress{IpAddress::FromBytes(ip), port};
}

std::optional<TransportAddress> ReadXorAddress(absl::Span<const uint8_t> value,
                                               const TransactionId& id) {
  Reader r(value);
  r.Skip(1);
  const IpFamily family = FamilyFromWire(r.U8());
  const auto port = static_cast<uint16_t>(r.U16() ^ kPortMask);
  if (family == IpFamily::kV4) {
    const uint32_t ip = r.U32() ^ kMagicCookie;
    if (!r.Finish()) return std::nullopt;
    return TransportAddress{IpAddress::V4(ip), port};
  }
  const absl::Span<const uint8_t> masked = r.Bytes(16);
  if (!r.Finish() || family != IpFamily::kV6) return std::nullopt;
  std::array<uint8_t, 16> ip = AddressMask(id);
  for (size_t i = 0; i < ip.size(); ++i) ip[i] ^= masked[i];
  return TransportAddress{IpAddress::V6(ip), port};
}

void WriteAddress(Writer& w, const TransportAddress& address) {
  const IpFamily family = address.ip.family();
  if (family == IpFamily::kUnspecified) return w.Fail();
  w.U8(0);
  w.U8(FamilyToWire(family));
  w.U16(address.port);
  w.Bytes(address.ip.bytes());
}

void WriteXorAddress(Writer& w, const TransportAddress& address,
                     const TransactionId& id) {
  const IpFamily family = address.ip.family();
  if (family == IpFamily::kUnspecified) return w.Fail();
  w.U8(0);
  w.U8(FamilyToWire(family));
  w.U16(static_cast<uint16_t>(address.port ^ kPortMask));
  if (family == IpFamily::kV4) {
    w.U32(address.ip.v4() ^ kMagicCookie);
    return;
  }
  std::array<uint8_t, 16> ip = AddressMask(id);
  const absl::Span<const uint8_t> clear = address.ip.bytes();
  for (size_t i = 0; i < ip.size(); ++i) ip[i] ^= clear[i];
  w.Bytes(ip);
}

}  // namespace internal

namespace {

// RFC 8489 section 14.8: at most 763 bytes.
constexpr size_t kReasonMax = 763;

//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |    Reserved, or the family    |     |Class|     Number    |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |      Reason Phrase (variable)                                ..
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// The class is the hundreds of the code and must be 3 to 6, the number 0 to 99.
std::optional<Error> ReadCode(Reader& r) {
  const int hundreds = r.U8() & 7;
  const int number = r.U8();
  if (hundreds < 3 || hundreds > 6 || number > 99) return std::nullopt;
  return static_cast<Error>(hundreds * 100 + number);
}

void WriteCode(Writer& w, Error code, absl::string_view reason) {
  const int number = static_cast<int>(code);
  if (number < 300 || number > 699 || reason.size() > kReasonMax) {
    return w.Fail();
  }
  w.U8(static_cast<uint8_t>(number / 100));
  w.U8(static_cast<uint8_t>(number % 100));
  w.Text(reason);
}

}  // namespace

std::optional<Lifetime> Lifetime::Read(absl::Span<const uint8_t> value,
                                       const TransactionId&) {
  Reader r(value);
  const Lifetime result{r.U32()};
  if (!r.Finish()) return std::nullopt;
  return result;
}

void Lifetime::Write(Writer& w, const TransactionId&) const { w.U32(seconds); }

std::optional<EvenPort> EvenPort::Read(absl::Span<const uint8_t> value,
                                       const TransactionId&) {
  Reader r(value);
  const EvenPort result{(r.U8() & 0x80) != 0};
  if (!r.Finish()) return std::nullopt;
  return result;
}

void EvenPort::Write(Writer& w, const TransactionId&) const {
  w.U8(reserve_next ? 0x80 : 0);
}

std::optional<RequestedTransport> RequestedTransport::Read(
    absl::Span<const uint8_t> value, const TransactionId&) {
  Reader r(value);
  const RequestedTransport result{r.U8()};
  r.Skip(3);
  if (!r.Finish()) return std::nullopt;
  return result;
}

void RequestedTransport::Write(Writer& w, const TransactionId&) const {
  w.U8(protocol);
  w.Zeros(3);
}

std::optional<ChangeRequest> ChangeRequest::Read(
    absl::Span<const uint8_t> value, const TransactionId&) {
  Reader r(value);
  const uint32_t flags = r.U32();
  if (!r.Finish()) return std::nullopt;
  return ChangeRequest{.change_ip = (flags & 4) != 0,
                       .change_port = (flags & 2) != 0};
}

void ChangeRequest::Write(Writer& w, const TransactionId&) const {
  w.U32((change_ip ? 4u : 0u) | (change_port ? 2u : 0u));
}

std::optional<ErrorCode> ErrorCode::Read(absl::Span<const uint8_t> value,
                                         const TransactionId&) {
  Reader r(value);
  r.Skip(2);
  const std::optional<Error> code = ReadCode(r);
  const absl::string_view reason = AsText(r.Rest());
  if (!r.ok() || !code || reason.size() > kReasonMax) return std::nullopt;
  return ErrorCode{*code, reason};
}

void ErrorCode::Write(Writer& w, const TransactionId&) const {
  w.Zeros(2);
  WriteCode(w, code, reason);
}

std::optional<AddressErrorCode> AddressErrorCode::Read(
    absl::Span<const uint8_t> value, const TransactionId&) {
  Reader r(value);
  const IpFamily family = internal::FamilyFromWire(r.U8());
  r.Skip(1);
  const std::optional<Error> code = ReadCode(r);
  const absl::string_view reason = AsText(r.Rest());
  if (!r.ok() || !code || family == IpFamily::kUnspecified ||
      reason.size() > kReasonMax) {
    return std::nullopt;
  }
  return AddressErrorCode{family, *code, reason};
}

void AddressErrorCode::Write(Writer& w, const TransactionId&) const {
  if (family == IpFamily::kUnspecified) return w.Fail();
  w.U8(internal::FamilyToWire(family));
  w.U8(0);
  WriteCode(w, code, reason);
}

void UnknownAttributes::Insert(uint16_t type) {
  const auto end = types.begin() + count;
  if (count == kMax || std::find(types.begin(), end, type) != end) return;
  types[count++] = type;
}

std::optional<UnknownAttributes> UnknownAttributes::Read(
    absl::Span<const uint8_t> value, const TransactionId&) {
  if (value.size() % 2 != 0) return std::nullopt;
  UnknownAttributes result;
  Reader r(value);
  while (!r.empty()) result.Insert(r.U16());
  return result;
}

void UnknownAttributes::Write(Writer& w, const TransactionId&) const {
  for (size_t i = 0; i < count; ++i) w.U16(types[i]);
}

std::optional<PasswordAlgorithm> PasswordAlgorithm::Read(
    absl::Span<const uint8_t> value, const TransactionId&) {
  Reader r(value);
  const auto algorithm = static_cast<PasswordHash>(r.U16());
  const absl::Span<const uint8_t> parameters = r.Bytes(r.U16());
  // The parameters may be followed by padding of their own (section 14.12).
  if (!r.ok() || r.remaining() > 3) return std::nullopt;
  return PasswordAlgorithm{algorithm, parameters};
}

void PasswordAlgorithm::Write(Writer& w, const TransactionId&) const {
  if (parameters.size() > 0xffff) return w.Fail();
  w.U16(static_cast<uint16_t>(algorithm));
  w.U16(static_cast<uint16_t>(parameters.size()));
  w.Bytes(parameters);
}

namespace {

// Walks over the entries of a PASSWORD-ALGORITHMS value: each is an algorithm,
// the length of its parameters, and those padded to four bytes. The last
// padding may be missing.
std::optional<PasswordHash> NextAlgorithm(Reader& r) {
  const auto algorithm = static_cast<PasswordHash>(r.U16());
  const size_t size = r.U16();
  r.Skip(size);
  r.Skip(std::min<size_t>((4 - size % 4) % 4, r.remaining()));
  if (!r.ok()) return std::nullopt;
  return algorithm;
}

constexpr uint8_t kSha256ThenMd5[] = {0, 2, 0, 0, 0, 1, 0, 0};

}  // namespace

bool PasswordAlgorithms::Contains(PasswordHash algorithm) const {
  Reader r(encoded);
  while (!r.empty()) {
    if (NextAlgorithm(r) == algorithm) return true;
  }
  return false;
}

PasswordAlgorithms PasswordAlgorithms::Sha256ThenMd5() {
  return {absl::MakeConstSpan(kSha256ThenMd5)};
}

std::optional<PasswordAlgorithms> PasswordAlgorithms::Read(
    absl::Span<const uint8_t> value, const TransactionId&) {
  Reader r(value);
  while (!r.empty()) NextAlgorithm(r);
  if (!r.Finish()) return std::nullopt;
  return PasswordAlgorithms{value};
}

void PasswordAlgorithms::Write(Writer& w, const TransactionId&) const {
  w.Bytes(encoded);
}

std::optional<Icmp> Icmp::Read(absl::Span<const uint8_t> value,
                               const TransactionId&) {
  Reader r(value);
  r.Skip(2);
  const uint16_t type_and_code = r.U16();
  const uint32_t error_data = r.U32();
  if (!r.Finish()) return std::nullopt;
  return Icmp{static_cast<uint8_t>(type_and_code >> 9),
              static_cast<uint16_t>(type_and_code & 0x1ff), error_data};
}

void Icmp::Write(Writer& w, const TransactionId&) const {
  if (type > 0x7f || code > 0x1ff) return w.Fail();
  w.Zeros(2);
  w.U16(static_cast<uint16_t>(type << 9 | code));
  w.U32(error_data);
}

namespace {

struct NamedType {
  uint16_t type;
  absl::string_view name;
};

// In the order of the registry.
constexpr NamedType kNames[] = {
    {MappedAddress::kType, "MAPPED-ADDRESS"},
    {ChangeRequest::kType, "CHANGE-REQUEST"},
    {Username::kType, "USERNAME"},
    {MessageIntegrity::kType, "MESSAGE-INTEGRITY"},
    {ErrorCode::kType, "ERROR-CODE"},
    {UnknownAttributes::kType, "UNKNOWN-ATTRIBUTES"},
    {ChannelNumber::kType, "CHANNEL-NUMBER"},
    {Lifetime::kType, "LIFETIME"},
    {XorPeerAddress::kType, "XOR-PEER-ADDRESS"},
    {Data::kType, "DATA"},
    {Realm::kType, "REALM"},
    {Nonce::kType, "NONCE"},
    {XorRelayedAddress::kType, "XOR-RELAYED-ADDRESS"},
    {RequestedAddressFamily::kType, "REQUESTED-ADDRESS-FAMILY"},
    {EvenPort::kType, "EVEN-PORT"},
    {RequestedTransport::kType, "REQUESTED-TRANSPORT"},
    {DontFragment::kType, "DONT-FRAGMENT"},
    {AccessToken::kType, "ACCESS-TOKEN"},
    {MessageIntegritySha256::kType, "MESSAGE-INTEGRITY-SHA256"},
    {PasswordAlgorithm::kType, "PASSWORD-ALGORITHM"},
    {Userhash::kType, "USERHASH"},
    {XorMappedAddress::kType, "XOR-MAPPED-ADDRESS"},
    {ReservationToken::kType, "RESERVATION-TOKEN"},
    {Priority::kType, "PRIORITY"},
    {UseCandidate::kType, "USE-CANDIDATE"},
    {Padding::kType, "PADDING"},
    {ResponsePort::kType, "RESPONSE-PORT"},
    {ConnectionId::kType, "CONNECTION-ID"},
    {AdditionalAddressFamily::kType, "ADDITIONAL-ADDRESS-FAMILY"},
    {AddressErrorCode::kType, "ADDRESS-ERROR-CODE"},
    {PasswordAlgorithms::kType, "PASSWORD-ALGORITHMS"},
    {AlternateDomain::kType, "ALTERNATE-DOMAIN"},
    {Icmp::kType, "ICMP"},
    {Software::kType, "SOFTWARE"},
    {AlternateServer::kType, "ALTERNATE-SERVER"},
    {CacheTimeout::kType, "CACHE-TIMEOUT"},
    {Fingerprint::kType, "FINGERPRINT"},
    {IceControlled::kType, "ICE-CONTROLLED"},
    {IceControlling::kType, "ICE-CONTROLLING"},
    {ResponseOrigin::kType, "RESPONSE-ORIGIN"},
    {OtherAddress::kType, "OTHER-ADDRESS"},
    {ThirdPartyAuthorization::kType, "THIRD-PARTY-AUTHORIZATION"},
    {MobilityTicket::kType, "MOBILITY-TICKET"},
    {MetaDtlsInStun::kType, "META-DTLS-IN-STUN"},
    {MetaDtlsInStunAcknowledgement::kType, "META-DTLS-IN-STUN-ACKNOWLEDGEMENT"},
};

// What an AttributeSet can hold must be all that a message can ask for.
constexpr bool RequiredTypesFitASet() {
  for (const NamedType& row : kNames) {
    if (IsComprehensionRequired(row.type) &&
        row.type >= AttributeSet::kTypeEnd) {
      return false;
    }
  }
  return true;
}
static_assert(RequiredTypesFitASet());

}  // namespace

IpFamily EncodedFamily(absl::Span<const uint8_t> value) {
  Reader r(value);
  r.Skip(1);
  return internal::FamilyFromWire(r.U8());
}

absl::string_view AttributeName(uint16_t type) {
  for (const NamedType& row : kNames) {
    if (row.type == type) return row.name;
  }
  return "";
}

}  // namespace kyuu::stun
