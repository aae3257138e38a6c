// Servers and policy that change from one gathering to the next, and what
// becomes of what they gave before.

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "ice/candidate.h"
#include "ice/gatherer.h"
#include "sim/nat.h"
#include "sim/network.h"
#include "turn/testing/sim_server.h"

namespace kyuu::ice {
namespace {

using Why = Gatherer::CandidateGone::Why;

const IpAddress kServerIp = IpAddress::V4(192, 0, 2, 100);
const TransportAddress kDead{IpAddress::V4(192, 0, 2, 200), 3478};
const TransportAddress kHost{IpAddress::V4(10, 0, 0, 2), 5000};

// One machine that is a server at each of ports 1 to 40.
TransportAddress Server(uint16_t n) { return {kServerIp, n}; }
TurnServer Turn(uint16_t n, RelayProtocol protocol = RelayProtocol::kUdp) {
  return {Server(n), "u", "p", protocol, "turn"};
}

class GathererConfigurationTest : public ::testing::Test {
 protected:
  GathererConfigurationTest()
      : server_(random_, turn::OpenServerOptions(Server(1))) {
    const sim::HostId host =
        network_.AddHost("server", {sim::kInternet, {kServerIp}});
    std::vector<TransportAddress> listeners;
    for (uint16_t n = 1; n <= 40; ++n) listeners.push_back(Server(n));
    server_.Attach(network_, host, listeners);
  }
  void Begin(GathererOptions options) {
    const sim::ZoneId home = network_.AddNat(
        sim::kInternet,
        sim::NatOptions::PortRestrictedCone(IpAddress::V4(198, 51, 100, 1)));
    options.hosts = {{kHost}};
    gatherer_ = std::make_unique<Gatherer>(std::move(options), random_);
    network_.Attach(network_.AddHost("client", {home, {kHost.ip}}), {kHost},
                    *gatherer_, [this](Gatherer::Event event) { On(event); });
    network_.set_filter([this](const Datagram& datagram) {
      if (datagram.path.local == kHost) asked_.push_back(datagram.path.remote);
      return true;
    });
    ASSERT_OK(gatherer_->Start(network_.now()));
    Run();
  }
  void On(const Gatherer::Event& event) {
    if (const auto* found = std::get_if<Gatherer::CandidateFound>(&event)) {
      found_.push_back(found->candidate);
    } else if (const auto* gone =
                   std::get_if<Gatherer::CandidateGone>(&event)) {
      gone_.push_back(*gone);
    } else if (const auto* lost = std::get_if<Gatherer::RelayLost>(&event)) {
      lost_.push_back(*lost);
    } else if (const auto* wanted = std::get_if<StreamWanted>(&event)) {
      wanted_.push_back(wanted->id);
    } else if (const auto* over = std::get_if<StreamUnwanted>(&event)) {
      unwanted_.push_back(over->id);
    }
  }
  void Run() { network_.RunFor(absl::Seconds(5)); }
  void Restart() {
    found_.clear();
    gone_.clear();
    gatherer_->Restart(network_.now());
    Run();
    asked_.clear();
  }
  bool Asks(const TransportAddress& server) const {
    return std::find(asked_.begin(), asked_.end(), server) != asked_.end();
  }
  static std::vector<std::string> Types(const std::vector<Candidate>& all) {
    std::vector<std::string> types;
    types.reserve(all.size());
    for (const Candidate& c : all) types.emplace_back(ToString(c.type));
    return types;
  }
  size_t allocations() const { return server_.server().allocations(); }

  sim::Network network_{{.seed = 1}};
  SeededRandom random_{1};
  mutable turn::SimServer server_;
  std::unique_ptr<Gatherer> gatherer_;
  std::vector<TransportAddress> asked_;
  std::vector<Candidate> found_;
  std::vector<Gatherer::CandidateGone> gone_;
  std::vector<Gatherer::RelayLost> lost_;
  std::vector<StreamId> wanted_;
  std::vector<StreamId> unwanted_;
};

TEST_F(GathererConfigurationTest, OtherServersAreAskedByTheNextGathering) {
  Begin({.turn_servers = {Turn(1)}});
  ASSERT_EQ(Types(found_),
            (std::vector<std::string>{"host", "srflx", "relay"}));
  const TransportAddress relayed = found_[2].address;
  gatherer_->Configure({}, {Turn(2)}, GatherPolicy::kAll);
  asked_.clear();
  Run();
  EXPECT_FALSE(Asks(Server(2)));
  EXPECT_TRUE(gone_.empty());

  Restart();
  // The NAT shows the same to all, which the second server has not said yet
  // when the first one is left out.
  EXPECT_EQ(Types(found_), (std::vector<std::string>{"srflx", "relay"}));
  ASSERT_EQ(gone_.size(), 2u);
  EXPECT_EQ(gone_[0].candidate.address, relayed);
  EXPECT_EQ(gone_[0].why, Why::kUnwanted);
  EXPECT_EQ(gone_[1].why, Why::kLost);
  // Who still needs it has it.
  EXPECT_TRUE(gatherer_->IsRelayed(relayed));
  std::array<uint8_t, 200> out;
  EXPECT_OK(gatherer_->Wrap(network_.now(), {{relayed, kDead}, AsBytes("data")},
                            absl::MakeSpan(out)));
  EXPECT_EQ(allocations(), 2u);
  gatherer_->ReleaseUnwanted(network_.now());
  EXPECT_FALSE(gatherer_->IsRelayed(relayed));
  Run();
  EXPECT_EQ(allocations(), 1u);
  EXPECT_TRUE(lost_.empty());
  // For good: keepalives and refreshes are the other server's.
  asked_.clear();
  network_.RunFor(absl::Minutes(20));
  EXPECT_FALSE(Asks(Server(1)));
  EXPECT_TRUE(Asks(Server(2)));
}

TEST_F(GathererConfigurationTest, WhatIsLostWhileUnwantedIsToldAndLeft) {
  Begin({.turn_servers = {Turn(1)}});
  const TransportAddress relayed = found_[2].address;
  gatherer_->Configure({}, {}, GatherPolicy::kAll);
  Restart();
  gone_.clear();
  server_.server().Close();
  gatherer_->ReviewRelays(network_.now());
  network_.RunFor(absl::Minutes(20));
  ASSERT_EQ(lost_.size(), 1u);
  ASSERT_EQ(gone_.size(), 1u);
  EXPECT_EQ(gone_[0].candidate.address, relayed);
  EXPECT_EQ(gone_[0].why, Why::kLost);
  asked_.clear();
  network_.RunFor(absl::Minutes(20));
  EXPECT_TRUE(asked_.empty()) << "nobody is asked for another one";
}

TEST_F(GathererConfigurationTest, AServerThatComesBackHasItsRelayStill) {
  Begin({.turn_servers = {Turn(1)}});
  const TransportAddress relayed = found_[2].address;
  gatherer_->Configure({}, {Turn(2)}, GatherPolicy::kAll);
  Restart();
  gatherer_->Configure({}, {Turn(1)}, GatherPolicy::kAll);
  Restart();
  EXPECT_TRUE(std::any_of(found_.begin(), found_.end(), [&](const auto& c) {
    return c.address == relayed && c.type == CandidateType::kRelayed;
  }));
  gatherer_->ReleaseUnwanted(network_.now());
  Run();
  EXPECT_EQ(allocations(), 1u);
  EXPECT_TRUE(gatherer_->IsRelayed(relayed));
  // And once its relay was released, another one.
  gatherer_->Configure({}, {}, GatherPolicy::kAll);
  Restart();
  gatherer_->ReleaseUnwanted(network_.now());
  gatherer_->Configure({}, {Turn(1)}, GatherPolicy::kAll);
  Restart();
  EXPECT_EQ(allocations(), 1u);
  EXPECT_FALSE(gatherer_->IsRelayed(relayed));
}

TEST_F(GathererConfigurationTest, RelaysAlone) {
  Begin({.turn_servers = {Turn(1)}});
  gatherer_->Configure({}, {Turn(1)}, GatherPolicy::kRelay);
  EXPECT_EQ(gatherer_->policy(), GatherPolicy::kAll);
  Restart();
  EXPECT_EQ(gatherer_->policy(), GatherPolicy::kRelay);
  EXPECT_TRUE(found_.empty());
  ASSERT_EQ(gone_.size(), 2u);
  for (const auto& gone : gone_) {
    EXPECT_NE(gone.candidate.type, CandidateType::kRelayed);
    EXPECT_EQ(gone.why, Why::kUnwanted);
  }
  // The address by which they were found goes.
  gone_.clear();
  ASSERT_OK(gatherer_->AddHost(network_.now(), {{kHost.ip, 6000}}));
  ASSERT_OK(gatherer_->RemoveHost(network_.now(), kHost));
  EXPECT_EQ(gone_.size(), 0u) << "told by the next poll";
  Run();
  EXPECT_EQ(gone_.size(), 2u);
  for (const auto& gone : gone_) EXPECT_EQ(gone.why, Why::kLost);
}

TEST_F(GathererConfigurationTest, NotRelaysAloneAnyMore) {
  Begin({.turn_servers = {Turn(1)}, .policy = GatherPolicy::kRelay});
  ASSERT_EQ(Types(found_), std::vector<std::string>{"relay"});
  gatherer_->Configure({}, {Turn(1)}, GatherPolicy::kAll);
  Restart();
  EXPECT_EQ(Types(found_), (std::vector<std::string>{"host", "srflx"}));
  // There and back, before anything is released.
  gatherer_->Configure({}, {Turn(1)}, GatherPolicy::kRelay);
  Restart();
  EXPECT_EQ(gone_.size(), 2u);
  gatherer_->Configure({}, {Turn(1)}, GatherPolicy::kAll);
  Restart();
  EXPECT_EQ(Types(found_), (std::vector<std::string>{"host", "srflx"}));
  gone_.clear();
  ASSERT_OK(gatherer_->RemoveHost(network_.now(), kHost));
  Run();
  EXPECT_EQ(gone_.size(), 2u) << "each of them once";
}

TEST_F(GathererConfigurationTest, NobodyWaitsForServersThatAreLeftOut) {
  Begin({});
  gatherer_->Configure({kDead},
                       {{kDead, "u", "p"}, Turn(1, RelayProtocol::kTls)},
                       GatherPolicy::kAll);
  gatherer_->Restart(network_.now());
  network_.RunFor(absl::Milliseconds(100));
  EXPECT_TRUE(Asks(kDead));
  ASSERT_EQ(wanted_.size(), 1u);
  gatherer_->Configure({}, {}, GatherPolicy::kAll);
  gatherer_->Restart(network_.now());
  network_.RunFor(absl::ZeroDuration());
  EXPECT_TRUE(gatherer_->finished());
  EXPECT_EQ(unwanted_, wanted_);
  asked_.clear();
  network_.RunFor(absl::Minutes(1));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(GathererConfigurationTest, CredentialsOfAKnownServerAreReplaced) {
  Begin({.turn_servers = {{Server(1), "u", "wrong"}}});
  EXPECT_EQ(allocations(), 0u);
  gatherer_->Configure({}, {Turn(1)}, GatherPolicy::kAll);
  Restart();
  EXPECT_EQ(allocations(), 1u);
}

// An application that changes servers again and again while the path of before
// goes on.
TEST_F(GathererConfigurationTest, UnwantedRelaysAreBounded) {
  Begin({.turn_servers = {Turn(1)}, .max_servers = 4, .max_candidates = 6});
  for (uint16_t n = 2; n <= 20; ++n) {
    gatherer_->Configure({}, {Turn(n)}, GatherPolicy::kAll);
    Restart();
    ASSERT_LE(allocations(), 5u);
  }
  EXPECT_EQ(lost_.size(), 15u);
  gatherer_->ReleaseUnwanted(network_.now());
  Run();
  EXPECT_EQ(allocations(), 1u);
}

TEST_F(GathererConfigurationTest, WhatIsDiscardedIsGivenBack) {
  Begin({.turn_servers = {Turn(1)}});
  ASSERT_EQ(allocations(), 1u);
  gatherer_->Discard(network_.now());
  Run();
  EXPECT_EQ(allocations(), 0u);
  EXPECT_EQ(gone_.size(), 3u);
  EXPECT_FALSE(gatherer_->finished());
  EXPECT_EQ(gatherer_->NextTimeout(), absl::InfiniteFuture());
  gatherer_->Discard(network_.now());
  found_.clear();
  ASSERT_OK(gatherer_->Start(network_.now()));
  Run();
  EXPECT_EQ(Types(found_),
            (std::vector<std::string>{"host", "srflx", "relay"}));
  EXPECT_TRUE(gatherer_->finished());
}

TEST_F(GathererConfigurationTest, ClosesWithSomethingUnwanted) {
  Begin({.turn_servers = {Turn(1)}});
  gatherer_->Configure({}, {Turn(2)}, GatherPolicy::kAll);
  Restart();
  gatherer_->Close(network_.now());
  Run();
  EXPECT_EQ(allocations(), 0u);
  gatherer_->ReleaseUnwanted(network_.now());
  gatherer_->Discard(network_.now());
  EXPECT_EQ(gatherer_->NextTimeout(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace kyuu::ice
