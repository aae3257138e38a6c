#include "tools/kyuu/probe/network_findings.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

using ice::RelayProtocol;
using stun::NatDependence;
using testing::HasSubstr;
using testing::Not;

const TransportAddress kLocal{IpAddress::V4(10, 0, 0, 2), 5000};
const TransportAddress kMapped{IpAddress::V4(203, 0, 113, 1), 40000};

NetworkFindings::Way Works(RelayProtocol protocol) {
  return {protocol, "stun.example",
          StunAnswer{kMapped, absl::Milliseconds(12)}};
}
NetworkFindings::Way Fails(RelayProtocol protocol) {
  return {protocol, "stun.example",
          absl::DeadlineExceededError("it does not answer")};
}

std::string Words(const NetworkFindings& findings) {
  return absl::StrCat(absl::StrJoin(NatInWords(findings), "\n"), "\n",
                      absl::StrJoin(Verdict(findings), "\n"));
}

NetworkFindings Behind(NatDependence mapping, NatDependence filtering) {
  NetworkFindings findings;
  findings.ways = {Works(RelayProtocol::kUdp), Works(RelayProtocol::kTcp)};
  findings.nat = stun::NatReport{.local = kLocal,
                                 .mapped = kMapped,
                                 .mapping = mapping,
                                 .filtering = filtering,
                                 .hairpinning = stun::NatAbility::kNo};
  return findings;
}

TEST(NetworkFindingsTest, AWayIsALine) {
  EXPECT_EQ(WayInWords(Works(RelayProtocol::kUdp)),
            "udp   stun.example: works; sees this machine at 203.0.113.1:40000 "
            "(round trip 12.0 ms)");
  EXPECT_EQ(WayInWords(Fails(RelayProtocol::kTls)),
            "tls   stun.example: does not work: it does not answer");
}

TEST(NetworkFindingsTest, AHomeRouterNeedsARelayForSymmetricPeersOnly) {
  const std::string words =
      Words(Behind(NatDependence::kNone, NatDependence::kAddressAndPort));
  EXPECT_THAT(words, HasSubstr("one outside port for all destinations"));
  EXPECT_THAT(words, HasSubstr("no hairpinning"));
  EXPECT_THAT(words, HasSubstr("all peers but those behind a NAT with "
                               "endpoint-dependent mapping"));
}

TEST(NetworkFindingsTest, ASymmetricNatIsNamed) {
  const std::string words = Words(
      Behind(NatDependence::kAddressAndPort, NatDependence::kAddressAndPort));
  EXPECT_THAT(words, HasSubstr("\"symmetric\""));
  EXPECT_THAT(words, HasSubstr("all others need a TURN relay"));
}

TEST(NetworkFindingsTest, AnOpenMachineIsReachedByEverybody) {
  NetworkFindings findings = Behind(NatDependence::kNone, NatDependence::kNone);
  findings.nat->local = findings.nat->mapped;
  const std::string words = Words(findings);
  EXPECT_THAT(words, HasSubstr("no NAT"));
  EXPECT_THAT(words, Not(HasSubstr("outside port for")));
  EXPECT_THAT(words, HasSubstr("with everybody who can send UDP"));
}

TEST(NetworkFindingsTest, AServerNextDoorSaysNothingOfTheInternet) {
  NetworkFindings findings = Behind(NatDependence::kNone, NatDependence::kNone);
  findings.nat->mapped = findings.nat->local;
  EXPECT_THAT(Words(findings), HasSubstr("inside of this private network"));
}

TEST(NetworkFindingsTest, WhatIsUnknownIsNotClaimed) {
  const std::string words =
      Words(Behind(NatDependence::kUnknown, NatDependence::kUnknown));
  EXPECT_THAT(words, HasSubstr("unknown"));
  EXPECT_THAT(words, HasSubstr("not known; name a second server"));
}

TEST(NetworkFindingsTest, LostFragmentsAreTold) {
  NetworkFindings findings = Behind(NatDependence::kNone, NatDependence::kNone);
  findings.nat->fragments = stun::NatAbility::kYes;
  EXPECT_THAT(Words(findings), Not(HasSubstr("fragments")));
  findings.nat->fragments = stun::NatAbility::kNo;
  EXPECT_THAT(Words(findings), HasSubstr("do not pass (fragments)"));
}

TEST(NetworkFindingsTest, LifetimesAreBrackets) {
  NetworkFindings findings = Behind(NatDependence::kNone, NatDependence::kNone);
  findings.lifetime = {absl::Seconds(28), absl::Seconds(40)};
  EXPECT_THAT(Words(findings), HasSubstr("lives for 28s to 40s"));
  findings.lifetime = {absl::Minutes(5), absl::InfiniteDuration()};
  EXPECT_THAT(Words(findings), HasSubstr("lives for 5m or longer"));
  findings.lifetime = {absl::ZeroDuration(), absl::Seconds(10)};
  EXPECT_THAT(Words(findings), HasSubstr("lives for less than 10s"));
}

TEST(NetworkFindingsTest, WithoutUdpTheRelayIsNamedAndWhatToOpen) {
  NetworkFindings findings;
  findings.ways = {Fails(RelayProtocol::kUdp), Works(RelayProtocol::kTcp),
                   Fails(RelayProtocol::kTls)};
  EXPECT_THAT(Words(findings), HasSubstr("a TURN relay over TCP."));
  EXPECT_THAT(Words(findings), HasSubstr("Open UDP"));
}

TEST(NetworkFindingsTest, WithoutAnythingThatIsSaid) {
  NetworkFindings findings;
  findings.ways = {Fails(RelayProtocol::kUdp)};
  EXPECT_THAT(Words(findings), HasSubstr("calls will not work"));
}

}  // namespace
}  // namespace kyuu::tools
