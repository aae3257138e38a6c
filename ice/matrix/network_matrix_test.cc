// Two peers on every pair of ten networks connect by the cheapest way: open
// ones, the NATs of RFC 3489, two NATs one behind the other, and firewalls that
// leave TCP only. Prints for each pair what was expected, what was got, and
// what it took:
//
//   bazel run //ice/matrix:network_matrix_test

#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/candidate.h"
#include "ice/testing/peer.h"
#include "sim/nat.h"
#include "sim/network.h"
#include "turn/testing/sim_server.h"

namespace kyuu::ice {
namespace {

using sim::NatOptions;
using testing::Peer;
using testing::Session;

enum class Place : uint8_t {
  kOpen,
  kFullCone,
  kAddressCone,
  kPortCone,
  kSymmetric,
  kConeBehindCone,
  kSymmetricBehindCone,
  kNoUdp,           // Connections both ways.
  kNoUdpNothingIn,  // Connections from inside only.
  kOneServersTls,   // Those to port 443 of one server only.
};
constexpr size_t kPlaces = 10;

constexpr std::array<absl::string_view, kPlaces> kNames = {
    "open",      "full cone", "addr cone", "port cone", "symmetric",
    "cone/cone", "sym/cone",  "no UDP",    "TCP out",   "443 only"};

absl::string_view Name(Place place) {
  return kNames[static_cast<size_t>(place)];
}

// --- What is to be expected -------------------------------------------------

bool HasUdp(Place place) { return place < Place::kNoUdp; }
bool TakesConnections(Place place) {
  return place == Place::kOpen || place == Place::kNoUdp;
}
bool MakesConnections(Place place) { return place != Place::kOneServersTls; }
// Everybody sees the same address of one.
bool IsPredictable(Place place) {
  return place != Place::kSymmetric && place != Place::kSymmetricBehindCone;
}
// A stranger's port gets in where we have sent to its address, or to nobody.
bool LetsPortsIn(Place place) {
  return place == Place::kOpen || place == Place::kFullCone ||
         place == Place::kAddressCone;
}

enum class Way : uint8_t { kUdp, kTcp, kRelay };

Way CheapestWay(Place a, Place b) {
  if (HasUdp(a) && HasUdp(b)) {
    const bool direct = (IsPredictable(a) && IsPredictable(b)) ||
                        (IsPredictable(a) && LetsPortsIn(a)) ||
                        (IsPredictable(b) && LetsPortsIn(b));
    if (direct) return Way::kUdp;
  }
  if ((TakesConnections(a) && MakesConnections(b)) ||
      (TakesConnections(b) && MakesConnections(a))) {
    return Way::kTcp;
  }
  return Way::kRelay;
}

// The types of the pair that the controlling side (the row) ends up with.
constexpr absl::string_view kExpected[kPlaces][kPlaces] = {
    // open
    {"host-host", "host-srflx", "host-srflx", "host-srflx", "host-prflx",
     "host-srflx", "host-prflx", "host-host", "host-prflx", "host-relay"},
    // full cone
    {"srflx-host", "srflx-srflx", "srflx-srflx", "srflx-srflx", "srflx-prflx",
     "srflx-srflx", "srflx-prflx", "prflx-host", "srflx-relay", "srflx-relay"},
    // addr cone
    {"srflx-host", "srflx-srflx", "srflx-srflx", "srflx-srflx", "srflx-prflx",
     "srflx-srflx", "srflx-prflx", "prflx-host", "srflx-relay", "srflx-relay"},
    // port cone
    {"srflx-host", "srflx-srflx", "srflx-srflx", "srflx-srflx", "srflx-relay",
     "srflx-srflx", "srflx-relay", "prflx-host", "srflx-relay", "srflx-relay"},
    // symmetric
    {"prflx-host", "prflx-srflx", "prflx-srflx", "prflx-relay", "prflx-relay",
     "prflx-relay", "prflx-relay", "prflx-host", "prflx-relay", "prflx-relay"},
    // cone/cone
    {"srflx-host", "srflx-srflx", "srflx-srflx", "srflx-srflx", "srflx-relay",
     "srflx-srflx", "srflx-relay", "prflx-host", "srflx-relay", "srflx-relay"},
    // sym/cone
    {"prflx-host", "prflx-srflx", "prflx-srflx", "prflx-relay", "prflx-relay",
     "prflx-relay", "prflx-relay", "prflx-host", "prflx-relay", "prflx-relay"},
    // no UDP
    {"host-host", "host-prflx", "host-prflx", "host-prflx", "host-prflx",
     "host-prflx", "host-prflx", "host-host", "host-prflx", "relay-relay"},
    // TCP out
    {"host-host", "relay-srflx", "relay-srflx", "relay-srflx", "relay-prflx",
     "relay-srflx", "relay-prflx", "host-host", "relay-relay", "relay-relay"},
    // 443 only
    {"relay-host", "relay-srflx", "relay-srflx", "relay-srflx", "relay-prflx",
     "relay-srflx", "relay-prflx", "relay-relay", "relay-relay", "relay-relay"},
};

// --- The networks -----------------------------------------------------------

// From any host to any other and back.
constexpr absl::Duration kRoundTrip = absl::Milliseconds(50);
const IpAddress kServer = IpAddress::V4(192, 0, 2, 100);
constexpr uint16_t kUdpPort = 5000;
constexpr uint16_t kTcpPort = 5001;

struct Outcome {
  bool connected = false;
  absl::Duration taken;  // To the nomination at both ends.
  SelectedPair a;
  SelectedPair b;
  std::string relays;  // By what the sides reach the relays that are in use.
  std::string debug;

  bool relayed() const {
    const auto is_relay = [](const SelectedPair& pair) {
      return pair.local_type == CandidateType::kRelayed ||
             pair.remote_type == CandidateType::kRelayed;
    };
    return is_relay(a) || is_relay(b);
  }
  Way way() const {
    if (relayed()) return Way::kRelay;
    return a.path.transport == Transport::kTcp ? Way::kTcp : Way::kUdp;
  }
  std::string Types() const {
    if (!connected) return "none";
    return absl::StrCat(ToString(a.local_type), "-", ToString(a.remote_type));
  }
};

// Signaling takes most of the first round trip; a check that came before the
// other side's filter was open is sent again after 0.25 s. Relays that are
// reached by TCP or TLS are asked 0.2 s after the faster ones
// (GathererOptions::slower_after).
absl::Duration Limit(const Outcome& outcome) {
  if (!outcome.relayed())
    return (outcome.way() == Way::kUdp ? 9 : 5) * kRoundTrip;
  return (outcome.relays == "+udp" ? 11 : 23) * kRoundTrip;
}

class World {
 public:
  explicit World(uint64_t seed)
      : network_({.seed = seed}),
        random_(seed),
        server_(random_, turn::OpenServerOptions({kServer, 3478})),
        seed_(seed) {
    const sim::HostId host = AddHost("server", sim::kInternet, kServer);
    server_.Attach(network_, host, {{kServer, 3478}, {kServer, 443}});
    for (const uint16_t port : {uint16_t{3478}, uint16_t{443}}) {
      network_.ListenStreams(host, {kServer, port}, [](const Path&) {});
    }
  }

  Outcome Run(Place place_a, Place place_b) {
    const Home home_a = Make(place_a, 198);
    const Home home_b = Make(place_b, 203);
    Peer a(Role::kControlling, 2 * seed_ + 1, OptionsOf(home_a));
    Peer b(Role::kControlled, 2 * seed_ + 2, OptionsOf(home_b));
    Session session(network_, a, b);
    const absl::Time start = network_.now();
    const sim::HostId host_a = AddHost("a", home_a.zone, home_a.ip);
    const sim::HostId host_b = AddHost("b", home_b.zone, home_b.ip);
    session.Start(host_a, {{home_a.ip, kUdpPort}}, host_b,
                  {{home_b.ip, kUdpPort}});
    session.UseStreams(host_a, {home_a.ip, kTcpPort}, host_b,
                       {home_b.ip, kTcpPort});
    Outcome outcome;
    outcome.connected =
        session.RunUntil(AgentState::kCompleted, absl::Seconds(20));
    outcome.taken = network_.now() - start;
    // The way stays open: consent is given for longer than any timeout.
    network_.RunFor(absl::Minutes(2));
    outcome.connected &=
        a.Is(AgentState::kCompleted) && b.Is(AgentState::kCompleted);
    outcome.a = a.selected();
    outcome.b = b.selected();
    outcome.relays = absl::StrCat(RelayOf(a), RelayOf(b));
    outcome.debug = a.ice.agent().DebugString() + b.ice.agent().DebugString();
    network_.Detach(session.endpoint_a());
    network_.Detach(session.endpoint_b());
    return outcome;
  }

 private:
  struct Home {
    sim::ZoneId zone;
    IpAddress ip;  // Of the host.
  };

  // Every link of a host takes a quarter of the round trip, NATs take nothing.
  sim::HostId AddHost(absl::string_view name, sim::ZoneId zone,
                      const IpAddress& ip) {
    const sim::LinkOptions link = {.delay = kRoundTrip / 4};
    return network_.AddHost(name, {zone, {ip}, link, link});
  }
  sim::ZoneId Behind(const NatOptions& options,
                     sim::ZoneId parent = sim::kInternet) {
    const sim::LinkOptions link = {.delay = absl::ZeroDuration()};
    return network_.AddNat(parent, options, link, link);
  }

  // `net` is the first byte of all its addresses on the internet.
  Home Make(Place place, uint8_t net) {
    const IpAddress outside = IpAddress::V4(net, 51, 100, 1);
    const IpAddress open = IpAddress::V4(net, 51, 100, 2);
    const IpAddress carrier = IpAddress::V4(100, 64, 0, 2);
    const IpAddress inside = IpAddress::V4(10, 0, net, 2);
    NatOptions firewall = NatOptions::Firewall();
    firewall.block_udp = true;
    switch (place) {
      case Place::kOpen:
        return {sim::kInternet, open};
      case Place::kFullCone:
        return {Behind(NatOptions::FullCone(outside)), inside};
      case Place::kAddressCone:
        return {Behind(NatOptions::AddressRestrictedCone(outside)), inside};
      case Place::kPortCone:
        return {Behind(NatOptions::PortRestrictedCone(outside)), inside};
      case Place::kSymmetric:
        return {Behind(NatOptions::Symmetric(outside)), inside};
      case Place::kConeBehindCone:
        return {Behind(NatOptions::PortRestrictedCone(carrier),
                       Behind(NatOptions::PortRestrictedCone(outside))),
                inside};
      case Place::kSymmetricBehindCone:
        return {Behind(NatOptions::Symmetric(carrier),
                       Behind(NatOptions::PortRestrictedCone(outside))),
                inside};
      case Place::kNoUdp:
        firewall.accept_streams = true;
        return {Behind(firewall), open};
      case Place::kNoUdpNothingIn:
        return {Behind(firewall), open};
      case Place::kOneServersTls:
        firewall.allowed = {{kServer, 32}};
        firewall.allowed_ports = {443};
        return {Behind(firewall), open};
    }
    return {};
  }

  static GathererOptions OptionsOf(const Home& home) {
    GathererOptions options;
    options.hosts = {{.address = {home.ip, kUdpPort},
                      .tcp_active = true,
                      .tcp_port = kTcpPort}};
    options.turn_servers = {
        {{kServer, 3478}, "u", "p", RelayProtocol::kUdp, {}},
        {{kServer, 3478}, "u", "p", RelayProtocol::kTcp, {}},
        {{kServer, 443}, "u", "p", RelayProtocol::kTls, {}}};
    return options;
  }

  // "+tls" if it uses a relay of its own that it reaches so.
  static std::string RelayOf(const Peer& peer) {
    for (const Candidate& candidate : peer.ice.candidates()) {
      if (candidate.relay_protocol &&
          candidate.address == peer.selected().path.local) {
        return absl::StrCat("+", ToString(*candidate.relay_protocol));
      }
    }
    return "";
  }

  sim::Network network_;
  SeededRandom random_;
  turn::SimServer server_;
  uint64_t seed_;
};

TEST(NetworkMatrix, EveryPairConnectsByTheCheapestWay) {
  std::printf("%-10s %-10s %-12s %-12s %-14s %4s %5s\n", "a", "b", "expected",
              "got", "by", "ms", "trips");
  for (size_t i = 0; i < kPlaces; ++i) {
    for (size_t j = 0; j < kPlaces; ++j) {
      const auto a = static_cast<Place>(i);
      const auto b = static_cast<Place>(j);
      const Outcome outcome = World(7).Run(a, b);
      const std::string by =
          outcome.relayed() ? absl::StrCat("relay", outcome.relays)
                            : std::string(ToText(outcome.a.path.transport));
      std::printf("%-10s %-10s %-12s %-12s %-14s %4d %5.1f\n",
                  std::string(Name(a)).c_str(), std::string(Name(b)).c_str(),
                  std::string(kExpected[i][j]).c_str(), outcome.Types().c_str(),
                  by.c_str(),
                  static_cast<int>(absl::ToInt64Milliseconds(outcome.taken)),
                  absl::FDivDuration(outcome.taken, kRoundTrip));
      SCOPED_TRACE(absl::StrCat(Name(a), " to ", Name(b)));
      EXPECT_TRUE(outcome.connected) << outcome.debug;
      EXPECT_EQ(outcome.Types(), kExpected[i][j]) << outcome.debug;
      EXPECT_EQ(outcome.way(), CheapestWay(a, b)) << outcome.debug;
      EXPECT_LE(outcome.taken, Limit(outcome)) << outcome.debug;
    }
  }
}

}  // namespace
}  // namespace kyuu::ice
