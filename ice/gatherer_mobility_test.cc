// Relays whose address of ours goes, or whose stream ends, and that go on from
// another one (RFC 8016), with our server.

#include <array>
#include <map>
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

const TransportAddress kServer{IpAddress::V4(192, 0, 2, 100), 3478};
const TransportAddress kPeer{IpAddress::V4(203, 0, 113, 9), 7000};
// Two networks, each behind a NAT of its own, and two addresses in the second.
const TransportAddress kHome{IpAddress::V4(10, 0, 0, 2), 5000};
const TransportAddress kRoad{IpAddress::V4(10, 7, 0, 2), 5001};
const TransportAddress kRoad2{IpAddress::V4(10, 7, 0, 3), 5002};
const auto kUdp = RelayProtocol::kUdp;
const auto kTcp = RelayProtocol::kTcp;

class GathererMobilityTest : public ::testing::Test {
 protected:
  void Begin(std::vector<RelayProtocol> protocols,
             std::vector<HostAddress> hosts = {{kHome}, {kRoad}}) {
    turn::ServerOptions server = turn::OpenServerOptions(kServer);
    server.mobility = mobility_;
    server_ = std::make_unique<turn::SimServer>(random_, std::move(server));
    server_host_ = network_.AddHost("server", {sim::kInternet, {kServer.ip}});
    server_->Attach(network_, server_host_, {kServer});
    home_ = network_.AddNat(
        sim::kInternet,
        sim::NatOptions::Symmetric(IpAddress::V4(198, 51, 100, 1)));
    const sim::ZoneId road = network_.AddNat(
        sim::kInternet,
        sim::NatOptions::Symmetric(IpAddress::V4(198, 51, 100, 2)));
    host_ = network_.AddHost("client", {home_, {kHome.ip}});
    network_.AddInterface(host_, {road, {kRoad.ip, kRoad2.ip}});
    peer_ = network_.AddHost("peer", {sim::kInternet, {kPeer.ip}});
    network_.Listen(peer_, kPeer, [this](const Datagram& in) {
      got_.emplace_back(AsText(in.bytes));
      from_ = in.path.remote;
    });

    GathererOptions options;
    for (const RelayProtocol protocol : protocols) {
      options.turn_servers.push_back({kServer, "u", "p", protocol, "turn"});
    }
    options.hosts = std::move(hosts);
    gatherer_ = std::make_unique<Gatherer>(std::move(options), random_);
    endpoint_ = network_.Attach(host_, {kHome, kRoad, kRoad2}, *gatherer_,
                                [this](Gatherer::Event event) { On(event); });
    ASSERT_OK(gatherer_->Start(network_.now()));
    network_.RunFor(absl::Seconds(1));
    ASSERT_EQ(relays_.size(), 1u);
    gatherer_->Permit(network_.now(), kPeer);
    network_.RunFor(absl::Seconds(1));
  }
  void On(const Gatherer::Event& event) {
    if (const auto* found = std::get_if<Gatherer::CandidateFound>(&event)) {
      if (found->candidate.type == CandidateType::kRelayed) {
        relays_.push_back(found->candidate);
      }
    } else if (const auto* lost = std::get_if<Gatherer::RelayLost>(&event)) {
      lost_.push_back(*lost);
    } else if (const auto* wanted = std::get_if<StreamWanted>(&event)) {
      wanted_.push_back(*wanted);
      network_.After(absl::Milliseconds(20), [this, id = wanted->id] {
        if (refuse_) {
          gatherer_->StreamEnded(network_.now(), id,
                                 absl::UnavailableError("refused"));
          return;
        }
        streams_[id] = {from_host_, next_port_++};
        network_.Bind(endpoint_, streams_[id]);
        gatherer_->StreamConnected(network_.now(), id, streams_[id]);
      });
    } else if (std::holds_alternative<Gatherer::Closed>(event)) {
      closed_ = true;
    }
  }
  // The network of that address is left.
  void Leave(const TransportAddress& address) {
    network_.RemoveAddress(host_, address.ip);
    ASSERT_OK(gatherer_->RemoveHost(network_.now(), address));
  }
  void EndStream(StreamId id) {
    network_.Unbind(endpoint_, streams_[id]);
    gatherer_->StreamEnded(network_.now(), id, absl::DataLossError("reset"));
  }
  // Whether data goes through the first relay, and which way it leaves us.
  bool Carries() {
    got_.clear();
    std::array<uint8_t, 200> out;
    const auto datagram = gatherer_->Wrap(
        network_.now(),
        {{relays_[0].address, kPeer, Transport::kUdp}, AsBytes("hello")},
        absl::MakeSpan(out));
    if (!datagram.ok()) return false;
    left_from_ = datagram->path.local;
    network_.Send(host_, *datagram);
    network_.RunFor(absl::Milliseconds(100));
    // And back: an address that the server still sends to.
    const uint64_t unwrapped = gatherer_->stats().unwrapped;
    network_.Send(peer_, {{kPeer, relays_[0].address}, AsBytes("back")});
    network_.RunFor(absl::Milliseconds(100));
    return got_ == std::vector<std::string>{"hello"} &&
           from_ == relays_[0].address &&
           gatherer_->stats().unwrapped == unwrapped + 1;
  }

  sim::Network network_{{.seed = 1}};
  SeededRandom random_{1};
  turn::ServerOptions::Mobility mobility_ =
      turn::ServerOptions::Mobility::kAllow;
  std::unique_ptr<turn::SimServer> server_;
  sim::HostId server_host_{};
  sim::HostId host_{};
  sim::HostId peer_{};
  sim::ZoneId home_{};
  sim::EndpointId endpoint_{};
  std::unique_ptr<Gatherer> gatherer_;
  std::vector<Candidate> relays_;
  std::vector<Gatherer::RelayLost> lost_;
  std::vector<StreamWanted> wanted_;
  std::map<StreamId, TransportAddress> streams_;
  IpAddress from_host_ = kHome.ip;
  uint16_t next_port_ = 40000;
  bool refuse_ = false;
  std::vector<std::string> got_;  // By the peer.
  TransportAddress from_;
  TransportAddress left_from_;
  bool closed_ = false;
};

TEST_F(GathererMobilityTest, ARelayGoesOnFromTheOtherAddress) {
  Begin({kUdp});
  ASSERT_TRUE(Carries());
  EXPECT_EQ(left_from_, kHome);
  Leave(kHome);
  // Refresh, the nonce of the other address, Refresh again.
  network_.RunFor(absl::Milliseconds(100));
  EXPECT_EQ(gatherer_->stats().relays_moved, 1u);
  EXPECT_TRUE(Carries());
  EXPECT_EQ(left_from_, kRoad);
  EXPECT_TRUE(lost_.empty());
  EXPECT_EQ(relays_.size(), 1u);
  EXPECT_EQ(server_->server().allocations(), 1u);
  // For as long as is wanted.
  network_.RunFor(absl::Minutes(30));
  EXPECT_TRUE(Carries());
}

TEST_F(GathererMobilityTest, WithoutAnyAddressItWaitsForOne) {
  Begin({kUdp}, {{kHome}});
  Leave(kHome);
  network_.RunFor(absl::Minutes(2));
  EXPECT_TRUE(lost_.empty());
  EXPECT_TRUE(gatherer_->IsRelayed(relays_[0].address));
  ASSERT_OK(gatherer_->AddHost(network_.now(), {kRoad}));
  network_.RunFor(absl::Milliseconds(100));
  EXPECT_TRUE(Carries());
  EXPECT_EQ(left_from_, kRoad);
  EXPECT_TRUE(lost_.empty());
  EXPECT_EQ(relays_.size(), 1u);
}

TEST_F(GathererMobilityTest, NobodyWaitsLongerThanTheAllocationLives) {
  Begin({kUdp}, {{kHome}});
  Leave(kHome);
  network_.RunFor(absl::Minutes(11));
  EXPECT_EQ(lost_.size(), 1u);
  EXPECT_FALSE(gatherer_->IsRelayed(relays_[0].address));
  // As ever after a loss.
  ASSERT_OK(gatherer_->AddHost(network_.now(), {kRoad}));
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(relays_.size(), 2u);
}

TEST_F(GathererMobilityTest, ASilentAddressIsFollowedByTheNext) {
  Begin({kUdp}, {{kHome}, {kRoad}, {kRoad2}});
  network_.set_filter([](const Datagram& d) { return d.path.local != kRoad; });
  Leave(kHome);
  network_.RunFor(absl::Milliseconds(499));
  EXPECT_EQ(gatherer_->stats().relays_moved, 0u);
  network_.RunFor(absl::Milliseconds(101));
  EXPECT_EQ(gatherer_->stats().relays_moved, 1u);
  EXPECT_TRUE(Carries());
  EXPECT_EQ(left_from_, kRoad2);
}

TEST_F(GathererMobilityTest, AnAddressThatComesMeanwhileIsAskedFromToo) {
  Begin({kUdp}, {{kHome}, {kRoad}});
  network_.set_filter([](const Datagram& d) { return d.path.local != kRoad; });
  Leave(kHome);
  network_.RunFor(absl::Seconds(1));
  ASSERT_OK(gatherer_->AddHost(network_.now(), {kRoad2}));
  network_.RunFor(absl::Milliseconds(100));
  EXPECT_TRUE(Carries());
  EXPECT_EQ(left_from_, kRoad2);
  EXPECT_TRUE(lost_.empty());
}

// And the address to which it was to move goes.
TEST_F(GathererMobilityTest, MovesOnInTheMiddleOfAMove) {
  Begin({kUdp}, {{kHome}, {kRoad}, {kRoad2}});
  Leave(kHome);
  Leave(kRoad);
  network_.RunFor(absl::Milliseconds(100));
  EXPECT_TRUE(Carries());
  EXPECT_EQ(left_from_, kRoad2);
}

// A network that lets no UDP out.
TEST_F(GathererMobilityTest, OtherProtocolsAreAskedAndInTheEndItIsLost) {
  Begin({kUdp, kTcp}, {{kHome}, {kRoad}});
  from_host_ = kRoad.ip;
  network_.set_filter([](const Datagram& d) {
    return d.path.transport == Transport::kTcp || d.path.local != kRoad;
  });
  Leave(kHome);
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(relays_.size(), 2u);
  EXPECT_EQ(relays_[1].relay_protocol, kTcp);
  EXPECT_TRUE(lost_.empty());
  network_.RunFor(absl::Milliseconds(28'999));
  EXPECT_TRUE(lost_.empty());
  network_.RunFor(absl::Milliseconds(1));
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0].relayed, relays_[0].address);
  EXPECT_THAT(lost_[0].status, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(gatherer_->stats().moves_failed, 1u);
  // It is asked for anew, which does once UDP passes.
  network_.set_filter(nullptr);
  network_.RunFor(absl::Minutes(1));
  EXPECT_EQ(relays_.size(), 3u);
}

TEST_F(GathererMobilityTest, AServerThatForbidsItLosesTheRelay) {
  mobility_ = turn::ServerOptions::Mobility::kForbid;
  Begin({kUdp});
  ASSERT_TRUE(Carries());
  Leave(kHome);
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(lost_.size(), 1u);
  EXPECT_EQ(gatherer_->stats().relays_moved, 0u);
  EXPECT_EQ(relays_.size(), 2u) << "from the other address";
}

TEST_F(GathererMobilityTest, AServerThatKnowsNothingOfItGivesAnotherOne) {
  Begin({kUdp});
  network_.Detach(server_->endpoint());
  turn::SimServer fresh(random_, turn::OpenServerOptions(kServer));
  fresh.Attach(network_, server_host_, {kServer});
  Leave(kHome);
  network_.RunFor(absl::Milliseconds(200));
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0].relayed, relays_[0].address);
  ASSERT_EQ(relays_.size(), 2u);
  EXPECT_TRUE(gatherer_->IsRelayed(relays_[1].address));
  EXPECT_TRUE(gatherer_->finished());
  EXPECT_EQ(gatherer_->stats().moves_failed, 1u);
}

// Refused from there, and then silent: the other addresses are asked, too.
TEST_F(GathererMobilityTest, WhatReplacesItIsAskedForFromEverywhere) {
  Begin({kUdp}, {{kHome}, {kRoad}, {kRoad2}});
  network_.Detach(server_->endpoint());
  turn::SimServer fresh(random_, turn::OpenServerOptions(kServer));
  fresh.Attach(network_, server_host_, {kServer});
  network_.set_filter([](const Datagram& d) {
    // Allocate.
    return d.path.local != kRoad || d.bytes[0] != 0 || d.bytes[1] != 3;
  });
  Leave(kHome);
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(lost_.size(), 1u);
  EXPECT_EQ(relays_.size(), 2u);
}

TEST_F(GathererMobilityTest, ANatThatForgetsIsFoundThroughByTheTicket) {
  Begin({kUdp}, {{kHome}});
  network_.nat(home_).Restart();
  EXPECT_FALSE(Carries());
  gatherer_->ReviewRelays(network_.now());
  network_.RunFor(absl::Milliseconds(200));
  EXPECT_EQ(gatherer_->stats().relays_moved, 1u);
  EXPECT_TRUE(Carries());
  EXPECT_TRUE(lost_.empty());
}

TEST_F(GathererMobilityTest, AStreamThatEndsIsFollowedByAnother) {
  Begin({kTcp});
  ASSERT_TRUE(Carries());
  EndStream(wanted_[0].id);
  network_.RunFor(absl::Milliseconds(200));
  ASSERT_EQ(wanted_.size(), 2u);
  EXPECT_TRUE(Carries());
  EXPECT_EQ(left_from_, streams_[wanted_[1].id]);
  EXPECT_TRUE(lost_.empty());
  // With an address of ours too.
  from_host_ = kRoad.ip;
  Leave(kHome);
  network_.RunFor(absl::Milliseconds(200));
  ASSERT_EQ(wanted_.size(), 3u);
  EXPECT_TRUE(Carries());
  EXPECT_EQ(left_from_.ip, kRoad.ip);
  EXPECT_EQ(gatherer_->stats().relays_moved, 2u);
  EXPECT_EQ(relays_.size(), 1u);
}

TEST_F(GathererMobilityTest, AStreamIsConnectedAgainAndAgainForHalfAMinute) {
  Begin({kTcp});
  refuse_ = true;
  EndStream(wanted_[0].id);
  network_.RunFor(absl::Seconds(20));
  EXPECT_TRUE(lost_.empty());
  const size_t wanted = wanted_.size();
  EXPECT_GE(wanted, 18u);
  EXPECT_LE(wanted, 22u);
  network_.RunFor(absl::Seconds(10));
  EXPECT_EQ(lost_.size(), 1u);
  EXPECT_EQ(server_->server().allocations(), 1u) << "nobody could give it back";
}

TEST_F(GathererMobilityTest, CloseWaitsForNothingThatCannotBeReached) {
  Begin({kUdp}, {{kHome}});
  Leave(kHome);
  gatherer_->Close(network_.now());
  network_.RunFor(absl::ZeroDuration());
  EXPECT_TRUE(closed_);
  EXPECT_EQ(gatherer_->NextTimeout(), absl::InfiniteFuture());
}

TEST_F(GathererMobilityTest, CloseWaitsForNoStreamThatIsYetToCome) {
  Begin({kTcp}, {{kHome}});
  EndStream(wanted_[0].id);
  gatherer_->Close(network_.now());
  network_.RunFor(absl::ZeroDuration());
  EXPECT_TRUE(closed_);
}

TEST_F(GathererMobilityTest, CloseInTheMiddleOfAMoveGivesItBack) {
  Begin({kUdp});
  Leave(kHome);
  gatherer_->Close(network_.now());
  network_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(closed_);
  EXPECT_EQ(server_->server().allocations(), 0u);
}

}  // namespace
}  // namespace kyuu::ice
