// Relayed addresses of both families over a simulated network that loses,
// reorders and duplicates.

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sim/network.h"
#include "turn/client.h"
#include "turn/testing/sim_server.h"

namespace kyuu::turn {
namespace {

const TransportAddress kServer{IpAddress::V4(192, 0, 2, 1), 3478};
const IpAddress kServer6 = *IpAddress::Parse("2001:db8::1");
const TransportAddress kHost{IpAddress::V4(10, 0, 0, 2), 5000};
const IpAddress kNat = IpAddress::V4(198, 51, 100, 1);
const TransportAddress kPeer{IpAddress::V4(203, 0, 113, 9), 7000};
const TransportAddress kPeer6{*IpAddress::Parse("2001:db8::9"), 7000};

// A client that speaks IPv4 alone, and what has come from each of its peers.
class RelayedHost {
 public:
  using Packet = Datagram;
  using Event = Client::Event;

  explicit RelayedHost(Random& random)
      : client_(random, {.local = kHost,
                         .server = kServer,
                         .username = "user",
                         .password = "pass",
                         .families = ClientOptions::Families::kBoth}) {}

  Client& client() { return client_; }
  void Send(const TransportAddress& peer) { outgoing_.push_back(peer); }
  int received(const TransportAddress& peer) { return received_[peer.ip]; }

  void HandlePacket(absl::Time now, Packet in) {
    if (const auto data = client_.Unwrap(in)) {
      ++received_[data->peer.ip];
    } else {
      client_.HandlePacket(now, in);
    }
  }
  void HandleTimeout(absl::Time now) { client_.HandleTimeout(now); }
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out) {
    if (outgoing_.empty()) return client_.PollTransmit(now, out);
    const TransportAddress peer = outgoing_.front();
    outgoing_.pop_front();
    const auto datagram = client_.Wrap(now, peer, AsBytes("data"), out);
    EXPECT_OK(datagram);
    if (!datagram.ok()) return std::nullopt;
    return *datagram;
  }
  std::optional<Event> PollEvent() { return client_.PollEvent(); }
  absl::Time NextTimeout() const { return client_.NextTimeout(); }

 private:
  Client client_;
  std::deque<TransportAddress> outgoing_;
  std::map<IpAddress, int> received_;
};

static_assert(Engine<RelayedHost>);

// One server of both families, one host behind a NAT, and a peer of each family
// that echoes.
struct World {
  World(uint64_t seed, const sim::LinkOptions& link)
      : network({.seed = seed}), random(seed), host(random) {
    const sim::HostId server =
        network.AddHost("server", {sim::kInternet, {kServer.ip, kServer6}});
    const sim::HostId peers =
        network.AddHost("peers", {sim::kInternet, {kPeer.ip, kPeer6.ip}});
    const sim::ZoneId home =
        network.AddNat(sim::kInternet, sim::NatOptions::Symmetric(kNat));
    const sim::HostId at_home = network.AddHost("host", {home, {kHost.ip}});
    network.SetLinks(at_home, link);
    turn.Attach(network, server, {kServer});
    network.Attach(at_home, {kHost}, host, [this](Client::Event event) {
      if (const auto* got = std::get_if<Client::Allocated>(&event)) {
        allocated = *got;
        EXPECT_OK(host.client().BindChannel(network.now(), kPeer));
        EXPECT_OK(host.client().BindChannel(network.now(), kPeer6));
      } else if (const auto* gone = std::get_if<Client::FamilyEnded>(&event)) {
        ended = *gone;
      } else if (const auto* over = std::get_if<Client::Closed>(&event)) {
        closed = *over;
      }
    });
    for (const TransportAddress& peer : {kPeer, kPeer6}) {
      network.Listen(peers, peer, [this, peers](const Datagram& in) {
        network.Send(peers, {in.path, in.bytes});
      });
    }
  }

  // How many of a hundred come back from the peer.
  int Echoes(const TransportAddress& peer) {
    const int before = host.received(peer);
    for (int i = 0; i < 100; ++i) host.Send(peer);
    network.RunFor(absl::Seconds(2));
    return host.received(peer) - before;
  }

  sim::Network network;
  SeededRandom random;
  SimServer turn{random,
                 {.users = {{"user", "pass"}},
                  .relay_addresses = {{kServer.ip}, {kServer6}},
                  .allow_peers = {*IpPrefix::Parse("203.0.113.0/24"),
                                  *IpPrefix::Parse("2001:db8::/64")}}};
  RelayedHost host;
  std::optional<Client::Allocated> allocated;
  std::optional<Client::FamilyEnded> ended;
  std::optional<Client::Closed> closed;
};

TEST(ClientFamiliesSim, OneAllocationOutlivesLossForPeersOfBoth) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed, {.jitter = absl::Milliseconds(20),
                       .loss = 0.2,
                       .duplicate = 0.1,
                       .reorder = 0.2,
                       .reorder_delay = absl::Milliseconds(50)});
    Client& client = world.host.client();
    ASSERT_OK(client.Allocate(world.network.now()));
    ASSERT_TRUE(world.network.RunUntil(
        [&] {
          return client.ChannelOf(kPeer).has_value() &&
                 client.ChannelOf(kPeer6).has_value();
        },
        absl::Minutes(1)));
    ASSERT_TRUE(world.allocated->additional.has_value());
    EXPECT_EQ(world.allocated->additional->ip, kServer6);
    // Three lifetimes of the allocation.
    world.network.RunFor(absl::Minutes(30));
    EXPECT_EQ(world.turn.server().allocations(), 1u);
    EXPECT_GT(world.Echoes(kPeer), 40);
    EXPECT_GT(world.Echoes(kPeer6), 40);

    ASSERT_OK(client.ReleaseFamily(world.network.now(), IpFamily::kV4));
    ASSERT_TRUE(world.network.RunUntil([&] { return world.ended.has_value(); },
                                       absl::Minutes(1)));
    EXPECT_OK(world.ended->status);
    EXPECT_EQ(world.ended->relayed, world.allocated->relayed);
    // The other goes on, for as long again.
    world.network.RunFor(absl::Minutes(30));
    EXPECT_EQ(world.turn.server().allocations(), 1u);
    EXPECT_GT(world.Echoes(kPeer6), 40);

    client.Close(world.network.now());
    world.network.RunFor(absl::Seconds(10));
    ASSERT_TRUE(world.closed.has_value());
    EXPECT_OK(world.closed->status);
  }
}

// The same seed sends the same bytes.
TEST(ClientFamiliesSim, RunsAreRepeatable) {
  const auto run = [] {
    World world(7, {.jitter = absl::Milliseconds(20), .loss = 0.2});
    EXPECT_OK(world.host.client().Allocate(world.network.now()));
    world.network.RunFor(absl::Minutes(12));
    return world.host.client().DebugString() +
           std::to_string(world.host.client().stats().requests_sent) + " " +
           std::to_string(world.Echoes(kPeer6));
  };
  EXPECT_EQ(run(), run());
}

}  // namespace
}  // namespace kyuu::turn
