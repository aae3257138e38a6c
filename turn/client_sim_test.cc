// The TURN client and server over a simulated network that loses, reorders and
// duplicates, with a NAT on the way.

#include <array>
#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sim/network.h"
#include "stun/client.h"
#include "stun/server.h"
#include "turn/client.h"
#include "turn/testing/sim_server.h"

namespace kyuu::turn {
namespace {

const TransportAddress kServer{IpAddress::V4(192, 0, 2, 1), 3478};
const TransportAddress kHost{IpAddress::V4(10, 0, 0, 2), 5000};
const TransportAddress kPeer{IpAddress::V4(203, 0, 113, 9), 7000};
// Where the host goes: another card, behind another NAT.
const TransportAddress kRoaming{IpAddress::V4(10, 8, 0, 2), 5000};
const IpAddress kOtherNat = IpAddress::V4(198, 51, 100, 2);
const IpAddress kNat = IpAddress::V4(198, 51, 100, 1);

// A client with the data path that its owner has.
class RelayedHost {
 public:
  using Packet = Datagram;
  using Event = Client::Event;

  explicit RelayedHost(Random& random)
      : client_(random, {.local = kHost,
                         .server = kServer,
                         .username = "user",
                         .password = "pass",
                         .mobility = ClientOptions::Mobility::kAsk}) {}

  Client& client() { return client_; }
  void Send(std::string payload) { outgoing_.push_back(std::move(payload)); }
  const std::multiset<std::string>& received() const { return received_; }

  void HandlePacket(absl::Time now, Packet in) {
    if (const auto data = client_.Unwrap(in)) {
      EXPECT_EQ(data->peer, kPeer);
      received_.emplace(AsText(data->payload));
    } else {
      client_.HandlePacket(now, in);
    }
  }
  void HandleTimeout(absl::Time now) { client_.HandleTimeout(now); }
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out) {
    // Data first, though the client may have a request that it depends on.
    if (outgoing_.empty()) return client_.PollTransmit(now, out);
    const std::string payload = std::move(outgoing_.front());
    outgoing_.pop_front();
    const auto datagram = client_.Wrap(now, kPeer, AsBytes(payload), out);
    EXPECT_OK(datagram);
    if (!datagram.ok()) return std::nullopt;
    return *datagram;
  }
  std::optional<Event> PollEvent() { return client_.PollEvent(); }
  absl::Time NextTimeout() const { return client_.NextTimeout(); }

 private:
  Client client_;
  std::deque<std::string> outgoing_;
  std::multiset<std::string> received_;
};

static_assert(Engine<RelayedHost>);

// One server, one host behind a NAT, and a peer that echoes.
class World {
 public:
  World(uint64_t seed, const sim::LinkOptions& link)
      : network_({.seed = seed}), random_(seed), host_(random_) {
    const sim::HostId server =
        network_.AddHost("server", {sim::kInternet, {kServer.ip}});
    peer_host_ = network_.AddHost("peer", {sim::kInternet, {kPeer.ip}});
    home_ = network_.AddNat(sim::kInternet, sim::NatOptions::Symmetric(kNat));
    const sim::ZoneId elsewhere =
        network_.AddNat(sim::kInternet, sim::NatOptions::Symmetric(kOtherNat));
    const sim::HostId host = network_.AddHost("host", {home_, {kHost.ip}});
    network_.AddInterface(host, {elsewhere, {kRoaming.ip}});
    network_.SetLinks(host, link);
    turn_.Attach(network_, server, {kServer});
    network_.Attach(host, {kHost, kRoaming}, host_,
                    [this](Client::Event event) { OnEvent(event); });
    network_.Listen(peer_host_, kPeer, [this](const Datagram& in) {
      network_.Send(peer_host_, {in.path, in.bytes});
    });
  }

  // Runs until the client has a channel to the peer.
  bool Open() {
    EXPECT_OK(host_.client().Allocate(network_.now()));
    return network_.RunUntil(
        [this] { return host_.client().ChannelOf(kPeer).has_value(); },
        absl::Minutes(1));
  }

  void OnEvent(const Client::Event& event) {
    if (const auto* allocated = std::get_if<Client::Allocated>(&event)) {
      EXPECT_EQ(allocated->mapped.ip, moves_refused_ == 0 ? kNat : kOtherNat);
      EXPECT_OK(host_.client().BindChannel(network_.now(), kPeer));
      for (std::string& payload : first_flight_) host_.Send(payload);
    }
    if (const auto* closed = std::get_if<Client::Closed>(&event)) {
      closed_ = closed->status;
    }
    if (std::holds_alternative<Client::Moved>(event)) ++moves_;
    if (std::holds_alternative<Client::MoveRefused>(event)) ++moves_refused_;
  }

  sim::Network network_;
  SeededRandom random_;
  sim::HostId peer_host_{};
  sim::ZoneId home_{};
  SimServer turn_{random_,
                  {.users = {{"user", "pass"}},
                   .relay_addresses = {{kServer.ip}},
                   .allow_peers = {*IpPrefix::Parse("203.0.113.0/24")}}};
  RelayedHost host_;
  std::optional<absl::Status> closed_;
  int moves_ = 0;
  int moves_refused_ = 0;
  // Sent as soon as there is an allocation.
  std::vector<std::string> first_flight_;
};

TEST(ClientSimTest, DataPassesInBothDirections) {
  World world(1, {});
  ASSERT_TRUE(world.Open());
  for (int i = 0; i < 100; ++i) world.host_.Send(std::to_string(i));
  world.network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(world.host_.received().size(), 100);
}

// A host that sends before it drains, as an agent does whose check is due when
// the permission has just been asked for: nothing of it is lost, and nothing
// waits for an answer.
TEST(ClientSimTest, TheFirstFlightIsEchoedAfterOneRoundTrip) {
  const absl::Duration delay = absl::Milliseconds(100);
  World world(1, {.delay = delay});
  world.first_flight_ = {"check", "data", "more data"};
  ASSERT_OK(world.host_.client().Allocate(world.network_.now()));
  ASSERT_TRUE(world.network_.RunUntil(
      [&] { return world.host_.client().allocated(); }, absl::Minutes(1)));
  const absl::Time start = world.network_.now();
  ASSERT_TRUE(world.network_.RunUntil(
      [&] { return world.host_.received().size() == 3; }, absl::Seconds(10)));
  // The host's own link is all but the whole way. A check that was dropped
  // would be repeated after 500 ms.
  const double round_trips =
      absl::FDivDuration(world.network_.now() - start, 2 * delay);
  EXPECT_LE(round_trips, 1.4);
}

TEST(ClientSimTest, SurvivesLossReorderingAndDuplication) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed, {.jitter = absl::Milliseconds(20),
                       .loss = 0.2,
                       .duplicate = 0.1,
                       .reorder = 0.2,
                       .reorder_delay = absl::Milliseconds(50)});
    ASSERT_TRUE(world.Open());
    // Three lifetimes of the allocation, and data at the end of them.
    world.network_.RunFor(absl::Minutes(30));
    ASSERT_TRUE(world.host_.client().allocated());
    EXPECT_EQ(world.turn_.server().allocations(), 1);
    for (int i = 0; i < 100; ++i) world.host_.Send(std::to_string(i));
    world.network_.RunFor(absl::Seconds(2));
    // Each way loses a fifth, and some come twice.
    EXPECT_GT(world.host_.received().size(), 40);
    world.host_.client().Close(world.network_.now());
    world.network_.RunFor(absl::Seconds(10));
    ASSERT_TRUE(world.closed_);
    EXPECT_OK(*world.closed_);
  }
}

TEST(ClientSimTest, ACleanCloseLeavesNothingAtTheServer) {
  World world(1, {});
  ASSERT_TRUE(world.Open());
  world.host_.client().Close(world.network_.now());
  world.network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(world.turn_.server().allocations(), 0);
  EXPECT_TRUE(world.closed_);
}

// RFC 8016: the address that peers know stays, whatever becomes of ours. What
// comes from the old network is lost, as that is gone.
TEST(ClientSimTest, TheRelayedAddressSurvivesAChangeOfNetwork) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed, {.jitter = absl::Milliseconds(20),
                       .loss = seed == 1 ? 0.0 : 0.2,
                       .duplicate = 0.1,
                       .reorder = 0.2,
                       .reorder_delay = absl::Milliseconds(50)});
    ASSERT_TRUE(world.Open());
    Client& client = world.host_.client();
    const TransportAddress relayed = client.relayed();
    int moves = 0;
    for (const TransportAddress& to : {kRoaming, kHost, kRoaming}) {
      const IpAddress inside = to == kHost ? kRoaming.ip : kHost.ip;
      const IpAddress outside = to == kHost ? kOtherNat : kNat;
      world.network_.set_filter([=](const Datagram& in) {
        return in.path.local.ip != inside && in.path.remote.ip != outside;
      });
      ASSERT_OK(client.Move(world.network_.now(), to));
      ++moves;
      ASSERT_TRUE(world.network_.RunUntil([&] { return world.moves_ == moves; },
                                          absl::Minutes(2)));
      world.network_.RunFor(absl::Minutes(4));
      const size_t before = world.host_.received().size();
      for (int i = 0; i < 100; ++i) world.host_.Send("data");
      world.network_.RunFor(absl::Seconds(2));
      EXPECT_GT(world.host_.received().size(), before + 40);
      EXPECT_EQ(client.relayed(), relayed);
      EXPECT_EQ(world.turn_.server().allocations(), 1);
    }
    EXPECT_EQ(world.turn_.server().stats().moves, 3);
    EXPECT_EQ(world.moves_refused_, 0);
    EXPECT_EQ(client.stats().moves, 3);
  }
}

// Only the NAT has changed: to the server that is another 5-tuple.
TEST(ClientSimTest, TheRelayedAddressSurvivesARestartOfTheNat) {
  World world(1, {});
  ASSERT_TRUE(world.Open());
  const TransportAddress relayed = world.host_.client().relayed();
  world.network_.nat(world.home_).Restart();
  world.host_.Send("lost");
  world.network_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(world.host_.received().empty());
  ASSERT_OK(world.host_.client().Move(world.network_.now(), kHost));
  ASSERT_TRUE(world.network_.RunUntil([&] { return world.moves_ == 1; },
                                      absl::Seconds(10)));
  world.host_.Send("data");
  world.network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(world.host_.received().size(), 1);
  EXPECT_EQ(world.host_.client().relayed(), relayed);
  EXPECT_EQ(world.turn_.server().stats().moves, 1);
}

// Peers' data is on its way to the new address before ours goes there.
TEST(ClientSimTest, WhoOnlyListensIsHeardOfAfterAMove) {
  World world(1, {});
  ASSERT_TRUE(world.Open());
  ASSERT_OK(world.host_.client().Move(world.network_.now(), kRoaming));
  ASSERT_TRUE(world.network_.RunUntil([&] { return world.moves_ == 1; },
                                      absl::Seconds(10)));
  world.network_.RunFor(absl::Seconds(1));
  world.network_.set_filter(
      [](const Datagram& in) { return in.path.remote.ip != kNat; });
  const std::string text = "unasked";
  world.network_.Send(world.peer_host_,
                      {{kPeer, world.host_.client().relayed()}, AsBytes(text)});
  world.network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(world.host_.received().count(text), 1);
}

// The server has ended it meanwhile: another address, and the owner knows.
TEST(ClientSimTest, AnAllocationThatIsGoneIsReplacedAtTheNewAddress) {
  World world(1, {});
  ASSERT_TRUE(world.Open());
  const TransportAddress relayed = world.host_.client().relayed();
  world.turn_.server().EndAllocations("user");
  ASSERT_OK(world.host_.client().Move(world.network_.now(), kRoaming));
  ASSERT_TRUE(world.network_.RunUntil(
      [&] {
        return world.host_.client().relayed().port != 0 &&
               world.host_.client().relayed() != relayed;
      },
      absl::Seconds(10)));
  EXPECT_EQ(world.moves_refused_, 1);
  EXPECT_EQ(world.turn_.server().allocations(), 1);
}

TEST(ClientSimTest, AServerThatVanishesEndsTheClient) {
  World world(1, {});
  ASSERT_TRUE(world.Open());
  world.network_.set_filter([](const Datagram&) { return false; });
  world.network_.RunFor(absl::Minutes(12));
  ASSERT_TRUE(world.closed_);
  EXPECT_THAT(*world.closed_, StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(ClientSimTest, TheSameSeedGivesTheSameRun) {
  const auto run = [](uint64_t seed) {
    World world(seed, {.loss = 0.3, .duplicate = 0.2, .reorder = 0.3});
    EXPECT_TRUE(world.Open());
    world.network_.RunFor(absl::Minutes(20));
    return world.network_.transcript().hash();
  };
  EXPECT_EQ(run(5), run(5));
  EXPECT_NE(run(5), run(6));
}

// A STUN client learns what its NAT made of it, whatever the network loses.
TEST(StunSimTest, LearnsTheAddressOutsideTheNat) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    sim::Network network({.seed = seed});
    SeededRandom random(seed);
    stun::Client client(random, {});
    stun::Server server({});
    const auto home =
        network.AddNat(sim::kInternet, sim::NatOptions::FullCone(kNat));
    const auto inside = network.AddHost("inside", {home, {kHost.ip}});
    const auto outside =
        network.AddHost("outside", {sim::kInternet, {kServer.ip}});
    network.SetLinks(inside, {.loss = 0.3, .duplicate = 0.3, .reorder = 0.3});
    std::vector<stun::Client::Event> events;
    network.Attach(outside, {kServer}, server);
    network.Attach(inside, {kHost}, client, [&](stun::Client::Event event) {
      events.push_back(std::move(event));
    });
    ASSERT_OK(client.Bind(network.now(), {kHost, kServer}));
    network.RunFor(absl::Minutes(1));
    ASSERT_EQ(events.size(), 1);
    const auto* mapped = std::get_if<stun::Client::Mapped>(&events[0]);
    ASSERT_NE(mapped, nullptr);
    EXPECT_EQ(mapped->mapped.ip, kNat);
  }
}

}  // namespace
}  // namespace kyuu::turn
