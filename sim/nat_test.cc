#include "sim/nat.h"

#include <set>
#include <string>

#include "base/testing.h"

namespace kyuu::sim {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);
const IpAddress kOutside = IpAddress::V4(198, 51, 100, 1);

TransportAddress At(const char* text) { return *TransportAddress::Parse(text); }
const TransportAddress kInside = At("192.168.1.2:5000");
const TransportAddress kA1 = At("203.0.113.1:1000");
const TransportAddress kA2 = At("203.0.113.1:2000");
const TransportAddress kB1 = At("203.0.113.2:1000");

NatOptions Options(Behavior mapping, Behavior filtering) {
  NatOptions options;
  options.mapping = mapping;
  options.filtering = filtering;
  options.outside = {kOutside};
  return options;
}

// What depends on which part of a remote address (RFC 4787 sections 4.1 and 5).
struct Row {
  const char* name;
  Behavior behavior;
  bool same_for_other_port;
  bool same_for_other_address;
};
constexpr Row kRows[] = {
    {"endpoint-independent", Behavior::kEndpointIndependent, true, true},
    {"address-dependent", Behavior::kAddressDependent, true, false},
    {"address-and-port-dependent", Behavior::kAddressAndPortDependent, false,
     false},
};

// RFC 4787 section 4.1: X1':x1' = X2':x2' for which pairs of destinations.
TEST(Nat, MappingBehaviors) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.name);
    SeededRandom random(1);
    Nat nat(Options(row.behavior, Behavior::kEndpointIndependent), random);
    const TransportAddress to_a1 = *nat.Outbound(kStart, kInside, kA1);
    EXPECT_EQ(to_a1.ip, kOutside);
    EXPECT_EQ(nat.Outbound(kStart, kInside, kA1), to_a1);
    EXPECT_EQ(nat.Outbound(kStart, kInside, kA2) == to_a1,
              row.same_for_other_port);
    EXPECT_EQ(nat.Outbound(kStart, kInside, kB1) == to_a1,
              row.same_for_other_address);
  }
}

// RFC 4787 section 5: who may answer to a mapping that has only sent to A:1.
TEST(Nat, FilteringBehaviors) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.name);
    SeededRandom random(1);
    Nat nat(Options(Behavior::kEndpointIndependent, row.behavior), random);
    const TransportAddress outside = *nat.Outbound(kStart, kInside, kA1);
    EXPECT_EQ(nat.Inbound(kStart, kA1, outside), kInside);
    EXPECT_EQ(nat.Inbound(kStart, kA2, outside).has_value(),
              row.same_for_other_port);
    EXPECT_EQ(nat.Inbound(kStart, kB1, outside).has_value(),
              row.same_for_other_address);
    EXPECT_FALSE(nat.Inbound(kStart, kA1, {kOutside, 1}).has_value());
    EXPECT_EQ(nat.stats().no_mapping, 1u);
  }
}

TEST(Nat, MappingDiesAfterItsLifetimeAndOutboundKeepsItAlive) {
  SeededRandom random(1);
  NatOptions options = NatOptions::PortRestrictedCone(kOutside);
  options.mapping_lifetime = absl::Minutes(2);
  Nat nat(options, random);
  const TransportAddress first = *nat.Outbound(kStart, kInside, kA1);
  absl::Time now = kStart + absl::Seconds(119);
  EXPECT_TRUE(nat.Inbound(now, kA1, first).has_value());
  EXPECT_EQ(nat.Outbound(now, kInside, kA1), first);
  now += absl::Seconds(119);
  EXPECT_TRUE(nat.Inbound(now, kA1, first).has_value());
  now += absl::Seconds(1);
  EXPECT_FALSE(nat.Inbound(now, kA1, first).has_value());
  EXPECT_NE(nat.Outbound(now, kInside, kA1), first);
  EXPECT_EQ(nat.mappings(), 1u);
}

TEST(Nat, HoleInTheFilterDiesBeforeAMappingInUse) {
  SeededRandom random(1);
  NatOptions options = NatOptions::PortRestrictedCone(kOutside);
  options.mapping_lifetime = absl::Minutes(2);
  Nat nat(options, random);
  const TransportAddress outside = *nat.Outbound(kStart, kInside, kA1);
  const absl::Time later = kStart + absl::Seconds(100);
  EXPECT_EQ(nat.Outbound(later, kInside, kB1), outside);
  const absl::Time end = kStart + absl::Seconds(121);
  EXPECT_FALSE(nat.Inbound(end, kA1, outside).has_value());
  EXPECT_TRUE(nat.Inbound(end, kB1, outside).has_value());
}

TEST(Nat, InboundRefreshesWhenToldTo) {
  SeededRandom random(1);
  NatOptions options = NatOptions::FullCone(kOutside);
  options.mapping_lifetime = absl::Minutes(2);
  options.inbound_refreshes = true;
  Nat nat(options, random);
  const TransportAddress outside = *nat.Outbound(kStart, kInside, kA1);
  for (int i = 1; i < 10; ++i) {
    EXPECT_TRUE(
        nat.Inbound(kStart + i * absl::Minutes(1), kB1, outside).has_value());
  }
}

TEST(Nat, PreservesThePortWhileItIsFree) {
  SeededRandom random(1);
  NatOptions options = NatOptions::FullCone(kOutside);
  options.preserve_port = true;
  Nat nat(options, random);
  EXPECT_EQ(nat.Outbound(kStart, kInside, kA1)->port, 5000);
  EXPECT_NE(nat.Outbound(kStart, At("192.168.1.3:5000"), kA1)->port, 5000);
}

TEST(Nat, PortsRunOutAndComeBack) {
  SeededRandom random(1);
  NatOptions options = NatOptions::Symmetric(kOutside);
  options.first_port = 100;
  options.last_port = 109;
  Nat nat(options, random);
  std::set<uint16_t> ports;
  for (uint16_t i = 1; i <= 10; ++i) {
    ports.insert(nat.Outbound(kStart, kInside, {kA1.ip, i})->port);
  }
  EXPECT_EQ(ports.size(), 10u);
  EXPECT_FALSE(nat.Outbound(kStart, kInside, {kA1.ip, 11}).has_value());
  EXPECT_EQ(nat.stats().ports_exhausted, 1u);
  EXPECT_TRUE(nat.Outbound(kStart + absl::Minutes(6), kInside, {kA1.ip, 11})
                  .has_value());
}

TEST(Nat, FirewallPassesAddressesUnchangedButOnlyAnswersIn) {
  SeededRandom random(1);
  Nat nat(NatOptions::Firewall(), random);
  const TransportAddress inside = At("[2001:db8::2]:5000");
  const TransportAddress peer = At("[2001:db8:1::1]:1000");
  EXPECT_FALSE(nat.Inbound(kStart, peer, inside).has_value());
  EXPECT_EQ(nat.Outbound(kStart, inside, peer), inside);
  EXPECT_EQ(nat.Inbound(kStart, peer, inside), inside);
  EXPECT_FALSE(nat.Inbound(kStart, {peer.ip, 1001}, inside).has_value());
}

TEST(Nat, FirewallBlocksUdpOrAllButSomeDestinations) {
  SeededRandom random(1);
  NatOptions closed = NatOptions::Firewall();
  closed.block_udp = true;
  EXPECT_FALSE(Nat(closed, random).Outbound(kStart, kInside, kA1).has_value());
  EXPECT_TRUE(Nat(closed, random)
                  .Outbound(kStart, kInside, kA1, Transport::kTcp)
                  .has_value());

  NatOptions narrow = NatOptions::FullCone(kOutside);
  narrow.allowed = {*IpPrefix::Parse("203.0.113.1/32")};
  Nat nat(narrow, random);
  EXPECT_TRUE(nat.Outbound(kStart, kInside, kA1).has_value());
  EXPECT_FALSE(nat.Outbound(kStart, kInside, kB1).has_value());
  EXPECT_EQ(nat.stats().blocked, 1u);
  narrow.allowed_ports = {443};
  EXPECT_FALSE(Nat(narrow, random).Outbound(kStart, kInside, kA1).has_value());
  EXPECT_TRUE(
      Nat(narrow, random).Outbound(kStart, kInside, {kA1.ip, 443}).has_value());
}

TEST(Nat, ConnectionsToAddressesInsideComeInWhereTheyMay) {
  SeededRandom random(1);
  NatOptions options = NatOptions::Firewall();
  const auto comes_in = [&](Transport transport) {
    return Nat(options, random)
        .Inbound(kStart, kA1, kInside, transport)
        .has_value();
  };
  EXPECT_FALSE(comes_in(Transport::kTcp));
  options.accept_streams = true;
  EXPECT_TRUE(comes_in(Transport::kTcp));
  EXPECT_FALSE(comes_in(Transport::kUdp));
  options.outside = {kOutside};  // Nobody inside has that address.
  EXPECT_FALSE(comes_in(Transport::kTcp));
}

}  // namespace
}  // namespace kyuu::sim
