// Calls over a relay whose way to it changes in the middle of a transfer: the
// allocation moves (RFC 8016), and with it the call, without an ICE restart.

#include <cstddef>
#include <cstdint>
#include <vector>

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
using Bytes = std::vector<uint8_t>;

const TransportAddress kServer{IpAddress::V4(203, 0, 113, 1), 3478};
const TransportAddress kHome{IpAddress::V4(192, 168, 1, 2), 5001};
const TransportAddress kRoad{IpAddress::V4(10, 7, 0, 2), 5003};
const TransportAddress kOther{IpAddress::V4(10, 0, 0, 2), 5002};
constexpr uint32_t kMessages = 400;

CallOptions RelayOnly() {
  CallOptions options;
  options.a.policy = ice::GatherPolicy::kRelay;
  options.b.policy = ice::GatherPolicy::kRelay;
  options.a.turn_servers = {{kServer, "u", "p"}};
  options.b.turn_servers = {{kServer, "u", "p"}};
  return options;
}

// a, which may go from one home to another network, calls b by a relay each,
// and both send a numbered message each 20 ms.
class ConnectionMobilityTest : public ::testing::Test {
 protected:
  ConnectionMobilityTest()
      : clock_(network_.clock()),
        turn_(turn_random_, turn::OpenServerOptions(kServer)),
        call_(network_, RelayOnly()) {
    turn_.Attach(network_,
                 network_.AddHost("turn", {sim::kInternet, {kServer.ip}}),
                 {kServer});
    home_ = AddNat(1);
    road_ = AddNat(2);
    host_a_ = network_.AddHost("a", {home_, {kHome.ip}});
    call_.Attach(host_a_, {kHome},
                 network_.AddHost("b", {AddNat(3), {kOther.ip}}), {kOther});
  }
  sim::ZoneId AddNat(uint8_t n) {
    return network_.AddNat(sim::kInternet, sim::NatOptions::Symmetric(
                                               IpAddress::V4(198, 51, 100, n)));
  }
  void Connect() {
    channel_ =
        *call_.a.connection.CreateDataChannel(network_.now(), {.label = "c"});
    call_.Negotiate(call_.a);
    ASSERT_TRUE(call_.Connected()) << call_.DebugString();
    ASSERT_TRUE(network_.RunUntil([&] { return !call_.b.incoming.empty(); },
                                  absl::Seconds(10)));
    relayed_ = call_.a.paths.back().path.local;
    states_ = call_.a.states.size();
    paths_ = call_.a.paths.size();
    ASSERT_EQ(relayed_.ip, kServer.ip);
    Tick(0);
  }
  void Tick(uint32_t number) {
    if (number == kMessages) return;
    const Bytes payload(1000, static_cast<uint8_t>(number));
    EXPECT_OK(call_.a.connection.Send(network_.now(), channel_,
                                      PayloadType::kBinary, Bytes(payload)));
    EXPECT_OK(call_.b.connection.Send(network_.now(),
                                      call_.b.incoming[0].channel,
                                      PayloadType::kBinary, Bytes(payload)));
    network_.After(absl::Milliseconds(20),
                   [this, number] { Tick(number + 1); });
  }
  void Leave() {
    network_.RemoveAddress(host_a_, kHome.ip);
    ASSERT_OK(call_.a.connection.RemoveLocalAddress(network_.now(), kHome));
  }
  void Arrive() {
    network_.AddInterface(host_a_, {road_, {kRoad.ip}});
    network_.Bind(call_.endpoint_a(), kRoad);
    ASSERT_OK(call_.a.connection.AddLocalAddress(network_.now(), {kRoad}));
  }
  // Every message has come, in order, by the same relays, and nobody has
  // negotiated anything.
  void ExpectWhole() {
    ASSERT_TRUE(network_.RunUntil(
        [&] {
          return call_.a.messages.size() == kMessages &&
                 call_.b.messages.size() == kMessages;
        },
        absl::Minutes(2)))
        << call_.a.messages.size() << " and " << call_.b.messages.size() << "\n"
        << call_.DebugString();
    for (uint32_t i = 0; i < kMessages; ++i) {
      ASSERT_EQ(call_.a.messages[i].payload[0], static_cast<uint8_t>(i));
      ASSERT_EQ(call_.b.messages[i].payload[0], static_cast<uint8_t>(i));
    }
    EXPECT_EQ(call_.a.paths.size(), paths_);
    EXPECT_EQ(call_.a.paths.back().path.local, relayed_);
    EXPECT_TRUE(call_.a.connected() && call_.b.connected());
    EXPECT_TRUE(call_.a.failures.empty());
    EXPECT_EQ(call_.a.connection.stats().gatherer.relays_moved, 1u);
    EXPECT_EQ(turn_.server().allocations(), 2u);
  }
  // Until b has one more message of a than now.
  absl::Duration Silence() {
    const absl::Time start = network_.now();
    const size_t before = call_.b.messages.size();
    EXPECT_TRUE(
        network_.RunUntil([&] { return call_.b.messages.size() > before + 5; },
                          absl::Minutes(1)));
    return network_.now() - start;
  }

  sim::Network network_{{.seed = 5}};
  sim::ScopedClockOverride clock_;
  SeededRandom turn_random_{99};
  turn::SimServer turn_;
  Call call_;
  sim::ZoneId home_{};
  sim::ZoneId road_{};
  sim::HostId host_a_{};
  ChannelId channel_{};
  TransportAddress relayed_;
  size_t states_ = 0;
  size_t paths_ = 0;
};

TEST_F(ConnectionMobilityTest, AnotherAddressIsThereBeforeTheFirstOneGoes) {
  Connect();
  network_.RunFor(absl::Seconds(2));
  Arrive();
  network_.RunFor(absl::Seconds(1));
  Leave();
  // Two round trips to the server (40 ms each), as its nonce is bound to the
  // address, and what SCTP takes to send again.
  EXPECT_LE(Silence(), absl::Milliseconds(1200));
  ExpectWhole();
  EXPECT_EQ(call_.a.states.size(), states_) << "it was never in doubt";
}

TEST_F(ConnectionMobilityTest, TheAddressChanges) {
  Connect();
  network_.RunFor(absl::Seconds(2));
  Leave();
  Arrive();
  EXPECT_LE(Silence(), absl::Milliseconds(1200));
  ExpectWhole();
  EXPECT_EQ(call_.a.states.size(), states_) << "it was never in doubt";
}

// A lift: longer than ICE needs to call it disconnected.
TEST_F(ConnectionMobilityTest, ThereIsNoNetworkForAWhile) {
  Connect();
  network_.RunFor(absl::Seconds(2));
  Leave();
  network_.RunFor(absl::Seconds(20));
  EXPECT_EQ(call_.a.connection.connection_state(),
            ConnectionState::kDisconnected);
  Arrive();
  EXPECT_LE(Silence(), absl::Milliseconds(1200));
  ExpectWhole();
}

// Of the NAT in front of a.
TEST_F(ConnectionMobilityTest, ANatForgetsItsMappings) {
  Connect();
  network_.RunFor(absl::Seconds(2));
  network_.nat(home_).Restart();
  EXPECT_LE(Silence(), absl::Milliseconds(2500));
  ExpectWhole();
}

TEST_F(ConnectionMobilityTest, AServerThatForbidsItGivesAnotherRelay) {
  turn::ServerOptions options = turn::OpenServerOptions(kServer);
  options.mobility = turn::ServerOptions::Mobility::kForbid;
  turn_.server().SetOptions(network_.now(), options);
  Connect();
  network_.RunFor(absl::Seconds(2));
  Leave();
  Arrive();
  ASSERT_TRUE(network_.RunUntil(
      [&] {
        return call_.a.messages.size() == kMessages &&
               call_.b.messages.size() == kMessages;
      },
      absl::Minutes(2)));
  EXPECT_GT(call_.a.paths.size(), paths_);
  EXPECT_NE(call_.a.paths.back().path.local, relayed_);
  EXPECT_EQ(call_.a.connection.stats().gatherer.relays_moved, 0u);
}

}  // namespace
}  // namespace kyuu::peer
