#include "stun/attributes.h"

#include <array>
#include <set>
#include <string>
#include <vector>

#include "base/testing.h"
#include "gtest/gtest.h"
#include "stun/attribute_set.h"

namespace kyuu::stun {
namespace {

const TransactionId kId = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
const TransportAddress kV4{IpAddress::V4(192, 0, 2, 1), 32853};

TransportAddress V6() {
  return *TransportAddress::Parse("[2001:db8:1234:5678:11:2233:4455:6677]:443");
}

template <typename A>
std::vector<uint8_t> Write(const A& attribute) {
  std::array<uint8_t, 1024> buffer;
  Writer w(absl::MakeSpan(buffer));
  attribute.Write(w, kId);
  EXPECT_TRUE(w.ok());
  return std::vector<uint8_t>(w.written().begin(), w.written().end());
}

template <typename A>
bool WriteFails(const A& attribute) {
  std::array<uint8_t, 1024> buffer;
  Writer w(absl::MakeSpan(buffer));
  attribute.Write(w, kId);
  return !w.ok();
}

// Writes, reads back, compares; and no shortened value of a fixed-size
// attribute may read as the same.
template <typename A>
void RoundTrip(const A& attribute, absl::string_view hex) {
  SCOPED_TRACE(AttributeName(A::kType));
  const std::vector<uint8_t> bytes = Write(attribute);
  EXPECT_EQ(ToHex(bytes), ToHex(FromHex(hex)));
  const std::optional<A> read = A::Read(bytes, kId);
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(*read == attribute);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + size);
    const std::optional<A> shorter = A::Read(cut, kId);
    EXPECT_FALSE(shorter && *shorter == attribute) << size;
  }
}

TEST(AttributesTest, RoundTrip) {
  const uint8_t bytes[] = {9, 8, 7};
  RoundTrip(MappedAddress{kV4}, "00 01 80 55 c0 00 02 01");
  RoundTrip(AlternateServer{V6()},
            "00 02 01 bb 20010db8 12345678 00112233 44556677");
  RoundTrip(ResponseOrigin{kV4}, "00 01 80 55 c0 00 02 01");
  RoundTrip(OtherAddress{kV4}, "00 01 80 55 c0 00 02 01");
  RoundTrip(XorMappedAddress{kV4}, "00 01 a1 47 e1 12 a6 43");
  RoundTrip(XorPeerAddress{V6()},
            "00 02 20 a9 0113a9fa 1336557c 0517253b 4d5f6d7b");
  RoundTrip(XorRelayedAddress{kV4}, "00 01 a1 47 e1 12 a6 43");
  RoundTrip(Username{"a:b"}, "61 3a 62");
  RoundTrip(Realm{"r"}, "72");
  RoundTrip(Nonce{"n"}, "6e");
  RoundTrip(Software{"s"}, "73");
  RoundTrip(AlternateDomain{"d"}, "64");
  RoundTrip(ThirdPartyAuthorization{"t"}, "74");
  RoundTrip(Origin{"o"}, "6f");
  RoundTrip(Data{bytes}, "09 08 07");
  RoundTrip(Padding{bytes}, "09 08 07");
  RoundTrip(AccessToken{bytes}, "09 08 07");
  RoundTrip(MobilityTicket{bytes}, "09 08 07");
  RoundTrip(ReservationToken{{1, 2, 3, 4, 5, 6, 7, 8}}, "0102030405060708");
  RoundTrip(Userhash{{0xaa}}, "aa" + std::string(62, '0'));
  RoundTrip(Priority{0x6e0001ff}, "6e 00 01 ff");
  RoundTrip(CacheTimeout{7}, "00 00 00 07");
  RoundTrip(ConnectionId{0xdeadbeef}, "de ad be ef");
  RoundTrip(Lifetime{600}, "00 00 02 58");
  RoundTrip(IceControlled{0x0102030405060708}, "0102030405060708");
  RoundTrip(IceControlling{0x0102030405060708}, "0102030405060708");
  RoundTrip(UseCandidate{}, "");
  RoundTrip(DontFragment{}, "");
  RoundTrip(ChannelNumber{0x4001}, "40 01 00 00");
  RoundTrip(ResponsePort{3479}, "0d 97 00 00");
  RoundTrip(RequestedAddressFamily{IpFamily::kV6}, "02 00 00 00");
  RoundTrip(AdditionalAddressFamily{IpFamily::kV6}, "02 00 00 00");
  RoundTrip(RequestedTransport{RequestedTransport::kTcp}, "06 00 00 00");
  RoundTrip(EvenPort{true}, "80");
  RoundTrip(EvenPort{false}, "00");
  RoundTrip(ChangeRequest{.change_ip = true}, "00 00 00 04");
  RoundTrip(ChangeRequest{.change_port = true}, "00 00 00 02");
  RoundTrip(ErrorCode{Error::kStaleNonce, "Stale"}, "0000 04 26 5374616c65");
  RoundTrip(
      AddressErrorCode{IpFamily::kV6, Error::kAddressFamilyNotSupported, "no"},
      "0200 04 28 6e6f");
  RoundTrip(UnknownAttributes{{0x7f00, 0x7f01}, 2}, "7f00 7f01");
  RoundTrip(PasswordAlgorithm{PasswordHash::kSha256, {}}, "0002 0000");
  RoundTrip(PasswordAlgorithms::Sha256ThenMd5(), "0002 0000 0001 0000");
  RoundTrip(Icmp{.type = 3, .code = 4, .error_data = 1280},
            "0000 0604 00000500");
}

// Whether the codec has it.
enum class Codec { kHas, kHasNot };
constexpr Codec kNot = Codec::kHasNot;

// The registry "STUN Attributes" of IANA, all that is assigned in its version
// of 2024-12-20. What the codec has not are extensions that none of our engines
// does; all of them are comprehension-optional, so that nothing is refused for
// want of them.
TEST(AttributesTest, CodePointsAreThoseOfTheRegistry) {
  const struct {
    uint16_t type;
    absl::string_view name;
    Codec codec = Codec::kHas;
  } kRegistry[] = {
      {0x0001, "MAPPED-ADDRESS"},
      {0x0003, "CHANGE-REQUEST"},
      {0x0006, "USERNAME"},
      {0x0008, "MESSAGE-INTEGRITY"},
      {0x0009, "ERROR-CODE"},
      {0x000a, "UNKNOWN-ATTRIBUTES"},
      {0x000c, "CHANNEL-NUMBER"},
      {0x000d, "LIFETIME"},
      {0x0012, "XOR-PEER-ADDRESS"},
      {0x0013, "DATA"},
      {0x0014, "REALM"},
      {0x0015, "NONCE"},
      {0x0016, "XOR-RELAYED-ADDRESS"},
      {0x0017, "REQUESTED-ADDRESS-FAMILY"},
      {0x0018, "EVEN-PORT"},
      {0x0019, "REQUESTED-TRANSPORT"},
      {0x001a, "DONT-FRAGMENT"},
      {0x001b, "ACCESS-TOKEN"},
      {0x001c, "MESSAGE-INTEGRITY-SHA256"},
      {0x001d, "PASSWORD-ALGORITHM"},
      {0x001e, "USERHASH"},
      {0x0020, "XOR-MAPPED-ADDRESS"},
      {0x0022, "RESERVATION-TOKEN"},
      {0x0024, "PRIORITY"},
      {0x0025, "USE-CANDIDATE"},
      {0x0026, "PADDING"},
      {0x0027, "RESPONSE-PORT"},
      {0x002a, "CONNECTION-ID"},
      {0x8000, "ADDITIONAL-ADDRESS-FAMILY"},
      {0x8001, "ADDRESS-ERROR-CODE"},
      {0x8002, "PASSWORD-ALGORITHMS"},
      {0x8003, "ALTERNATE-DOMAIN"},
      {0x8004, "ICMP"},
      {0x8022, "SOFTWARE"},
      {0x8023, "ALTERNATE-SERVER"},
      {0x8025, "TRANSACTION_TRANSMIT_COUNTER", kNot},  // RFC 7982
      {0x8027, "CACHE-TIMEOUT"},
      {0x8028, "FINGERPRINT"},
      {0x8029, "ICE-CONTROLLED"},
      {0x802a, "ICE-CONTROLLING"},
      {0x802b, "RESPONSE-ORIGIN"},
      {0x802c, "OTHER-ADDRESS"},
      {0x802d, "ECN-CHECK STUN", kNot},  // RFC 6679
      {0x802e, "THIRD-PARTY-AUTHORIZATION"},
      {0x8030, "MOBILITY-TICKET"},
      {0xc000, "CISCO-STUN-FLOWDATA", kNot},
      {0xc001, "ENF-FLOW-DESCRIPTION", kNot},
      {0xc002, "ENF-NETWORK-STATUS", kNot},
      {0xc003, "CISCO-WEBEX-FLOW-INFO", kNot},
      {0xc056, "CITRIX-TRANSACTION-ID", kNot},
      {0xc057, "GOOG-NETWORK-INFO", kNot},
      {0xc058, "GOOG-LAST-ICE-CHECK-RECEIVED", kNot},
      {0xc059, "GOOG-MISC-INFO", kNot},
      {0xc05a, "GOOG-OBSOLETE-1", kNot},
      {0xc05b, "GOOG-CONNECTION-ID", kNot},
      {0xc05c, "GOOG-DELTA", kNot},
      {0xc05d, "GOOG-DELTA-ACK", kNot},
      {0xc05e, "GOOG-DELTA-SYNC-REQ", kNot},
      {0xc060, "GOOG-MESSAGE-INTEGRITY-32", kNot},
      {0xc070, "META-DTLS-IN-STUN"},
      {0xc071, "META-DTLS-IN-STUN-ACKNOWLEDGEMENT"},
  };
  std::set<uint16_t> registered;
  for (const auto& row : kRegistry) {
    if (row.codec == Codec::kHasNot) {
      EXPECT_FALSE(IsComprehensionRequired(row.type)) << row.name;
      continue;
    }
    EXPECT_EQ(AttributeName(row.type), row.name);
    registered.insert(row.type);
  }
  for (uint32_t type = 0; type <= 0xffff; ++type) {
    const auto t = static_cast<uint16_t>(type);
    const bool known = registered.count(t) != 0;
    EXPECT_EQ(!AttributeName(t).empty(), known) << type;
  }
}

TEST(AttributeSetTest, HasWhatItNamesAndNothingElse) {
  constexpr AttributeSet kSet =
      AttributeSet::Of<Priority, UseCandidate>() | AttributeSet::Of<Data>();
  for (uint32_t type = 0; type <= 0xffff; ++type) {
    EXPECT_EQ(kSet.Contains(static_cast<uint16_t>(type)),
              type == Priority::kType || type == UseCandidate::kType ||
                  type == Data::kType)
        << type;
    EXPECT_FALSE(AttributeSet().Contains(static_cast<uint16_t>(type)));
  }
}

// RFC 8489 section 14 and no other RFC: nothing that asks for a deed.
TEST(AttributeSetTest, WhatEveryAgentKnowsIsOfRfc8489) {
  std::vector<absl::string_view> names;
  for (uint16_t type = 0; type < AttributeSet::kTypeEnd; ++type) {
    if (kStunAttributes.Contains(type)) names.push_back(AttributeName(type));
  }
  EXPECT_EQ(names,
            (std::vector<absl::string_view>{
                "MAPPED-ADDRESS", "USERNAME", "ERROR-CODE",
                "UNKNOWN-ATTRIBUTES", "REALM", "NONCE", "PASSWORD-ALGORITHM",
                "USERHASH", "XOR-MAPPED-ADDRESS"}));
}

// The registries "STUN Methods" and "STUN Error Codes".
TEST(ProtocolTest, MethodsAndErrorsAreThoseOfTheRegistry) {
  const struct {
    int code;
    absl::string_view name;
  } kMethods[] = {{0x001, "Binding"},        {0x003, "Allocate"},
                  {0x004, "Refresh"},        {0x006, "Send"},
                  {0x007, "Data"},           {0x008, "CreatePermission"},
                  {0x009, "ChannelBind"},    {0x00a, "Connect"},
                  {0x00b, "ConnectionBind"}, {0x00c, "ConnectionAttempt"}};
  for (const auto& row : kMethods) {
    EXPECT_EQ(MethodName(static_cast<Method>(row.code)), row.name);
  }
  const struct {
    int code;
    absl::string_view name;
  } kErrors[] = {{300, "Try Alternate"},
                 {400, "Bad Request"},
                 {401, "Unauthenticated"},
                 {403, "Forbidden"},
                 {405, "Mobility Forbidden"},
                 {420, "Unknown Attribute"},
                 {437, "Allocation Mismatch"},
                 {438, "Stale Nonce"},
                 {440, "Address Family not Supported"},
                 {441, "Wrong Credentials"},
                 {442, "Unsupported Transport Protocol"},
                 {443, "Peer Address Family Mismatch"},
                 {446, "Connection Already Exists"},
                 {447, "Connection Timeout or Failure"},
                 {486, "Allocation Quota Reached"},
                 {487, "Role Conflict"},
                 {500, "Server Error"},
                 {508, "Insufficient Capacity"}};
  for (const auto& row : kErrors) {
    EXPECT_EQ(ReasonPhrase(static_cast<Error>(row.code)), row.name);
  }
  EXPECT_EQ(ReasonPhrase(static_cast<Error>(699)), "");
  EXPECT_EQ(MethodName(static_cast<Method>(0x080)), "");
}

TEST(AttributesTest, MalformedValuesAreRefused) {
  const auto bytes = [](absl::string_view hex) { return FromHex(hex); };
  EXPECT_FALSE(MappedAddress::Read(bytes("00 03 00 01 c0000201"), kId));
  EXPECT_FALSE(MappedAddress::Read(bytes("00 02 00 01 c0000201"), kId));
  EXPECT_FALSE(MappedAddress::Read(bytes("00 01 00 01 c000020100"), kId));
  EXPECT_FALSE(XorMappedAddress::Read(bytes("00 00 00 01 c0000201"), kId));
  EXPECT_FALSE(XorMappedAddress::Read(bytes("00 01 00 01 c00002"), kId));
  EXPECT_FALSE(ErrorCode::Read(bytes("0000 02 00"), kId));
  EXPECT_FALSE(ErrorCode::Read(bytes("0000 07 00"), kId));
  EXPECT_FALSE(ErrorCode::Read(bytes("0000 04 64"), kId));  // Number 100.
  EXPECT_FALSE(AddressErrorCode::Read(bytes("0300 04 28"), kId));
  EXPECT_FALSE(UseCandidate::Read(bytes("00"), kId));
  EXPECT_FALSE(UnknownAttributes::Read(bytes("7f"), kId));
  EXPECT_FALSE(PasswordAlgorithms::Read(bytes("0002 0001"), kId));
  EXPECT_FALSE(PasswordAlgorithms::Read(bytes("0002"), kId));
  EXPECT_FALSE(EvenPort::Read(bytes("8000"), kId));
}

TEST(AttributesTest, ReservedBitsAreIgnoredOnReceipt) {
  EXPECT_EQ(ErrorCode::Read(FromHex("ffff fc 01"), kId)->code,
            Error::kUnauthenticated);
  EXPECT_EQ(MappedAddress::Read(FromHex("ff 01 80 55 c0 00 02 01"), kId),
            MappedAddress{kV4});
  EXPECT_EQ(RequestedTransport::Read(FromHex("11 ff ff ff"), kId)->protocol,
            17);
  EXPECT_EQ(RequestedAddressFamily::Read(FromHex("07 00 00 00"), kId)->family,
            IpFamily::kUnspecified);
}

// Two spellings of one address must not be two addresses to a policy.
TEST(AttributesTest, MappedIpv6AddressReadsAsIpv4) {
  const auto peer = MappedAddress::Read(
      FromHex("00 02 00 50 00000000 00000000 0000ffff 7f000001"), kId);
  ASSERT_TRUE(peer);
  EXPECT_TRUE(peer->address.ip.is_v4());
  EXPECT_TRUE(peer->address.ip.IsLoopback());
}

TEST(AttributesTest, ValuesOutOfRangeFailTheWriter) {
  EXPECT_TRUE(WriteFails(XorMappedAddress{}));
  EXPECT_TRUE(WriteFails(MappedAddress{}));
  EXPECT_TRUE(WriteFails(RequestedAddressFamily{}));
  EXPECT_TRUE(WriteFails(ErrorCode{static_cast<Error>(299), ""}));
  EXPECT_TRUE(WriteFails(ErrorCode{static_cast<Error>(700), ""}));
  EXPECT_TRUE(WriteFails(AddressErrorCode{}));
  EXPECT_TRUE(WriteFails(Icmp{.type = 0x80}));
  const std::string long_text(764, 'x');
  EXPECT_TRUE(WriteFails(Realm{long_text}));
  EXPECT_TRUE(WriteFails(Username{long_text}));
  EXPECT_TRUE(WriteFails(ErrorCode{Error::kBadRequest, long_text}));
}

// RFC 8489 limits names to 763 bytes; longer ones must not reach a key.
TEST(AttributesTest, OverlongTextIsRefused) {
  const std::string text(764, 'x');
  EXPECT_FALSE(Realm::Read(AsBytes(text), kId));
  EXPECT_FALSE(Nonce::Read(AsBytes(text), kId));
  EXPECT_TRUE(Nonce::Read(AsBytes(text).first(763), kId));
  EXPECT_FALSE(Username::Read(AsBytes(text).first(513), kId));
}

TEST(AttributesTest, PasswordAlgorithmsFindsEntriesBehindParameters) {
  const std::vector<uint8_t> encoded = FromHex("0009 0003 aabbcc00 0002 0000");
  const auto list = PasswordAlgorithms::Read(encoded, kId);
  ASSERT_TRUE(list);
  EXPECT_TRUE(list->Contains(PasswordHash::kSha256));
  EXPECT_FALSE(list->Contains(PasswordHash::kMd5));
}

}  // namespace
}  // namespace kyuu::stun
