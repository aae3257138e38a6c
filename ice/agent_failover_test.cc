// What happens to data while paths die, move and get better: measured in time
// and round trips.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/testing/peer.h"
#include "sim/nat.h"
#include "sim/network.h"
#include "turn/testing/sim_server.h"

namespace kyuu::ice {
namespace {

using testing::Peer;
using testing::Session;

const IpAddress kServerIp = IpAddress::V4(203, 0, 113, 1);
const TransportAddress kServer{kServerIp, 3478};
// DTLS application data, as far as ICE can tell.
const std::string kPayload = "\x17payload";

TransportAddress At(const char* text) {
  return TransportAddress::Parse(text).value();
}

GathererOptions Options(const std::vector<TransportAddress>& hosts) {
  GathererOptions options;
  for (const TransportAddress& host : hosts) options.hosts.push_back({host});
  return options;
}

// Two peers 25 ms apart each way, perhaps behind a NAT, perhaps with a relay.
struct World {
  World(const std::vector<TransportAddress>& addresses_a,
        const std::vector<TransportAddress>& addresses_b, sim::ZoneId zone_a,
        sim::Network& net, GathererOptions options_a, uint64_t seed = 1)
      : network(net),
        locals_a(addresses_a),
        locals_b(addresses_b),
        host_a(AddHost("a", zone_a, locals_a)),
        host_b(AddHost("b", sim::kInternet, locals_b)),
        a(Role::kControlling, 2 * seed, std::move(options_a)),
        b(Role::kControlled, 2 * seed + 1, Options(locals_b)),
        session(network, a, b) {}

  sim::HostId AddHost(const char* name, sim::ZoneId zone,
                      const std::vector<TransportAddress>& locals) {
    std::vector<IpAddress> ips;
    ips.reserve(locals.size());
    for (const TransportAddress& local : locals) ips.push_back(local.ip);
    const sim::HostId host = network.AddHost(name, {zone, ips});
    network.SetLinks(host, {.delay = absl::Microseconds(12'500)});
    return host;
  }
  void Start() { session.Start(host_a, locals_a, host_b, locals_b); }
  bool Connect() {
    Start();
    return session.RunUntil(AgentState::kCompleted, absl::Seconds(5));
  }
  void Send(Peer& from, sim::HostId host) {
    std::array<uint8_t, 1500> out;
    if (auto datagram = from.ice.Send(network.now(), AsBytes(kPayload),
                                      absl::MakeSpan(out))) {
      network.Send(host, *datagram);
    }
  }
  // Both send each `interval`.
  void Talk(absl::Duration duration,
            absl::Duration interval = absl::Milliseconds(20)) {
    const absl::Time end = network.now() + duration;
    while (network.now() < end) {
      Send(a, host_a);
      Send(b, host_b);
      network.RunFor(interval);
    }
  }
  // How long it takes, talking, until both receive again; at most 30 s.
  absl::Duration Gap() {
    const absl::Time start = network.now();
    network.RunFor(absl::Milliseconds(30));  // What is under way arrives.
    const size_t at_a = a.data.size();
    const size_t at_b = b.data.size();
    while (network.now() < start + absl::Seconds(30) &&
           (a.data.size() == at_a || b.data.size() == at_b)) {
      Talk(absl::Milliseconds(20));
    }
    return network.now() - start;
  }

  sim::Network& network;
  std::vector<TransportAddress> locals_a;
  std::vector<TransportAddress> locals_b;
  sim::HostId host_a;
  sim::HostId host_b;
  Peer a;
  Peer b;
  Session session;
};

const std::vector<TransportAddress> kTwoA = {At("192.0.2.1:5000"),
                                             At("198.51.100.1:5001")};
const std::vector<TransportAddress> kTwoB = {At("192.0.2.2:6000"),
                                             At("198.51.100.2:6001")};

TEST(AgentFailover, DataFindsAnotherPathWithinASecond) {
  sim::Network network({.seed = 1});
  World w(kTwoA, kTwoB, sim::kInternet, network, Options(kTwoA));
  ASSERT_TRUE(w.Connect());
  w.Talk(absl::Seconds(2));
  const Path dead = *w.a.ice.selected_path();
  network.set_filter([&](const Datagram& d) {
    return !(d.path.local == dead.local && d.path.remote == dead.remote) &&
           !(d.path.local == dead.remote && d.path.remote == dead.local);
  });
  EXPECT_LE(w.Gap(), absl::Seconds(1));
  EXPECT_NE(*w.a.ice.selected_path(), dead);
  EXPECT_GE(w.a.ice.agent().stats().probes_started, 1u);
}

TEST(AgentFailover, AnAddressThatFallsSilentIsLeftWithinASecond) {
  sim::Network network({.seed = 1});
  World w(kTwoA, kTwoB, sim::kInternet, network, Options(kTwoA));
  ASSERT_TRUE(w.Connect());
  w.Talk(absl::Seconds(2));
  const TransportAddress dead = w.a.ice.selected_path()->local;
  network.set_filter([&](const Datagram& d) {
    return d.path.local != dead && d.path.remote != dead;
  });
  EXPECT_LE(w.Gap(), absl::Seconds(1));
}

// On a network without delay the first pair is nominated before another one was
// checked, and there are reserves all the same: each of the others gets a
// packet, if another address of ours is its end, until there are enough.
TEST(AgentFailover, AFastNetworkHasReservesToo) {
  sim::Network network({.seed = 1});
  World w(kTwoA, kTwoB, sim::kInternet, network, Options(kTwoA));
  for (const sim::HostId host : {w.host_a, w.host_b}) {
    network.SetLinks(host, {.delay = absl::Microseconds(50)});
  }
  ASSERT_TRUE(w.Connect());
  network.RunFor(absl::Seconds(1));
  for (Peer* peer : {&w.a, &w.b}) {
    const Path used = *peer->ice.selected_path();
    size_t reserves = 0;
    for (const PairInfo& pair : peer->ice.agent().pairs()) {
      reserves += pair.valid && pair.path.local != used.local ? 1 : 0;
    }
    EXPECT_GE(reserves, 1u) << peer->ice.DebugString();
    const TransportAddress dead = used.local;
    network.RemoveAddress(peer == &w.a ? w.host_a : w.host_b, dead.ip);
    ASSERT_OK(peer->ice.RemoveHost(network.now(), dead));
    EXPECT_TRUE(peer->ice.selected_path());
    EXPECT_LE(w.Gap(), absl::Milliseconds(50));  // What it takes at least.
    break;
  }
}

// Two cables, each between an address of the one and an address of the other.
// As Linux does, each host takes what comes for any of its addresses by any
// cable, and sends by the one of the destination: pairs that cross work, too,
// until a cable is pulled, and then not.
void Pull(World& w, size_t cable, sim::HostId host) {
  const IpAddress ends[] = {w.locals_a[cable].ip, w.locals_b[cable].ip};
  w.network.set_filter([ends](const Datagram& d) {
    const IpAddress& to = d.path.remote.ip;
    return to != ends[0] && to != ends[1];
  });
  w.network.RemoveAddress(host, host == w.host_a ? ends[0] : ends[1]);
}

// The machine says that a link is down: nothing has to fall silent first, our
// data leaves by another path at once, and not by a way to the peer's address
// on that link. The peer's follows a round trip later if we nominate, else when
// it has heard ours come elsewhere and the old path does not answer twice.
TEST(AgentFailover, ALinkThatIsDownIsLeftWithinAHundredMilliseconds) {
  for (const bool controlling : {true, false}) {
    for (const auto& [fast, talked] :
         {std::pair(false, absl::Seconds(2)), std::pair(true, absl::Seconds(2)),
          // Within the time in which nominations may be aggressive ones.
          std::pair(true, absl::Milliseconds(400))}) {
      sim::Network network({.seed = 1});
      World w(kTwoA, kTwoB, sim::kInternet, network, Options(kTwoA));
      for (const sim::HostId host : {w.host_a, w.host_b}) {
        network.SetLinks(host, {.delay = fast ? absl::Microseconds(50)
                                              : absl::Milliseconds(5)});
      }
      ASSERT_TRUE(w.Connect());
      w.Talk(talked);
      Peer& peer = controlling ? w.a : w.b;
      const TransportAddress dead = peer.ice.selected_path()->local;
      const auto& locals = controlling ? w.locals_a : w.locals_b;
      const size_t cable = dead == locals[0] ? 0 : 1;
      Pull(w, cable, controlling ? w.host_a : w.host_b);
      ASSERT_OK(peer.ice.RemoveHost(network.now(), dead));
      EXPECT_EQ(peer.ice.selected_path()->local, locals[1 - cable]);
      const Peer& other = controlling ? w.b : w.a;
      const absl::Time start = network.now();
      // What was under way when the cable was pulled arrives.
      w.Talk(absl::Milliseconds(15), absl::Milliseconds(5));
      const size_t there_before = other.data.size();
      const size_t back_before = peer.data.size();
      absl::Duration there, back;
      while (there == absl::ZeroDuration() || back == absl::ZeroDuration()) {
        const absl::Duration passed = network.now() - start;
        ASSERT_LT(passed, absl::Seconds(5));
        if (there == absl::ZeroDuration() && other.data.size() > there_before) {
          there = passed;
        }
        if (back == absl::ZeroDuration() && peer.data.size() > back_before) {
          back = passed;
        }
        w.Talk(absl::Milliseconds(5), absl::Milliseconds(5));
      }
      std::printf(
          "%s network, link down at the %s side: its data goes on after %s, "
          "the peer's after %s\n",
          fast ? "fast" : "slow", controlling ? "controlling" : "controlled",
          absl::FormatDuration(there).c_str(),
          absl::FormatDuration(back).c_str());
      EXPECT_LE(there, absl::Milliseconds(40)) << other.ice.DebugString();
      EXPECT_LE(back, absl::Milliseconds(100))
          << w.a.ice.DebugString() << w.b.ice.DebugString();
    }
  }
}

// A peer that sends by a pair of its own choice all the time, which it may, is
// asked once, and changes nothing.
TEST(AgentFailover, APeerThatSendsElsewhereAlwaysMovesNothing) {
  sim::Network network({.seed = 1});
  World w(kTwoA, kTwoB, sim::kInternet, network, Options(kTwoA));
  ASSERT_TRUE(w.Connect());
  w.Talk(absl::Seconds(2));
  const Path used = *w.a.ice.selected_path();
  const uint64_t probes = w.a.ice.agent().stats().probes_started;
  const size_t at = w.locals_a[0] == used.local ? 1 : 0;
  for (int i = 0; i < 500; ++i) {
    w.a.HandlePacket(
        network.now(),
        {{w.locals_a[at], w.locals_b[at], Transport::kUdp}, AsBytes(kPayload)});
    network.RunFor(absl::Milliseconds(20));
    ASSERT_EQ(*w.a.ice.selected_path(), used) << i;
  }
  EXPECT_EQ(w.a.ice.agent().stats().probes_started, probes + 1);
}

// The peer's NAT forgets its mapping: what it sends comes from elsewhere.
TEST(AgentFailover, ReboundPeerIsHeardAfterARoundTrip) {
  sim::Network network({.seed = 1});
  const IpAddress outside = IpAddress::V4(198, 51, 100, 9);
  const sim::ZoneId home = network.AddNat(
      sim::kInternet, sim::NatOptions::PortRestrictedCone(outside));
  const std::vector<TransportAddress> inside = {At("10.0.0.2:5000")};
  const std::vector<TransportAddress> server = {At("192.0.2.2:6000")};
  World w(inside, server, home, network, Options(inside));
  ASSERT_TRUE(w.Connect());
  w.Talk(absl::Seconds(2));
  network.nat(home).Restart();
  // A round trip is 50 ms; the goal is two of them and 50 ms, and talking goes
  // in steps of 20 ms.
  EXPECT_LE(w.Gap(), absl::Milliseconds(2 * 50 + 50 + 20));
  EXPECT_GE(w.b.ice.agent().stats().strangers_checked, 1u);
}

TEST(AgentFailover, StrangersGetFewChecks) {
  sim::Network network({.seed = 1});
  World w({At("192.0.2.1:5000")}, {At("192.0.2.2:6000")}, sim::kInternet,
          network, Options({At("192.0.2.1:5000")}));
  ASSERT_TRUE(w.Connect());
  const TransportAddress victim = At("198.51.100.66:1");
  size_t sent = 0;
  network.set_filter([&](const Datagram& d) {
    sent += d.path.remote.ip == victim.ip;
    return true;
  });
  for (uint16_t i = 0; i < 1000; ++i) {
    w.b.HandlePacket(network.now(),
                     {{w.locals_b[0],
                       {victim.ip, static_cast<uint16_t>(1000 + i)},
                       Transport::kUdp},
                      AsBytes(kPayload)});
    network.RunFor(absl::Milliseconds(10));
  }
  network.RunFor(absl::Minutes(2));
  EXPECT_LE(sent, AgentOptions().max_strangers * 7);
  EXPECT_EQ(w.b.ice.agent().stats().strangers_checked,
            AgentOptions().max_strangers);
  EXPECT_GT(w.b.ice.agent().stats().stranger_limit, 0u);
  EXPECT_EQ(w.b.ice.stats().drop_unknown_path, 1000u);
  EXPECT_TRUE(w.b.Is(AgentState::kCompleted));
}

// The first peer has a relay, and direct datagrams pass while `open`.
struct RelayedWorld {
  RelayedWorld()
      : network({.seed = 1}),
        random(1),
        server(random, ServerOptions()),
        locals_a({At("192.0.2.1:5000")}),
        locals_b({At("192.0.2.2:6000")}) {
    server.Attach(network,
                  network.AddHost("server", {sim::kInternet, {kServerIp}}),
                  {kServer});
    GathererOptions options = Options(locals_a);
    options.turn_servers = {{kServer, "u", "p"}};
    w.emplace(locals_a, locals_b, sim::kInternet, network, options);
    network.set_filter([this](const Datagram& d) {
      return open || d.path.local.ip == kServerIp ||
             d.path.remote.ip == kServerIp;
    });
  }
  static turn::ServerOptions ServerOptions() {
    turn::ServerOptions options;
    options.users = {{"u", "p"}};
    options.relay_addresses = {{kServerIp, {}}};
    options.allow_peers = {*IpPrefix::Parse("0.0.0.0/0")};
    options.listeners = {kServer};
    return options;
  }
  // Both use, and have nominated, a pair of host candidates.
  bool Direct() {
    for (Peer* peer : {&w->a, &w->b}) {
      if (peer->selected().local_type != CandidateType::kHost ||
          peer->selected().remote_type != CandidateType::kHost ||
          !peer->selected().nominated || !peer->Is(AgentState::kCompleted)) {
        return false;
      }
    }
    return true;
  }

  sim::Network network;
  SeededRandom random;
  turn::SimServer server;
  std::vector<TransportAddress> locals_a, locals_b;
  bool open = true;
  std::optional<World> w;
};

TEST(AgentFailover, ADirectWayFoundLaterIsTaken) {
  RelayedWorld r;
  r.open = false;
  ASSERT_TRUE(r.w->Connect());
  EXPECT_EQ(r.w->a.selected().local_type, CandidateType::kRelayed);
  r.network.RunFor(absl::Seconds(2));
  r.open = true;
  r.network.RunFor(absl::Seconds(10));
  EXPECT_TRUE(r.Direct());
}

// The direct way is lost, the relay takes over, and minutes later the direct
// way works again: whoever has data to send or not, both go back to it.
TEST(AgentFailover, ADirectWayThatWasLostIsTakenAgain) {
  for (const bool talks : {true, false}) {
    for (const absl::Duration away :
         {absl::Seconds(3), absl::Seconds(50), absl::Minutes(10)}) {
      RelayedWorld r;
      ASSERT_TRUE(r.w->Connect());
      r.network.RunFor(absl::Seconds(10));
      ASSERT_TRUE(r.Direct());
      const auto pass = [&](absl::Duration time) {
        if (talks) {
          r.w->Talk(time);
        } else {
          r.network.RunFor(time);
        }
      };
      r.open = false;
      pass(away);
      if (talks) {
        EXPECT_EQ(r.w->a.selected().local_type, CandidateType::kRelayed);
      }
      r.open = true;
      const absl::Time back = r.network.now();
      while (!r.Direct() && r.network.now() < back + absl::Minutes(5)) {
        pass(absl::Milliseconds(100));
      }
      std::printf("%s, away %s: direct again after %s\n",
                  talks ? "talking" : "silent",
                  absl::FormatDuration(away).c_str(),
                  absl::FormatDuration(r.network.now() - back).c_str());
      EXPECT_LE(r.network.now() - back, absl::Seconds(10));
    }
  }
}

// How long it takes, in round trips, until both have nominated, of 300 seeds.
struct Percentiles {
  double p50, p90, p99;
};
Percentiles RoundTripsToNominate(double loss, absl::Duration rtt) {
  std::vector<double> taken;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    sim::Network network({.seed = seed});
    World w({At("192.0.2.1:5000")}, {At("192.0.2.2:6000")}, sim::kInternet,
            network, Options({At("192.0.2.1:5000")}), seed);
    network.SetLinks(w.host_a, {.delay = rtt / 4, .loss = loss});
    network.SetLinks(w.host_b, {.delay = rtt / 4});
    const absl::Time start = network.now();
    w.Start();
    EXPECT_TRUE(w.session.RunUntil(AgentState::kCompleted, absl::Seconds(60)));
    taken.push_back(absl::FDivDuration(network.now() - start, rtt));
  }
  std::sort(taken.begin(), taken.end());
  const Percentiles result{taken[150], taken[270], taken[297]};
  std::printf("loss %.0f %%, rtt %s: p50 %.1f p90 %.1f p99 %.1f max %.1f\n",
              loss * 100, absl::FormatDuration(rtt).c_str(), result.p50,
              result.p90, result.p99, taken.back());
  return result;
}

// `loss` holds for each way. The signaling takes 60 ms of it.
TEST(AgentFailover, LostPacketsCostFewRoundTrips) {
  const Percentiles some = RoundTripsToNominate(0.1, absl::Milliseconds(50));
  EXPECT_LE(some.p90, 6);
  EXPECT_LE(some.p99, 14);
  const Percentiles many = RoundTripsToNominate(0.3, absl::Milliseconds(50));
  EXPECT_LE(many.p90, 18);
  EXPECT_LE(many.p99, 40);  // Two seconds.
  // A long way: what is repeated sooner than an answer may come costs nothing.
  const Percentiles far = RoundTripsToNominate(0.3, absl::Milliseconds(400));
  EXPECT_LE(far.p99, 16);
}

// What a peer in use does: how many pairs it looks at for each datagram.
struct Work {
  size_t pairs;
  double per_payload;
  double per_check;
};
Work WorkWith(int addresses) {
  std::vector<TransportAddress> locals_a, locals_b;
  for (int i = 0; i < addresses; ++i) {
    const auto host = static_cast<uint8_t>(i + 1);
    locals_a.push_back({IpAddress::V4(192, 0, 2, host), 5000});
    locals_b.push_back({IpAddress::V4(198, 51, 100, host), 6000});
  }
  sim::Network network({.seed = 1});
  World w(locals_a, locals_b, sim::kInternet, network, Options(locals_a));
  EXPECT_TRUE(w.Connect());
  network.RunFor(absl::Seconds(10));
  const Agent& agent = w.a.ice.agent();
  Work work{agent.pairs().size(), 0, 0};

  constexpr int kPayloads = 1000;
  uint64_t before = agent.pair_visits();
  std::array<uint8_t, 1500> out;
  const absl::Time now = network.now();
  for (int i = 0; i < kPayloads; ++i) {
    EXPECT_TRUE(w.a.ice.Send(now, AsBytes(kPayload), absl::MakeSpan(out)));
    EXPECT_FALSE(w.a.ice.PollTransmit(now, absl::MakeSpan(out)));
    w.a.HandlePacket(now, {*w.a.ice.selected_path(), AsBytes(kPayload)});
    w.a.ice.HandleTimeout(now);
    EXPECT_GT(w.a.ice.NextTimeout(), now);
  }
  EXPECT_EQ(w.a.data.size(), kPayloads);
  work.per_payload =
      static_cast<double>(agent.pair_visits() - before) / kPayloads;

  before = agent.pair_visits();
  const auto datagrams = [&] {
    const AgentStats& s = agent.stats();
    return s.requests_received + s.responses_received + s.checks_sent +
           s.consent_sent;
  };
  const uint64_t datagrams_before = datagrams();
  network.RunFor(absl::Minutes(5));
  work.per_check = static_cast<double>(agent.pair_visits() - before) /
                   static_cast<double>(datagrams() - datagrams_before);
  std::printf("%zu pairs: looked at per payload %.1f, per check %.1f\n",
              work.pairs, work.per_payload, work.per_check);
  return work;
}

TEST(AgentFailover, WorkDoesNotGrowWithTheNumberOfPairs) {
  const Work few = WorkWith(1);
  const Work many = WorkWith(10);
  EXPECT_EQ(few.pairs, 1u);
  EXPECT_EQ(many.pairs, 100u);
  EXPECT_EQ(many.per_payload, few.per_payload);
  EXPECT_LE(many.per_payload, 12);
  EXPECT_LE(many.per_check, 1.5 * few.per_check);
  EXPECT_LE(many.per_check, 40);
}

}  // namespace
}  // namespace kyuu::ice
