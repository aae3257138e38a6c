// UDP and TCP between the same two machines share their fate: what goes slowly
// for a while is no reason to move from the one to the other, and back.

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "ice/agent_types.h"
#include "ice/gatherer_types.h"
#include "ice/testing/peer.h"
#include "sim/network.h"

namespace kyuu::ice {
namespace {

using testing::Peer;
using testing::Session;

const IpAddress kIpA = IpAddress::V4(192, 0, 2, 1);
const IpAddress kIpB = IpAddress::V4(192, 0, 2, 2);
constexpr uint16_t kUdpPort = 5000;
constexpr uint16_t kTcpPort = 5001;
constexpr absl::Duration kDelay = absl::Milliseconds(5);
// DTLS application data, as far as ICE can tell.
const std::string kPayload = "\x17payload";

// Two peers that have UDP and TCP, and talk all the time.
class World {
 public:
  World()
      : network_({.seed = 1}),
        host_a_(network_.AddHost("a", {sim::kInternet, {kIpA}})),
        host_b_(network_.AddHost("b", {sim::kInternet, {kIpB}})),
        a_(Role::kControlling, 2, Options(kIpA)),
        b_(Role::kControlled, 3, Options(kIpB)),
        session_(network_, a_, b_) {
    network_.SetLinks(host_a_, {.delay = kDelay});
    network_.SetLinks(host_b_, {.delay = kDelay});
  }
  ~World() {
    network_.Detach(session_.endpoint_a());
    network_.Detach(session_.endpoint_b());
  }

  bool Connect() {
    session_.Start(host_a_, {{kIpA, kUdpPort}}, host_b_, {{kIpB, kUdpPort}});
    session_.UseStreams(host_a_, {kIpA, kTcpPort}, host_b_, {kIpB, kTcpPort});
    return session_.RunUntil(AgentState::kCompleted, absl::Seconds(5)) &&
           transport(a_) == Transport::kUdp && transport(b_) == Transport::kUdp;
  }
  void BlockUdp() {
    network_.set_filter(
        [](const Datagram& d) { return d.path.transport != Transport::kUdp; });
  }
  void PassUdp() { network_.set_filter(nullptr); }
  // Nothing arrives for so long, and then all at once.
  void Stall(absl::Duration duration) {
    constexpr absl::Duration kStep = absl::Milliseconds(1);
    for (absl::Duration at; at < duration; at += kStep) {
      network_.After(at, [this, left = duration - at] {
        network_.SetLinks(host_a_, {.delay = std::max(kDelay, left)});
      });
    }
    network_.After(duration,
                   [this] { network_.SetLinks(host_a_, {.delay = kDelay}); });
  }
  // Both send each 20 ms.
  void Talk(absl::Duration duration) {
    const absl::Time end = network_.now() + duration;
    while (network_.now() < end) {
      Send(a_, host_a_);
      Send(b_, host_b_);
      network_.RunFor(absl::Milliseconds(20));
    }
  }
  // How often data has gone another way.
  size_t moves() const { return a_.selections.size() + b_.selections.size(); }
  Peer& a() { return a_; }
  Peer& b() { return b_; }
  static Transport transport(const Peer& peer) {
    return peer.selected().path.transport;
  }

 private:
  static GathererOptions Options(const IpAddress& ip) {
    GathererOptions options;
    options.hosts = {
        {.address = {ip, kUdpPort}, .tcp_active = true, .tcp_port = kTcpPort}};
    return options;
  }
  void Send(Peer& from, sim::HostId host) {
    std::array<uint8_t, 1500> out;
    if (auto datagram = from.ice.Send(network_.now(), AsBytes(kPayload),
                                      absl::MakeSpan(out))) {
      network_.Send(host, *datagram);
    }
  }

  sim::Network network_;
  sim::HostId host_a_;
  sim::HostId host_b_;
  Peer a_;
  Peer b_;
  Session session_;
};

TEST(TransportFlips, WhatStallsForAWhileGoesOnAsBefore) {
  World w;
  ASSERT_TRUE(w.Connect()) << w.a().ice.DebugString();
  const size_t before = w.moves();
  for (const int ms : {300, 600, 700, 800, 900, 600, 900}) {
    w.Stall(absl::Milliseconds(ms));
    w.Talk(absl::Seconds(5));
    EXPECT_EQ(w.moves(), before) << ms << " ms" << w.a().ice.DebugString();
  }
}

TEST(TransportFlips, UdpThatPassesNoMoreGivesWayToTcp) {
  World w;
  ASSERT_TRUE(w.Connect());
  w.BlockUdp();
  w.Talk(absl::Milliseconds(1900));
  EXPECT_EQ(World::transport(w.a()), Transport::kUdp);
  w.Talk(absl::Milliseconds(600));
  for (const Peer* peer : {&w.a(), &w.b()}) {
    EXPECT_EQ(World::transport(*peer), Transport::kTcp);
  }
}

TEST(TransportFlips, UdpThatPassesAgainIsGoneBackToWhenItHasWorkedForAWhile) {
  World w;
  ASSERT_TRUE(w.Connect());
  w.BlockUdp();
  w.Talk(absl::Seconds(4));
  ASSERT_EQ(World::transport(w.a()), Transport::kTcp);
  w.PassUdp();
  const size_t before = w.moves();
  w.Talk(AgentOptions().renomination_wait_stream);
  EXPECT_EQ(World::transport(w.a()), Transport::kTcp);
  // It is asked again as any reserve is.
  w.Talk(AgentOptions().keepalive_interval);
  for (const Peer* peer : {&w.a(), &w.b()}) {
    EXPECT_EQ(World::transport(*peer), Transport::kUdp);
  }
  EXPECT_EQ(w.moves(), before + 2);
}

}  // namespace
}  // namespace kyuu::ice
