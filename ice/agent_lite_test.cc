// Lite agents (RFC 8445 section 2.5) on a simulated network.

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/testing/peer.h"
#include "sim/nat.h"
#include "sim/network.h"
#include "stun/attributes.h"
#include "stun/message.h"

namespace kyuu::ice {
namespace {

using testing::Peer;
using testing::Session;

const TransportAddress kServer{IpAddress::V4(192, 0, 2, 1), 5000};
const TransportAddress kServerToo{IpAddress::V4(192, 0, 2, 2), 5000};
const TransportAddress kHome{IpAddress::V4(10, 0, 0, 2), 6000};
const TransportAddress kStun{IpAddress::V4(192, 0, 2, 9), 3478};
const IpAddress kOutside = IpAddress::V4(198, 51, 100, 1);

// A lite agent on the internet and another one behind a NAT, which offers.
class AgentLiteTest : public ::testing::Test {
 protected:
  AgentLiteTest() { Watch(); }

  void Watch() {
    network_.set_filter([this](const Datagram& d) {
      if (cut_) return false;
      const bool from_server =
          d.path.local.ip == kServer.ip || d.path.local.ip == kServerToo.ip;
      if (from_server && stun::IsStun(d.bytes)) {
        const auto message = stun::MessageView::Parse(d.bytes);
        requests_ +=
            message.ok() && message->cls() == stun::MessageClass::kRequest;
      }
      return true;
    });
  }
  static GathererOptions Hosts(const std::vector<TransportAddress>& locals) {
    GathererOptions options;
    for (const TransportAddress& local : locals) {
      options.hosts.push_back({local});
    }
    return options;
  }
  void Start() {
    session_.Start(home_, {kHome}, server_, {kServer, kServerToo});
  }
  bool Connect() {
    Start();
    return session_.RunUntil(AgentState::kCompleted, absl::Seconds(5));
  }

  sim::Network network_{{.seed = 1}};
  sim::ZoneId nat_ = network_.AddNat(
      sim::kInternet, sim::NatOptions::PortRestrictedCone(kOutside));
  sim::HostId home_ = network_.AddHost("home", {nat_, {kHome.ip}});
  sim::HostId server_ =
      network_.AddHost("server", {sim::kInternet, {kServer.ip, kServerToo.ip}});
  Peer full_{Role::kControlling, 3, Hosts({kHome})};
  // It answers, and would control if it had offered.
  Peer lite_{
      Role::kControlling, 4, Hosts({kServer, kServerToo}), {.lite = true}};
  Session session_{network_, full_, lite_};
  bool cut_ = false;
  int requests_ = 0;  // That the lite one has sent.
};

TEST_F(AgentLiteTest, AnswersChecksAndMakesNone) {
  ASSERT_TRUE(Connect());
  EXPECT_EQ(full_.ice.agent().role(), Role::kControlling);
  EXPECT_EQ(lite_.ice.agent().role(), Role::kControlled);
  EXPECT_EQ(lite_.ice.selected_path()->local,
            full_.ice.selected_path()->remote);
  EXPECT_EQ(lite_.ice.selected_path()->remote.ip, kOutside);
  // With consent by the peer's checks alone.
  network_.RunFor(absl::Minutes(10));
  EXPECT_TRUE(lite_.Is(AgentState::kCompleted));
  EXPECT_TRUE(full_.Is(AgentState::kCompleted));
  EXPECT_EQ(requests_, 0);
  EXPECT_EQ(lite_.ice.agent().stats().checks_sent, 0u);
  EXPECT_EQ(lite_.ice.agent().stats().consent_sent, 0u);
}

TEST_F(AgentLiteTest, PayloadFlowsBothWaysWithoutMakingIt) {
  ASSERT_TRUE(Connect());
  std::array<uint8_t, 1500> out;
  const std::vector<uint8_t> payload = {20, 1, 2, 3};
  for (Peer* peer : {&full_, &lite_}) {
    const auto datagram =
        peer->ice.Send(network_.now(), payload, absl::MakeSpan(out));
    ASSERT_TRUE(datagram.has_value());
    network_.Send(peer == &full_ ? home_ : server_, *datagram);
  }
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(lite_.data.size(), 1u);
  EXPECT_EQ(full_.data.size(), 1u);
  EXPECT_EQ(requests_, 0);
}

// The peer asks every 4 to 6 s.
TEST_F(AgentLiteTest, ASilentPeerIsDisconnectedAndThenGone) {
  ASSERT_TRUE(Connect());
  network_.RunFor(absl::Seconds(20));
  cut_ = true;
  const absl::Time start = network_.now();
  ASSERT_TRUE(network_.RunUntil(
      [&] { return lite_.Is(AgentState::kDisconnected); }, absl::Seconds(60)));
  EXPECT_LE(network_.now() - start, absl::Seconds(15));
  cut_ = false;
  EXPECT_TRUE(session_.RunUntil(AgentState::kCompleted, absl::Seconds(10)));
  cut_ = true;
  ASSERT_TRUE(network_.RunUntil([&] { return lite_.Is(AgentState::kFailed); },
                                absl::Seconds(60)));
  EXPECT_FALSE(lite_.ice.selected_path());
  EXPECT_EQ(requests_, 0);
}

TEST_F(AgentLiteTest, WithoutAPeerThePatienceEnds) {
  cut_ = true;
  Start();
  ASSERT_TRUE(network_.RunUntil([&] { return lite_.Is(AgentState::kFailed); },
                                absl::Seconds(60)));
  EXPECT_GE(network_.now() - absl::UnixEpoch(), absl::Seconds(39));
}

TEST_F(AgentLiteTest, APeerThatSaysItIsControlledIsToldToControl) {
  ASSERT_TRUE(Connect());
  full_.ice.SetRole(network_.now(), Role::kControlled);
  network_.RunFor(absl::Seconds(10));
  EXPECT_GT(lite_.ice.agent().stats().role_conflicts, 0u);
  EXPECT_EQ(full_.ice.agent().role(), Role::kControlling);
  EXPECT_EQ(lite_.ice.agent().role(), Role::kControlled);
}

TEST_F(AgentLiteTest, ARestartMovesToTheNewGeneration) {
  ASSERT_TRUE(Connect());
  for (Peer* peer : {&full_, &lite_}) {
    ASSERT_OK(peer->ice.Restart(network_.now(),
                                Credentials::Generate(*peer->random)));
  }
  session_.Exchange();
  for (const Candidate& candidate : lite_.ice.candidates()) {
    full_.ice.AddRemoteCandidate(network_.now(), candidate);
  }
  network_.RunFor(absl::Seconds(60));
  EXPECT_TRUE(lite_.Is(AgentState::kCompleted));
  EXPECT_TRUE(full_.Is(AgentState::kCompleted));
  EXPECT_TRUE(lite_.ice.agent().nominated_path());
  EXPECT_EQ(requests_, 0);
}

// As long as the peer's answer is on its way, and longer than consent lasts.
TEST_F(AgentLiteTest, TheOldPathIsKeptUntilTheNewOneWorks) {
  ASSERT_TRUE(Connect());
  for (Peer* peer : {&full_, &lite_}) {
    ASSERT_OK(peer->ice.Restart(network_.now(),
                                Credentials::Generate(*peer->random)));
  }
  network_.RunFor(absl::Seconds(90));
  EXPECT_TRUE(full_.ice.selected_path());
  EXPECT_TRUE(lite_.ice.selected_path());
  cut_ = true;
  network_.RunFor(absl::Seconds(40));
  EXPECT_FALSE(lite_.ice.selected_path());
}

TEST_F(AgentLiteTest, ServersAreNotAsked) {
  lite_.ice.UpdateServers({kStun}, {{kStun, "u", "p"}});
  lite_.ice.AwaitServers(1);
  ASSERT_TRUE(Connect());
  // Nor does the end of gathering wait for their names.
  EXPECT_EQ(lite_.ice.gathering_state(), GatheringState::kComplete);
  EXPECT_EQ(lite_.ice.candidates().size(), 2u);
  EXPECT_EQ(requests_, 0);
}

// RFC 8445 section 2.5: it has host candidates only.
TEST(AgentsLite, AKnownMappingIsAHostCandidate) {
  GathererOptions options;
  options.hosts = {{.address = kServer, .mapped = kServerToo.ip}};
  Peer lite(Role::kControlled, 3, options, {.lite = true});
  lite.ice.Gather(absl::UnixEpoch());
  const std::vector<Candidate> candidates = lite.ice.candidates();
  ASSERT_EQ(candidates.size(), 2u);
  EXPECT_EQ(candidates[1].address.ip, kServerToo.ip);
  EXPECT_EQ(candidates[1].type, CandidateType::kHost);
  EXPECT_FALSE(candidates[1].related);
  EXPECT_LT(candidates[1].priority, candidates[0].priority);
}

// RFC 8445 section 8.2.
TEST(AgentsLite, TwoUseTheirBestPairUnchecked) {
  sim::Network network({.seed = 1});
  const sim::HostId host_a =
      network.AddHost("a", {sim::kInternet, {kServer.ip}});
  const sim::HostId host_b =
      network.AddHost("b", {sim::kInternet, {kServerToo.ip}});
  GathererOptions of_a, of_b;
  of_a.hosts = {{kServer}};
  of_b.hosts = {{kServerToo}};
  Peer a(Role::kControlling, 3, of_a, {.lite = true});
  Peer b(Role::kControlled, 4, of_b, {.lite = true});
  Session session(network, a, b);
  int packets = 0;
  network.set_filter([&](const Datagram&) { return ++packets > 0; });
  session.Start(host_a, {kServer}, host_b, {kServerToo});
  ASSERT_TRUE(session.RunUntil(AgentState::kCompleted, absl::Seconds(5)));
  EXPECT_EQ(a.ice.selected_path(), (Path{kServer, kServerToo}));
  EXPECT_EQ(b.ice.selected_path(), (Path{kServerToo, kServer}));
  EXPECT_EQ(a.ice.agent().role(), Role::kControlling);
  EXPECT_EQ(b.ice.agent().role(), Role::kControlled);
  network.RunFor(absl::Minutes(5));
  EXPECT_TRUE(a.Is(AgentState::kCompleted));
  EXPECT_EQ(packets, 0);
  std::array<uint8_t, 1500> out;
  const std::vector<uint8_t> payload = {20, 1, 2, 3};
  const auto datagram = a.ice.Send(network.now(), payload, absl::MakeSpan(out));
  ASSERT_TRUE(datagram.has_value());
  network.Send(host_a, *datagram);
  network.RunFor(absl::Seconds(1));
  EXPECT_EQ(b.data.size(), 1u);
}

}  // namespace
}  // namespace kyuu::ice
