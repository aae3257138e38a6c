// Peer connections through NATs and relays, and the whole stack twice from one
// seed.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "peer/connection.h"
#include "peer/testing/call.h"
#include "sim/clock_override.h"
#include "sim/network.h"
#include "turn/testing/sim_server.h"

namespace kyuu::peer {
namespace {

using testing::Call;
using testing::CallOptions;
using testing::Side;
using Bytes = std::vector<uint8_t>;

const IpAddress kServerIp = IpAddress::V4(203, 0, 113, 1);
const TransportAddress kServer{kServerIp, 3478};

// Two homes, each behind a NAT of its own, and a STUN and TURN server between
// them.
struct Homes {
  Homes(const sim::NatOptions& nat_a, const sim::NatOptions& nat_b,
        CallOptions options = {})
      : network({.seed = options.seed}),
        clock(network.clock()),
        turn_random(99),
        turn(turn_random, turn::OpenServerOptions(kServer)),
        zone_a(network.AddNat(sim::kInternet, nat_a)),
        zone_b(network.AddNat(sim::kInternet, nat_b)),
        call(network, WithServers(std::move(options))) {
    host_turn = network.AddHost("turn", {sim::kInternet, {kServerIp}});
    turn.Attach(network, host_turn, {kServer});
    const IpAddress ip_a = IpAddress::V4(192, 168, 1, 2);
    const IpAddress ip_b = IpAddress::V4(10, 0, 0, 2);
    host_a = network.AddHost("a", {zone_a, {ip_a}});
    host_b = network.AddHost("b", {zone_b, {ip_b}});
    call.Attach(host_a, {{ip_a, 5001}}, host_b, {{ip_b, 5002}});
  }
  static CallOptions WithServers(CallOptions options) {
    for (Options* side : {&options.a, &options.b}) {
      side->turn_servers = {{kServer, "u", "p"}};
    }
    return options;
  }
  // Connects, sends both ways, and returns what the path is like.
  ::testing::AssertionResult Talk() {
    const ChannelId c =
        *call.a.connection.CreateDataChannel(network.now(), {.label = "c"});
    call.Negotiate(call.a);
    if (!call.Connected()) {
      return ::testing::AssertionFailure() << call.DebugString();
    }
    if (!network.RunUntil([&] { return !call.b.incoming.empty(); },
                          absl::Seconds(10))) {
      return ::testing::AssertionFailure() << "no channel";
    }
    for (int i = 0; i < 20; ++i) {
      (void)call.a.connection.Send(network.now(), c, PayloadType::kBinary,
                                   Bytes(20'000, 1));
      (void)call.b.connection.Send(network.now(), call.b.incoming[0].channel,
                                   PayloadType::kBinary, Bytes(100, 2));
    }
    if (!network.RunUntil(
            [&] {
              return call.a.messages.size() == 20 &&
                     call.b.messages.size() == 20;
            },
            absl::Seconds(60))) {
      return ::testing::AssertionFailure()
             << call.a.messages.size() << " and " << call.b.messages.size()
             << " messages\n"
             << call.DebugString();
    }
    // The better pair may be found a little later.
    network.RunFor(absl::Seconds(3));
    return ::testing::AssertionSuccess();
  }
  bool Relayed(const Side& side) const { return side.paths.back().relayed(); }

  sim::Network network;
  sim::ScopedClockOverride clock;
  SeededRandom turn_random;
  turn::SimServer turn;
  sim::ZoneId zone_a;
  sim::ZoneId zone_b;
  sim::HostId host_turn;
  sim::HostId host_a;
  sim::HostId host_b;
  Call call;
};

using NatMaker = sim::NatOptions (*)(IpAddress);
struct NatRow {
  const char* name;
  NatMaker make;
};
constexpr NatRow kNats[] = {
    {"full cone", &sim::NatOptions::FullCone},
    {"address restricted", &sim::NatOptions::AddressRestrictedCone},
    {"port restricted", &sim::NatOptions::PortRestrictedCone},
    {"symmetric", &sim::NatOptions::Symmetric},
};

TEST(ConnectionNetwork, FindsTheCheapestWayThroughEveryPairOfNats) {
  for (size_t i = 0; i < 4; ++i) {
    for (size_t j = 0; j < 4; ++j) {
      Homes homes(kNats[i].make(IpAddress::V4(198, 51, 100, 1)),
                  kNats[j].make(IpAddress::V4(198, 51, 100, 2)));
      ASSERT_TRUE(homes.Talk()) << kNats[i].name << " - " << kNats[j].name;
      // A symmetric NAT meets no filter by port.
      const bool needs_relay = i + j >= 5 && (i == 3 || j == 3);
      EXPECT_EQ(homes.Relayed(homes.call.a), needs_relay)
          << kNats[i].name << " - " << kNats[j].name;
    }
  }
}

TEST(ConnectionNetwork, RelayOnlyUsesTheRelayAndNothingElse) {
  CallOptions options;
  options.a.policy = ice::GatherPolicy::kRelay;
  options.b.policy = ice::GatherPolicy::kRelay;
  Homes homes(sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 1)),
              sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 2)),
              std::move(options));
  bool direct = false;
  homes.network.set_filter([&](const Datagram& d) {
    direct |= d.path.local.ip != kServerIp && d.path.remote.ip != kServerIp;
    return true;
  });
  ASSERT_TRUE(homes.Talk());
  EXPECT_TRUE(homes.Relayed(homes.call.a));
  EXPECT_FALSE(direct) << "a datagram passed the relay by";
  EXPECT_EQ(homes.call.a.connection.stats().transport.drop_unwrappable, 0u);
}

TEST(ConnectionNetwork, RelayedBulkTravelsInChannelData) {
  CallOptions options;
  options.a.policy = ice::GatherPolicy::kRelay;
  Homes homes(sim::NatOptions::Symmetric(IpAddress::V4(198, 51, 100, 1)),
              sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 2)),
              std::move(options));
  size_t channel_data = 0;
  size_t largest = 0;
  homes.network.set_filter([&](const Datagram& d) {
    channel_data += d.bytes[0] >= 64 && d.bytes[0] <= 79;
    largest = std::max(largest, d.bytes.size());
    return true;
  });
  ASSERT_TRUE(homes.Talk());
  EXPECT_GT(channel_data, 200u);
  EXPECT_LE(largest, 1280u - 48u) << "fits into IPv6's smallest MTU";
}

TEST(ConnectionNetwork, ClosingGivesTheAllocationBack) {
  CallOptions options;
  options.a.policy = ice::GatherPolicy::kRelay;
  options.b.policy = ice::GatherPolicy::kRelay;
  Homes homes(sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 1)),
              sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 2)),
              std::move(options));
  ASSERT_TRUE(homes.Talk());
  const absl::Time start = homes.network.now();
  homes.call.a.connection.Close(homes.network.now());
  ASSERT_TRUE(homes.network.RunUntil(
      [&] { return homes.call.a.closed && homes.call.b.closed; },
      absl::Seconds(5)));
  EXPECT_LE(homes.network.now() - start, absl::Milliseconds(200));
  homes.network.RunFor(absl::Seconds(1));
  EXPECT_EQ(homes.turn.server().allocations(), 0u);
}

TEST(ConnectionNetwork, DeadServersDelayNothing) {
  CallOptions options;
  options.a.stun_servers = {{IpAddress::V4(203, 0, 113, 99), 3478}};
  Homes homes(sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 1)),
              sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 2)),
              std::move(options));
  const absl::Time start = homes.network.now();
  homes.call.Negotiate(homes.call.a);
  ASSERT_TRUE(homes.call.Connected());
  EXPECT_LE(homes.network.now() - start, absl::Seconds(1));
  homes.network.RunFor(absl::Seconds(10));
  EXPECT_FALSE(homes.call.a.failures.empty());
  EXPECT_EQ(homes.call.a.connection.gathering_state(),
            GatheringState::kComplete);
}

TEST(ConnectionNetwork, WrongTurnPasswordIsTold) {
  CallOptions options;
  Homes homes(sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 1)),
              sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 2)));
  SeededRandom random(5);
  Options wrong;
  wrong.turn_servers = {{kServer, "u", "wrong"}};
  Side side(testing::CertificateOf(0), wrong, 5);
  const TransportAddress local{IpAddress::V4(192, 168, 1, 2), 6000};
  ASSERT_OK(side.connection.AddLocalAddress(homes.network.now(), {local}));
  homes.network.Attach(homes.host_a, {local}, side.connection,
                       [&](const Connection::Event& e) { side.Add(e); });
  ASSERT_OK(side.connection.CreateOffer());
  ASSERT_OK(side.connection.SetLocalDescription(homes.network.now(),
                                                SdpType::kOffer));
  ASSERT_TRUE(homes.network.RunUntil([&] { return !side.failures.empty(); },
                                     absl::Seconds(10)));
  EXPECT_EQ(side.failures[0].code, 401);
}

// Every relay's permission is asked for before what needs it.
TEST(ConnectionNetwork, RelayToRelayConnectsInTheRoundTripsThatPhysicsAsks) {
  CallOptions options;
  options.a.policy = ice::GatherPolicy::kRelay;
  options.b.policy = ice::GatherPolicy::kRelay;
  Homes homes(sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 1)),
              sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 2)),
              std::move(options));
  const absl::Time start = homes.network.now();
  homes.call.Negotiate(homes.call.a);
  ASSERT_TRUE(homes.call.Connected());
  // 10 ms a link: a round trip to the server is 40 ms, through the relays 80.
  // Offer 20, allocation 80, check 80, DTLS 160; and no wait of 500 ms.
  EXPECT_LE(homes.network.now() - start, absl::Milliseconds(400));
}

TEST(ConnectionNetwork, ARestartMendsACallWhoseRelayForgotIt) {
  CallOptions options;
  options.a.policy = ice::GatherPolicy::kRelay;
  Homes homes(sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 1)),
              sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 2)),
              std::move(options));
  ASSERT_TRUE(homes.Talk());
  const TransportAddress before = homes.call.a.paths.back().path.local;
  homes.network.Detach(homes.turn.endpoint());
  turn::SimServer fresh(homes.turn_random, turn::OpenServerOptions(kServer));
  fresh.Attach(homes.network, homes.host_turn, {kServer});
  homes.network.RunFor(absl::Seconds(10));
  homes.call.Negotiate(homes.call.a, IceRestart::kYes);
  ASSERT_TRUE(homes.network.RunUntil(
      [&] {
        return homes.call.a.connected() && homes.call.b.connected() &&
               homes.call.a.paths.back().path.local != before;
      },
      absl::Seconds(15)))
      << homes.call.DebugString();
}

TEST(ConnectionNetwork, AnAddressThatChangesIsFollowed) {
  for (IceRestart restart : {IceRestart::kNo, IceRestart::kYes}) {
    sim::Network network({.seed = 3});
    sim::ScopedClockOverride clock(network.clock());
    const TransportAddress a{IpAddress::V4(192, 0, 2, 1), 5001};
    const TransportAddress b{IpAddress::V4(192, 0, 2, 2), 5002};
    const TransportAddress fresh{IpAddress::V4(192, 0, 2, 77), 5003};
    const sim::HostId host_a = network.AddHost("a", {sim::kInternet, {a.ip}});
    Call call(network, {});
    call.Attach(host_a, {a}, network.AddHost("b", {sim::kInternet, {b.ip}}),
                {b});
    ASSERT_OK(call.a.connection.CreateDataChannel(network.now(), {}));
    call.Negotiate(call.a);
    ASSERT_TRUE(call.Connected());
    network.RunFor(absl::Seconds(5));
    network.RemoveAddress(host_a, a.ip);
    ASSERT_OK(call.a.connection.RemoveLocalAddress(network.now(), a));
    network.AddInterface(host_a, {sim::kInternet, {fresh.ip}});
    network.Bind(call.endpoint_a(), fresh);
    const absl::Time start = network.now();
    ASSERT_OK(call.a.connection.AddLocalAddress(start, {fresh}));
    if (restart == IceRestart::kYes) call.Negotiate(call.a, restart);
    ASSERT_TRUE(network.RunUntil(
        [&] {
          return call.a.connected() && call.b.connected() &&
                 call.b.paths.back().path.remote == fresh;
        },
        absl::Seconds(15)))
        << call.DebugString();
    EXPECT_LE(network.now() - start, absl::Seconds(1));
    EXPECT_FALSE(call.a.closed || call.b.closed);
  }
}

// One run of everything: NATs, a relay, loss, a chat, the end.
uint64_t WholeStack(uint64_t seed, std::string* text) {
  sim::ScopedSeededOpenssl seeded(seed);
  CallOptions options;
  options.seed = seed;
  options.a.policy = ice::GatherPolicy::kRelay;
  Homes homes(
      sim::NatOptions::Symmetric(IpAddress::V4(198, 51, 100, 1)),
      sim::NatOptions::PortRestrictedCone(IpAddress::V4(198, 51, 100, 2)),
      std::move(options));
  sim::LinkOptions bad;
  bad.loss = 0.05;
  bad.reorder = 0.1;
  bad.duplicate = 0.1;
  homes.network.SetLinks(homes.host_a, bad);
  homes.network.SetLinks(homes.host_b, bad);
  EXPECT_TRUE(homes.Talk());
  homes.call.a.connection.Close(homes.network.now());
  homes.network.RunFor(absl::Seconds(40));
  EXPECT_TRUE(homes.call.a.closed && homes.call.b.closed);
  *text = absl::StrCat(homes.network.transcript().deliveries(), " deliveries");
  return homes.network.transcript().hash();
}

TEST(ConnectionNetwork, SameSeedSameBytesOfTheWholeStack) {
  std::string first_text, second_text, other_text;
  const uint64_t first = WholeStack(7, &first_text);
  const uint64_t second = WholeStack(7, &second_text);
  EXPECT_EQ(first, second) << first_text << ", then " << second_text;
  EXPECT_NE(first, WholeStack(8, &other_text));
}

}  // namespace
}  // namespace kyuu::peer
