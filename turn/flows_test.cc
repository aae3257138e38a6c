#include "turn/flows.h"

#include <optional>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

constexpr uint16_t kChannel = 0x4001;

class FlowsTest : public testing::Test {
 protected:
  FlowsTest() { harness_.server().flows().Enable(); }

  // Takes what has been told. What is there, by channel.
  void Poll() {
    installed_ = removed_ = 0;
    while (auto event = harness_.server().flows().Poll(harness_.now())) {
      if (const auto* told = std::get_if<FlowInstalled>(&*event)) {
        ++installed_;
        flows_.insert_or_assign(told->flow.id, told->flow);
      } else {
        ++removed_;
        EXPECT_EQ(flows_.erase(std::get<FlowRemoved>(*event).id), 1u);
      }
    }
  }
  const Flow& TheFlow() {
    EXPECT_EQ(flows_.size(), 1u);
    return flows_.begin()->second;
  }
  void Bind() {
    ASSERT_TRUE(harness_.Allocate(client_).ok());
    ASSERT_TRUE(harness_.Bind(client_, kChannel, kTestPeer).ok());
    Poll();
  }

  ServerHarness harness_;
  TestClient client_{1000};
  absl::flat_hash_map<FlowId, Flow> flows_;
  int installed_ = 0;
  int removed_ = 0;
};

TEST_F(FlowsTest, AChannelIsAFlowWithItsTimes) {
  Bind();
  ASSERT_EQ(installed_, 1);
  const Flow& flow = TheFlow();
  EXPECT_EQ(flow.client, client_.path);
  EXPECT_EQ(flow.relay, client_.relayed);
  EXPECT_EQ(flow.peer, kTestPeer);
  EXPECT_EQ(flow.channel, kChannel);
  EXPECT_FALSE(flow.metered);
  EXPECT_EQ(flow.to_peer_until, harness_.now() + absl::Minutes(10));
  EXPECT_EQ(flow.to_client_until, harness_.now() + absl::Minutes(5));
}

TEST(Flows, NothingIsToldBeforeItIsWantedAndThenAllThereIs) {
  ServerHarness harness;
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  ASSERT_TRUE(harness.Bind(client, kChannel, kTestPeer).ok());
  EXPECT_FALSE(harness.server().flows().Poll(harness.now()).has_value());
  harness.server().flows().Enable();
  EXPECT_TRUE(harness.server().flows().Poll(harness.now()).has_value());
}

TEST_F(FlowsTest, ARefreshedOneHasOtherTimesAndTheSameName) {
  Bind();
  const Flow before = TheFlow();
  harness_.Advance(absl::Minutes(4));
  ASSERT_TRUE(harness_.Permit(client_, kTestPeer.ip).ok());
  ASSERT_TRUE(harness_.Refresh(client_, 3600).ok());
  ASSERT_TRUE(harness_.Bind(client_, kChannel, kTestPeer).ok());
  Poll();
  EXPECT_EQ(installed_, 1);  // However many requests it were.
  const Flow& flow = TheFlow();
  EXPECT_EQ(flow.id, before.id);
  EXPECT_EQ(flow.to_peer_until, harness_.now() + absl::Minutes(10));
  EXPECT_EQ(flow.to_client_until, harness_.now() + absl::Minutes(5));
}

TEST_F(FlowsTest, AnEndedAllocationTakesItsFlowsWithIt) {
  Bind();
  ASSERT_TRUE(harness_.Bind(client_, kChannel + 1, {kTestPeer.ip, 7001}).ok());
  Poll();
  EXPECT_EQ(flows_.size(), 2u);
  ASSERT_TRUE(harness_.Refresh(client_, 0).ok());
  Poll();
  EXPECT_EQ(removed_, 2);
  EXPECT_TRUE(flows_.empty());
}

TEST_F(FlowsTest, AnExpiredAllocationTakesItsFlowsWithIt) {
  Bind();
  harness_.Advance(absl::Minutes(11));
  Poll();
  EXPECT_TRUE(flows_.empty());
}

TEST_F(FlowsTest, APeerThatIsDeniedHasNone) {
  Bind();
  ServerOptions options = ServerHarness::Options();
  options.deny_peers = {{kTestPeer.ip, 32}};
  harness_.SetOptions(options);
  Poll();
  EXPECT_EQ(removed_, 1);
  EXPECT_TRUE(flows_.empty());
}

TEST_F(FlowsTest, LimitsOfBandwidthMakeItMetered) {
  Bind();
  ServerOptions options = ServerHarness::Options();
  options.bandwidth.allocation_bytes_per_s = 1000;
  harness_.SetOptions(options);
  Poll();
  EXPECT_TRUE(TheFlow().metered);
  Flows& flows = harness_.server().flows();
  const RelayId id = TheFlow().allocation;
  // A second's worth, and not a byte more until time has passed.
  EXPECT_EQ(flows.Fund(harness_.now(), id, Direction::kToPeers, 700), 700);
  EXPECT_EQ(flows.Fund(harness_.now(), id, Direction::kToPeers, 700), 300);
  EXPECT_EQ(flows.Fund(harness_.now(), id, Direction::kToPeers, 700), 0);
  EXPECT_EQ(flows.Fund(harness_.now(), id, Direction::kToClients, 10), 10);
  // What was not used is there again.
  EXPECT_EQ(flows.Fund(harness_.now(), id, Direction::kToPeers, -400), -400);
  EXPECT_EQ(flows.Fund(harness_.now(), id, Direction::kToPeers, 700), 400);
  harness_.Advance(absl::Milliseconds(500));
  EXPECT_EQ(flows.Fund(harness_.now(), id, Direction::kToPeers, 700), 500);
}

TEST_F(FlowsTest, BudgetsOfUsersAndOfAllAreFlowsToo) {
  ServerOptions options = ServerHarness::Options();
  options.bandwidth.user_bytes_per_s = 1000;
  options.bandwidth.total_bytes_per_s = 600;
  harness_.SetOptions(options);
  Bind();
  const RelayId id = TheFlow().allocation;
  Flows& flows = harness_.server().flows();
  double drawn = 0;
  for (int i = 0; i < 100; ++i) {
    drawn += flows.Fund(harness_.now(), id, Direction::kToPeers, 50);
  }
  // The last slices of a bucket are not given to one asker.
  EXPECT_LE(drawn, 600);
  EXPECT_GT(drawn, 500);
}

// A realm's budget makes flows of that realm metered, and no others.
TEST_F(FlowsTest, BudgetsOfARealmAreThoseOfItsFlows) {
  const TransportAddress listener{kTestServer.ip, 3480};
  ServerOptions options = ServerHarness::Options();
  options.listeners.push_back(listener);
  RealmOptions realm;
  realm.name = "a.test";
  realm.listeners = {listener};
  realm.users = options.users;
  realm.total_bytes_per_s = 600;
  options.realms = {realm};
  harness_.SetOptions(options);
  Bind();
  EXPECT_FALSE(TheFlow().metered);
  const RelayId main = TheFlow().allocation;
  flows_.clear();
  client_ = TestClient(1001);
  client_.path.local = listener;
  Bind();
  EXPECT_TRUE(TheFlow().metered);
  Flows& flows = harness_.server().flows();
  double drawn = 0;
  for (int i = 0; i < 100; ++i) {
    drawn += flows.Fund(harness_.now(), TheFlow().allocation,
                        Direction::kToPeers, 50);
  }
  EXPECT_LE(drawn, 600);
  EXPECT_GT(drawn, 500);
  EXPECT_EQ(flows.Fund(harness_.now(), main, Direction::kToPeers, 900), 900);
  // As it goes, the flow is metered no more; the allocation stays.
  options.realms[0].total_bytes_per_s = 0;
  harness_.SetOptions(options);
  Poll();
  EXPECT_FALSE(TheFlow().metered);
}

TEST_F(FlowsTest, WhatWasRelayedCountsAsTheServersOwn) {
  Bind();
  Flows& flows = harness_.server().flows();
  const RelayId id = TheFlow().allocation;
  EXPECT_TRUE(flows.Count(id, Direction::kToPeers, {3, 300}));
  EXPECT_TRUE(flows.Count(id, Direction::kToClients, {2, 20}));
  EXPECT_EQ(harness_.server().stats().to_peers, 3u);
  EXPECT_EQ(harness_.server().stats().bytes_to_clients, 20u);
  harness_.events().clear();
  ASSERT_TRUE(harness_.Refresh(client_, 0).ok());
  std::optional<Server::AllocationEnded> ended;
  for (const Server::Event& event : harness_.events()) {
    if (const auto* e = std::get_if<Server::AllocationEnded>(&event)) {
      ended = *e;
    }
  }
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->traffic.to_peers, 3u);
  EXPECT_EQ(ended->traffic.bytes_to_peers, 300u);
  EXPECT_EQ(ended->traffic.to_clients, 2u);
  // It was too early for this.
  EXPECT_FALSE(flows.Count(id, Direction::kToPeers, {1, 100}));
  EXPECT_EQ(harness_.server().stats().to_peers, 4u);
}

TEST_F(FlowsTest, AStreamsChannelIsNone) {
  client_.path.transport = Transport::kTcp;
  Bind();
  EXPECT_TRUE(flows_.empty());
}

TEST(Flows, APeerThatIsARelayedAddressOfOursIsNone) {
  ServerOptions options = ServerHarness::Options();
  options.own_relays = ServerOptions::OwnRelays::kAllow;
  ServerHarness harness(options);
  harness.server().flows().Enable();
  TestClient client(1000);
  TestClient other(1001);
  ASSERT_TRUE(harness.Allocate(other).ok());
  ASSERT_TRUE(harness.Allocate(client).ok());
  ASSERT_TRUE(harness.Bind(client, kChannel, other.relayed).ok());
  EXPECT_FALSE(harness.server().flows().Poll(harness.now()).has_value());
}

TEST_F(FlowsTest, AClientThatMovesHasAnotherFlowOnceItIsHeardThere) {
  const Reply allocated = harness_.Allocate(
      client_, [](stun::MessageWriter& w) { w.Add(stun::MobilityTicket{}); });
  const auto ticket = allocated.Get<stun::MobilityTicket>();
  ASSERT_TRUE(ticket.has_value());
  ASSERT_TRUE(harness_.Bind(client_, kChannel, kTestPeer).ok());
  Poll();
  const Flow before = TheFlow();
  TestClient moved = client_;
  moved.path.remote.port = 2000;
  harness_.Challenge(moved);
  ASSERT_TRUE(harness_
                  .Call(moved, stun::Method::kRefresh,
                        [&](stun::MessageWriter& w) {
                          w.Add(stun::MobilityTicket{ticket->value});
                        })
                  .ok());
  Poll();
  EXPECT_EQ(TheFlow().client, client_.path);  // Its answer may have been lost.
  ASSERT_TRUE(harness_.Bind(moved, kChannel, kTestPeer).ok());
  Poll();
  EXPECT_EQ(TheFlow().client, moved.path);
  EXPECT_NE(TheFlow().id, before.id);
}

}  // namespace
}  // namespace kyuu::turn
