// Agent, gatherer and relays as one: what leaves first, and whose a datagram
// is.

#include "ice/transport.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/counters.h"
#include "base/random.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/testing/peer.h"
#include "sim/network.h"
#include "stun/message.h"
#include "turn/testing/sim_server.h"

namespace kyuu::ice {
namespace {

using ::testing::ElementsAre;
using testing::Peer;
using testing::Session;

const IpAddress kServerIp = IpAddress::V4(203, 0, 113, 1);
const TransportAddress kServer{kServerIp, 3478};
const TransportAddress kA{IpAddress::V4(192, 0, 2, 1), 5000};
const TransportAddress kB{IpAddress::V4(192, 0, 2, 2), 6000};

// Two hosts and a relay, 12.5 ms from the middle each: the round trip to the
// server is 25 ms, and through one relay or two 50 ms.
struct Relayed {
  explicit Relayed(GatherPolicy policy_a, GatherPolicy policy_b,
                   uint64_t seed = 1, std::vector<RelayProtocol> ways = {})
      : network({.seed = seed}),
        random(seed),
        server(std::make_unique<turn::SimServer>(
            random, turn::OpenServerOptions(kServer))),
        host_a(network.AddHost("a", {sim::kInternet, {kA.ip}})),
        host_b(network.AddHost("b", {sim::kInternet, {kB.ip}})),
        host_server(network.AddHost("server", {sim::kInternet, {kServerIp}})),
        a(Role::kControlling, 2 * seed, Options(kA, policy_a, ways)),
        b(Role::kControlled, 2 * seed + 1, Options(kB, policy_b, ways)),
        session(network, a, b, absl::ZeroDuration()) {
    const sim::LinkOptions near{.delay = absl::Microseconds(6250)};
    network.SetLinks(host_a, near);
    network.SetLinks(host_b, near);
    network.SetLinks(host_server, near);
    server->Attach(network, host_server, {kServer});
  }
  static GathererOptions Options(const TransportAddress& host,
                                 GatherPolicy policy,
                                 const std::vector<RelayProtocol>& ways = {}) {
    GathererOptions options;
    options.hosts = {{host}};
    if (policy == GatherPolicy::kRelay) {
      options.turn_servers = {{kServer, "u", "p"}};
    }
    for (const RelayProtocol way : ways) {
      options.turn_servers.push_back({kServer, "u", "p", way});
    }
    options.policy = policy;
    return options;
  }
  // All allocations are forgotten.
  void RestartServer() {
    network.Detach(server->endpoint());
    server = std::make_unique<turn::SimServer>(
        random, turn::OpenServerOptions(kServer));
    server->Attach(network, host_server, {kServer});
  }
  std::vector<Gatherer::RelayLost> lost_a() const { return a.lost; }
  void Start() {
    start_ = network.now();
    session.Start(host_a, {kA}, host_b, {kB});
  }
  // How long after Start() both are in `state`.
  absl::Duration Until(AgentState state) {
    EXPECT_TRUE(session.RunUntil(state, absl::Seconds(20)))
        << a.ice.DebugString() << b.ice.DebugString();
    return network.now() - start_;
  }

  sim::Network network;
  SeededRandom random;
  std::unique_ptr<turn::SimServer> server;
  sim::HostId host_a;
  sim::HostId host_b;
  sim::HostId host_server;
  Peer a;
  Peer b;
  Session session;

 private:
  absl::Time start_;
};

TEST(Transport, RelayToRelayTakesTheRoundTripsThatPhysicsAsks) {
  Relayed r(GatherPolicy::kRelay, GatherPolicy::kRelay);
  r.Start();
  // Two round trips to the server for the allocation (25 ms each), one through
  // the relays for the check and one for the nomination (50 ms each). The
  // permission travels in front of the check. Both are told at one moment, so
  // that one side's check may meet a relay whose owner's permission comes just
  // behind it: half a round trip more, not a timeout.
  EXPECT_LE(r.Until(AgentState::kCompleted),
            absl::Milliseconds(2 * 25 + 2 * 50 + 25 + 1));
  EXPECT_EQ(r.server->server().stats().no_permission, 1u) << "just that one";
}

TEST(Transport, HostToRelayTakesTheRoundTripsThatPhysicsAsks) {
  Relayed r(GatherPolicy::kAll, GatherPolicy::kRelay);
  r.Start();
  EXPECT_LE(r.Until(AgentState::kConnected),
            absl::Milliseconds(2 * 25 + 50 + 1));
}

// Whatever is sent first to a peer that was never permitted.
TEST(Transport, PayloadWaitsForTheRequestThatLetsItPass) {
  Relayed r(GatherPolicy::kRelay, GatherPolicy::kRelay);
  std::vector<stun::Method> methods;
  r.network.set_filter([&](const Datagram& d) {
    const auto message = stun::MessageView::Parse(d.bytes);
    if (message.ok() && d.path.local == kA &&
        message->cls() != stun::MessageClass::kSuccess) {
      methods.push_back(message->method());
    }
    return true;
  });
  r.Start();
  r.Until(AgentState::kCompleted);
  const auto first = [&](stun::Method method) {
    return std::find(methods.begin(), methods.end(), method);
  };
  EXPECT_LT(first(stun::Method::kCreatePermission), first(stun::Method::kSend));
  EXPECT_NE(first(stun::Method::kSend), methods.end());
  EXPECT_EQ(r.a.ice.stats().drop_unwrappable, 0u);
}

TEST(Transport, PayloadTravelsOnTheSelectedPathAndNowhereElse) {
  Relayed r(GatherPolicy::kRelay, GatherPolicy::kAll);
  std::array<uint8_t, 1500> out;
  EXPECT_FALSE(r.a.ice.Send(r.network.now(), AsBytes("\x17no path"),
                            absl::MakeSpan(out)));
  EXPECT_EQ(r.a.ice.stats().drop_no_path, 1u);
  r.Start();
  r.Until(AgentState::kCompleted);
  r.network.RunFor(absl::Seconds(1));
  EXPECT_EQ(r.a.ice.headroom(), 4u);
  const auto datagram =
      r.a.ice.Send(r.network.now(), AsBytes("\x17hello"), absl::MakeSpan(out));
  ASSERT_TRUE(datagram);
  EXPECT_EQ(datagram->path.remote, kServer);
  r.network.Send(r.host_a, *datagram);
  r.network.RunFor(absl::Seconds(1));
  EXPECT_EQ(r.b.data, std::vector<std::string>{"\x17hello"});
  EXPECT_EQ(r.b.ice.stats().payloads_received, 1u);

  // Nobody else may say anything, nor in another tongue.
  const TransportAddress stranger{kServerIp, 9};
  r.network.Send(r.host_server,
                 {{stranger, kB, Transport::kUdp}, AsBytes("\x17stranger")});
  r.network.Send(r.host_server,
                 {{stranger, kB, Transport::kUdp}, AsBytes("noise")});
  r.network.RunFor(absl::Seconds(1));
  EXPECT_EQ(r.b.data.size(), 1u);
  EXPECT_EQ(r.b.ice.stats().drop_unknown_path, 1u);
  EXPECT_EQ(r.b.ice.stats().drop_unknown_protocol, 1u);
}

TEST(Transport, ARestartMendsARelayThatItsServerForgot) {
  Relayed r(GatherPolicy::kRelay, GatherPolicy::kRelay);
  r.Start();
  r.Until(AgentState::kCompleted);
  const TransportAddress before = r.a.ice.selected_path()->local;
  r.RestartServer();
  r.network.RunFor(absl::Seconds(1));  // Nobody has missed it yet.
  ASSERT_OK(r.a.ice.Restart(r.network.now(), Credentials::Generate(r.random)));
  ASSERT_OK(r.b.ice.Restart(r.network.now(), Credentials::Generate(r.random)));
  r.session.Exchange();
  EXPECT_TRUE(r.network.RunUntil(
      [&] { return r.a.ice.gathering_state() == GatheringState::kGathering; },
      absl::Seconds(1)));
  ASSERT_TRUE(r.network.RunUntil(
      [&] {
        return r.a.Is(AgentState::kCompleted) &&
               r.b.Is(AgentState::kCompleted) &&
               r.a.ice.selected_path()->local != before;
      },
      absl::Seconds(5)))
      << r.a.ice.DebugString() << r.b.ice.DebugString();
  EXPECT_EQ(r.lost_a().size(), 1u);
  // The lost address is no candidate any more.
  for (const Candidate& candidate : r.a.ice.candidates()) {
    EXPECT_NE(candidate.address, before);
  }
}

TEST(Transport, EveryCounterIsRaisedByWhatItsNameSays) {
  Relayed r(GatherPolicy::kRelay, GatherPolicy::kAll);
  IceTransport& ice = r.a.ice;
  IceTransportStats seen;
  std::set<std::string> raised;
  const auto counted = [&] {
    const IceTransportStats difference = CountersSince(seen, ice.stats());
    seen = ice.stats();
    for (const absl::string_view name : NonzeroCounters(difference)) {
      raised.insert(std::string(name));
    }
    return NonzeroCounters(difference);
  };
  std::array<uint8_t, 1500> out;
  EXPECT_FALSE(
      ice.Send(r.network.now(), AsBytes("\x17none"), absl::MakeSpan(out)));
  EXPECT_THAT(counted(), ElementsAre("drop_no_path"));
  r.Start();
  r.Until(AgentState::kCompleted);
  r.network.RunFor(absl::Seconds(1));
  EXPECT_THAT(counted(), ElementsAre());
  const absl::Time now = r.network.now();
  EXPECT_TRUE(ice.Send(now, AsBytes("\x17hello"), absl::MakeSpan(out)));
  EXPECT_THAT(counted(), ElementsAre("payloads_sent"));
  // No room for the relay's header.
  EXPECT_FALSE(
      ice.Send(now, AsBytes("\x17hello"), absl::MakeSpan(out).first(7)));
  EXPECT_THAT(counted(), ElementsAre("drop_unwrappable"));
  const Path path = *ice.selected_path();
  EXPECT_TRUE(ice.HandlePacket(now, {path, AsBytes("\x17hello")}));
  EXPECT_THAT(counted(), ElementsAre("payloads_received"));
  EXPECT_FALSE(
      ice.HandlePacket(now, {{path.local, kServer}, AsBytes("\x17hello")}));
  EXPECT_THAT(counted(), ElementsAre("drop_unknown_path"));
  EXPECT_FALSE(ice.HandlePacket(now, {path, AsBytes("hello")}));
  EXPECT_THAT(counted(), ElementsAre("drop_unknown_protocol"));

  // More addresses of ours than the agent takes.
  SeededRandom random(1);
  IceTransportOptions options;
  options.agent.max_local_candidates = 1;
  options.gatherer.hosts = {{kA}, {kB}};
  IceTransport small(Role::kControlling, Credentials::Generate(random), random,
                     options);
  small.Gather(now);
  EXPECT_THAT(NonzeroCounters(small.stats()), ElementsAre("drop_candidate"));
  raised.insert("drop_candidate");

  for (const Counter<IceTransportStats>& counter :
       IceTransportStats::kCounters) {
    EXPECT_TRUE(raised.count(std::string(counter.name))) << counter.name;
  }
}

// Consent is not answered, and the servers say why long before it expires.
TEST(Transport, ARelayThatItsServerForgotIsReplacedWithoutARestart) {
  Relayed r(GatherPolicy::kRelay, GatherPolicy::kRelay);
  r.Start();
  r.Until(AgentState::kCompleted);
  const TransportAddress before = r.a.ice.selected_path()->local;
  r.RestartServer();
  const auto replaced = [&](const Peer& peer) {
    const auto path = peer.ice.selected_path();
    return peer.Is(AgentState::kCompleted) && path && path->local != before &&
           path->remote != before;
  };
  // A check within 6 s, a second for its answer, and some round trips.
  EXPECT_TRUE(r.network.RunUntil([&] { return replaced(r.a) && replaced(r.b); },
                                 absl::Seconds(9)))
      << r.a.ice.DebugString() << r.b.ice.DebugString();
}

// Nothing but a server speaks on a stream that we have not made to a peer.
TEST(Transport, OtherThingsOnAStreamAreDropped) {
  SeededRandom random(1);
  IceTransport ice(Role::kControlling, Credentials::Generate(random), random);
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  const Path stream{kA, kServer, Transport::kTcp};
  const Path secured{kA, kServer, Transport::kTls};
  const auto check = FromHex("0001 0000 2112a442 0102030405060708090a0b0c");
  EXPECT_FALSE(ice.HandlePacket(now, {stream, FromHex("17 fefd 00")}));
  EXPECT_FALSE(ice.HandlePacket(now, {secured, check}));
  EXPECT_EQ(ice.stats().drop_unknown_path, 2);
  EXPECT_FALSE(ice.HandlePacket(now, {stream, check}));
  EXPECT_EQ(ice.agent().stats().drop_unknown_local, 1);
  EXPECT_FALSE(ice.PollTransmit(now, {}));
}

// A firewall on each side lets nothing out but TCP.
TEST(Transport, PeersMeetOverTcpWhereUdpIsBlocked) {
  Relayed r(GatherPolicy::kAll, GatherPolicy::kAll, 1,
            {RelayProtocol::kUdp, RelayProtocol::kTcp});
  r.network.set_filter([](const Datagram& datagram) {
    return datagram.path.transport == Transport::kTcp ||
           datagram.path.local.ip == kServerIp;
  });
  r.Start();
  EXPECT_LT(r.Until(AgentState::kConnected), absl::Seconds(1));
  const auto path = r.a.ice.selected_path();
  ASSERT_TRUE(path);
  EXPECT_EQ(path->local.ip, kServerIp);
  EXPECT_EQ(path->remote.ip, kServerIp);
}

TEST(Transport, NothingIsToldOfAHostThatGoesAfterTheEnd) {
  SeededRandom random(1);
  IceTransport ice(Role::kControlling, Credentials::Generate(random), random);
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  const TransportAddress host{IpAddress::V4(10, 0, 0, 1), 5000};
  ASSERT_OK(ice.AddHost(now, {host}));
  ice.Gather(now);
  ice.Close(now);
  EXPECT_OK(ice.RemoveHost(now, host));
  const auto event = ice.PollEvent();
  ASSERT_TRUE(event);
  EXPECT_TRUE(std::holds_alternative<Closed>(*event));
  EXPECT_FALSE(ice.PollEvent());
}

TEST(Transport, ClosedIsToldHoweverOftenItIsClosed) {
  SeededRandom random(1);
  IceTransport ice(Role::kControlling, Credentials::Generate(random), random);
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  ice.Close(now);
  ice.Close(now);
  const auto event = ice.PollEvent();
  ASSERT_TRUE(event);
  EXPECT_TRUE(std::holds_alternative<Closed>(*event));
  EXPECT_FALSE(ice.PollEvent());
}

}  // namespace
}  // namespace kyuu::ice
