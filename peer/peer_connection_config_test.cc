// What a PeerConnection is told of servers and tells of itself, in the terms of
// RTCConfiguration and getStats().

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/testing.h"
#include "dtls/certificate.h"
#include "net/loop.h"
#include "net/testing/loop.h"
#include "net/train.h"
#include "net/udp_socket.h"
#include "peer/peer_connection.h"
#include "peer/testing/peer_connection_pair.h"

namespace kyuu::peer {
namespace {

using testing::HasSubstr;

// A STUN server that says nothing, and counts who asks.
class Server {
 public:
  Server()
      : socket_(net::UdpSocket::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}})
                    .value()),
        watch_(*loop_, socket_.fd(), net::Interest::kRead,
               [this](net::Readiness) {
                 for (const net::Train& train : socket_.Receive(buffer_)) {
                   requests_ += train.segments();
                 }
                 loop_->Stop();
               }) {}

  std::string port() const { return absl::StrCat(socket_.local().port); }
  void Await(size_t requests) {
    loop_.RunUntil([&] { return requests_ >= requests; });
  }
  // Of what has arrived.
  size_t requests() {
    loop_->Post([this] { loop_->Stop(); });
    loop_->Run();
    return requests_;
  }

 private:
  net::TestLoop loop_;
  net::UdpSocket socket_;
  net::ReceiveBuffer buffer_;
  net::Watch watch_;
  size_t requests_ = 0;
};

Configuration With(std::string url) {
  return {.ice_servers = {{.urls = {std::move(url)}}},
          .loopback = LoopbackUse::kAlways};
}

TEST(PeerConnectionConfig, ServersAreAskedByAddressAndByName) {
  for (const char* host : {"127.0.0.1", "localhost"}) {
    Server server;
    auto connection = PeerConnection::Create(
        With(absl::StrCat("stun:", host, ":", server.port())), {});
    ASSERT_OK(connection);
    ASSERT_OK((*connection)->CreateDataChannel({.label = "x"}));
    ASSERT_OK((*connection)->SetLocalDescription());
    server.Await(1);
  }
}

TEST(PeerConnectionConfig, AnUnknownNameIsToldAndHoldsUpNothing) {
  Board board;
  // No name: a label has 63 characters at most, so nobody else is asked.
  const std::string host(64, 'x');
  PeerConnectionHandlers handlers;
  handlers.on_ice_candidate_error = [&](const ServerFailed& failed) {
    EXPECT_EQ(failed.server, TransportAddress());
    board.Note(std::string(failed.status.message()));
  };
  handlers.on_ice_gathering_state_change = [&](GatheringState state) {
    board.Note(std::string(ToString(state)));
  };
  auto connection = PeerConnection::Create(With("stun:" + host + ".invalid"),
                                           std::move(handlers));
  ASSERT_OK(connection);
  ASSERT_OK((*connection)->CreateDataChannel({.label = "x"}));
  ASSERT_OK((*connection)->SetLocalDescription());
  ASSERT_TRUE(board.Wait("complete"));
  const std::vector<std::string> lines = board.lines();
  EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [&](const auto& line) {
    return absl::StrContains(line, host);
  }));
}

TEST(PeerConnectionConfig, AWrongUrlIsRefusedAtOnce) {
  EXPECT_THAT(PeerConnection::Create(With("http://example.org"), {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(PeerConnection::Create(With("turn:127.0.0.1"), {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  auto connection = PeerConnection::Create({}, {});
  ASSERT_OK(connection);
  EXPECT_THAT((*connection)->UpdateIceServers({{.urls = {"stun:"}}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// webrtc-pc section 4.4.1.6: the next gathering asks them.
TEST(PeerConnectionConfig, NewServersAreAskedByARestart) {
  Server first, second, third;
  Pair pair;
  pair.a.Create(With("stun:127.0.0.1:" + first.port()), pair.b);
  pair.b.Create({}, pair.a);
  pair.Connect();
  ASSERT_TRUE(pair.a.board().Wait("open"));
  first.Await(1);
  ASSERT_TRUE(pair.a.board().Wait("gathering complete"));
  ASSERT_OK(
      pair.a->UpdateIceServers({{.urls = {"stun:127.0.0.1:" + second.port(),
                                          "stun:localhost:" + third.port()}}}));
  EXPECT_EQ(second.requests(), 0u);
  pair.a->RestartIce();
  pair.Negotiate();
  second.Await(1);
  third.Await(1);  // Whose name the gathering waited for.
  EXPECT_TRUE(pair.a.board().Wait("gathering complete", 2));
}

TEST(PeerConnectionConfig, AConfigurationIsReplacedWhole) {
  Server first, second, third;
  Pair pair;
  pair.a.Create(With("stun:127.0.0.1:" + first.port()), pair.b);
  pair.b.Create({}, pair.a);
  pair.Connect();
  ASSERT_TRUE(pair.a.board().Wait("open"));
  ASSERT_TRUE(pair.a.board().Wait("gathering complete"));
  const size_t asked = first.requests();
  Configuration configuration = pair.a->GetConfiguration();
  configuration.ice_servers = {{.urls = {"stun:127.0.0.1:" + second.port(),
                                         "stun:localhost:" + third.port()}}};
  ASSERT_OK(pair.a->SetConfiguration(configuration));
  EXPECT_EQ(second.requests(), 0u);
  pair.Negotiate();  // Which restarts ICE.
  second.Await(1);
  third.Await(1);
  EXPECT_TRUE(pair.a.board().Wait("gathering complete", 2));
  EXPECT_EQ(first.requests(), asked);
  EXPECT_EQ(pair.a->GetConfiguration().ice_servers[0].urls,
            configuration.ice_servers[0].urls);
}

// Names of a configuration that is replaced before they are known.
TEST(PeerConnectionConfig, NamesOfAnEarlierConfigurationAreForgotten) {
  Server first, second;
  auto connection =
      PeerConnection::Create(With("stun:localhost:" + first.port()), {});
  ASSERT_OK(connection);
  Configuration configuration = (*connection)->GetConfiguration();
  configuration.ice_servers = {{.urls = {"stun:127.0.0.1:" + second.port()}}};
  ASSERT_OK((*connection)->SetConfiguration(configuration));
  ASSERT_OK((*connection)->CreateDataChannel({.label = "x"}));
  ASSERT_OK((*connection)->SetLocalDescription());
  second.Await(1);
  EXPECT_EQ(first.requests(), 0u);
}

TEST(PeerConnectionConfig, APoolAsksBeforeThereIsADescription) {
  Server address, name;
  Configuration configuration = With("stun:127.0.0.1:" + address.port());
  configuration.ice_servers[0].urls.push_back("stun:localhost:" + name.port());
  configuration.ice_candidate_pool_size = 1;
  auto connection = PeerConnection::Create(configuration, {});
  ASSERT_OK(connection);
  address.Await(1);
  name.Await(1);
  EXPECT_EQ((*connection)->ice_gathering_state(), GatheringState::kNew);
}

TEST(PeerConnectionConfig, WhatMayNotChangeIsRefusedWithItsReason) {
  auto connection = PeerConnection::Create({}, {});
  ASSERT_OK(connection);
  const Configuration before = (*connection)->GetConfiguration();
  const auto refused = [&](auto change) {
    Configuration configuration = before;
    change(configuration);
    const absl::Status status = (*connection)->SetConfiguration(configuration);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
    return std::string(status.message());
  };
  EXPECT_OK((*connection)->SetConfiguration(before));
  EXPECT_OK((*connection)->SetConfiguration({}));
  EXPECT_THAT(refused([](Configuration& c) {
                c.certificate = *dtls::Certificate::Generate(absl::Now());
              }),
              HasSubstr("certificate"));
  EXPECT_THAT(refused([](Configuration& c) { c.thread = *Thread::Start(); }),
              HasSubstr("thread"));
  EXPECT_THAT(refused([](Configuration& c) { c.sockets_max = 1; }),
              HasSubstr("sockets"));
  EXPECT_THAT(refused([](Configuration& c) { c.ice_tcp = TcpUse::kNone; }),
              HasSubstr("sockets"));
  EXPECT_THAT(refused([](Configuration& c) { c.hide_addresses = true; }),
              HasSubstr("addresses"));
  EXPECT_THAT(refused([](Configuration& c) {
                c.ice_servers = {{.urls = {"turn:127.0.0.1"}}};
              }),
              HasSubstr("turn"));
  ASSERT_OK((*connection)->CreateDataChannel({.label = "x"}));
  ASSERT_OK((*connection)->SetLocalDescription());
  EXPECT_THAT(refused([](Configuration& c) { c.ice_candidate_pool_size = 3; }),
              HasSubstr("pool"));
  (*connection)->Close();
  EXPECT_THAT((*connection)->SetConfiguration(before),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(PeerConnectionConfig, TellsWhatThePeerTakes) {
  Pair pair;
  pair.a.Create({}, pair.b);
  Configuration configuration;
  configuration.engine.max_message_size = 12345;
  pair.b.Create(std::move(configuration), pair.a);
  EXPECT_EQ(pair.a->max_message_size(), std::nullopt);
  EXPECT_EQ(pair.a->can_trickle_ice_candidates(), std::nullopt);
  pair.Connect();
  ASSERT_TRUE(pair.a.board().Wait("open"));
  EXPECT_EQ(pair.a->max_message_size(), 12345u);
  EXPECT_EQ(pair.a->can_trickle_ice_candidates(), true);
}

TEST(PeerConnectionConfig, ReportsAreThoseOfW3c) {
  Pair pair;
  pair.a.Create({}, pair.b);
  pair.b.Create({}, pair.a);
  EXPECT_EQ(pair.a->GetStatsReport().transport.dtls_state, "new");
  pair.Connect();
  ASSERT_TRUE(pair.a.board().Wait("open"));
  ASSERT_TRUE(pair.b.board().Wait("open"));
  ASSERT_OK(pair.a.channel()->Send("hello"));
  ASSERT_TRUE(pair.b.board().Wait("message text:hello"));
  const StatsReport a = pair.a->GetStatsReport();
  const StatsReport b = pair.b->GetStatsReport();
  EXPECT_EQ(a.transport.dtls_state, "connected");
  EXPECT_THAT(a.transport.dtls_cipher, HasSubstr("TLS_ECDHE_ECDSA_WITH_"));
  EXPECT_NE(a.transport.selected_candidate_pair_id, "");
  EXPECT_NE(a.transport.ice_role, b.transport.ice_role);
  EXPECT_NE(a.transport.dtls_role, b.transport.dtls_role);
  ASSERT_EQ(a.certificates.size(), 2u);
  ASSERT_EQ(b.certificates.size(), 2u);
  EXPECT_NE(a.certificates[0].fingerprint, "");
  EXPECT_EQ(a.certificates[1].fingerprint, b.certificates[0].fingerprint);
  ASSERT_EQ(a.data_channels.size(), 1u);
  EXPECT_EQ(a.data_channels[0].label, "chat");
  EXPECT_EQ(a.data_channels[0].state, "open");
  EXPECT_EQ(a.data_channels[0].counters.messages_sent, 1u);
  EXPECT_EQ(a.peer_connection.data_channels_opened, 1u);
  // Ids stay.
  EXPECT_EQ(pair.a->GetStatsReport().transport.selected_candidate_pair_id,
            a.transport.selected_candidate_pair_id);
}

// A candidate that names its generation beside it waits for that one.
TEST(PeerConnectionConfig, ACandidateOfAnotherGenerationWaits) {
  Board board;
  PeerConnectionHandlers handlers;
  handlers.on_ice_candidate = [&](const IceCandidate& candidate) {
    board.Note(absl::StrCat("ufrag ", candidate.username_fragment));
  };
  auto a = PeerConnection::Create({.loopback = LoopbackUse::kAlways},
                                  std::move(handlers));
  auto b = PeerConnection::Create({.loopback = LoopbackUse::kAlways}, {});
  ASSERT_OK(a);
  ASSERT_OK(b);
  ASSERT_OK((*a)->CreateDataChannel({.label = "x"}));
  ASSERT_OK((*a)->SetLocalDescription());
  const std::string offer = (*a)->local_description()->sdp;
  const size_t at = offer.find("a=ice-ufrag:") + 12;
  const std::string ufrag = offer.substr(at, offer.find('\r', at) - at);
  ASSERT_TRUE(board.Wait("ufrag " + ufrag));
  ASSERT_OK((*b)->SetRemoteDescription({SdpType::kOffer, offer}));
  const std::string line = "candidate:1 1 udp 1 127.0.0.1 9 typ host";
  ASSERT_OK((*b)->AddIceCandidate({line, "", 0, "another"}));
  ASSERT_OK((*b)->SetLocalDescription());
  const auto remotes = [&] {
    const StatsReport report = (*b)->GetStatsReport();
    return std::count_if(report.candidates.begin(), report.candidates.end(),
                         [](const IceCandidateStats& candidate) {
                           return candidate.is_remote && candidate.port == 9;
                         });
  };
  EXPECT_EQ(remotes(), 0);
  ASSERT_OK((*b)->AddIceCandidate({line, "", 0, ufrag}));
  EXPECT_GT(remotes(), 0);
}

}  // namespace
}  // namespace kyuu::peer
