// The gatherer on a simulated network with STUN and TURN servers: what it
// finds, what it tells of servers that fail, what it gives back.

#include "ice/gatherer.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/counters.h"
#include "base/random.h"
#include "base/testing.h"
#include "ice/candidate.h"
#include "sim/nat.h"
#include "sim/network.h"
#include "stun/attributes.h"
#include "stun/message.h"
#include "turn/testing/scripted_server.h"
#include "turn/testing/sim_server.h"

namespace kyuu::ice {
namespace {

const IpAddress kServerIp = IpAddress::V4(192, 0, 2, 100);
const TransportAddress kServer{kServerIp, 3478};
const TransportAddress kDead{IpAddress::V4(192, 0, 2, 200), 3478};
const IpAddress kOutside = IpAddress::V4(198, 51, 100, 1);
const TransportAddress kInside{IpAddress::V4(10, 0, 0, 2), 5000};
const TransportAddress kPublic{IpAddress::V4(192, 0, 2, 1), 5000};

class GathererTest : public ::testing::Test {
 protected:
  GathererTest()
      : network_({.seed = 1}),
        random_(1),
        server_(random_,
                {.users = {{"u", "p"}},
                 .relay_addresses = {{kServerIp}},
                 .allow_peers = {IpPrefix::Parse("0.0.0.0/0").value()}}) {
    server_host_ = network_.AddHost("server", {sim::kInternet, {kServerIp}});
    server_.Attach(network_, server_host_, {kServer});
  }

  // Puts the gatherer behind a NAT, or on the internet.
  void Begin(GathererOptions options, bool behind_nat = true) {
    sim::ZoneId zone = sim::kInternet;
    if (behind_nat) {
      zone_ = network_.AddNat(sim::kInternet,
                              sim::NatOptions::PortRestrictedCone(kOutside));
      zone = zone_;
    }
    if (options.hosts.empty()) {
      options.hosts = {{behind_nat ? kInside : kPublic}};
    }
    std::vector<IpAddress> ips;
    std::vector<TransportAddress> locals;
    for (const HostAddress& host : options.hosts) {
      ips.push_back(host.address.ip);
      locals.push_back(host.address);
    }
    host_ = network_.AddHost("client", {zone, ips});
    gatherer_ = std::make_unique<Gatherer>(std::move(options), random_);
    network_.Attach(host_, locals, *gatherer_, [this](Gatherer::Event event) {
      if (auto* found = std::get_if<Gatherer::CandidateFound>(&event)) {
        candidates_.push_back(found->candidate);
        found_at_.push_back(network_.now() - start_);
      } else if (auto* failed = std::get_if<Gatherer::ServerFailed>(&event)) {
        failures_.push_back(*failed);
      } else if (auto* lost = std::get_if<Gatherer::RelayLost>(&event)) {
        lost_.push_back(*lost);
      } else if (auto* gone = std::get_if<Gatherer::CandidateGone>(&event)) {
        gone_.push_back(gone->candidate);
      } else if (std::holds_alternative<Gatherer::Started>(event)) {
        ++started_;
      } else if (std::holds_alternative<Gatherer::Finished>(event)) {
        finished_at_ = network_.now() - start_;
      } else {
        EXPECT_FALSE(closed_);
        closed_ = true;
      }
    });
    start_ = network_.now();
    if (servers_later_) gatherer_->AwaitServers(1);
    ASSERT_OK(gatherer_->Start(start_));
  }
  std::vector<Candidate> Of(CandidateType type) const {
    std::vector<Candidate> result;
    for (const Candidate& c : candidates_) {
      if (c.type == type) result.push_back(c);
    }
    return result;
  }

  sim::Network network_;
  SeededRandom random_;
  turn::SimServer server_;
  bool servers_later_ = false;
  sim::ZoneId zone_ = sim::kInternet;
  sim::HostId host_{};
  sim::HostId server_host_{};
  std::unique_ptr<Gatherer> gatherer_;
  absl::Time start_;
  std::vector<Candidate> candidates_;
  std::vector<absl::Duration> found_at_;
  std::vector<Gatherer::ServerFailed> failures_;
  std::vector<Gatherer::RelayLost> lost_;
  std::vector<Candidate> gone_;
  int started_ = 0;
  absl::Duration finished_at_ = absl::InfiniteDuration();
  bool closed_ = false;
};

TEST_F(GathererTest, HostsComeAtOnceAndWithoutServersThatIsAll) {
  Begin(
      {.hosts = {{{IpAddress::V4(127, 0, 0, 1), 1}, InterfaceKind::kLoopback},
                 {{IpAddress::V4(10, 0, 0, 2), 2}, InterfaceKind::kWifi},
                 {{IpAddress::V4(10, 0, 1, 2), 3}, InterfaceKind::kEthernet}}});
  network_.RunFor(absl::ZeroDuration());
  ASSERT_EQ(candidates_.size(), 3u);
  EXPECT_EQ(finished_at_, absl::ZeroDuration());
  // Best interface first; priorities and foundations differ.
  EXPECT_EQ(candidates_[0].address.port, 3);
  EXPECT_EQ(candidates_[1].address.port, 2);
  EXPECT_EQ(candidates_[2].address.port, 1);
  EXPECT_GT(candidates_[0].priority, candidates_[1].priority);
  EXPECT_GT(candidates_[1].priority, candidates_[2].priority);
  EXPECT_NE(candidates_[0].foundation, candidates_[1].foundation);
  EXPECT_EQ(candidates_[0].base, candidates_[0].address);
  EXPECT_FALSE(candidates_[0].related);
  EXPECT_THAT(gatherer_->Start(network_.now()),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

// RFC 8421 section 4.
TEST_F(GathererTest, FamiliesTakeTurns) {
  const auto at = [](const char* address) {
    return HostAddress{TransportAddress::Parse(address).value(),
                       InterfaceKind::kWifi};
  };
  Begin({.hosts = {at("10.0.0.1:1"), at("10.0.0.2:2"), at("10.0.0.3:3"),
                   at("[2001:db8::1]:4"), at("[2001:db8::2]:5")}});
  network_.RunFor(absl::ZeroDuration());
  std::string order;
  uint32_t last = UINT32_MAX;
  for (const Candidate& candidate : candidates_) {
    absl::StrAppend(&order, candidate.address.port);
    EXPECT_LT(candidate.priority, last);
    last = candidate.priority;
  }
  EXPECT_EQ(order, "41523");
}

TEST_F(GathererTest, ManyOfOneFamilyHaveAPreferenceEach) {
  GathererOptions options;
  for (uint8_t i = 1; i <= 16; ++i) {
    options.hosts.push_back({{IpAddress::V4(10, 0, 0, i), i}});
  }
  Begin(std::move(options));
  network_.RunFor(absl::ZeroDuration());
  std::set<uint32_t> priorities;
  for (const Candidate& candidate : candidates_) {
    priorities.insert(candidate.priority);
  }
  EXPECT_EQ(priorities.size(), 16u);
}

TEST_F(GathererTest, ServerReflexiveBehindANat) {
  Begin({.stun_servers = {kServer}});
  network_.RunFor(absl::Seconds(1));
  const auto reflexive = Of(CandidateType::kServerReflexive);
  ASSERT_EQ(reflexive.size(), 1u);
  EXPECT_EQ(reflexive[0].address.ip, kOutside);
  EXPECT_EQ(reflexive[0].base, kInside);
  EXPECT_EQ(reflexive[0].related, kInside);
  EXPECT_LT(reflexive[0].priority, candidates_[0].priority);
  EXPECT_LE(finished_at_, absl::Milliseconds(50));
}

TEST_F(GathererTest, WithoutANatTheReflexiveAddressIsRedundant) {
  Begin({.stun_servers = {kServer}}, /*behind_nat=*/false);
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(candidates_.size(), 1u);
  EXPECT_LE(finished_at_, absl::Milliseconds(50));
}

// A 1:1 NAT that is known shows a host without being asked for it.
TEST_F(GathererTest, AMappingThatIsKnownIsToldWithoutServers) {
  Begin({.hosts = {{.address = kInside,
                    .tcp_active = true,
                    .tcp_port = 5001,
                    .mapped = kOutside,
                    .tcp_so_port = 5002}}});
  network_.RunFor(absl::ZeroDuration());
  EXPECT_EQ(finished_at_, absl::ZeroDuration());
  const auto mapped = Of(CandidateType::kServerReflexive);
  ASSERT_EQ(mapped.size(), 3u) << "none for the active one";
  EXPECT_EQ(mapped[0].address, (TransportAddress{kOutside, 5000}));
  EXPECT_EQ(mapped[0].base, kInside);
  EXPECT_EQ(mapped[0].related, kInside);
  EXPECT_EQ(mapped[0].transport, Transport::kUdp);
  EXPECT_EQ(mapped[1].address, (TransportAddress{kOutside, 5001}));
  EXPECT_EQ(mapped[1].tcp_type, TcpType::kPassive);
  EXPECT_EQ(mapped[1].related, (TransportAddress{kInside.ip, 5001}));
  EXPECT_EQ(mapped[2].address, (TransportAddress{kOutside, 5002}));
  EXPECT_EQ(mapped[2].tcp_type, TcpType::kSimultaneousOpen);
  EXPECT_EQ(mapped[2].base, (TransportAddress{kInside.ip, 5002}));
  for (const Candidate& host : Of(CandidateType::kHost)) {
    if (host.transport == Transport::kUdp) {
      EXPECT_GT(host.priority, mapped[0].priority);
    }
  }
  ASSERT_OK(gatherer_->RemoveHost(network_.now(), kInside));
  network_.RunFor(absl::ZeroDuration());
  EXPECT_EQ(gone_.size(), candidates_.size());
}

TEST_F(GathererTest, AMappingThatIsKnownIsHiddenByTheRelayOnlyPolicy) {
  Begin({.hosts = {{.address = kInside, .tcp_port = 1, .mapped = kOutside}},
         .turn_servers = {{kServer, "u", "p"}},
         .policy = GatherPolicy::kRelay});
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(candidates_.size(), 1u);
  EXPECT_EQ(candidates_[0].type, CandidateType::kRelayed);
}

// What a server sees is nothing new, and nothing that could go.
TEST_F(GathererTest, AMappingThatIsKnownOutlivesWhatServersSee) {
  Begin({.hosts = {{.address = kInside, .mapped = kOutside}},
         .stun_servers = {kServer}});
  network_.nat(zone_).options().preserve_port = true;
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(candidates_.size(), 2u);
  network_.nat(zone_).options().preserve_port = false;
  network_.nat(zone_).Restart();
  network_.RunFor(absl::Minutes(1));
  EXPECT_EQ(candidates_.size(), 3u) << "a server sees another port";
  EXPECT_TRUE(gone_.empty());
}

TEST_F(GathererTest, RelayedAddress) {
  Begin({.turn_servers = {{kServer, "u", "p"}}});
  network_.RunFor(absl::Seconds(1));
  const auto relayed = Of(CandidateType::kRelayed);
  ASSERT_EQ(relayed.size(), 1u);
  EXPECT_EQ(relayed[0].address.ip, kServerIp);
  EXPECT_EQ(relayed[0].base, relayed[0].address);
  EXPECT_EQ(relayed[0].related->ip, kOutside);
  EXPECT_TRUE(gatherer_->IsRelayed(relayed[0].address));
  EXPECT_FALSE(gatherer_->IsRelayed(kInside));
  EXPECT_EQ(Of(CandidateType::kServerReflexive).size(), 1u);
  EXPECT_LE(finished_at_, absl::Milliseconds(100));
  EXPECT_TRUE(failures_.empty());
}

TEST_F(GathererTest, RelayOnlyPolicyHidesAllOtherAddresses) {
  Begin(
      {.turn_servers = {{kServer, "u", "p"}}, .policy = GatherPolicy::kRelay});
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(candidates_.size(), 1u);
  EXPECT_EQ(candidates_[0].type, CandidateType::kRelayed);
  EXPECT_EQ(candidates_[0].related->ToString(), "0.0.0.0:0");
  EXPECT_EQ(candidates_[0].ToString().find("198.51.100.1"), std::string::npos);
  EXPECT_EQ(candidates_[0].ToString().find("10.0.0.2"), std::string::npos);
}

// draft-ietf-mmusic-mdns-ice-candidates section 3.1.1.
class HiddenHostTest : public GathererTest {
 protected:
  void Gather(const TransportAddress& host, bool behind_nat) {
    GathererOptions options{
        .hosts = {{.address = host,
                   .tcp_active = true,
                   .tcp_port = 5001,
                   .name = "1b4e28ba-2fa1-4d2c-883f-0016d3cca427.local"}},
        .stun_servers = {kServer},
        .turn_servers = {{kServer, "u", "p"}}};
    Begin(std::move(options), behind_nat);
    network_.RunFor(absl::Seconds(3));
    ASSERT_EQ(Of(CandidateType::kHost).size(), 3u);
    EXPECT_EQ(Of(CandidateType::kServerReflexive).size(), behind_nat ? 1u : 0u);
    ASSERT_EQ(Of(CandidateType::kRelayed).size(), 1u);
    for (const Candidate& candidate : candidates_) {
      const std::string line = candidate.ToString();
      EXPECT_FALSE(
          absl::StrContains(line, absl::StrCat(" ", host.ip.ToString(), " ")))
          << line;
      EXPECT_EQ(candidate.is_mdns(), candidate.type == CandidateType::kHost);
      if (candidate.is_mdns()) {
        EXPECT_EQ(candidate.address.ip, host.ip);  // We know it.
      }
    }
    EXPECT_EQ(Of(CandidateType::kRelayed)[0].related->ip,
              behind_nat ? kOutside : IpAddress::V4(0));
  }
};

TEST_F(HiddenHostTest, S11ShowsItsAddressNowhereBehindANat) {
  Gather(kInside, true);
}

TEST_F(HiddenHostTest, ShowsItsAddressNowhereWithoutANat) {
  Gather(kPublic, false);
}

TEST_F(GathererTest, WrongPasswordIsToldWithItsCode) {
  Begin({.turn_servers = {{kServer, "u", "wrong"}}});
  network_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(Of(CandidateType::kRelayed).empty());
  EXPECT_EQ(Of(CandidateType::kServerReflexive).size(), 1u);
  ASSERT_EQ(failures_.size(), 1u);
  EXPECT_EQ(failures_[0].code, 401);
  EXPECT_EQ(failures_[0].server, kServer);
  EXPECT_FALSE(failures_[0].status.ok());
  EXPECT_LE(finished_at_, absl::Milliseconds(200));
}

TEST_F(GathererTest, DeadServersDelayNobodyElse) {
  TransportAddress dead_turn = kDead;
  dead_turn.port = 5349;
  Begin({.stun_servers = {kDead, kServer},
         .turn_servers = {{dead_turn, "u", "p"}, {kServer, "u", "p"}}});
  network_.RunFor(absl::Seconds(10));
  ASSERT_EQ(candidates_.size(), 3u);  // Host, server-reflexive, relayed.
  for (absl::Duration found : found_at_) {
    EXPECT_LE(found, absl::Milliseconds(110));
  }
  EXPECT_EQ(failures_.size(), 3u);  // Two Bindings, one allocation.
  for (const Gatherer::ServerFailed& failed : failures_) {
    EXPECT_EQ(failed.server.ip, kDead.ip);
    EXPECT_EQ(failed.code, 0);
    EXPECT_EQ(failed.status.code(), absl::StatusCode::kDeadlineExceeded);
  }
  // Nobody who waits for the end waits for the dead.
  EXPECT_EQ(finished_at_, absl::Seconds(1));
}

// Eight STUN servers and seven TURN servers that are silent, one that is not,
// and IPv6 that leads nowhere.
TEST_F(GathererTest, ManyDeadServersAndABrokenIpv6HoldUpNothing) {
  const IpAddress broken = *IpAddress::Parse("2001:db8::1");
  GathererOptions options;
  options.hosts = {{kPublic}, {{broken, 5000}}};
  for (uint8_t i = 1; i <= 8; ++i) {
    const IpAddress v4 =
        IpAddress::V4(192, 0, 2, static_cast<uint8_t>(200 + i));
    std::array<uint8_t, 16> v6{0x20, 0x01, 0x0d, 0xb8, 0, 1};
    v6[15] = i;
    options.stun_servers.push_back({i % 2 == 0 ? v4 : IpAddress::V6(v6), 3478});
    if (i == 8) break;
    options.turn_servers.push_back(
        {{i % 2 == 0 ? IpAddress::V6(v6) : v4, 3479}, "u", "p"});
  }
  options.turn_servers.push_back({kServer, "u", "p"});
  Begin(std::move(options), /*behind_nat=*/false);
  network_.RunFor(absl::Seconds(10));
  ASSERT_EQ(candidates_.size(), 3u);  // Two hosts, relayed.
  EXPECT_EQ(found_at_[0], absl::ZeroDuration());
  EXPECT_EQ(found_at_[1], absl::ZeroDuration());
  EXPECT_EQ(candidates_[2].type, CandidateType::kRelayed);
  EXPECT_LE(finished_at_, absl::Seconds(1));
  EXPECT_LE(found_at_[2], finished_at_);
}

TEST_F(GathererTest, SurvivesLoss) {
  for (int seed = 0; seed < 10; ++seed) {
    SCOPED_TRACE(seed);
    sim::Network network({.seed = static_cast<uint64_t>(seed)});
    turn::SimServer server(
        random_, {.users = {{"u", "p"}}, .relay_addresses = {{kServerIp}}});
    server.Attach(network,
                  network.AddHost("server", {sim::kInternet, {kServerIp}}),
                  {kServer});
    GathererOptions options;
    options.hosts = {{kPublic}};
    options.turn_servers = {{kServer, "u", "p"}};
    Gatherer gatherer(options, random_);
    const sim::HostId host =
        network.AddHost("client", {sim::kInternet, {kPublic.ip}});
    network.SetLinks(host, {.loss = 0.1});
    network.Attach(host, {kPublic}, gatherer);
    ASSERT_OK(gatherer.Start(network.now()));
    EXPECT_TRUE(network.RunUntil([&] { return gatherer.finished(); },
                                 absl::Seconds(5)));
  }
}

TEST_F(GathererTest, SilentFirstHostGivesWayToTheNext) {
  const TransportAddress other{IpAddress::V4(10, 0, 1, 2), 5001};
  Begin({.hosts = {{kInside, InterfaceKind::kEthernet},
                   {other, InterfaceKind::kWifi}},
         .turn_servers = {{kServer, "u", "p"}}});
  network_.set_filter(
      [](const Datagram& d) { return d.path.local != kInside; });
  network_.RunFor(absl::Seconds(10));
  const auto relayed = Of(CandidateType::kRelayed);
  ASSERT_EQ(relayed.size(), 1u);
  EXPECT_LE(found_at_.back(), absl::Milliseconds(700));
  ASSERT_EQ(failures_.size(), 1u) << "only the Binding from the first host";
  EXPECT_EQ(failures_[0].local, kInside);
}

TEST_F(GathererTest, ReflexiveAddressIsKeptAlive) {
  Begin({.stun_servers = {kServer}});
  network_.nat(zone_).options().mapping_lifetime = absl::Seconds(20);
  network_.RunFor(absl::Minutes(10));
  EXPECT_EQ(candidates_.size(), 2u) << "the mapping never changed";
  // A NAT that restarts gives another address, which is told.
  network_.nat(zone_).Restart();
  network_.RunFor(absl::Seconds(20));
  EXPECT_EQ(Of(CandidateType::kServerReflexive).size(), 2u);
  ASSERT_EQ(gone_.size(), 1u) << "the old mapping";
  EXPECT_EQ(gone_[0].address, Of(CandidateType::kServerReflexive)[0].address);
  // Whose path keeps itself asks nobody.
  gatherer_->StopKeepalives();
  size_t sent = 0;
  network_.set_filter([&](const Datagram&) { return ++sent; });
  network_.RunFor(absl::Minutes(5));
  EXPECT_EQ(sent, 0u);
}

TEST_F(GathererTest, AnAddressThatComesLaterIsGatheredFrom) {
  Begin({.stun_servers = {kServer},
         .turn_servers = {{kServer, "u", "p"}},
         .mobility = turn::ClientOptions::Mobility::kNone});
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(candidates_.size(), 3u);
  ASSERT_OK(gatherer_->RemoveHost(network_.now(), kInside));
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(gone_.size(), 3u) << "host, server-reflexive, relayed";
  EXPECT_EQ(lost_.size(), 1u);
  EXPECT_THAT(gatherer_->RemoveHost(network_.now(), kInside),
              StatusIs(absl::StatusCode::kNotFound));

  const TransportAddress other{IpAddress::V4(10, 0, 0, 3), 5001};
  network_.AddInterface(host_, {zone_, {other.ip}});
  network_.Bind(sim::EndpointId{1}, other);
  const absl::Time start = network_.now();
  ASSERT_OK(gatherer_->AddHost(start, {other, InterfaceKind::kEthernet}));
  EXPECT_FALSE(gatherer_->finished());
  ASSERT_TRUE(network_.RunUntil([&] { return gatherer_->finished(); },
                                absl::Seconds(1)));
  EXPECT_EQ(started_, 2);
  ASSERT_EQ(candidates_.size(), 6u);
  EXPECT_EQ(candidates_[3].address, other);
  // A better kind of network than the first one's.
  EXPECT_GT(candidates_[3].priority, candidates_[0].priority);
  EXPECT_TRUE(gatherer_->IsRelayed(Of(CandidateType::kRelayed)[1].address));
}

TEST_F(GathererTest, ALostRelayIsAskedForAgain) {
  Begin({.turn_servers = {{kServer, "u", "p"}}});
  network_.RunFor(absl::Seconds(1));
  // The server is switched off, and comes back without its allocations.
  network_.Detach(server_.endpoint());
  turn::SimServer fresh(
      random_, {.users = {{"u", "p"}}, .relay_addresses = {{kServerIp}}});
  gatherer_->Restart(network_.now());
  network_.RunFor(absl::Seconds(60));
  fresh.Attach(network_, server_host_, {kServer});
  network_.RunFor(absl::Minutes(2));
  EXPECT_EQ(lost_.size(), 1u);
  ASSERT_EQ(Of(CandidateType::kRelayed).size(), 2u);
  EXPECT_TRUE(gatherer_->IsRelayed(Of(CandidateType::kRelayed)[1].address));
}

TEST_F(GathererTest, ARestartUsesNewCredentialsAndNewServers) {
  Begin({.turn_servers = {{kServer, "u", "p"}}});
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(Of(CandidateType::kRelayed).size(), 1u);
  // The server restarts, and knows nobody of before.
  network_.Detach(server_.endpoint());
  turn::SimServer fresh(
      random_, {.users = {{"v", "q"}}, .relay_addresses = {{kServerIp}}});
  fresh.Attach(network_, server_host_, {kServer});
  const TransportAddress other_ip{IpAddress::V4(192, 0, 2, 101), 3478};
  turn::SimServer other(
      random_, {.users = {{"w", "r"}}, .relay_addresses = {{other_ip.ip}}});
  other.Attach(network_,
               network_.AddHost("other", {sim::kInternet, {other_ip.ip}}),
               {other_ip});

  gatherer_->UpdateServers({}, {{kServer, "v", "q"}, {other_ip, "w", "r"}});
  network_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(lost_.empty());
  EXPECT_EQ(Of(CandidateType::kRelayed).size(), 1u);
  gatherer_->Restart(network_.now());
  network_.RunFor(absl::Seconds(5));
  EXPECT_EQ(lost_.size(), 1u);
  const std::vector<Candidate> relayed = Of(CandidateType::kRelayed);
  ASSERT_EQ(relayed.size(), 3u);
  for (const Candidate& candidate : {relayed[1], relayed[2]}) {
    EXPECT_TRUE(gatherer_->IsRelayed(candidate.address));
  }
  EXPECT_NE(relayed[1].address.ip, relayed[2].address.ip);
}

TEST_F(GathererTest, RelayedDataBothWays) {
  Begin({.turn_servers = {{kServer, "u", "p"}}});
  network_.RunFor(absl::Seconds(1));
  const TransportAddress relayed = Of(CandidateType::kRelayed)[0].address;
  const TransportAddress peer{IpAddress::V4(192, 0, 2, 50), 50};
  std::string got;
  const sim::HostId host =
      network_.AddHost("peer", {sim::kInternet, {peer.ip}});
  network_.Listen(host, peer, [&](const Datagram& d) {
    got = std::string(AsText(d.bytes));
    EXPECT_EQ(d.path.remote, relayed);
  });
  // The peer is permitted by sending to it.
  std::array<uint8_t, 1500> out;
  const Datagram inner{{relayed, peer, Transport::kUdp}, AsBytes("hello")};
  // The server would drop what comes before its permission.
  const auto request =
      gatherer_->Wrap(network_.now(), inner, absl::MakeSpan(out));
  ASSERT_OK(request);
  network_.Send(host_, *request);
  const auto outer =
      gatherer_->PollTransmit(network_.now(), absl::MakeSpan(out));
  ASSERT_TRUE(outer);
  EXPECT_EQ(outer->path.remote, kServer);
  network_.Send(host_, *outer);
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(got, "hello");
  EXPECT_EQ(gatherer_->stats().drop_unwrappable, 0u);

  // The other way; a filter sees what comes out of the server.
  std::string back;
  network_.set_filter([&](const Datagram& d) {
    if (d.path.local != kServer) return true;
    // As it arrives behind the NAT.
    const Datagram at_client{{kInside, kServer, Transport::kUdp}, d.bytes};
    if (auto unwrapped = gatherer_->Take(network_.now(), at_client).relayed) {
      EXPECT_EQ(unwrapped->path.local, relayed);
      EXPECT_EQ(unwrapped->path.remote, peer);
      back = std::string(AsText(unwrapped->bytes));
    }
    return true;
  });
  network_.Send(host, {{peer, relayed, Transport::kUdp}, AsBytes("there")});
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(back, "there");

  EXPECT_THAT(
      gatherer_->Wrap(network_.now(), {{kInside, peer, Transport::kUdp}, {}},
                      absl::MakeSpan(out)),
      StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(
      gatherer_->Take(network_.now(), {{kInside, peer, Transport::kUdp}, {}})
          .claimed);
}

TEST_F(GathererTest, LostRelayIsTold) {
  Begin({.turn_servers = {{kServer, "u", "p"}}});
  network_.RunFor(absl::Seconds(1));
  const TransportAddress relayed = Of(CandidateType::kRelayed)[0].address;
  server_.server().Close();
  network_.RunFor(absl::Minutes(20));
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0].relayed, relayed);
  EXPECT_FALSE(gatherer_->IsRelayed(relayed));
}

TEST_F(GathererTest, CloseGivesAllocationsBack) {
  Begin({.stun_servers = {kDead}, .turn_servers = {{kServer, "u", "p"}}});
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(server_.server().allocations(), 1u);
  gatherer_->Close(network_.now());
  network_.RunFor(absl::Seconds(10));
  EXPECT_EQ(server_.server().allocations(), 0u);
  EXPECT_TRUE(closed_);
  EXPECT_FALSE(gatherer_->PollEvent());
  EXPECT_EQ(gatherer_->NextTimeout(), absl::InfiniteFuture());
}

TEST_F(GathererTest, CloseWhileServersAreSilentEnds) {
  Begin({.stun_servers = {kDead}, .turn_servers = {{kDead, "u", "p"}}});
  network_.RunFor(absl::Milliseconds(100));
  gatherer_->Close(network_.now());
  EXPECT_TRUE(network_.RunUntilIdle());
  EXPECT_TRUE(closed_);
}

TEST_F(GathererTest, HostsServersAndPeersAreBounded) {
  GathererOptions options;
  for (uint8_t i = 1; i <= 20; ++i) {
    options.hosts.push_back({{IpAddress::V4(10, 0, 0, i), 1}});
    options.stun_servers.push_back({IpAddress::V4(192, 0, 2, i), 1});
    options.turn_servers.push_back(
        {{IpAddress::V4(192, 0, 3, i), 1}, "u", "p"});
  }
  Begin(std::move(options));
  size_t requests = 0;
  network_.set_filter([&](const Datagram&) {
    ++requests;
    return false;
  });
  network_.RunFor(absl::Seconds(30));
  EXPECT_EQ(candidates_.size(), 16u);
  EXPECT_TRUE(gatherer_->finished());
  // 16 hosts, 16 servers asked four times each, and allocations.
  EXPECT_LE(requests, 16u * 16 * 4 + 8 * 16 * 4);
  for (uint8_t i = 1; i <= 200; ++i) {
    gatherer_->Permit(network_.now(), {IpAddress::V4(192, 0, 4, i), 1});
  }
  EXPECT_EQ(gatherer_->stats().peer_limit, 100u);
}

TEST_F(GathererTest, StrangersAreCountedAndIgnored) {
  Begin({.turn_servers = {{kServer, "u", "p"}}});
  network_.RunFor(absl::Seconds(1));
  const std::string noise = "noise";
  const Datagram stranger{{kInside, kDead, Transport::kUdp}, AsBytes(noise)};
  EXPECT_FALSE(gatherer_->Take(network_.now(), stranger).claimed);
  EXPECT_EQ(gatherer_->stats().drop_unknown_path, 0u);
  gatherer_->HandlePacket(network_.now(), stranger);
  EXPECT_EQ(gatherer_->stats().drop_unknown_path, 1u);
}

TEST(Gatherer, EveryCounterIsRaisedByWhatItsNameSays) {
  const TransportAddress peer{IpAddress::V4(203, 0, 113, 1), 7000};
  turn::ScriptedServer server;
  server.tickets = {"first", "second"};
  SeededRandom random(1);
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  std::array<uint8_t, 1500> out;
  Gatherer gatherer({.hosts = {{kPublic}},
                     .turn_servers = {{kServer, "user", "pass"}},
                     .max_candidates = 4,
                     .max_peers = 1},
                    random);
  ASSERT_OK(gatherer.Start(now));
  const auto serve = [&] {
    for (int i = 0; i < 20; ++i) {
      now += absl::Milliseconds(5);
      gatherer.HandleTimeout(now);
      const auto request = gatherer.PollTransmit(now, absl::MakeSpan(out));
      if (!request) continue;
      std::vector<uint8_t> answer = server.Answer(request->bytes);
      const auto message = stun::MessageView::Parse(request->bytes);
      ASSERT_OK(message);
      if (message->method() == stun::Method::kBinding) {
        std::array<uint8_t, 100> packet;
        stun::MessageWriter w(
            absl::MakeSpan(packet), stun::MessageClass::kSuccess,
            stun::Method::kBinding, message->transaction_id());
        w.Add(stun::XorMappedAddress{peer});
        answer = turn::ScriptedServer::Copy(w.Finish());
      }
      gatherer.HandlePacket(now, {request->path, answer});
    }
  };
  serve();
  ASSERT_TRUE(gatherer.IsRelayed(server.relayed));
  EXPECT_EQ(CountersToString(gatherer.stats()), "");

  Gatherer::Stats seen;
  std::set<std::string> raised;
  const auto counted = [&] {
    const Gatherer::Stats difference = CountersSince(seen, gatherer.stats());
    seen = gatherer.stats();
    for (const absl::string_view name : NonzeroCounters(difference)) {
      raised.insert(std::string(name));
    }
    return NonzeroCounters(difference);
  };
  gatherer.Permit(now, peer);
  serve();
  EXPECT_THAT(counted(), testing::ElementsAre());
  gatherer.Permit(now, {IpAddress::V4(203, 0, 113, 2), 7000});
  EXPECT_THAT(counted(), testing::ElementsAre("peer_limit"));
  ASSERT_OK(gatherer.AddHost(now, {{IpAddress::V4(192, 0, 2, 9), 5000}}));
  serve();
  EXPECT_THAT(counted(), testing::ElementsAre("candidate_limit"));

  EXPECT_OK(gatherer.Wrap(now, {{server.relayed, peer}, AsBytes("data")},
                          absl::MakeSpan(out)));
  EXPECT_THAT(counted(), testing::ElementsAre("wrapped"));
  EXPECT_FALSE(
      gatherer
          .Wrap(now, {{kPublic, peer}, AsBytes("data")}, absl::MakeSpan(out))
          .ok());
  EXPECT_THAT(counted(), testing::ElementsAre("drop_unwrappable"));
  const std::vector<uint8_t> data = server.Data(peer, AsBytes("data"));
  EXPECT_TRUE(gatherer.Take(now, {{kPublic, kServer}, data}).relayed);
  EXPECT_THAT(counted(), testing::ElementsAre("unwrapped"));
  gatherer.HandlePacket(now, {{kPublic, kDead}, AsBytes("noise")});
  EXPECT_THAT(counted(), testing::ElementsAre("drop_unknown_path"));
  ASSERT_OK(gatherer.RemoveHost(now, kPublic));
  serve();
  EXPECT_THAT(counted(), testing::ElementsAre("relays_moved"));
  server.errors = {{stun::Method::kRefresh, stun::Error::kAllocationMismatch}};
  ASSERT_OK(gatherer.AddHost(now, {kPublic}));
  ASSERT_OK(gatherer.RemoveHost(now, {IpAddress::V4(192, 0, 2, 9), 5000}));
  serve();
  EXPECT_THAT(counted(), testing::Contains("moves_failed"));
  for (const Counter<Gatherer::Stats>& counter : Gatherer::Stats::kCounters) {
    EXPECT_TRUE(raised.count(std::string(counter.name))) << counter.name;
  }
}

// Names of servers are being resolved while host candidates are told.
TEST_F(GathererTest, ServersThatComeLaterAreAskedAndWaitedFor) {
  servers_later_ = true;
  Begin({});
  network_.RunFor(absl::Milliseconds(400));
  EXPECT_EQ(Of(CandidateType::kHost).size(), 1u);
  EXPECT_FALSE(gatherer_->finished());
  gatherer_->UpdateServers({kServer}, {{kServer, "u", "p"}});
  gatherer_->ServersKnown(network_.now());
  network_.RunFor(absl::Seconds(2));
  EXPECT_EQ(Of(CandidateType::kServerReflexive).size(), 1u);
  EXPECT_EQ(Of(CandidateType::kRelayed).size(), 1u);
  EXPECT_TRUE(gatherer_->finished());
  EXPECT_LT(finished_at_, absl::Milliseconds(600));
  EXPECT_EQ(started_, 1);
  // Known again, they are not asked again.
  const size_t found = candidates_.size();
  gatherer_->ServersKnown(network_.now());
  network_.RunFor(absl::Seconds(2));
  EXPECT_EQ(candidates_.size(), found);
  EXPECT_EQ(started_, 1);
}

TEST_F(GathererTest, ServersThatNeverComeAreWaitedForForASecond) {
  servers_later_ = true;
  Begin({});
  network_.RunFor(absl::Milliseconds(999));
  EXPECT_FALSE(gatherer_->finished());
  network_.RunFor(absl::Milliseconds(2));
  EXPECT_EQ(finished_at_, absl::Seconds(1));
  // One that does come is gathered from, as from a new address of ours.
  gatherer_->UpdateServers({kServer}, {});
  gatherer_->ServersKnown(network_.now());
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(Of(CandidateType::kServerReflexive).size(), 1u);
  EXPECT_EQ(started_, 2);
  EXPECT_TRUE(gatherer_->finished());
}

TEST_F(GathererTest, NoNameThatIsKnownEndsTheWait) {
  servers_later_ = true;
  Begin({});
  network_.RunFor(absl::Milliseconds(10));
  EXPECT_FALSE(gatherer_->finished());
  gatherer_->ServersKnown(network_.now());
  network_.RunFor(absl::ZeroDuration());
  EXPECT_EQ(finished_at_, absl::Milliseconds(10));
}

TEST_F(GathererTest, ServersKnownBeforeTheStartAreNoNews) {
  Gatherer later({.hosts = {{kPublic}}}, random_);
  later.AwaitServers(1);
  later.UpdateServers({kServer}, {});
  later.ServersKnown(network_.now());
  EXPECT_FALSE(later.PollEvent());
  ASSERT_OK(later.Start(network_.now()));
  std::array<uint8_t, 1500> out;
  const auto request = later.PollTransmit(network_.now(), absl::MakeSpan(out));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->path.remote, kServer);
}

// Each name has its own time, and the last one ends the wait.
TEST_F(GathererTest, OneOfTwoNamesIsAskedBeforeTheOtherIsKnown) {
  servers_later_ = true;
  Begin({});
  gatherer_->AwaitServers(1);
  gatherer_->UpdateServers({kServer}, {});
  gatherer_->ServersKnown(network_.now());
  network_.RunFor(absl::Milliseconds(500));
  EXPECT_EQ(Of(CandidateType::kServerReflexive).size(), 1u);
  EXPECT_FALSE(gatherer_->finished());
  gatherer_->ServersKnown(network_.now());
  network_.RunFor(absl::ZeroDuration());
  EXPECT_EQ(finished_at_, absl::Milliseconds(500));
}

// As setConfiguration() is: the next gathering asks them, and waits.
TEST_F(GathererTest, ServersAfterTheEndWaitForARestart) {
  Begin({});
  network_.RunFor(absl::Milliseconds(1));
  ASSERT_TRUE(gatherer_->finished());
  // Known before the restart, and then while it gathers.
  for (const bool early : {true, false}) {
    candidates_.clear();
    const int started = started_;
    gatherer_->AwaitServers(1);
    if (early) {
      gatherer_->UpdateServers({kDead}, {});
      gatherer_->ServersKnown(network_.now());
      network_.RunFor(absl::Seconds(2));
      EXPECT_EQ(started_, started);
    }
    gatherer_->Restart(network_.now());
    network_.RunFor(absl::Milliseconds(100));
    EXPECT_FALSE(gatherer_->finished());
    if (!early) {
      gatherer_->UpdateServers({kServer}, {});
      gatherer_->ServersKnown(network_.now());
    }
    network_.RunFor(absl::Seconds(4));
    EXPECT_TRUE(gatherer_->finished());
    EXPECT_EQ(started_, started + 1);
  }
  EXPECT_EQ(Of(CandidateType::kServerReflexive).size(), 1u);
  EXPECT_EQ(failures_.size(), 2u) << "the dead one, by each restart";
}

}  // namespace
}  // namespace kyuu::ice
