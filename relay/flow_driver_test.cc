#include "relay/flow_driver.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <variant>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "relay/flow_path.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::relay {
namespace {

using turn::Direction;

constexpr uint16_t kChannel = 0x4001;

// Relays what a test says it has relayed.
class FakePath : public FlowPath {
 public:
  struct Entry {
    turn::Flow flow;
    Counts counts;
    std::array<int64_t, 2> funds{};
  };

  std::optional<Handle> Install(const turn::Flow& flow) override {
    if (!room) return std::nullopt;
    entries[next_] = {flow, {}, {}};
    return Handle{next_++};
  }
  void Update(Handle handle, const turn::Flow& flow) override {
    entries.at(static_cast<uint32_t>(handle)).flow = flow;
  }
  Counts Remove(Handle handle) override {
    const Counts counts = Read(handle);
    entries.erase(static_cast<uint32_t>(handle));
    return counts;
  }
  Counts Read(Handle handle) const override {
    return entries.at(static_cast<uint32_t>(handle)).counts;
  }
  void Fund(Handle handle, Direction direction, int64_t bytes) override {
    entries.at(static_cast<uint32_t>(handle))
        .funds[static_cast<size_t>(direction)] += bytes;
  }
  int64_t Funds(Handle handle, Direction direction) const override {
    return entries.at(static_cast<uint32_t>(handle))
        .funds[static_cast<size_t>(direction)];
  }

  // As the program in the kernel does; false if it leaves it to the process.
  bool Relay(Direction direction, uint64_t bytes) {
    Entry& entry = entries.begin()->second;
    const auto i = static_cast<size_t>(direction);
    if (entry.flow.metered && entry.funds[i] <= 0) return false;
    entry.funds[i] -= static_cast<int64_t>(bytes);
    ++entry.counts[i].datagrams;
    entry.counts[i].bytes += bytes;
    return true;
  }

  std::map<uint32_t, Entry> entries;
  bool room = true;

 private:
  uint32_t next_ = 0;
};

class FlowDriverTest : public testing::Test {
 protected:
  void Bind() {
    ASSERT_TRUE(harness_.Allocate(client_).ok());
    ASSERT_TRUE(harness_.Bind(client_, kChannel, turn::kTestPeer).ok());
    driver_.Serve(harness_.now());
  }
  void Limit(double bytes_per_s) {
    turn::ServerOptions options = turn::ServerHarness::Options();
    options.bandwidth.allocation_bytes_per_s = bytes_per_s;
    harness_.SetOptions(options);
    driver_.Serve(harness_.now());
  }
  // Time passes, with the ticks that are due.
  void Advance(absl::Duration duration) {
    const absl::Time end = harness_.now() + duration;
    while (driver_.NextTick() <= end) {
      harness_.Advance(driver_.NextTick() - harness_.now());
      driver_.Tick(harness_.now());
    }
    harness_.Advance(end - harness_.now());
  }
  const turn::ServerStats& stats() { return harness_.server().stats(); }

  turn::ServerHarness harness_;
  turn::TestClient client_{1000};
  FakePath path_;
  FlowDriver driver_{harness_.server().flows(), path_};
};

TEST_F(FlowDriverTest, NothingToDoIsNoTimer) {
  EXPECT_EQ(driver_.NextTick(), absl::InfiniteFuture());
  Bind();
  EXPECT_EQ(driver_.NextTick(), harness_.now() + FlowDriver::kInterval);
  ASSERT_TRUE(harness_.Refresh(client_, 0).ok());
  driver_.Serve(harness_.now());
  EXPECT_TRUE(path_.entries.empty());
  Advance(absl::Seconds(2));
  EXPECT_EQ(driver_.NextTick(), absl::InfiniteFuture());
}

TEST_F(FlowDriverTest, TheServerIsToldOfItWithinASecond) {
  Bind();
  path_.Relay(Direction::kToPeers, 100);
  path_.Relay(Direction::kToPeers, 100);
  path_.Relay(Direction::kToClients, 50);
  EXPECT_EQ(stats().to_peers, 0u);
  Advance(absl::Seconds(1));
  EXPECT_EQ(stats().to_peers, 2u);
  EXPECT_EQ(stats().bytes_to_clients, 50u);
  EXPECT_EQ(driver_.stats().datagrams, 3u);
  Advance(absl::Seconds(5));
  EXPECT_EQ(stats().to_peers, 2u);  // Once.
}

TEST_F(FlowDriverTest, AnEndedAllocationsAccountHasTheLastOfIt) {
  Bind();
  path_.Relay(Direction::kToPeers, 100);
  Advance(absl::Seconds(1));
  path_.Relay(Direction::kToPeers, 10);
  path_.Relay(Direction::kToClients, 1);
  harness_.events().clear();
  ASSERT_TRUE(harness_.Refresh(client_, 0).ok());
  driver_.Serve(harness_.now());
  for (turn::Server::Event& event : harness_.events()) {
    auto* ended = std::get_if<turn::Server::AllocationEnded>(&event);
    if (ended == nullptr) continue;
    EXPECT_EQ(ended->traffic.to_peers, 1u);
    driver_.Complete(*ended);
    EXPECT_EQ(ended->traffic.to_peers, 2u);
    EXPECT_EQ(ended->traffic.bytes_to_peers, 110u);
    EXPECT_EQ(ended->traffic.bytes_to_clients, 1u);
    driver_.Complete(*ended);
    EXPECT_EQ(ended->traffic.to_peers, 2u);
    return;
  }
  FAIL() << "no end was told";
}

TEST_F(FlowDriverTest, WhatThereWasNoRoomForIsOfferedAgain) {
  path_.room = false;
  Bind();
  EXPECT_EQ(driver_.size(), 0u);
  EXPECT_EQ(driver_.stats().refused, 1u);
  path_.room = true;
  Advance(FlowDriver::kRetryInterval);
  EXPECT_EQ(driver_.size(), 1u);
  // But not what has gone meanwhile.
  path_.room = false;
  turn::TestClient other(1001);
  ASSERT_TRUE(harness_.Allocate(other).ok());
  ASSERT_TRUE(harness_.Bind(other, kChannel, turn::kTestPeer).ok());
  driver_.Serve(harness_.now());
  ASSERT_TRUE(harness_.Refresh(other, 0).ok());
  driver_.Serve(harness_.now());
  path_.room = true;
  Advance(FlowDriver::kRetryInterval);
  EXPECT_EQ(driver_.size(), 1u);
}

TEST_F(FlowDriverTest, AMeteredFlowKeepsToItsBandwidth) {
  Limit(10'000);
  Bind();
  uint64_t relayed = 0;
  // All that it can in ten seconds, in steps of 10 ms.
  for (int i = 0; i < 1000; ++i) {
    while (path_.Relay(Direction::kToPeers, 100)) relayed += 100;
    Advance(absl::Milliseconds(10));
  }
  EXPECT_GT(relayed, 90'000u);
  EXPECT_LE(relayed, 111'000u);  // A second's worth was saved at the start.
}

TEST_F(FlowDriverTest, AnIdleFlowGivesBackWhatItHolds) {
  Limit(100'000);
  Bind();
  for (int i = 0; i < 30; ++i) {
    for (int j = 0; j < 10; ++j) path_.Relay(Direction::kToPeers, 500);
    Advance(absl::Milliseconds(100));
  }
  EXPECT_GT(path_.Funds(FlowPath::Handle{0}, Direction::kToPeers), 5000);
  Advance(absl::Milliseconds(200));
  EXPECT_LE(path_.Funds(FlowPath::Handle{0}, Direction::kToPeers), 2048);
}

TEST_F(FlowDriverTest, LimitsMayComeAndGo) {
  Bind();
  Limit(10'000);
  EXPECT_TRUE(path_.entries.begin()->second.flow.metered);
  EXPECT_GT(path_.Funds(FlowPath::Handle{0}, Direction::kToPeers), 0);
  Advance(absl::Milliseconds(1));
  EXPECT_LE(driver_.NextTick(), harness_.now() + FlowDriver::kInterval);
  harness_.SetOptions(turn::ServerHarness::Options());
  driver_.Serve(harness_.now());
  EXPECT_FALSE(path_.entries.begin()->second.flow.metered);
}

TEST(FlowDriver, WhenItGoesItTakesItsFlowsOffThePath) {
  FakePath path;
  turn::ServerHarness harness;
  turn::TestClient client(1);
  {
    FlowDriver driver(harness.server().flows(), path);
    ASSERT_TRUE(harness.Allocate(client).ok());
    ASSERT_TRUE(harness.Bind(client, kChannel, turn::kTestPeer).ok());
    driver.Serve(harness.now());
    ASSERT_EQ(path.entries.size(), 1u);
  }
  EXPECT_TRUE(path.entries.empty());
}

}  // namespace
}  // namespace kyuu::relay
