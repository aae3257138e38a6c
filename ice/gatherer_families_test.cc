// Relays of both families (RFC 8656 section 7.1): an IPv4 and an IPv6 address
// of one allocation are two candidates, which come and go together or alone.

#include <array>
#include <map>
#include <memory>
#include <set>
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
#include "turn/testing/scripted_server.h"
#include "turn/testing/sim_server.h"

namespace kyuu::ice {
namespace {

using Families = turn::ClientOptions::Families;
using Why = Gatherer::CandidateGone::Why;

const TransportAddress kServer{IpAddress::V4(192, 0, 2, 100), 3478};
const TransportAddress kServer6{*IpAddress::Parse("2001:db8::100"), 3478};
const TransportAddress kHost{IpAddress::V4(10, 0, 0, 2), 5000};
const TransportAddress kHost2{IpAddress::V4(10, 0, 0, 3), 5001};
const TransportAddress kHost6{*IpAddress::Parse("2001:db8::2"), 5000};
const IpAddress kNat = IpAddress::V4(198, 51, 100, 1);
const TransportAddress kPeer{IpAddress::V4(203, 0, 113, 9), 7000};
const TransportAddress kPeer6{*IpAddress::Parse("2001:db8::9"), 7000};

turn::ServerOptions Serving(std::vector<IpAddress> relays) {
  turn::ServerOptions options;
  options.users = {{"u", "p"}};
  for (const IpAddress& ip : relays) options.relay_addresses.push_back({ip});
  options.allow_peers = {*IpPrefix::Parse("203.0.113.0/24"),
                         *IpPrefix::Parse("2001:db8::/64")};
  options.mobility = turn::ServerOptions::Mobility::kAllow;
  return options;
}

// A client behind a NAT, or of IPv6 on the internet, and a peer of each family.
class GathererFamiliesTest : public ::testing::Test {
 protected:
  void Serve(turn::ServerOptions options) {
    if (server_) network_.Detach(server_->endpoint());
    server_ = std::make_unique<turn::SimServer>(random_, std::move(options));
    server_->Attach(network_, server_host_,
                    {kServer, kServer6, {kServer.ip, 3479}});
  }
  void Begin(GathererOptions options) {
    const sim::ZoneId home =
        network_.AddNat(sim::kInternet, sim::NatOptions::Symmetric(kNat));
    if (options.hosts.empty()) options.hosts = {{kHost}};
    if (options.turn_servers.empty()) {
      options.turn_servers = {{kServer, "u", "p"}};
    }
    host_ = network_.AddHost("client", {home, {kHost.ip, kHost2.ip}});
    network_.AddInterface(host_, {sim::kInternet, {kHost6.ip}});
    gatherer_ = std::make_unique<Gatherer>(std::move(options), random_);
    network_.Attach(host_, {kHost, kHost2, kHost6}, *gatherer_,
                    [this](Gatherer::Event event) { On(event); });
    for (const TransportAddress& peer : {kPeer, kPeer6}) {
      network_.Listen(peers_, peer, [this](const Datagram& in) {
        from_[in.path.local] = in.path.remote;
      });
    }
    ASSERT_OK(gatherer_->Start(network_.now()));
    network_.RunFor(absl::Seconds(2));
    for (const TransportAddress& peer : {kPeer, kPeer6}) {
      gatherer_->Permit(network_.now(), peer);
    }
    network_.RunFor(absl::Seconds(1));
  }
  void On(const Gatherer::Event& event) {
    if (const auto* found = std::get_if<Gatherer::CandidateFound>(&event)) {
      if (found->candidate.type == CandidateType::kRelayed) {
        relays_.push_back(found->candidate);
      }
    } else if (const auto* gone =
                   std::get_if<Gatherer::CandidateGone>(&event)) {
      if (gone->candidate.type == CandidateType::kRelayed) {
        gone_.push_back(*gone);
      }
    } else if (const auto* lost = std::get_if<Gatherer::RelayLost>(&event)) {
      lost_.push_back(lost->relayed);
    } else if (std::holds_alternative<Gatherer::ServerFailed>(event)) {
      ++failures_;
    }
  }
  // The relayed candidate of that family that was told last.
  const Candidate* Relay(IpFamily family) const {
    for (size_t i = relays_.size(); i-- > 0;) {
      if (relays_[i].address.ip.family() == family) return &relays_[i];
    }
    return nullptr;
  }
  // Whether data goes from the relay of the peer's family to it, and back.
  bool Carries(const TransportAddress& peer) {
    const Candidate* relay = Relay(peer.ip.family());
    if (relay == nullptr) return false;
    std::array<uint8_t, 200> out;
    const auto datagram =
        gatherer_->Wrap(network_.now(), {{relay->address, peer}, AsBytes("to")},
                        absl::MakeSpan(out));
    if (!datagram.ok()) return false;
    from_.clear();
    network_.Send(host_, *datagram);
    network_.RunFor(absl::Milliseconds(200));
    const uint64_t unwrapped = gatherer_->stats().unwrapped;
    network_.Send(peers_, {{peer, relay->address}, AsBytes("from")});
    network_.RunFor(absl::Milliseconds(200));
    return from_.size() == 1 && from_[peer] == relay->address &&
           gatherer_->stats().unwrapped == unwrapped + 1;
  }
  size_t allocations() const { return server_->server().allocations(); }

  sim::Network network_{{.seed = 1}};
  SeededRandom random_{1};
  sim::HostId server_host_ =
      network_.AddHost("server", {sim::kInternet, {kServer.ip, kServer6.ip}});
  sim::HostId peers_ =
      network_.AddHost("peers", {sim::kInternet, {kPeer.ip, kPeer6.ip}});
  std::unique_ptr<turn::SimServer> server_;
  sim::HostId host_{};
  std::unique_ptr<Gatherer> gatherer_;
  std::vector<Candidate> relays_;
  std::vector<Gatherer::CandidateGone> gone_;
  std::vector<TransportAddress> lost_;
  std::map<TransportAddress, TransportAddress> from_;  // By what peer.
  int failures_ = 0;
};

TEST_F(GathererFamiliesTest, OneAllocationGivesACandidateOfEach) {
  Serve(Serving({kServer.ip, kServer6.ip}));
  Begin({});
  ASSERT_EQ(relays_.size(), 2u);
  EXPECT_EQ(allocations(), 1u);
  const Candidate* v4 = Relay(IpFamily::kV4);
  const Candidate* v6 = Relay(IpFamily::kV6);
  ASSERT_TRUE(v4 && v6);
  EXPECT_EQ(v4->base, v4->address);
  EXPECT_EQ(v6->base, v6->address);
  EXPECT_GT(v6->priority, v4->priority);
  EXPECT_NE(v4->foundation, v6->foundation);
  for (const Candidate* relay : {v4, v6}) {
    EXPECT_EQ(relay->related->ip, kNat);
    EXPECT_EQ(relay->server, kServer);
    EXPECT_TRUE(gatherer_->IsRelayed(relay->address));
  }
  EXPECT_EQ(failures_, 0);
  EXPECT_TRUE(Carries(kPeer));
  EXPECT_TRUE(Carries(kPeer6));
  EXPECT_EQ(gatherer_->stats().drop_unwrappable, 0u);
  gatherer_->BindChannel(network_.now(), {v6->address, kPeer6});
  network_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(Carries(kPeer6)) << "by a channel";
  gatherer_->Close(network_.now());
  network_.RunFor(absl::Seconds(10));
  EXPECT_EQ(allocations(), 0u);
}

TEST_F(GathererFamiliesTest, AServerOfOneFamilyGivesOne) {
  Serve(Serving({kServer.ip}));
  Begin({});
  ASSERT_EQ(relays_.size(), 1u);
  EXPECT_TRUE(Carries(kPeer));
  EXPECT_FALSE(gatherer_->IsRelayed(kServer6));
  EXPECT_EQ(failures_, 0);
  EXPECT_TRUE(lost_.empty());
}

TEST_F(GathererFamiliesTest, AQuotaOfOneGivesOne) {
  turn::ServerOptions options = Serving({kServer.ip, kServer6.ip});
  options.allocations_per_user_max = 1;
  Serve(std::move(options));
  Begin({});
  ASSERT_EQ(relays_.size(), 1u);
  EXPECT_TRUE(Carries(relays_[0].address.ip.is_v4() ? kPeer : kPeer6));
  EXPECT_EQ(failures_, 0);
}

// A client that has IPv6 alone reaches peers of IPv4.
TEST_F(GathererFamiliesTest, AServerAtAnIpv6AddressGivesWhatItHas) {
  Serve(Serving({kServer.ip}));
  Begin({.hosts = {{kHost6}}, .turn_servers = {{kServer6, "u", "p"}}});
  ASSERT_EQ(relays_.size(), 1u);
  EXPECT_TRUE(Carries(kPeer));
}

TEST_F(GathererFamiliesTest, OneIsAskedForIfOptionsSaySo) {
  Serve(Serving({kServer.ip, kServer6.ip}));
  Begin({.hosts = {{kHost}, {kHost6}},
         .turn_servers = {{kServer, "u", "p"}, {kServer6, "u", "p"}},
         .relay_families = Families::kOne});
  ASSERT_EQ(relays_.size(), 2u);
  for (const Candidate& relay : relays_) {
    EXPECT_EQ(relay.address.ip, relay.server.ip);
  }
  EXPECT_EQ(allocations(), 2u);
}

TEST_F(GathererFamiliesTest, RelaysOfSeveralServersHaveAPriorityEach) {
  Serve(Serving({kServer.ip, kServer6.ip}));
  Begin(
      {.turn_servers = {{kServer, "u", "p"}, {{kServer.ip, 3479}, "u", "p"}}});
  ASSERT_EQ(relays_.size(), 4u);
  std::set<uint32_t> priorities;
  for (const Candidate& relay : relays_) priorities.insert(relay.priority);
  EXPECT_EQ(priorities.size(), 4u);
}

TEST_F(GathererFamiliesTest, BothAreLostWithTheAllocationAndFoundAgain) {
  Serve(Serving({kServer.ip, kServer6.ip}));
  Begin({});
  ASSERT_EQ(relays_.size(), 2u);
  // It comes back without its allocations.
  Serve(Serving({kServer.ip, kServer6.ip}));
  gatherer_->Restart(network_.now());
  network_.RunFor(absl::Minutes(1));
  EXPECT_EQ(lost_.size(), 2u);
  EXPECT_EQ(gone_.size(), 2u);
  ASSERT_EQ(relays_.size(), 4u);
  EXPECT_FALSE(gatherer_->IsRelayed(relays_[0].address));
  EXPECT_FALSE(gatherer_->IsRelayed(relays_[1].address));
  EXPECT_TRUE(Carries(kPeer));
  EXPECT_TRUE(Carries(kPeer6));
}

TEST_F(GathererFamiliesTest, BothMoveToAnotherAddressOfOurs) {
  Serve(Serving({kServer.ip, kServer6.ip}));
  Begin({.hosts = {{kHost}, {kHost2}}});
  ASSERT_EQ(relays_.size(), 2u);
  network_.RemoveAddress(host_, kHost.ip);
  ASSERT_OK(gatherer_->RemoveHost(network_.now(), kHost));
  network_.RunFor(absl::Seconds(5));
  EXPECT_EQ(gatherer_->stats().relays_moved, 1u);
  EXPECT_TRUE(lost_.empty());
  EXPECT_TRUE(gone_.empty());
  EXPECT_TRUE(Carries(kPeer));
  EXPECT_TRUE(Carries(kPeer6));
}

TEST_F(GathererFamiliesTest, BothAreUnwantedAndWantedAgain) {
  Serve(Serving({kServer.ip, kServer6.ip}));
  Begin({});
  ASSERT_EQ(relays_.size(), 2u);
  gatherer_->Configure({}, {}, GatherPolicy::kAll);
  gatherer_->Restart(network_.now());
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(gone_.size(), 2u);
  for (const auto& gone : gone_) EXPECT_EQ(gone.why, Why::kUnwanted);
  EXPECT_TRUE(Carries(kPeer));
  EXPECT_TRUE(Carries(kPeer6));

  gatherer_->Configure({}, {{kServer, "u", "p"}}, GatherPolicy::kAll);
  gatherer_->Restart(network_.now());
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(relays_.size(), 4u) << "told again";
  EXPECT_EQ(relays_[2].address, relays_[0].address);
  EXPECT_EQ(relays_[3].address, relays_[1].address);
  EXPECT_EQ(allocations(), 1u);

  gatherer_->Configure({}, {}, GatherPolicy::kAll);
  gatherer_->Restart(network_.now());
  gatherer_->ReleaseUnwanted(network_.now());
  network_.RunFor(absl::Seconds(10));
  EXPECT_EQ(allocations(), 0u);
  EXPECT_FALSE(gatherer_->IsRelayed(relays_[0].address));
  EXPECT_FALSE(gatherer_->IsRelayed(relays_[1].address));
}

// A server that has ended one family says so of a peer of that family.
TEST(GathererFamilies, OneThatEndsIsLostAloneAndTheOtherGoesOn) {
  const TransportAddress host{IpAddress::V4(192, 0, 2, 1), 5000};
  turn::ScriptedServer server;
  server.additional = TransportAddress{kServer6.ip, 50000};
  SeededRandom random(1);
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  Gatherer gatherer(
      {.hosts = {{host}}, .turn_servers = {{kServer, "user", "pass"}}}, random);
  ASSERT_OK(gatherer.Start(now));
  std::array<uint8_t, 1500> out;
  const auto serve = [&] {
    for (int i = 0; i < 20; ++i) {
      now += absl::Milliseconds(5);
      gatherer.HandleTimeout(now);
      const auto request = gatherer.PollTransmit(now, absl::MakeSpan(out));
      if (!request) continue;
      gatherer.HandlePacket(now,
                            {request->path, server.Answer(request->bytes)});
    }
  };
  serve();
  ASSERT_TRUE(gatherer.IsRelayed(server.relayed));
  ASSERT_TRUE(gatherer.IsRelayed(*server.additional));
  while (gatherer.PollEvent()) {
  }
  server.gone = IpFamily::kV6;
  gatherer.Permit(now, kPeer6);
  serve();
  EXPECT_TRUE(gatherer.IsRelayed(server.relayed));
  EXPECT_FALSE(gatherer.IsRelayed(*server.additional));
  std::vector<TransportAddress> lost;
  std::vector<TransportAddress> gone;
  while (const auto event = gatherer.PollEvent()) {
    if (const auto* told = std::get_if<Gatherer::RelayLost>(&*event)) {
      lost.push_back(told->relayed);
      EXPECT_FALSE(told->status.ok());
    } else if (const auto* candidate =
                   std::get_if<Gatherer::CandidateGone>(&*event)) {
      gone.push_back(candidate->candidate.address);
    }
  }
  EXPECT_EQ(lost, std::vector<TransportAddress>{*server.additional});
  EXPECT_EQ(gone, lost);
  gatherer.Permit(now, kPeer);
  serve();
  EXPECT_OK(gatherer.Wrap(now, {{server.relayed, kPeer}, AsBytes("data")},
                          absl::MakeSpan(out)));
  EXPECT_FALSE(gatherer
                   .Wrap(now, {{*server.additional, kPeer6}, AsBytes("data")},
                         absl::MakeSpan(out))
                   .ok());
}

}  // namespace
}  // namespace kyuu::ice
