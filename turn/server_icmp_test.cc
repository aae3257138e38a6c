#include <string>
#include <vector>

#include "base/testing.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

// DONT-FRAGMENT and ICMP errors (RFC 8656 sections 11.2, 11.5, 18.9, 18.13).

namespace kyuu::turn {
namespace {

using stun::MessageWriter;
using Reports = ServerOptions::IcmpReports;

const stun::Icmp kTooBig{3, 4, 1400};
const TransportAddress kPeer6{*IpAddress::Parse("2a00::9"), 7000};

ServerOptions Options(Reports reports = Reports::kWhoAsksDontFragment) {
  ServerOptions options = ServerHarness::Options();
  options.relay_addresses.push_back({*IpAddress::Parse("2001:db8::2"), {}});
  options.icmp_reports = reports;
  return options;
}

class TurnIcmp : public testing::Test {
 protected:
  void Allocate(ServerHarness& harness, bool dont_fragment) {
    ASSERT_TRUE(harness
                    .Allocate(client_,
                              [&](MessageWriter& w) {
                                if (dont_fragment) w.Add(stun::DontFragment{});
                              })
                    .ok());
    ASSERT_TRUE(harness.Permit(client_, kTestPeer.ip).ok());
  }
  Reply Icmp(ServerHarness& harness, const TransportAddress& peer,
             const stun::Icmp& icmp) {
    harness.server().HandleIcmp(harness.now(), *client_.relay, peer, icmp);
    return harness.Poll(client_);
  }

  TestClient client_{1000};
};

TEST_F(TurnIcmp, DontFragmentIsOfTheDatagramThatAsksForIt) {
  ServerHarness harness;
  Allocate(harness, /*dont_fragment=*/false);
  for (const bool whole : {true, false}) {
    std::vector<uint8_t> buffer(200);
    MessageWriter w(absl::MakeSpan(buffer), stun::MessageClass::kIndication,
                    stun::Method::kSend, {});
    w.Add(stun::XorPeerAddress{kTestPeer});
    if (whole) w.Add(stun::DontFragment{});
    w.Add(stun::Data{AsBytes("x")});
    const auto bytes = w.Finish();
    const auto forwards = harness.server().FromClient(
        harness.now(), client_.path, bytes, bytes.size());
    ASSERT_EQ(forwards.size(), 1u);
    EXPECT_EQ(forwards[0].dont_fragment, whole);
  }
  // Who has sent one hears of ICMP too.
  EXPECT_FALSE(Icmp(harness, kTestPeer, kTooBig).empty());
}

TEST_F(TurnIcmp, TheClientIsToldInADataIndicationWithoutData) {
  ServerHarness harness;
  Allocate(harness, /*dont_fragment=*/true);
  const Reply reply = Icmp(harness, kTestPeer, kTooBig);
  ASSERT_FALSE(reply.empty());
  EXPECT_TRUE(
      reply.view().Is(stun::MessageClass::kIndication, stun::Method::kData));
  EXPECT_EQ(reply.Get<stun::XorPeerAddress>()->address, kTestPeer);
  EXPECT_EQ(reply.Get<stun::Icmp>(), kTooBig);
  EXPECT_FALSE(reply.view().Has<stun::Data>());
  EXPECT_EQ(harness.server().stats().icmp_reports, 1u);
}

TEST_F(TurnIcmp, WhoIsTold) {
  const struct {
    Reports reports;
    bool dont_fragment, told;
  } kRows[] = {{Reports::kNobody, true, false},
               {Reports::kWhoAsksDontFragment, true, true},
               {Reports::kWhoAsksDontFragment, false, false},
               {Reports::kEverybody, false, true}};
  for (const auto& row : kRows) {
    ServerHarness harness(Options(row.reports));
    Allocate(harness, row.dont_fragment);
    EXPECT_EQ(!Icmp(harness, kTestPeer, kTooBig).empty(), row.told);
    EXPECT_EQ(harness.server().stats().icmp_dropped, row.told ? 0u : 1u);
    client_.nonce.clear();
  }
}

// Section 11.5: of some types only, and about peers with a permission.
TEST_F(TurnIcmp, WhatIsTold) {
  const struct {
    std::string name;
    TransportAddress peer;
    uint8_t type;
    bool told;
  } kRows[] = {
      {"unreachable", kTestPeer, 3, true},
      {"time exceeded", kTestPeer, 11, true},
      {"source quench", kTestPeer, 4, false},
      {"redirect", kTestPeer, 5, false},
      {"no permission", {IpAddress::V4(1, 1, 1, 1), 7000}, 3, false},
      {"unreachable, IPv6", kPeer6, 1, true},
      {"too big, IPv6", kPeer6, 2, true},
      {"time exceeded, IPv6", kPeer6, 3, true},
      {"parameter problem, IPv6", kPeer6, 4, false},
  };
  ServerHarness harness(Options());
  ASSERT_TRUE(harness
                  .Allocate(client_,
                            [](MessageWriter& w) {
                              w.Add(stun::DontFragment{});
                              w.Add(
                                  stun::AdditionalAddressFamily{IpFamily::kV6});
                            })
                  .ok());
  ASSERT_TRUE(harness.Permit(client_, kTestPeer.ip).ok());
  ASSERT_TRUE(harness.Permit(client_, kPeer6.ip).ok());
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    harness.Advance(absl::Seconds(1));
    EXPECT_EQ(!Icmp(harness, row.peer, {row.type, 0, 0}).empty(), row.told);
  }
}

TEST_F(TurnIcmp, ReportsAreLimitedForEachAllocation) {
  ServerOptions options = Options();
  options.icmp_report_interval = absl::Milliseconds(500);
  ServerHarness harness(options);
  Allocate(harness, /*dont_fragment=*/true);
  int told = 0;
  for (int i = 0; i < 20; ++i) {
    told += !Icmp(harness, kTestPeer, kTooBig).empty();
    harness.Advance(absl::Milliseconds(100));
  }
  EXPECT_EQ(told, 4);
  EXPECT_EQ(harness.server().stats().icmp_dropped, 16u);
  // And what has ended is told of nothing.
  const RelayId gone = *client_.relay;
  EXPECT_TRUE(harness.Refresh(client_, 0).ok());
  harness.server().HandleIcmp(harness.now(), gone, kTestPeer, kTooBig);
  EXPECT_TRUE(harness.Poll(client_).empty());
}

}  // namespace
}  // namespace kyuu::turn
