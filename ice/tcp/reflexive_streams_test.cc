// STUN servers that are asked over TCP as what a NAT shows the ports where we
// listen (RFC 6544 section 5.2).

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/gatherer.h"
#include "ice/testing/peer.h"
#include "sim/nat.h"
#include "sim/network.h"
#include "turn/testing/sim_server.h"

namespace kyuu::ice {
namespace {

using sim::NatOptions;
using testing::Peer;
using testing::Session;

const TransportAddress kServer{IpAddress::V4(192, 0, 2, 100), 3478};
const TransportAddress kOther{IpAddress::V4(192, 0, 2, 101), 3478};
const TransportAddress kHost{IpAddress::V4(10, 0, 1, 2), 5000};
const IpAddress kOutside = IpAddress::V4(198, 51, 100, 1);
constexpr uint16_t kPassivePort = 5001;
constexpr uint16_t kSoPort = 5002;
constexpr auto kUdp = std::nullopt;
constexpr auto kPassive = TcpType::kPassive;
constexpr auto kSo = TcpType::kSimultaneousOpen;

// A host behind a NAT of TCP alone, with two STUN servers outside, 10 ms away.
class ReflexiveStreamsTest : public ::testing::Test {
 protected:
  explicit ReflexiveStreamsTest(bool block_udp = true)
      : network_({.seed = 1}), random_(1) {
    NatOptions nat = NatOptions::FullCone(kOutside);
    nat.block_udp = block_udp;
    zone_ = network_.AddNat(sim::kInternet, nat);
    host_ = network_.AddHost("host", {zone_, {kHost.ip}});
    network_.set_filter([this](const Datagram& datagram) {
      if (datagram.path.local.ip == kHost.ip &&
          datagram.path.transport == Transport::kTcp) {
        ++requests_;
      }
      return true;
    });
    for (const TransportAddress& at : {kServer, kOther}) {
      const sim::HostId host =
          network_.AddHost(at.ToString(), {sim::kInternet, {at.ip}});
      servers_.push_back(std::make_unique<turn::SimServer>(
          random_, turn::OpenServerOptions(at)));
      servers_.back()->Attach(network_, host, {at});
      network_.ListenStreams(host, at, [](const Path&) {});
      network_.SetLinks(host, {.delay = absl::Milliseconds(10)});
    }
  }

  HostAddress Host() const {
    return {.address = kHost,
            .tcp_active = true,
            .tcp_port = kPassivePort,
            .tcp_lends_ports = true};
  }
  void Begin(const HostAddress& host,
             std::vector<TransportAddress> servers = {kServer}) {
    GathererOptions options;
    options.hosts = {host};
    options.stun_servers = std::move(servers);
    gatherer_ = std::make_unique<Gatherer>(std::move(options), random_);
    endpoint_ = network_.Attach(
        host_, {kHost, {kHost.ip, kPassivePort}, {kHost.ip, kSoPort}},
        *gatherer_, [this](Gatherer::Event e) { On(e); });
    ASSERT_OK(gatherer_->Start(network_.now()));
  }
  void On(const Gatherer::Event& event) {
    if (const auto* wanted = std::get_if<StreamWanted>(&event)) {
      wanted_.push_back(*wanted);
      ASSERT_TRUE(wanted->from.has_value());
      network_.ConnectStream(
          host_, {*wanted->from, wanted->server, Transport::kTcp},
          [this, wanted = *wanted](const absl::Status& status) {
            if (!status.ok()) {
              gatherer_->StreamEnded(network_.now(), wanted.id, status);
            } else {
              gatherer_->StreamConnected(network_.now(), wanted.id,
                                         *wanted.from);
            }
          });
    } else if (const auto* over = std::get_if<StreamUnwanted>(&event)) {
      unwanted_.push_back(over->id);
    } else if (const auto* found =
                   std::get_if<Gatherer::CandidateFound>(&event)) {
      if (found->candidate.type != CandidateType::kServerReflexive) return;
      reflexive_.push_back(found->candidate);
    } else if (const auto* gone =
                   std::get_if<Gatherer::CandidateGone>(&event)) {
      gone_.push_back(gone->candidate);
    } else if (const auto* failed =
                   std::get_if<Gatherer::ServerFailed>(&event)) {
      failures_.push_back(*failed);
    }
  }
  // Of the candidates found.
  std::vector<std::optional<TcpType>> Types() const {
    std::vector<std::optional<TcpType>> types;
    for (const Candidate& c : reflexive_) types.push_back(c.tcp_type);
    return types;
  }
  // Those that are wanted and have not been said to be unwanted.
  size_t Open() const { return wanted_.size() - unwanted_.size(); }
  sim::Network network_;
  SeededRandom random_;
  sim::ZoneId zone_{};
  sim::HostId host_{};
  sim::EndpointId endpoint_{};
  std::vector<std::unique_ptr<turn::SimServer>> servers_;
  std::unique_ptr<Gatherer> gatherer_;
  std::vector<StreamWanted> wanted_;
  std::vector<StreamId> unwanted_;
  std::vector<Candidate> reflexive_;
  std::vector<Candidate> gone_;
  std::vector<Gatherer::ServerFailed> failures_;
  int requests_ = 0;  // Of ours, over TCP.
};

// Where datagrams pass, too.
class ReflexiveStreamsWithUdpTest : public ReflexiveStreamsTest {
 protected:
  ReflexiveStreamsWithUdpTest() : ReflexiveStreamsTest(/*block_udp=*/false) {}
};

TEST_F(ReflexiveStreamsTest, TheListeningPortIsShownByAConnectionFromThere) {
  Begin(Host());
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(wanted_.size(), 1u);
  EXPECT_EQ(wanted_[0].server, kServer);
  EXPECT_EQ(wanted_[0].protocol, RelayProtocol::kTcp);
  EXPECT_EQ(wanted_[0].from, (TransportAddress{kHost.ip, kPassivePort}));
  ASSERT_EQ(reflexive_.size(), 1u);
  const Candidate& found = reflexive_[0];
  EXPECT_EQ(found.transport, Transport::kTcp);
  EXPECT_EQ(found.tcp_type, kPassive);
  EXPECT_EQ(found.address.ip, kOutside);
  EXPECT_EQ(found.base, (TransportAddress{kHost.ip, kPassivePort}));
  EXPECT_EQ(found.related, found.base);
  EXPECT_EQ(found.server, kServer);
  EXPECT_TRUE(unwanted_.empty()) << "the connection keeps the mapping";
  EXPECT_TRUE(gatherer_->finished());
  // Behind all host candidates (RFC 6544 section 4.2).
  EXPECT_LT(found.priority, TcpPriority(CandidateType::kHost, kPassive, 0));
}

TEST_F(ReflexiveStreamsTest, APortThatCannotBeConnectedFromIsNotAskedFor) {
  HostAddress host = Host();
  host.tcp_lends_ports = false;
  Begin(host);
  network_.RunFor(absl::Seconds(5));
  EXPECT_TRUE(wanted_.empty());
  EXPECT_TRUE(reflexive_.empty());
}

TEST_F(ReflexiveStreamsWithUdpTest,
       WhereUdpWorksAPortThatListensIsNotAskedFor) {
  Begin(Host());
  network_.RunUntil([&] { return gatherer_->finished(); }, absl::Seconds(5));
  EXPECT_TRUE(wanted_.empty());
  EXPECT_EQ(Types(), (std::vector<std::optional<TcpType>>{kUdp}));
  network_.RunFor(absl::Seconds(5));
  EXPECT_TRUE(wanted_.empty());
}

TEST_F(ReflexiveStreamsWithUdpTest,
       ThePortForSimultaneousOpeningIsAskedForAtOnce) {
  HostAddress host = Host();
  host.tcp_so_port = kSoPort;
  Begin(host);
  EXPECT_TRUE(network_.RunUntil([&] { return gatherer_->finished(); },
                                absl::Milliseconds(100)));
  EXPECT_EQ(Types(), (std::vector<std::optional<TcpType>>{kUdp, kSo}));
  ASSERT_EQ(wanted_.size(), 1u);
  EXPECT_EQ(wanted_[0].from, (TransportAddress{kHost.ip, kSoPort}));
}

TEST_F(ReflexiveStreamsTest, TheMappingIsKeptAliveOnTheSameConnection) {
  Begin(Host());
  network_.RunFor(absl::Seconds(1));
  const int before = requests_;
  network_.RunFor(3 * GathererOptions().keepalive_interval);
  EXPECT_EQ(requests_ - before, 3);
  EXPECT_EQ(wanted_.size(), 1u);
  EXPECT_TRUE(gone_.empty());
  EXPECT_TRUE(unwanted_.empty());
}

TEST_F(ReflexiveStreamsTest, TheCandidateGoesWithTheConnectionAndComesBack) {
  Begin(Host());
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(reflexive_.size(), 1u);
  gatherer_->StreamEnded(network_.now(), wanted_[0].id,
                         absl::DataLossError("reset"));
  network_.RunFor(absl::Milliseconds(1));
  ASSERT_EQ(gone_.size(), 1u);
  EXPECT_EQ(gone_[0].address, reflexive_[0].address);
  EXPECT_EQ(gone_[0].tcp_type, kPassive);
  EXPECT_TRUE(unwanted_.empty()) << "it is no more";
  network_.RunFor(GathererOptions().relay_retry_initial +
                  absl::Milliseconds(100));
  ASSERT_EQ(wanted_.size(), 2u);
  EXPECT_NE(wanted_[1].id, wanted_[0].id);
  EXPECT_EQ(reflexive_.size(), 2u);
}

TEST_F(ReflexiveStreamsTest, AKeepaliveThatIsNotAnsweredEndsTheConnection) {
  Begin(Host());
  network_.RunFor(absl::Seconds(1));
  network_.Detach(servers_[0]->endpoint());
  network_.RunFor(GathererOptions().keepalive_interval +
                  GathererOptions().server_deadline);
  ASSERT_EQ(gone_.size(), 1u);
  EXPECT_EQ(unwanted_, std::vector<StreamId>{wanted_[0].id});
}

TEST_F(ReflexiveStreamsTest, OneConnectionIsEnoughForAPort) {
  Begin(Host(), {kServer, kOther});
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(wanted_.size(), 2u);
  EXPECT_EQ(Open(), 1u);
  EXPECT_EQ(reflexive_.size(), 1u);
  EXPECT_TRUE(gatherer_->finished());
  // The other server takes over.
  const StreamId open =
      unwanted_[0] == wanted_[0].id ? wanted_[1].id : wanted_[0].id;
  network_.Detach(servers_[open == wanted_[0].id ? 0 : 1]->endpoint());
  gatherer_->StreamEnded(network_.now(), open, absl::DataLossError("reset"));
  network_.RunFor(absl::Seconds(2));
  EXPECT_EQ(gone_.size(), 1u);
  EXPECT_EQ(reflexive_.size(), 2u);
}

TEST_F(ReflexiveStreamsTest, AServerThatTakesNoConnectionsFails) {
  Begin(Host(), {{kServer.ip, 9}});
  network_.RunFor(absl::Seconds(5));
  ASSERT_EQ(failures_.size(), 2u);
  EXPECT_EQ(failures_[0].protocol, RelayProtocol::kTcp);
  EXPECT_EQ(failures_[0].local, (TransportAddress{kHost.ip, kPassivePort}));
  EXPECT_EQ(failures_[1].protocol, RelayProtocol::kUdp);
  EXPECT_EQ(wanted_.size(), 1u) << "once, until a restart";
}

TEST_F(ReflexiveStreamsTest, ARestartAsksOnTheConnectionThatIsThere) {
  Begin(Host());
  network_.RunFor(absl::Seconds(1));
  const int before = requests_;
  gatherer_->Restart(network_.now());
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(wanted_.size(), 1u);
  EXPECT_EQ(requests_ - before, 1);
  EXPECT_EQ(reflexive_.size(), 1u) << "what is known is not told again";
  EXPECT_TRUE(gone_.empty());
}

TEST_F(ReflexiveStreamsTest, ConnectionsEndWhenNobodyNeedsThem) {
  Begin(Host());
  network_.RunFor(absl::Seconds(1));
  gatherer_->StopKeepalives();
  network_.RunFor(absl::Milliseconds(1));
  EXPECT_EQ(Open(), 0u);
  EXPECT_TRUE(gone_.empty()) << "no change, as of UDP";
  const int before = requests_;
  network_.RunFor(absl::Minutes(1));
  EXPECT_EQ(requests_, before);
  EXPECT_EQ(wanted_.size(), 1u);
  // Until the next gathering.
  gatherer_->Restart(network_.now());
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(Open(), 1u);
  EXPECT_EQ(reflexive_.size(), 1u);
}

TEST_F(ReflexiveStreamsTest, ConnectionsEndWithTheirAddressAndWithUs) {
  Begin(Host());
  network_.RunFor(absl::Seconds(1));
  ASSERT_OK(gatherer_->RemoveHost(network_.now(), kHost));
  network_.RunFor(absl::Milliseconds(1));
  EXPECT_EQ(Open(), 0u);
  EXPECT_TRUE(std::any_of(gone_.begin(), gone_.end(), [&](const Candidate& c) {
    return c.address == reflexive_[0].address;
  }));
  ASSERT_OK(gatherer_->AddHost(network_.now(), Host()));
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(Open(), 1u);
  gatherer_->Close(network_.now());
  network_.RunFor(absl::Milliseconds(1));
  EXPECT_EQ(Open(), 0u);
}

TEST_F(ReflexiveStreamsTest, WithoutANatThereIsNothingToKeep) {
  const sim::HostId host =
      network_.AddHost("public", {sim::kInternet, {kOutside}});
  // Datagrams do not pass, all the same.
  network_.set_filter([](const Datagram& datagram) {
    return datagram.path.transport == Transport::kTcp;
  });
  host_ = host;
  HostAddress at = Host();
  at.address = {kOutside, 5000};
  GathererOptions options;
  options.hosts = {at};
  options.stun_servers = {kServer};
  gatherer_ = std::make_unique<Gatherer>(std::move(options), random_);
  network_.Attach(host, {{kOutside, 5000}, {kOutside, kPassivePort}},
                  *gatherer_, [this](Gatherer::Event e) { On(e); });
  ASSERT_OK(gatherer_->Start(network_.now()));
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(wanted_.size(), 1u);
  EXPECT_EQ(Open(), 0u);
  EXPECT_TRUE(reflexive_.empty());
}

// --- Two of them -----------------------------------------------------------

// Each behind a NAT that lets in whatever comes for a mapping, and no datagram
// passes.
class Homes {
 public:
  enum class Relays : uint8_t { kNo, kYes };

  explicit Homes(bool lends_ports, const NatOptions& like,
                 Relays relays = Relays::kNo)
      : network_({.seed = 1}),
        random_(1),
        server_(random_, turn::OpenServerOptions(kServer)),
        a_(Role::kControlling, 2, Options(1, lends_ports, relays)),
        b_(Role::kControlled, 3, Options(2, lends_ports, relays)),
        session_(network_, a_, b_) {
    network_.set_filter([this](const Datagram& datagram) {
      const Path& path = datagram.path;
      if (path.local.port == kPassivePort && path.remote == kServer) {
        ++keepalives_;
      }
      return true;
    });
    const sim::HostId host =
        network_.AddHost("server", {sim::kInternet, {kServer.ip}});
    server_.Attach(network_, host, {kServer});
    network_.ListenStreams(host, kServer, [](const Path&) {});
    for (const uint8_t net : {uint8_t{1}, uint8_t{2}}) {
      NatOptions nat = like;
      nat.outside = {IpAddress::V4(198, 51, 100, net)};
      nat.block_udp = true;
      const sim::ZoneId zone = network_.AddNat(sim::kInternet, nat);
      hosts_.push_back(
          network_.AddHost("home", {zone,
                                    {Ip(net)},
                                    {.delay = absl::Milliseconds(10)},
                                    {.delay = absl::Milliseconds(10)}}));
    }
  }
  ~Homes() {
    network_.Detach(session_.endpoint_a());
    network_.Detach(session_.endpoint_b());
  }

  bool Connect() {
    session_.Start(hosts_[0], {{Ip(1), 5000}}, hosts_[1], {{Ip(2), 5000}});
    session_.UseStreams(hosts_[0], {Ip(1), kPassivePort}, hosts_[1],
                        {Ip(2), kPassivePort});
    return session_.RunUntil(AgentState::kCompleted, absl::Seconds(30));
  }
  // Requests to the server, of both, from where they listen.
  int CountKeepalives(absl::Duration time) {
    const int before = keepalives_;
    network_.RunFor(time);
    return keepalives_ - before;
  }
  const Peer& a() const { return a_; }
  const Peer& b() const { return b_; }

 private:
  static IpAddress Ip(uint8_t net) { return IpAddress::V4(10, 0, net, 2); }
  static GathererOptions Options(uint8_t net, bool lends_ports, Relays relays) {
    GathererOptions options;
    options.hosts = {{.address = {Ip(net), 5000},
                      .tcp_active = true,
                      .tcp_port = kPassivePort,
                      .tcp_lends_ports = lends_ports}};
    options.stun_servers = {kServer};
    if (relays == Relays::kYes) {
      options.turn_servers = {{kServer, "u", "p", RelayProtocol::kTcp, {}}};
    }
    return options;
  }

  sim::Network network_;
  SeededRandom random_;
  turn::SimServer server_;
  int keepalives_ = 0;
  std::vector<sim::HostId> hosts_;
  Peer a_;
  Peer b_;
  Session session_;
};

TEST(ReflexiveStreams, TwoBehindNatsWithoutUdpMeetByTheMappingOfAPort) {
  Homes homes(/*lends_ports=*/true, NatOptions::FullCone({}));
  ASSERT_TRUE(homes.Connect()) << homes.a().ice.DebugString();
  for (const Peer* peer : {&homes.a(), &homes.b()}) {
    EXPECT_EQ(peer->selected().path.transport, Transport::kTcp);
    EXPECT_EQ(peer->selected().path.remote.ip.bytes()[0], 198);
  }
}

TEST(ReflexiveStreams, TheMappingIsNotKeptOnceADirectPairIsNominated) {
  Homes homes(/*lends_ports=*/true, NatOptions::FullCone({}));
  ASSERT_TRUE(homes.Connect()) << homes.a().ice.DebugString();
  EXPECT_EQ(homes.CountKeepalives(absl::Minutes(1)), 0);
}

// A relayed pair is not the last word: what would reach the mapping yet must
// find it.
TEST(ReflexiveStreams, TheMappingIsKeptWhileARelayIsNominated) {
  Homes homes(/*lends_ports=*/true, NatOptions::PortRestrictedCone({}),
              Homes::Relays::kYes);
  ASSERT_TRUE(homes.Connect()) << homes.a().ice.DebugString();
  ASSERT_EQ(homes.a().selected().local_type, CandidateType::kRelayed);
  // Every 15 s, by each.
  EXPECT_GE(homes.CountKeepalives(absl::Minutes(1)), 6);
}

TEST(ReflexiveStreams, WithoutTheMappingTheyDoNot) {
  Homes homes(/*lends_ports=*/false, NatOptions::FullCone({}));
  EXPECT_FALSE(homes.Connect());
}

TEST(ReflexiveStreams, ANatThatLetsNobodyInIsNotPassedByAPortThatListens) {
  Homes homes(/*lends_ports=*/true, NatOptions::PortRestrictedCone({}));
  EXPECT_FALSE(homes.Connect());
}

}  // namespace
}  // namespace kyuu::ice
