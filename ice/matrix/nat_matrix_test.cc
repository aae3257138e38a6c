// Two peers behind every pair of RFC 4787 NATs connect by the cheapest way: the
// 9 x 9 matrix of mapping and filtering, and firewalls. Prints the table.

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/testing/peer.h"
#include "sim/nat.h"
#include "sim/network.h"
#include "turn/testing/sim_server.h"

namespace kyuu::ice {
namespace {

using sim::Behavior;
using testing::Peer;
using testing::Session;

constexpr Behavior kBehaviors[] = {Behavior::kEndpointIndependent,
                                   Behavior::kAddressDependent,
                                   Behavior::kAddressAndPortDependent};

struct NatType {
  Behavior mapping;
  Behavior filtering;
};

const char* Name(Behavior behavior) {
  switch (behavior) {
    case Behavior::kEndpointIndependent:
      return "ei";
    case Behavior::kAddressDependent:
      return "ad";
    case Behavior::kAddressAndPortDependent:
      return "apd";
  }
  return "";
}

std::string Name(const NatType& nat) {
  return absl::StrCat(Name(nat.mapping), "/", Name(nat.filtering));
}

bool IsPredictable(const NatType& nat) {
  return nat.mapping == Behavior::kEndpointIndependent;
}

// Whether a direct way exists. With two predictable mappings both sides punch.
// With one, the side that is predictable must let the other one's unknown port
// in. With none, somebody must let anybody in, the other one an unknown port of
// a known address, and one mapping must stay the same for all ports of an
// address, or each answer comes from yet another port.
bool DirectWayExists(const NatType& a, const NatType& b) {
  const auto strict = [](const NatType& nat) {
    return nat.filtering == Behavior::kAddressAndPortDependent;
  };
  const auto open = [](const NatType& nat) {
    return nat.filtering == Behavior::kEndpointIndependent;
  };
  const auto per_port = [](const NatType& nat) {
    return nat.mapping == Behavior::kAddressAndPortDependent;
  };
  if (IsPredictable(a) && IsPredictable(b)) return true;
  if (IsPredictable(a)) return !strict(a);
  if (IsPredictable(b)) return !strict(b);
  if (per_port(a) && per_port(b)) return false;
  return (open(a) && !strict(b)) || (open(b) && !strict(a));
}

struct Outcome {
  bool connected = false;
  absl::Duration taken;
  SelectedPair a;
  SelectedPair b;
  std::string debug;

  static bool IsRelay(const SelectedPair& pair) {
    return pair.local_type == CandidateType::kRelayed ||
           pair.remote_type == CandidateType::kRelayed;
  }
  bool relayed() const { return IsRelay(a) || IsRelay(b); }
  std::string ToString() const {
    if (!connected) return "none";
    return absl::StrCat(ice::ToString(a.local_type), "-",
                        ice::ToString(a.remote_type));
  }
};

constexpr uint16_t kPort = 5000;
const IpAddress kServer = IpAddress::V4(192, 0, 2, 100);
const IpAddress kOutsideA = IpAddress::V4(198, 51, 100, 1);
const IpAddress kOutsideB = IpAddress::V4(203, 0, 113, 1);
const IpAddress kInsideA = IpAddress::V4(10, 0, 0, 2);
const IpAddress kInsideB = IpAddress::V4(10, 1, 0, 2);

// One server on the internet, and two peers wherever the test puts them.
class World {
 public:
  explicit World(uint64_t seed)
      : network({.seed = seed}),
        random_(seed),
        server_(random_,
                {.users = {{"u", "p"}},
                 .relay_addresses = {{kServer}},
                 .allow_peers = {IpPrefix::Parse("0.0.0.0/0").value()},
                 .own_relays = turn::ServerOptions::OwnRelays::kAllow}),
        seed_(seed) {
    const sim::HostId host =
        network.AddHost("server", {sim::kInternet, {kServer}});
    server_.Attach(network, host, {{kServer, 3478}});
  }

  sim::ZoneId Behind(const NatType& type, const IpAddress& outside,
                     bool hairpin = false) {
    sim::NatOptions options;
    options.mapping = type.mapping;
    options.filtering = type.filtering;
    options.outside = {outside};
    options.hairpin = hairpin;
    return network.AddNat(sim::kInternet, options);
  }

  Outcome Run(sim::ZoneId zone_a, const IpAddress& ip_a, sim::ZoneId zone_b,
              const IpAddress& ip_b, GatherPolicy policy = GatherPolicy::kAll) {
    GathererOptions options;
    options.turn_servers = {{{kServer, 3478}, "u", "p"}};
    options.policy = policy;
    options.hosts = {{{ip_a, kPort}}};
    Peer a(Role::kControlling, 2 * seed_ + 1, options);
    options.hosts = {{{ip_b, kPort}}};
    Peer b(Role::kControlled, 2 * seed_ + 2, options);
    Session session(network, a, b);
    const absl::Time start = network.now();
    session.Start(network.AddHost("a", {zone_a, {ip_a}}), {{ip_a, kPort}},
                  network.AddHost("b", {zone_b, {ip_b}}), {{ip_b, kPort}});
    Outcome outcome;
    outcome.connected =
        session.RunUntil(AgentState::kCompleted, absl::Seconds(10));
    outcome.taken = network.now() - start;
    // The way stays open: consent is given for longer than any timeout.
    network.RunFor(absl::Minutes(2));
    outcome.connected &=
        a.Is(AgentState::kCompleted) && b.Is(AgentState::kCompleted);
    outcome.a = a.selected();
    outcome.b = b.selected();
    outcome.debug = a.ice.agent().DebugString() + b.ice.agent().DebugString();
    network.Detach(session.endpoint_a());
    network.Detach(session.endpoint_b());
    return outcome;
  }

  sim::Network network;

 private:
  SeededRandom random_;
  turn::SimServer server_;
  uint64_t seed_;
};

TEST(NatMatrix, EveryPairConnectsByTheCheapestWay) {
  std::vector<NatType> types;
  for (Behavior mapping : kBehaviors) {
    for (Behavior filtering : kBehaviors) types.push_back({mapping, filtering});
  }
  std::printf("%-8s", "a\\b");
  for (const NatType& b : types) std::printf(" %-16s", Name(b).c_str());
  std::printf("\n");
  for (const NatType& a : types) {
    std::printf("%-8s", Name(a).c_str());
    for (const NatType& b : types) {
      World world(7);
      const Outcome outcome = world.Run(world.Behind(a, kOutsideA), kInsideA,
                                        world.Behind(b, kOutsideB), kInsideB);
      std::printf(" %-16s",
                  absl::StrFormat("%s %d", outcome.ToString(),
                                  absl::ToInt64Milliseconds(outcome.taken))
                      .c_str());
      EXPECT_TRUE(outcome.connected) << Name(a) << " to " << Name(b) << "\n"
                                     << outcome.debug;
      EXPECT_EQ(!outcome.relayed(), DirectWayExists(a, b))
          << Name(a) << " to " << Name(b) << "\n"
          << outcome.debug;
    }
    std::printf("\n");
  }
}

TEST(NatMatrix, OpenHostsConnectAsHosts) {
  World world(1);
  const Outcome outcome =
      world.Run(sim::kInternet, IpAddress::V4(192, 0, 2, 1), sim::kInternet,
                IpAddress::V4(192, 0, 2, 2));
  ASSERT_TRUE(outcome.connected);
  EXPECT_EQ(outcome.ToString(), "host-host");
}

TEST(NatMatrix, HostsBehindOneNatConnectAsHosts) {
  for (bool hairpin : {false, true}) {
    for (Behavior mapping : kBehaviors) {
      World world(1);
      const sim::ZoneId home = world.Behind(
          {mapping, Behavior::kAddressAndPortDependent}, kOutsideA, hairpin);
      const Outcome outcome =
          world.Run(home, kInsideA, home, IpAddress::V4(10, 0, 0, 3));
      ASSERT_TRUE(outcome.connected);
      EXPECT_EQ(outcome.ToString(), "host-host") << Name(mapping) << hairpin;
    }
  }
}

TEST(NatMatrix, OpenHostAndAnyNat) {
  for (Behavior mapping : kBehaviors) {
    for (Behavior filtering : kBehaviors) {
      World world(1);
      const NatType nat{mapping, filtering};
      const Outcome outcome =
          world.Run(world.Behind(nat, kOutsideA), kInsideA, sim::kInternet,
                    IpAddress::V4(192, 0, 2, 2));
      ASSERT_TRUE(outcome.connected) << Name(nat);
      EXPECT_FALSE(outcome.relayed()) << Name(nat) << outcome.debug;
      EXPECT_EQ(outcome.a.remote_type, CandidateType::kHost);
    }
  }
}

TEST(NatMatrix, NestedNats) {
  World world(1);
  sim::NatOptions inner =
      sim::NatOptions::PortRestrictedCone(IpAddress::V4(10, 9, 0, 1));
  const sim::ZoneId carrier = world.Behind(
      {Behavior::kEndpointIndependent, Behavior::kAddressAndPortDependent},
      kOutsideA);
  const sim::ZoneId home = world.network.AddNat(carrier, inner);
  const Outcome outcome = world.Run(
      home, IpAddress::V4(192, 168, 0, 2),
      world.Behind(
          {Behavior::kEndpointIndependent, Behavior::kAddressAndPortDependent},
          kOutsideB),
      kInsideB);
  ASSERT_TRUE(outcome.connected);
  EXPECT_FALSE(outcome.relayed());
}

// A firewall that lets nothing out but to the server.
TEST(NatMatrix, OnlyTheServerCanBeReached) {
  World world(1);
  sim::NatOptions firewall = sim::NatOptions::Firewall();
  firewall.allowed = {IpPrefix{kServer, 32}};
  const sim::ZoneId office = world.network.AddNat(sim::kInternet, firewall);
  const Outcome outcome =
      world.Run(office, IpAddress::V4(192, 0, 2, 1),
                world.Behind({Behavior::kAddressAndPortDependent,
                              Behavior::kAddressAndPortDependent},
                             kOutsideB),
                kInsideB);
  ASSERT_TRUE(outcome.connected) << outcome.debug;
  EXPECT_TRUE(outcome.relayed());
}

TEST(NatMatrix, RelayOnlyPolicyUsesRelaysOnBothSides) {
  World world(1);
  const Outcome outcome =
      world.Run(sim::kInternet, IpAddress::V4(192, 0, 2, 1), sim::kInternet,
                IpAddress::V4(192, 0, 2, 2), GatherPolicy::kRelay);
  ASSERT_TRUE(outcome.connected) << outcome.debug;
  EXPECT_EQ(outcome.ToString(), "relay-relay");
}

TEST(NatMatrix, ConnectsThroughRelaysUnderLoss) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    const NatType symmetric{Behavior::kAddressAndPortDependent,
                            Behavior::kAddressAndPortDependent};
    const sim::ZoneId zone_a = world.Behind(symmetric, kOutsideA);
    const sim::ZoneId zone_b = world.Behind(symmetric, kOutsideB);
    world.network.up(zone_a).options().loss = 0.2;
    world.network.down(zone_a).options().loss = 0.2;
    const Outcome outcome = world.Run(zone_a, kInsideA, zone_b, kInsideB);
    EXPECT_TRUE(outcome.connected) << outcome.debug;
    EXPECT_TRUE(outcome.relayed());
  }
}

TEST(NatMatrix, SameSeedSameTranscript) {
  const auto run = [](uint64_t seed) {
    World world(seed);
    const NatType nat{Behavior::kEndpointIndependent,
                      Behavior::kAddressAndPortDependent};
    world.Run(world.Behind(nat, kOutsideA), kInsideA,
              world.Behind(nat, kOutsideB), kInsideB);
    return world.network.transcript().hash();
  };
  EXPECT_EQ(run(3), run(3));
  EXPECT_NE(run(3), run(4));
}

}  // namespace
}  // namespace kyuu::ice
