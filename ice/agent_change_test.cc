// What changes while an agent lives: candidates that come early, names that
// nobody resolves, addresses of ours that come and go.

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/testing/peer.h"
#include "sim/network.h"

namespace kyuu::ice {
namespace {

using testing::Peer;
using testing::Session;

TransportAddress At(absl::string_view text) {
  return TransportAddress::Parse(text).value();
}

const Credentials kTheirs{"thei", "theirpasswordtheirpass"};

Candidate Host(absl::string_view address, uint32_t priority = 2130706431) {
  Candidate candidate;
  candidate.foundation = std::string(address);
  candidate.priority = priority;
  candidate.address = At(address);
  return candidate;
}

class AgentChangeTest : public ::testing::Test {
 protected:
  AgentChangeTest()
      : random_(1),
        agent_(Role::kControlling, Credentials::Generate(random_), random_) {}

  SeededRandom random_;
  Agent agent_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
};

// An offer is read before anything of ours is gathered.
TEST_F(AgentChangeTest, ARemoteCandidateIsNotJudgedByAddressesThatMayCome) {
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  agent_.AddRemoteCandidate(
      now_, *Candidate::Parse("1 1 udp 7 127.0.0.1 5 typ host"));
  EXPECT_TRUE(agent_.pairs().empty());
  ASSERT_OK(agent_.AddLocalCandidate(now_, Host("127.0.0.1:1")));
  ASSERT_EQ(agent_.pairs().size(), 1u);
  // From outside, the inside of a machine is nobody's business.
  ASSERT_OK(agent_.AddLocalCandidate(now_, Host("192.0.2.1:1", 7)));
  for (const PairInfo& pair : agent_.pairs()) {
    EXPECT_EQ(pair.path.local.ip.IsLoopback(),
              pair.path.remote.ip.IsLoopback());
  }
}

TEST_F(AgentChangeTest, APeerBehindAnUnresolvedNameFailsLikeAnyOther) {
  ASSERT_OK(agent_.AddLocalCandidate(now_, Host("192.0.2.1:1")));
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  agent_.AddRemoteCandidate(
      now_, *Candidate::Parse("1 1 udp 7 0123-4567.local 5 typ host"));
  const absl::Time start = now_;
  while (agent_.NextTimeout() != absl::InfiniteFuture()) {
    now_ = std::max(now_, agent_.NextTimeout());
    agent_.HandleTimeout(now_);
  }
  EXPECT_EQ(agent_.state(), AgentState::kFailed);
  EXPECT_EQ(now_ - start, AgentOptions().patience);
  EXPECT_EQ(agent_.stats().candidate_ignored_name, 1u);
}

TEST_F(AgentChangeTest, SignalledCandidatesTakeThePlaceOfUselessReflexives) {
  AgentOptions options;
  options.max_remote_candidates = 2;
  Agent agent(Role::kControlled, Credentials::Generate(random_), random_,
              options);
  ASSERT_OK(agent.AddLocalCandidate(now_, Host("192.0.2.1:1")));
  ASSERT_OK(agent.SetRemoteCredentials(now_, kTheirs));
  agent.AddRemoteCandidate(
      now_, *Candidate::Parse("1 1 udp 7 192.0.2.2 2 typ prflx"));
  agent.AddRemoteCandidate(now_,
                           *Candidate::Parse("2 1 udp 8 192.0.2.3 2 typ host"));
  agent.AddRemoteCandidate(now_,
                           *Candidate::Parse("3 1 udp 9 192.0.2.4 2 typ host"));
  EXPECT_EQ(agent.stats().candidate_evicted, 1u);
  EXPECT_EQ(agent.pairs().size(), 2u);
  agent.AddRemoteCandidate(now_,
                           *Candidate::Parse("4 1 udp 9 192.0.2.5 2 typ host"));
  EXPECT_EQ(agent.stats().candidate_limit, 1u);
}

TEST_F(AgentChangeTest, ChecksKeepToThePacingAgreedOn) {
  ASSERT_OK(agent_.AddLocalCandidate(now_, Host("192.0.2.1:1")));
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  agent_.SetPacing(now_, absl::Milliseconds(1));  // 5 at least.
  for (int i = 0; i < 10; ++i) {
    agent_.AddRemoteCandidate(
        now_, *Candidate::Parse(
                  absl::StrCat(i, " 1 udp 7 192.0.2.", i + 10, " 5 typ host")));
  }
  std::array<uint8_t, 1500> out;
  const absl::Time start = now_;
  for (int sent = 0; sent < 10; ++sent) {
    while (!agent_.PollTransmit(now_, absl::MakeSpan(out))) {
      ASSERT_GT(agent_.NextTimeout(), now_);
      now_ = agent_.NextTimeout();
      agent_.HandleTimeout(now_);
    }
  }
  EXPECT_EQ(now_ - start, 9 * absl::Milliseconds(5));
}

TEST(AgreedPacing, TheLargerOfBothAndSilenceMeansTheDefault) {
  constexpr std::optional<absl::Duration> kSilent;
  const auto ms = [](int n) { return absl::Milliseconds(n); };
  EXPECT_EQ(AgreedPacing(kSilent, kSilent), ms(50));
  EXPECT_EQ(AgreedPacing(ms(5), kSilent), ms(50));
  EXPECT_EQ(AgreedPacing(kSilent, ms(5)), ms(50));
  EXPECT_EQ(AgreedPacing(ms(200), kSilent), ms(200));
  EXPECT_EQ(AgreedPacing(kSilent, ms(200)), ms(200));
  EXPECT_EQ(AgreedPacing(ms(5), ms(20)), ms(20));
  EXPECT_EQ(AgreedPacing(ms(20), ms(5)), ms(20));
  EXPECT_EQ(AgreedPacing(ms(0), ms(1)), ms(5));
}

// Two hosts with two addresses each, 10 ms apart.
struct World {
  explicit World(const std::vector<const char*>& addresses_a)
      : network({.seed = 1}),
        a(Role::kControlling, 3, Hosts(addresses_a)),
        b(Role::kControlled, 4, Hosts({"192.0.2.2:6000"})),
        session(network, a, b) {
    for (const char* address : addresses_a) locals_a.push_back(At(address));
    std::vector<IpAddress> ips;
    for (const TransportAddress& local : locals_a) ips.push_back(local.ip);
    host_a = network.AddHost("a", {sim::kInternet, ips});
    const TransportAddress local_b = At("192.0.2.2:6000");
    session.Start(host_a, locals_a,
                  network.AddHost("b", {sim::kInternet, {local_b.ip}}),
                  {local_b});
    EXPECT_TRUE(session.RunUntil(AgentState::kCompleted, absl::Seconds(5)));
  }
  static GathererOptions Hosts(const std::vector<const char*>& addresses) {
    GathererOptions options;
    for (const char* address : addresses)
      options.hosts.push_back({At(address)});
    return options;
  }

  sim::Network network;
  std::vector<TransportAddress> locals_a;
  sim::HostId host_a;
  Peer a;
  Peer b;
  Session session;
};

TEST(AgentChange, AnotherPathIsInUseInTheCallThatTakesAnAddressAway) {
  World w({"192.0.2.1:5000", "198.51.100.1:5001"});
  w.network.RunFor(absl::Seconds(2));
  const TransportAddress used = w.a.ice.selected_path()->local;
  w.network.RemoveAddress(w.host_a, used.ip);
  ASSERT_OK(w.a.ice.RemoveHost(w.network.now(), used));
  ASSERT_TRUE(w.a.ice.selected_path());
  EXPECT_NE(w.a.ice.selected_path()->local, used);
  EXPECT_EQ(w.a.ice.candidates().size(), 1u);
  // The peer follows when the pair is nominated: one round trip.
  const absl::Time start = w.network.now();
  const TransportAddress other = w.a.ice.selected_path()->local;
  ASSERT_TRUE(w.network.RunUntil(
      [&] {
        return w.b.ice.selected_path() &&
               w.b.ice.selected_path()->remote == other;
      },
      absl::Seconds(30)));
  EXPECT_LE(w.network.now() - start, absl::Seconds(1));
}

TEST(AgentChange, ANewAddressMendsTheCallWithoutARestart) {
  World w({"192.0.2.1:5000"});
  w.network.RunFor(absl::Seconds(2));
  const TransportAddress fresh = At("198.51.100.1:5001");
  w.network.RemoveAddress(w.host_a, w.locals_a[0].ip);
  ASSERT_OK(w.a.ice.RemoveHost(w.network.now(), w.locals_a[0]));
  EXPECT_FALSE(w.a.ice.selected_path());
  w.network.RunFor(absl::Seconds(1));
  EXPECT_EQ(w.a.ice.agent().state(), AgentState::kDisconnected);
  w.network.AddInterface(w.host_a, {sim::kInternet, {fresh.ip}});
  w.network.Bind(w.session.endpoint_a(), fresh);
  const absl::Time start = w.network.now();
  ASSERT_OK(w.a.ice.AddHost(w.network.now(), {fresh}));
  ASSERT_TRUE(w.network.RunUntil(
      [&] {
        return w.a.Is(AgentState::kCompleted) && w.b.ice.selected_path() &&
               w.b.ice.selected_path()->remote == fresh;
      },
      absl::Seconds(30)))
      << w.a.ice.DebugString() << w.b.ice.DebugString();
  EXPECT_LE(w.network.now() - start, absl::Seconds(1));
}

TEST(AgentChange, WithoutAnAddressThePatienceEnds) {
  World w({"192.0.2.1:5000"});
  ASSERT_OK(w.a.ice.RemoveHost(w.network.now(), w.locals_a[0]));
  w.network.RunFor(absl::Seconds(41));
  EXPECT_EQ(w.a.ice.agent().state(), AgentState::kFailed);
  EXPECT_THAT(w.a.ice.RemoveHost(w.network.now(), w.locals_a[0]),
              StatusIs(absl::StatusCode::kNotFound));
}

// A name that nobody resolves costs nothing.
TEST(AgentChange, NominationDoesNotWaitForNames) {
  World plain({"192.0.2.1:5000"});
  const absl::Time plain_end = plain.network.now();

  sim::Network network({.seed = 1});
  Peer a(Role::kControlling, 3, World::Hosts({"192.0.2.1:5000"}));
  Peer b(Role::kControlled, 4, World::Hosts({"192.0.2.2:6000"}));
  Session session(network, a, b);
  a.HandleSignal(network.now(),
                 "candidate:9 1 udp 2130706431 0123.local 6000 typ host");
  session.Start(
      network.AddHost("a", {sim::kInternet, {At("192.0.2.1:5000").ip}}),
      {At("192.0.2.1:5000")},
      network.AddHost("b", {sim::kInternet, {At("192.0.2.2:6000").ip}}),
      {At("192.0.2.2:6000")});
  ASSERT_TRUE(session.RunUntil(AgentState::kCompleted, absl::Seconds(5)));
  EXPECT_EQ(network.now(), plain_end);
}

}  // namespace
}  // namespace kyuu::ice
