// Bandwidth: what is over a limit is dropped, and over time no byte more
// passes.

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "turn/bandwidth.h"
#include "turn/local_ledger.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

constexpr uint16_t kChannel = 0x4001;
constexpr size_t kPayload = 1000;

ServerOptions With(const BandwidthLimits& limits) {
  ServerOptions options = ServerHarness::Options();
  options.bandwidth = limits;
  return options;
}

// Trains of `count` datagrams.
std::vector<uint8_t> Train(size_t count) {
  std::vector<uint8_t> train;
  for (size_t i = 0; i < count; ++i) {
    const auto message =
        ServerHarness::ChannelMessage(kChannel, std::string(kPayload, 'x'));
    train.insert(train.end(), message.begin(), message.end());
  }
  return train;
}

size_t Segments(absl::Span<const Forward> forwards) {
  size_t segments = 0;
  for (const Forward& forward : forwards) segments += forward.segments;
  return segments;
}

size_t SendUp(ServerHarness& harness, const TestClient& client, size_t count) {
  const auto train = Train(count);
  return Segments(harness.server().FromClient(harness.now(), client.path, train,
                                              kPayload + kChannelHeaderSize));
}

size_t SendDown(ServerHarness& harness, const TestClient& client,
                size_t count) {
  const std::string train(count * kPayload, 'x');
  return Segments(harness.server().FromPeer(
      harness.now(), *client.relay, kTestPeer, AsBytes(train), kPayload));
}

void Join(ServerHarness& harness, TestClient& client) {
  ASSERT_TRUE(harness.Allocate(client).ok());
  ASSERT_TRUE(harness.Bind(client, kChannel, kTestPeer).ok());
}

// Floods for `duration` with a train each `interval`; returns what passed.
template <typename Send>
size_t Flood(ServerHarness& harness, absl::Duration duration,
             absl::Duration interval, Send send) {
  size_t passed = 0;
  const absl::Time end = harness.now() + duration;
  while (harness.now() < end) {
    passed += send();
    harness.Advance(interval);
  }
  return passed;
}

TEST(TurnBandwidth, AllocationIsExactOverTimeInEachDirection) {
  ServerHarness harness(With(
      {.allocation_bytes_per_s = 100'000, .burst = absl::Milliseconds(200)}));
  TestClient client(1000), other(1001);
  Join(harness, client);
  Join(harness, other);
  // 20 datagrams of the burst, and 100 a second.
  const size_t up = Flood(harness, absl::Seconds(10), absl::Milliseconds(3),
                          [&] { return SendUp(harness, client, 8); });
  EXPECT_NEAR(static_cast<double>(up), 1020, 1);
  // The other direction has a budget of its own, and so has who shares nothing
  // but the name.
  EXPECT_EQ(SendDown(harness, client, 30), 20);
  EXPECT_EQ(SendUp(harness, other, 30), 20);
  const size_t down = Flood(harness, absl::Seconds(10), absl::Milliseconds(3),
                            [&] { return SendDown(harness, client, 8); });
  EXPECT_NEAR(static_cast<double>(down), 1000, 1);

  const ServerStats& stats = harness.server().stats();
  EXPECT_EQ(stats.to_peers, up + 20);
  EXPECT_EQ(stats.over_allocation_bandwidth,
            8 * 3334 - up + 10 + 10 + 8 * 3334 - down);
  EXPECT_EQ(stats.over_user_bandwidth + stats.over_total_bandwidth, 0);
  // Its end tells what was dropped of it.
  harness.events().clear();
  ASSERT_TRUE(harness.Refresh(client, 0).ok());
  for (const Server::Event& event : harness.events()) {
    const auto* ended = std::get_if<Server::AllocationEnded>(&event);
    if (ended == nullptr) continue;
    EXPECT_EQ(ended->traffic.to_peers, up);
    EXPECT_EQ(ended->traffic.over_bandwidth_to_peers, 8 * 3334 - up);
    EXPECT_EQ(ended->traffic.over_bandwidth_to_clients, 10 + 8 * 3334 - down);
  }
}

// A train is cut where the budget ends, not dropped as a whole.
TEST(TurnBandwidth, TrainIsCutAtItsEnd) {
  ServerHarness harness(With(
      {.allocation_bytes_per_s = 100'000, .burst = absl::Milliseconds(25)}));
  TestClient client(1000);
  Join(harness, client);
  const auto train = Train(8);
  const auto forwards = harness.server().FromClient(
      harness.now(), client.path, train, kPayload + kChannelHeaderSize);
  ASSERT_EQ(forwards.size(), 1);
  // 2500 bytes: the third datagram begins within them, and owes the rest.
  EXPECT_EQ(forwards[0].segments, 3);
  EXPECT_EQ(forwards[0].payload(2).size(), kPayload);
  harness.Advance(absl::Milliseconds(5));
  EXPECT_EQ(SendUp(harness, client, 1), 0);
  harness.Advance(absl::Milliseconds(1));
  EXPECT_EQ(SendUp(harness, client, 1), 1);
}

TEST(TurnBandwidth, UserIsAllOfItsAllocations) {
  ServerHarness harness(
      With({.user_bytes_per_s = 100'000, .burst = absl::Milliseconds(200)}));
  TestClient first(1000), second(1001), other(1002, "other", "q");
  for (TestClient* client : {&first, &second, &other}) Join(harness, *client);
  const size_t passed = Flood(
      harness, absl::Seconds(10), absl::Milliseconds(3),
      [&] { return SendUp(harness, first, 4) + SendUp(harness, second, 4); });
  // The burst and ten seconds, of which the last slices are still there.
  EXPECT_NEAR(static_cast<double>(passed), 1018, 1);
  EXPECT_EQ(harness.server().stats().over_user_bandwidth, 8 * 3334 - passed);
  EXPECT_EQ(SendUp(harness, other, 30), 18);
}

// Who makes his allocations anew begins no new burst.
TEST(TurnBandwidth, UserKeepsItsDebtBetweenAllocations) {
  ServerHarness harness(
      With({.user_bytes_per_s = 100'000, .burst = absl::Milliseconds(200)}));
  TestClient first(1000), second(1001);
  Join(harness, first);
  EXPECT_EQ(SendUp(harness, first, 30), 18);
  ASSERT_TRUE(harness.Refresh(first, 0).ok());
  Join(harness, second);
  EXPECT_LE(SendUp(harness, second, 30), 1);
}

TEST(TurnBandwidth, TotalIsOfAllUsers) {
  ServerHarness harness(
      With({.total_bytes_per_s = 100'000, .burst = absl::Milliseconds(200)}));
  TestClient first(1000), other(1002, "other", "q");
  Join(harness, first);
  Join(harness, other);
  const size_t passed = Flood(
      harness, absl::Seconds(10), absl::Milliseconds(3),
      [&] { return SendUp(harness, first, 4) + SendUp(harness, other, 4); });
  EXPECT_NEAR(static_cast<double>(passed), 1018, 1);
  EXPECT_EQ(harness.server().stats().over_total_bandwidth, 8 * 3334 - passed);
}

// Beside the main realm "a.test", whose clients come to that listener.
const TransportAddress kListenerOfA{IpAddress::V4(192, 0, 2, 1), 3480};

ServerOptions WithRealm(double allocation_bytes_per_s, double total_bytes_per_s,
                        const BandwidthLimits& limits) {
  ServerOptions options = With(limits);
  options.listeners.push_back(kListenerOfA);
  RealmOptions a;
  a.name = "a.test";
  a.listeners = {kListenerOfA};
  a.users = options.users;
  a.allocation_bytes_per_s = allocation_bytes_per_s;
  a.total_bytes_per_s = total_bytes_per_s;
  options.realms = {a};
  return options;
}

TestClient OfA(uint16_t port, std::string name = "u", std::string word = "p") {
  TestClient client(port, std::move(name), std::move(word));
  client.path.local = kListenerOfA;
  return client;
}

TEST(TurnBandwidth, RealmIsAllOfItsAllocations) {
  ServerHarness harness(
      WithRealm(0, 100'000, {.burst = absl::Milliseconds(200)}));
  TestClient first = OfA(1000), second = OfA(1001, "other", "q"), main(1002);
  for (TestClient* client : {&first, &second, &main}) Join(harness, *client);
  const size_t up = Flood(
      harness, absl::Seconds(10), absl::Milliseconds(3),
      [&] { return SendUp(harness, first, 4) + SendUp(harness, second, 4); });
  EXPECT_NEAR(static_cast<double>(up), 1018, 1);
  EXPECT_EQ(SendDown(harness, first, 30), 18);
  const ServerStats& stats = harness.server().stats();
  EXPECT_EQ(stats.over_realm_bandwidth, 8 * 3334 - up + 12);
  EXPECT_EQ(stats.over_allocation_bandwidth + stats.over_user_bandwidth +
                stats.over_total_bandwidth,
            0);
  // Others are not of it.
  EXPECT_EQ(SendUp(harness, main, 50), 50);
}

TEST(TurnBandwidth, RealmHasItsOwnForAnAllocation) {
  ServerHarness harness(
      WithRealm(30'000, 0, {.allocation_bytes_per_s = 10'000}));
  TestClient first = OfA(1000), second = OfA(1001), main(1002);
  for (TestClient* client : {&first, &second, &main}) Join(harness, *client);
  EXPECT_EQ(SendUp(harness, first, 50), 30);
  EXPECT_EQ(SendUp(harness, second, 50), 30);
  EXPECT_EQ(SendUp(harness, main, 50), 10);
  // As none is said, that of the server.
  harness.SetOptions(WithRealm(0, 0, {.allocation_bytes_per_s = 10'000}));
  harness.Advance(absl::Seconds(5));
  EXPECT_EQ(SendUp(harness, first, 50), 10);
  EXPECT_EQ(harness.server().stats().over_realm_bandwidth, 0);
}

TEST(TurnBandwidth, RealmsRateChangesByReloadUnderItsAllocations) {
  ServerHarness harness(WithRealm(0, 0, {.burst = absl::Milliseconds(200)}));
  TestClient client = OfA(1000);
  Join(harness, client);
  EXPECT_EQ(SendUp(harness, client, 50), 50);
  for (const auto& [rate, passing] :
       std::vector<std::pair<double, size_t>>{{100'000, 18}, {50'000, 9}}) {
    harness.SetOptions(WithRealm(0, rate, {.burst = absl::Milliseconds(200)}));
    harness.Advance(absl::Seconds(5));
    EXPECT_EQ(SendUp(harness, client, 50), passing) << rate;
  }
  harness.SetOptions(WithRealm(0, 0, {}));
  EXPECT_EQ(SendUp(harness, client, 50), 50);
  EXPECT_EQ(harness.server().allocations(), 1);
}

// What one bound drops costs the others nothing.
TEST(TurnBandwidth, WhatIsDroppedIsTakenFromNoBucket) {
  ServerHarness harness(With({.allocation_bytes_per_s = 10'000,
                              .user_bytes_per_s = 40'000,
                              .burst = absl::Seconds(1)}));
  TestClient first(1000), second(1001);
  Join(harness, first);
  Join(harness, second);
  EXPECT_EQ(SendUp(harness, first, 40), 10);
  EXPECT_EQ(SendUp(harness, second, 40), 10);
  EXPECT_EQ(harness.server().stats().over_allocation_bandwidth, 60);
  EXPECT_EQ(harness.server().stats().over_user_bandwidth, 0);
}

// Loops share the buckets of users, of realms and of all: beyond the rate they
// send at most what is for a slice each.
TEST(TurnBandwidth, ServersOfALedgerShare) {
  const absl::Duration burst = absl::Milliseconds(100);
  for (ServerOptions options :
       {With({.user_bytes_per_s = 1e6, .burst = burst}),
        WithRealm(0, 1e6, {.burst = burst}),
        With({.total_bytes_per_s = 1e6, .burst = burst})}) {
    const std::string bound = !options.realms.empty() ? "realm"
                              : options.bandwidth.user_bytes_per_s > 0
                                  ? "user"
                                  : "total";
    options.nonce_secret = "group";
    SeededRandom random(7);
    LocalLedger ledger(options, random);
    std::vector<std::unique_ptr<ServerHarness>> nodes;
    std::vector<TestClient> clients;
    for (int i = 0; i < 4; ++i) {
      options.instance = i;
      nodes.push_back(std::make_unique<ServerHarness>(
          options, static_cast<uint64_t>(i + 1), &ledger));
      const auto port = static_cast<uint16_t>(1000 + i);
      clients.push_back(bound == "realm" ? OfA(port) : TestClient(port));
      Join(*nodes[static_cast<size_t>(i)], clients.back());
    }
    std::vector<size_t> passed(nodes.size());
    for (int step = 0; step < 10'000; ++step) {
      for (size_t i = 0; i < nodes.size(); ++i) {
        passed[i] += SendUp(*nodes[i], clients[i], 4);
        nodes[i]->Advance(absl::Milliseconds(1));
      }
    }
    size_t sum = 0;
    for (const size_t one : passed) {
      sum += one;
      // Whoever asks first, none starves.
      EXPECT_GT(one, 1000) << bound;
    }
    // 10 s, the burst, and 4 slices of 5 datagrams.
    EXPECT_GE(sum, 10'080) << bound;
    EXPECT_LE(sum, 10'120) << bound;
  }
}

TEST(TurnBandwidth, LimitsComeAndGoByReload) {
  ServerHarness harness;
  TestClient client(1000);
  Join(harness, client);
  EXPECT_EQ(SendUp(harness, client, 50), 50);
  harness.SetOptions(
      With({.allocation_bytes_per_s = 10'000, .user_bytes_per_s = 1'000'000}));
  EXPECT_EQ(SendUp(harness, client, 50), 10);
  harness.SetOptions(With({.allocation_bytes_per_s = 20'000}));
  harness.Advance(absl::Seconds(1));
  EXPECT_EQ(SendUp(harness, client, 50), 20);
  harness.SetOptions(With({}));
  EXPECT_EQ(SendUp(harness, client, 50), 50);
}

// Empty datagrams weigh nothing, but wait for their turn.
TEST(TurnBandwidth, EmptyDatagramsPassWhileThereIsAnything) {
  ServerHarness harness(With({.allocation_bytes_per_s = 1'000}));
  TestClient client(1000);
  Join(harness, client);
  const auto empty = ServerHarness::ChannelMessage(kChannel, "");
  const auto send = [&] {
    return Segments(harness.server().FromClient(harness.now(), client.path,
                                                empty, empty.size()));
  };
  EXPECT_EQ(send(), 1);
  EXPECT_EQ(SendUp(harness, client, 1), 1);
  EXPECT_EQ(send(), 0);
}

// However many names there are, only those that have sent lately are kept.
TEST(TurnBandwidth, BucketsThatAreFullAreForgotten) {
  Bandwidth bandwidth({.user_bytes_per_s = 1000, .burst = absl::Seconds(1)});
  absl::Time now = absl::FromUnixSeconds(1);
  for (int i = 0; i < 100'000; ++i) {
    now += absl::Milliseconds(10);
    EXPECT_EQ(bandwidth.TakeUser(now, Direction::kToPeers,
                                 absl::StrCat("user", i), 500),
              500);
    ASSERT_LE(bandwidth.size(), 1024);
  }
}

TEST(TurnBandwidth, SenselessLimitsAreRefused) {
  EXPECT_OK(With({.total_bytes_per_s = 1}).Validate());
  EXPECT_FALSE(With({.total_bytes_per_s = -1}).Validate().ok());
  EXPECT_FALSE(With({.burst = absl::Milliseconds(19)}).Validate().ok());
  EXPECT_OK(WithRealm(1, 1, {}).Validate());
  EXPECT_FALSE(WithRealm(-1, 0, {}).Validate().ok());
  EXPECT_FALSE(WithRealm(0, -1, {}).Validate().ok());
}

}  // namespace
}  // namespace kyuu::turn
