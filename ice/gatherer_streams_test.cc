// TURN servers over TCP and TLS: what is asked of the driver, when, and what
// becomes of it. On sim a stream is a path of TCP on which nothing is lost.

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "ice/gatherer.h"
#include "sim/network.h"
#include "stun/protocol.h"
#include "turn/testing/scripted_server.h"
#include "turn/testing/sim_server.h"

namespace kyuu::ice {
namespace {

const IpAddress kServerIp = IpAddress::V4(192, 0, 2, 100);
const TransportAddress kServer{kServerIp, 443};
const IpAddress kOtherIp = IpAddress::V4(192, 0, 2, 101);
const TransportAddress kHost{IpAddress::V4(192, 0, 2, 1), 5000};

TurnServer Server(RelayProtocol protocol, const TransportAddress& at = kServer,
                  const std::string& password = "p") {
  return {at, "u", password, protocol, "turn.example"};
}

class GathererStreamsTest : public ::testing::Test {
 protected:
  GathererStreamsTest()
      : network_({.seed = 1}),
        random_(1),
        server_(std::make_unique<turn::SimServer>(
            random_, turn::OpenServerOptions(kServer))) {
    server_host_ = network_.AddHost("server", {sim::kInternet, {kServerIp}});
    server_->Attach(network_, server_host_, {kServer});
    host_ = network_.AddHost("client", {sim::kInternet, {kHost.ip}});
  }

  void Begin(GathererOptions options) {
    options.hosts = {{kHost}};
    options.hosts[0].shared = shared_;
    gatherer_ = std::make_unique<Gatherer>(std::move(options), random_);
    endpoint_ = network_.Attach(host_, {kHost}, *gatherer_,
                                [this](Gatherer::Event event) { On(event); });
    start_ = network_.now();
    ASSERT_OK(gatherer_->Start(start_));
  }
  // Only TCP gets out.
  void BlockUdp() {
    network_.set_filter([](const Datagram& datagram) {
      return datagram.path.transport == Transport::kTcp ||
             datagram.path.local.ip != kHost.ip;
    });
  }

  // A driver that connects after two round trips.
  void On(const Gatherer::Event& event) {
    if (const auto* wanted = std::get_if<StreamWanted>(&event)) {
      wanted_.push_back(*wanted);
      wanted_at_.push_back(network_.now() - start_);
      if (refuse_) {
        network_.After(absl::Milliseconds(20), [this, id = wanted->id] {
          gatherer_->StreamEnded(network_.now(), id,
                                 absl::UnavailableError("refused"));
        });
      } else if (!black_hole_) {
        network_.After(absl::Milliseconds(20),
                       [this, id = wanted->id] { Connect(id); });
      }
    } else if (const auto* over = std::get_if<StreamUnwanted>(&event)) {
      unwanted_.push_back(over->id);
    } else if (const auto* found =
                   std::get_if<Gatherer::CandidateFound>(&event)) {
      if (found->candidate.type == CandidateType::kRelayed) {
        relays_.push_back(found->candidate);
      } else {
        others_.push_back(found->candidate);
      }
    } else if (const auto* failed =
                   std::get_if<Gatherer::ServerFailed>(&event)) {
      failures_.push_back(*failed);
    } else if (const auto* lost = std::get_if<Gatherer::RelayLost>(&event)) {
      lost_.push_back(*lost);
    } else if (std::holds_alternative<Gatherer::Closed>(event)) {
      closed_ = true;
    }
  }
  void Connect(StreamId id) {
    locals_[id] = {kHost.ip, next_port_++};
    network_.Bind(endpoint_, locals_[id]);
    gatherer_->StreamConnected(network_.now(), id, locals_[id]);
  }
  void EndStream(StreamId id) {
    network_.Unbind(endpoint_, locals_[id]);
    gatherer_->StreamEnded(network_.now(), id, absl::DataLossError("reset"));
  }
  // As relays_ has them.
  std::vector<RelayProtocol> Protocols() const {
    std::vector<RelayProtocol> result;
    for (const Candidate& c : relays_) result.push_back(*c.relay_protocol);
    return result;
  }

  sim::Network network_;
  SeededRandom random_;
  std::unique_ptr<turn::SimServer> server_;
  sim::HostId server_host_{};
  sim::HostId host_{};
  sim::EndpointId endpoint_{};
  std::unique_ptr<Gatherer> gatherer_;
  absl::Time start_;
  bool shared_ = false;  // Our address, with other agents.
  bool refuse_ = false;
  bool black_hole_ = false;
  uint16_t next_port_ = 40000;
  std::map<StreamId, TransportAddress> locals_;
  std::vector<StreamWanted> wanted_;
  std::vector<absl::Duration> wanted_at_;
  std::vector<StreamId> unwanted_;
  std::vector<Candidate> relays_;
  std::vector<Candidate> others_;
  std::vector<Gatherer::ServerFailed> failures_;
  std::vector<Gatherer::RelayLost> lost_;
  bool closed_ = false;
};

const auto kUdp = RelayProtocol::kUdp;
const auto kTcp = RelayProtocol::kTcp;
const auto kTls = RelayProtocol::kTls;
const auto kStays = turn::ClientOptions::Mobility::kNone;

TEST_F(GathererStreamsTest, AServerOverTcpGivesARelay) {
  Begin({.turn_servers = {Server(kTcp)}});
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(wanted_.size(), 1u);
  EXPECT_EQ(wanted_at_[0], absl::ZeroDuration()) << "nobody is faster";
  EXPECT_EQ(wanted_[0].server, kServer);
  EXPECT_EQ(wanted_[0].protocol, kTcp);
  EXPECT_EQ(wanted_[0].host, "turn.example");
  ASSERT_EQ(Protocols(), std::vector<RelayProtocol>{kTcp});
  EXPECT_TRUE(gatherer_->IsRelayed(relays_[0].address));
  EXPECT_TRUE(gatherer_->finished());
  // Where the server sees the stream come from is no address of our socket.
  EXPECT_EQ(others_.size(), 1u);
  EXPECT_TRUE(unwanted_.empty());
}

// An allocation is known by its 5-tuple, of which others of the port have the
// same.
TEST_F(GathererStreamsTest, ASharedAddressAsksForRelaysByStreamsOnly) {
  shared_ = true;
  Begin({.stun_servers = {kServer},
         .turn_servers = {Server(kUdp), Server(kTcp)}});
  network_.RunFor(absl::Seconds(5));
  EXPECT_EQ(Protocols(), std::vector<RelayProtocol>{kTcp});
  EXPECT_TRUE(gatherer_->finished());
  EXPECT_TRUE(failures_.empty()) << "UDP was not tried";
  gatherer_->ReviewRelays(network_.now());
  gatherer_->Restart(network_.now());
  network_.RunFor(absl::Seconds(5));
  EXPECT_EQ(Protocols(), std::vector<RelayProtocol>{kTcp});
}

TEST_F(GathererStreamsTest, SlowerProtocolsAreSparedIfAFasterOneServes) {
  Begin({.turn_servers = {Server(kTls), Server(kTcp), Server(kUdp)}});
  network_.RunFor(absl::Seconds(20));
  EXPECT_EQ(Protocols(), std::vector<RelayProtocol>{kUdp});
  EXPECT_TRUE(wanted_.empty());
  EXPECT_TRUE(gatherer_->finished());
}

TEST_F(GathererStreamsTest, BehindAFirewallTcpComesSoonAndUdpHoldsUpNobody) {
  BlockUdp();
  Begin({.turn_servers = {Server(kUdp), Server(kTcp), Server(kTls)}});
  ASSERT_TRUE(network_.RunUntil([&] { return !relays_.empty(); },
                                absl::Milliseconds(300)));
  network_.RunFor(absl::Seconds(5));
  EXPECT_EQ(Protocols(), std::vector<RelayProtocol>{kTcp});
  EXPECT_EQ(wanted_at_, std::vector<absl::Duration>{absl::Milliseconds(200)});
}

TEST_F(GathererStreamsTest, TlsComesWhenTcpIsRefused) {
  BlockUdp();
  refuse_ = true;
  Begin({.turn_servers = {Server(kUdp), Server(kTcp), Server(kTls)}});
  ASSERT_TRUE(network_.RunUntil([&] { return !failures_.empty(); },
                                absl::Milliseconds(300)));
  EXPECT_EQ(failures_[0].protocol, kTcp);
  EXPECT_EQ(failures_[0].status.message(), "refused");
  refuse_ = false;
  network_.RunFor(absl::Seconds(5));
  EXPECT_EQ(wanted_at_, (std::vector<absl::Duration>{absl::Milliseconds(200),
                                                     absl::Milliseconds(400)}));
  EXPECT_EQ(Protocols(), std::vector<RelayProtocol>{kTls});
}

TEST_F(GathererStreamsTest, AServerThatNeverConnectsFailsAtItsDeadline) {
  black_hole_ = true;
  Begin({.turn_servers = {Server(kTcp)}});
  network_.RunFor(absl::Seconds(2));
  EXPECT_TRUE(gatherer_->finished()) << "nobody waits for it";
  EXPECT_TRUE(failures_.empty());
  network_.RunFor(absl::Seconds(9));
  ASSERT_EQ(failures_.size(), 1u);
  EXPECT_THAT(failures_[0].status,
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(unwanted_, std::vector<StreamId>{wanted_[0].id});
  // Too late.
  Connect(wanted_[0].id);
  network_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(relays_.empty());
}

TEST_F(GathererStreamsTest, RelaysOfFasterProtocolsComeFirst) {
  Begin({.turn_servers = {Server(kTls), Server(kTcp), Server(kUdp)},
         .slower_after = absl::ZeroDuration()});
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(relays_.size(), 3u);
  std::map<RelayProtocol, Candidate> by;
  for (const Candidate& c : relays_) by[*c.relay_protocol] = c;
  EXPECT_GT(by[kUdp].priority, by[kTcp].priority);
  EXPECT_GT(by[kTcp].priority, by[kTls].priority);
  EXPECT_EQ(by[kUdp].priority >> 24, 2u);
  EXPECT_EQ(by[kTls].priority >> 24, 0u);
  for (const Candidate& c : others_) EXPECT_GT(c.priority, by[kUdp].priority);
}

TEST_F(GathererStreamsTest, ALostStreamLosesTheRelayWhichIsAskedForAgain) {
  Begin({.turn_servers = {Server(kTcp)}, .mobility = kStays});
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(relays_.size(), 1u);
  EndStream(wanted_[0].id);
  ASSERT_EQ(lost_.size(), 0u) << "told by the next poll";
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0].relayed, relays_[0].address);
  EXPECT_THAT(lost_[0].status, StatusIs(absl::StatusCode::kDataLoss));
  ASSERT_EQ(relays_.size(), 2u);
  EXPECT_TRUE(gatherer_->IsRelayed(relays_[1].address));
  EXPECT_TRUE(unwanted_.empty()) << "who has ended it needs no telling";
  // And in the background, with growing pauses, while nobody is there.
  refuse_ = true;
  EndStream(wanted_[1].id);
  network_.RunFor(absl::Seconds(10));
  EXPECT_EQ(wanted_.size(), 6u) << "at 0, 1, 3 and 7 s";
}

// The way out may have become one for TCP alone.
TEST_F(GathererStreamsTest, DoubtsAndRestartsAskTheSparedOnes) {
  Begin({.turn_servers = {Server(kUdp), Server(kTcp), Server(kTls)},
         .mobility = kStays});
  network_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(wanted_.empty());
  gatherer_->ReviewRelays(network_.now());
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(Protocols(), (std::vector<RelayProtocol>{kUdp, kTcp, kTls}));
  EXPECT_TRUE(gatherer_->finished());
  for (const StreamWanted& wanted : wanted_) EndStream(wanted.id);
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(relays_.size(), 5u);
}

TEST_F(GathererStreamsTest, ALostRelayOverUdpHasTheOthersAsked) {
  Begin({.turn_servers = {Server(kUdp), Server(kTcp)}});
  network_.RunFor(absl::Seconds(1));
  // The server has forgotten it, says so, and gives no other one.
  server_->server().ClientGone({kServer, kHost});
  network_.set_filter([](const Datagram& datagram) {
    return datagram.path.transport == Transport::kTcp ||
           datagram.path.local != kHost || datagram.bytes[1] != 3;
  });
  network_.RunFor(absl::Minutes(9) + absl::Seconds(1));
  EXPECT_EQ(lost_.size(), 1u);
  EXPECT_EQ(Protocols(), (std::vector<RelayProtocol>{kUdp, kTcp}));
}

TEST_F(GathererStreamsTest, AHostAddressThatGoesTakesItsStreamsAlong) {
  Begin({.turn_servers = {Server(kTcp)}, .mobility = kStays});
  network_.RunFor(absl::Seconds(1));
  ASSERT_OK(gatherer_->RemoveHost(network_.now(), kHost));
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(lost_.size(), 1u);
  EXPECT_EQ(unwanted_, std::vector<StreamId>{wanted_[0].id});
  EXPECT_EQ(wanted_.size(), 1u) << "nothing leads to the server";
  ASSERT_OK(gatherer_->AddHost(network_.now(), {kHost}));
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(relays_.size(), 2u);
}

TEST_F(GathererStreamsTest, CloseGivesTheAllocationBackAndThenTheStream) {
  Begin({.turn_servers = {Server(kTcp)}});
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(server_->server().allocations(), 1u);
  gatherer_->Close(network_.now());
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(server_->server().allocations(), 0u);
  EXPECT_EQ(unwanted_, std::vector<StreamId>{wanted_[0].id});
  EXPECT_TRUE(closed_);
}

TEST_F(GathererStreamsTest, CloseWaitsForNoStream) {
  black_hole_ = true;
  Begin({.turn_servers = {Server(kTcp)}});
  network_.RunFor(absl::Milliseconds(100));
  gatherer_->Close(network_.now());
  network_.RunFor(absl::Milliseconds(1));
  EXPECT_EQ(unwanted_, std::vector<StreamId>{wanted_[0].id});
  EXPECT_TRUE(closed_);
}

TEST_F(GathererStreamsTest, WrongCredentialsEndTheStream) {
  Begin({.turn_servers = {Server(kTcp, kServer, "wrong")}});
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(failures_.size(), 1u);
  EXPECT_EQ(failures_[0].code, 401);
  EXPECT_EQ(unwanted_, std::vector<StreamId>{wanted_[0].id});
}

TEST_F(GathererStreamsTest, WhoIsSentElsewhereGoesThereOnce) {
  const TransportAddress other{kOtherIp, 443};
  const sim::HostId host =
      network_.AddHost("other", {sim::kInternet, {kOtherIp}});
  turn::ScriptedServer script{.alternate = kServer};
  script.errors[stun::Method::kAllocate] = stun::Error::kTryAlternate;
  network_.Listen(host, other, [&](const Datagram& in) {
    network_.Send(host, {{in.path.local, in.path.remote, in.path.transport},
                         script.Answer(in.bytes)});
  });
  Begin({.turn_servers = {Server(kTls, other)}});
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(wanted_.size(), 2u);
  EXPECT_EQ(wanted_[1].server, kServer);
  EXPECT_EQ(wanted_[1].host, "turn.example");
  EXPECT_EQ(unwanted_, std::vector<StreamId>{wanted_[0].id});
  EXPECT_EQ(Protocols(), std::vector<RelayProtocol>{kTls});
  EXPECT_TRUE(failures_.empty());
}

TEST_F(GathererStreamsTest, LimitsAreForEachProtocol) {
  GathererOptions options{.max_servers = 1};
  for (uint16_t port = 1; port < 4; ++port) {
    for (const RelayProtocol protocol : {kUdp, kTcp, kTls}) {
      options.turn_servers.push_back(Server(protocol, {kOtherIp, port}));
    }
  }
  options.slower_after = absl::ZeroDuration();
  black_hole_ = true;
  Begin(std::move(options));
  network_.RunFor(absl::Seconds(1));
  ASSERT_EQ(wanted_.size(), 2u);
  EXPECT_EQ(wanted_[0].protocol, kTcp);
  EXPECT_EQ(wanted_[1].protocol, kTls);
  gatherer_->UpdateServers(
      {}, {Server(kTcp, {kOtherIp, 9}), Server(kTls, {kOtherIp, 1}, "new")});
  gatherer_->Restart(network_.now());
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(wanted_.size(), 2u) << "both are being connected, and no third";
}

}  // namespace
}  // namespace kyuu::ice
