#include "stun/nat_discovery.h"

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "sim/link.h"
#include "sim/nat.h"
#include "sim/network.h"
#include "stun/server.h"

namespace kyuu::stun {
namespace {

const TransportAddress kPrimary{IpAddress::V4(198, 51, 100, 1), 3478};
const TransportAddress kAlternate{IpAddress::V4(198, 51, 100, 2), 3479};
const TransportAddress kOtherServer{IpAddress::V4(203, 0, 113, 9), 3478};
const IpAddress kOutside = IpAddress::V4(203, 0, 113, 1);
const IpAddress kInside = IpAddress::V4(10, 0, 0, 2);

// A client behind a NAT, and servers on the internet.
class NatDiscoveryTest : public testing::Test {
 protected:
  void Begin(std::optional<sim::NatOptions> nat, NatDiscoveryOptions options,
             Server::Options server = {
                 .discovery = Server::Discovery{kPrimary, kAlternate}}) {
    server_.emplace(server);
    const sim::HostId servers = network_.AddHost(
        "servers",
        {sim::kInternet, {kPrimary.ip, kAlternate.ip}, link_, link_});
    std::vector<TransportAddress> listeners = {kPrimary};
    if (server.discovery) {
      listeners = {kPrimary,
                   {kPrimary.ip, kAlternate.port},
                   {kAlternate.ip, kPrimary.port},
                   kAlternate};
    }
    network_.Attach(servers, listeners, *server_);
    const sim::HostId other =
        network_.AddHost("other", {sim::kInternet, {kOtherServer.ip}});
    network_.Attach(other, {kOtherServer}, other_server_);

    const sim::ZoneId home =
        nat ? network_.AddNat(sim::kInternet, *nat, link_, link_)
            : sim::kInternet;
    const sim::HostId host =
        network_.AddHost("client", {home, {kInside}, link_, link_});
    options.local = {kInside, 5000};
    options.server = kPrimary;
    std::vector<TransportAddress> locals = {options.local};
    if (!options.probes.empty()) {
      options.asker = {kInside, 5001};
      locals.push_back(options.asker);
      for (size_t i = 0; i < options.probes.size(); ++i) {
        options.probes[i].local = {kInside, static_cast<uint16_t>(6000 + i)};
        locals.push_back(options.probes[i].local);
      }
    }
    discovery_ = std::make_unique<NatDiscovery>(random_, options);
    network_.Attach(
        host, locals, *discovery_, [this](NatDiscovery::Event event) {
          if (const auto* found = std::get_if<NatDiscovery::Found>(&event)) {
            report_ = found->report;
            reported_at_ = network_.now();
          } else if (const auto* life =
                         std::get_if<NatDiscovery::LifetimeFound>(&event)) {
            lifetime_ = life->lifetime;
          } else {
            closed_ = std::get<NatDiscovery::Closed>(event).status;
          }
        });
    const absl::Time began = network_.now();
    ASSERT_OK(discovery_->Start(began));
    ASSERT_TRUE(network_.RunUntil([this] { return closed_.has_value(); },
                                  absl::Minutes(10)));
    if (report_) {
      EXPECT_LE(reported_at_ - began, absl::Seconds(17));
    }
  }

  sim::LinkOptions link_;
  sim::Network network_{{.seed = 7}};
  SeededRandom random_{7};
  std::optional<Server> server_;
  Server other_server_{{}};
  std::unique_ptr<NatDiscovery> discovery_;
  std::optional<NatReport> report_;
  std::optional<NatLifetime> lifetime_;
  std::optional<absl::Status> closed_;
  absl::Time reported_at_;
};

NatDependence Of(sim::Behavior behavior) {
  switch (behavior) {
    case sim::Behavior::kEndpointIndependent:
      return NatDependence::kNone;
    case sim::Behavior::kAddressDependent:
      return NatDependence::kAddress;
    case sim::Behavior::kAddressAndPortDependent:
      return NatDependence::kAddressAndPort;
  }
  return NatDependence::kUnknown;
}

class EveryNatTest : public NatDiscoveryTest,
                     public testing::WithParamInterface<
                         std::tuple<sim::Behavior, sim::Behavior, bool>> {};

TEST_P(EveryNatTest, IsRecognised) {
  const auto [mapping, filtering, hairpin] = GetParam();
  Begin(sim::NatOptions{.mapping = mapping,
                        .filtering = filtering,
                        .hairpin = hairpin,
                        .outside = {kOutside}},
        {});
  ASSERT_TRUE(report_.has_value());
  EXPECT_OK(*closed_);
  EXPECT_TRUE(report_->translated());
  EXPECT_EQ(report_->mapped.ip, kOutside);
  EXPECT_EQ(report_->mapping, Of(mapping));
  EXPECT_EQ(report_->filtering, Of(filtering));
  // What comes back from another outside port is filtered as all else is.
  const bool heard =
      hairpin && (mapping == sim::Behavior::kEndpointIndependent ||
                  filtering == sim::Behavior::kEndpointIndependent);
  EXPECT_EQ(report_->hairpinning, heard ? NatAbility::kYes : NatAbility::kNo);
}

constexpr sim::Behavior kBehaviors[] = {
    sim::Behavior::kEndpointIndependent, sim::Behavior::kAddressDependent,
    sim::Behavior::kAddressAndPortDependent};
INSTANTIATE_TEST_SUITE_P(All, EveryNatTest,
                         testing::Combine(testing::ValuesIn(kBehaviors),
                                          testing::ValuesIn(kBehaviors),
                                          testing::Bool()));

TEST_F(NatDiscoveryTest, FragmentsThatPassAreSeen) {
  link_.mtu = 9000;
  Begin(sim::NatOptions::FullCone(kOutside), {});
  ASSERT_TRUE(report_.has_value());
  EXPECT_EQ(report_->fragments, NatAbility::kYes);
}

TEST_F(NatDiscoveryTest, FragmentsThatAreDroppedAreSeen) {
  link_.mtu = 1500;
  Begin(sim::NatOptions::FullCone(kOutside), {});
  ASSERT_TRUE(report_.has_value());
  EXPECT_EQ(report_->fragments, NatAbility::kNo);
}

TEST_F(NatDiscoveryTest, NoNatHasNoMappingAndNoFilter) {
  Begin(std::nullopt, {});
  ASSERT_TRUE(report_.has_value());
  EXPECT_FALSE(report_->translated());
  EXPECT_EQ(report_->mapping, NatDependence::kNone);
  EXPECT_EQ(report_->filtering, NatDependence::kNone);
}

TEST_F(NatDiscoveryTest, AFirewallFiltersWithoutTranslating) {
  Begin(sim::NatOptions::Firewall(), {});
  ASSERT_TRUE(report_.has_value());
  EXPECT_FALSE(report_->translated());
  EXPECT_EQ(report_->filtering, NatDependence::kAddressAndPort);
}

TEST_F(NatDiscoveryTest, AServerWithOneAddressTellsTheAddressAndHairpinning) {
  Begin(sim::NatOptions::Symmetric(kOutside), {}, Server::Options{});
  ASSERT_TRUE(report_.has_value());
  EXPECT_EQ(report_->mapped.ip, kOutside);
  EXPECT_EQ(report_->mapping, NatDependence::kUnknown);
  EXPECT_EQ(report_->filtering, NatDependence::kUnknown);
  EXPECT_EQ(report_->hairpinning, NatAbility::kNo);
}

TEST_F(NatDiscoveryTest, TwoServersTellWhetherTheMappingDependsOnThem) {
  Begin(sim::NatOptions::Symmetric(kOutside), {.other_server = kOtherServer},
        Server::Options{});
  ASSERT_TRUE(report_.has_value());
  EXPECT_EQ(report_->mapping, NatDependence::kSome);
}

TEST_F(NatDiscoveryTest, TwoServersTellThatTheMappingIsOne) {
  Begin(sim::NatOptions::PortRestrictedCone(kOutside),
        {.other_server = kOtherServer}, Server::Options{});
  ASSERT_TRUE(report_.has_value());
  EXPECT_EQ(report_->mapping, NatDependence::kNone);
}

// RFC 5780 section 4.6.
TEST_F(NatDiscoveryTest, TheLifetimeOfAMappingIsBracketed) {
  sim::NatOptions nat = sim::NatOptions::PortRestrictedCone(kOutside);
  nat.mapping_lifetime = absl::Seconds(50);
  Begin(nat, {.probes = {{{}, absl::Seconds(120)},
                         {{}, absl::Seconds(15)},
                         {{}, absl::Seconds(45)},
                         {{}, absl::Seconds(60)}}});
  ASSERT_TRUE(lifetime_.has_value());
  EXPECT_OK(*closed_);
  EXPECT_EQ(lifetime_->at_least, absl::Seconds(45));
  EXPECT_EQ(lifetime_->below, absl::Seconds(60));
  // Whoever would have kept silent for longer was not waited for.
  EXPECT_LT(network_.now() - reported_at_, absl::Seconds(70));
}

TEST_F(NatDiscoveryTest, AMappingThatOutlivesEveryProbeHasNoUpperBound) {
  Begin(sim::NatOptions::FullCone(kOutside),
        {.probes = {{{}, absl::Seconds(15)}}});
  ASSERT_TRUE(lifetime_.has_value());
  EXPECT_EQ(lifetime_->at_least, absl::Seconds(15));
  EXPECT_EQ(lifetime_->below, absl::InfiniteDuration());
}

// Answers to another port are refused with 420 by most servers.
TEST_F(NatDiscoveryTest, WithoutResponsePortTheLifetimeStaysUnknown) {
  Begin(sim::NatOptions::FullCone(kOutside),
        {.probes = {{{}, absl::Seconds(15)}}}, Server::Options{});
  EXPECT_TRUE(report_.has_value());
  EXPECT_FALSE(lifetime_.has_value());
  EXPECT_EQ(closed_->code(), absl::StatusCode::kUnimplemented);
}

TEST_F(NatDiscoveryTest, ABlockedNetworkIsTold) {
  sim::NatOptions nat = sim::NatOptions::FullCone(kOutside);
  nat.block_udp = true;
  Begin(nat, {});
  EXPECT_FALSE(report_.has_value());
  EXPECT_EQ(closed_->code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(NatDiscoveryTest, ClosingEndsItOnce) {
  NatDiscovery discovery(random_, {.local = {kInside, 1}, .server = kPrimary});
  ASSERT_OK(discovery.Start(network_.now()));
  discovery.Close();
  discovery.Close();
  const auto event = discovery.PollEvent();
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(std::get<NatDiscovery::Closed>(*event).status.code(),
            absl::StatusCode::kCancelled);
  EXPECT_FALSE(discovery.PollEvent().has_value());
  EXPECT_EQ(discovery.NextTimeout(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace kyuu::stun
