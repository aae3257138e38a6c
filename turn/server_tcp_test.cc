// TCP connections between relayed addresses and peers (RFC 6062), as the server
// decides about them.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/testing.h"
#include "stun/message.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

// A client on a stream.
TestClient OnStream(uint16_t port, std::string name = "u",
                    std::string password = "p") {
  TestClient client(port, std::move(name), std::move(password));
  client.path.transport = Transport::kTcp;
  return client;
}

class TurnTcp : public testing::Test {
 protected:
  explicit TurnTcp(ServerOptions options = ServerHarness::Options())
      : harness_(options) {}

  template <typename Fill>
  Reply Allocate(TestClient& client, Fill more) {
    if (client.nonce.empty()) harness_.Challenge(client);
    const Reply reply = harness_.Call(
        client, stun::Method::kAllocate, [&](stun::MessageWriter& w) {
          w.Add(stun::RequestedTransport{stun::RequestedTransport::kTcp});
          more(w);
        });
    if (reply.ok()) {
      client.relayed = reply.Get<stun::XorRelayedAddress>()->address;
    }
    return reply;
  }
  Reply Allocate(TestClient& client) {
    return Allocate(client, [](stun::MessageWriter&) {});
  }
  // A client with an allocation, and its relay.
  RelayId Begin(TestClient& client) {
    EXPECT_EQ(Allocate(client).error(), 0);
    return Made().relay;
  }
  Server::AllocationMade Made() { return Take<Server::AllocationMade>(); }
  // The next event of that kind; others before it are forgotten.
  template <typename E>
  E Take() {
    while (!harness_.events().empty()) {
      const Server::Event event = harness_.events().front();
      harness_.events().pop_front();
      if (const auto* wanted = std::get_if<E>(&event)) return *wanted;
    }
    ADD_FAILURE() << "no such event";
    return {};
  }
  template <typename E>
  size_t Count() {
    size_t count = 0;
    for (const Server::Event& event : harness_.events()) {
      count += std::holds_alternative<E>(event) ? 1 : 0;
    }
    return count;
  }

  Reply Connect(const TestClient& client, const TransportAddress& peer) {
    return harness_.Call(
        client, stun::Method::kConnect,
        [&](stun::MessageWriter& w) { w.Add(stun::XorPeerAddress{peer}); });
  }
  // One that is connected, and waits for being bound.
  ConnectionId Connected(const TestClient& client,
                         const TransportAddress& peer) {
    EXPECT_TRUE(Connect(client, peer).empty());
    const ConnectionId id = Take<Server::ConnectPeer>().connection;
    connections().Connected(harness_.now(), id);
    EXPECT_EQ(harness_.Poll(client).Get<stun::ConnectionId>()->value,
              static_cast<uint32_t>(id));
    return id;
  }
  Reply Bind(TestClient& client, ConnectionId id) {
    if (client.nonce.empty()) harness_.Challenge(client);
    return harness_.Call(client, stun::Method::kConnectionBind,
                         [&](stun::MessageWriter& w) {
                           w.Add(stun::ConnectionId{static_cast<uint32_t>(id)});
                         });
  }
  PeerConnections& connections() { return harness_.server().connections(); }
  const ServerStats& stats() { return harness_.server().stats(); }

  ServerHarness harness_;
  TestClient client_ = OnStream(1000);
  TestClient data_ = OnStream(1001);
};

TEST_F(TurnTcp, AllocatesAListeningSocketForClientsOnStreamsOnly) {
  harness_.open_relays = false;
  EXPECT_TRUE(Allocate(client_).empty());
  const auto open = Take<Server::OpenRelay>();
  EXPECT_EQ(open.transport, Transport::kTcp);
  harness_.server().RelayOpened(harness_.now(), open.relay);
  harness_.Drain();
  EXPECT_TRUE(harness_.Poll(client_).ok());
  EXPECT_EQ(Made().transport, Transport::kTcp);

  TestClient udp(1002);
  EXPECT_EQ(Allocate(udp).error(), 400);
}

TEST_F(TurnTcp, AllocateRefusesWhatIsOfDatagrams) {
  EXPECT_EQ(
      Allocate(client_, [](stun::MessageWriter& w) { w.Add(stun::EvenPort{}); })
          .error(),
      400);
  EXPECT_EQ(
      Allocate(client_,
               [](stun::MessageWriter& w) { w.Add(stun::ReservationToken{}); })
          .error(),
      400);
  EXPECT_EQ(
      Allocate(client_,
               [](stun::MessageWriter& w) { w.Add(stun::DontFragment{}); })
          .error(),
      400);
  Begin(client_);
  EXPECT_EQ(harness_.Bind(client_, 0x4000, kTestPeer).error(), 403);
  harness_.Permit(client_, kTestPeer.ip);
  const auto send = harness_.SendIndication(kTestPeer, "hello");
  EXPECT_TRUE(harness_.server()
                  .FromClient(harness_.now(), client_.path, send, send.size())
                  .empty());
  EXPECT_EQ(stats().no_allocation, 1u);
}

TEST_F(TurnTcp, RefusesWhatTheOperatorDoesNotOffer) {
  ServerOptions options = ServerHarness::Options();
  options.tcp_relay = ServerOptions::TcpRelay::kRefuse;
  harness_.SetOptions(options);
  EXPECT_EQ(Allocate(client_).error(), 442);
}

TEST_F(TurnTcp, ConnectsBindsAndPassesOn) {
  Begin(client_);
  EXPECT_TRUE(Connect(client_, kTestPeer).empty()) << "answered when it stands";
  const auto connect = Take<Server::ConnectPeer>();
  EXPECT_EQ(connect.bind, client_.relayed);
  EXPECT_EQ(connect.peer, kTestPeer);
  connections().Connected(harness_.now(), connect.connection);
  const Reply reply = harness_.Poll(client_);
  EXPECT_TRUE(reply.ok());
  EXPECT_EQ(reply.Get<stun::ConnectionId>()->value,
            static_cast<uint32_t>(connect.connection));

  EXPECT_TRUE(Bind(data_, connect.connection).ok());
  ASSERT_EQ(harness_.server().forwards().size(), 1u);
  const Forward join = harness_.server().forwards()[0];
  EXPECT_EQ(join.exit, Forward::Exit::kJoin);
  EXPECT_EQ(join.connection, connect.connection);
  EXPECT_EQ(join.path, data_.path);
  connections().Passed(harness_.now(), connect.connection, Direction::kToPeers,
                       10);
  connections().Passed(harness_.now(), connect.connection,
                       Direction::kToClients, 20);
  EXPECT_EQ(stats().bytes_to_peers, 10u);

  // It is bound for good, by whom it may be and to whom it is.
  harness_.Advance(absl::Minutes(5));
  EXPECT_EQ(connections().size(), 1u);
  EXPECT_EQ(harness_.Refresh(client_, 0).error(), 0);
  EXPECT_EQ(Take<Server::ClosePeer>().connection, connect.connection);
  const auto ended = Take<Server::AllocationEnded>();
  EXPECT_EQ(ended.traffic.bytes_to_peers, 10u);
  EXPECT_EQ(ended.traffic.bytes_to_clients, 20u);
  EXPECT_EQ(connections().size(), 0u);
}

TEST_F(TurnTcp, APeerWithPermissionMayConnectAndTheClientIsTold) {
  const RelayId relay = Begin(client_);
  EXPECT_FALSE(connections().Accepted(harness_.now(), relay, kTestPeer));
  EXPECT_EQ(stats().peers_unpermitted, 1u);
  harness_.Permit(client_, kTestPeer.ip);
  const auto id = connections().Accepted(harness_.now(), relay, kTestPeer);
  ASSERT_TRUE(id.has_value());
  const Reply told = harness_.Poll(client_);
  EXPECT_TRUE(told.view().Is(stun::MessageClass::kIndication,
                             stun::Method::kConnectionAttempt));
  EXPECT_EQ(told.Get<stun::ConnectionId>()->value, static_cast<uint32_t>(*id));
  EXPECT_EQ(told.Get<stun::XorPeerAddress>()->address, kTestPeer);
  EXPECT_EQ(Connect(client_, kTestPeer).error(), 446);
  EXPECT_TRUE(Bind(data_, *id).ok());
  // The permission is for coming; it ends, and the connection does not.
  harness_.Advance(absl::Minutes(6));
  EXPECT_EQ(connections().size(), 1u);
  EXPECT_FALSE(
      connections().Accepted(harness_.now(), relay, {kTestPeer.ip, 7001}));
  connections().Gone(*id);
  EXPECT_EQ(connections().size(), 0u);
}

TEST_F(TurnTcp, ConnectSaysWhyNot) {
  harness_.Challenge(client_);
  EXPECT_EQ(Connect(client_, kTestPeer).error(), 437);
  Begin(client_);
  EXPECT_EQ(
      harness_
          .Call(client_, stun::Method::kConnect, [](stun::MessageWriter&) {})
          .error(),
      400);
  EXPECT_EQ(Connect(client_, {*IpAddress::Parse("2a00::9"), 7}).error(), 443);
  for (const char* ip : {"127.0.0.1", "10.0.0.1", "169.254.169.254"}) {
    EXPECT_EQ(Connect(client_, {*IpAddress::Parse(ip), 7}).error(), 403) << ip;
  }
  EXPECT_EQ(Connect(client_, kTestServer).error(), 403);
  EXPECT_EQ(Connect(client_, {kTestPeer.ip, 0}).error(), 403);
  EXPECT_EQ(Connect(client_, client_.relayed).error(), 403);

  EXPECT_TRUE(Connect(client_, kTestPeer).empty());
  EXPECT_EQ(Connect(client_, kTestPeer).error(), 446);
  connections().Failed(Take<Server::ConnectPeer>().connection);
  EXPECT_EQ(harness_.Poll(client_).error(), 447);
  EXPECT_TRUE(Connect(client_, kTestPeer).empty());
  harness_.Advance(absl::Seconds(30));
  EXPECT_EQ(harness_.Poll(client_).error(), 447);
  Take<Server::ClosePeer>();
  EXPECT_EQ(stats().peers_failed, 2u);
  EXPECT_EQ(connections().size(), 0u);

  TestClient datagrams = OnStream(1009);
  EXPECT_TRUE(harness_.Allocate(datagrams).ok());
  EXPECT_EQ(Connect(datagrams, kTestPeer).error(), 403);
}

TEST_F(TurnTcp, AnotherClientsRelayIsReachedByItsSocketIfItRelaysTcp) {
  ServerOptions options = ServerHarness::Options();
  options.own_relays = ServerOptions::OwnRelays::kAllow;
  options.relay_addresses = {{kTestRelay, *IpAddress::Parse("5.5.5.5")}};
  ServerHarness other(options);
  TestClient client = OnStream(1000), peer = OnStream(1001), udp(1002);
  for (TestClient* c : {&client, &peer}) {
    other.Challenge(*c);
    const Reply reply =
        other.Call(*c, stun::Method::kAllocate, [](stun::MessageWriter& w) {
          w.Add(stun::RequestedTransport{stun::RequestedTransport::kTcp});
        });
    ASSERT_TRUE(reply.ok());
    c->relayed = reply.Get<stun::XorRelayedAddress>()->address;
  }
  ASSERT_TRUE(other.Allocate(udp).ok());
  const auto connect = [&](const TransportAddress& to) {
    return other.Call(
        client, stun::Method::kConnect,
        [&](stun::MessageWriter& w) { w.Add(stun::XorPeerAddress{to}); });
  };
  EXPECT_EQ(connect(udp.relayed).error(), 403);
  EXPECT_EQ(connect({peer.relayed.ip, 60'000}).error(), 403);
  EXPECT_TRUE(connect(peer.relayed).empty());
  const auto* asked = std::get_if<Server::ConnectPeer>(&other.events().back());
  ASSERT_NE(asked, nullptr);
  EXPECT_EQ(asked->peer, (TransportAddress{kTestRelay, peer.relayed.port}));
}

TEST_F(TurnTcp, BindIsForTheSameUserByAStreamOfItsOwn) {
  Begin(client_);
  const ConnectionId id = Connected(client_, kTestPeer);
  TestClient other = OnStream(1003, "other", "q");
  EXPECT_EQ(Bind(other, id).error(), 441);
  TestClient udp(1004);
  EXPECT_EQ(Bind(udp, id).error(), 400);
  EXPECT_EQ(Bind(client_, id).error(), 400) << "it is the control connection";
  EXPECT_EQ(Bind(data_, ConnectionId{static_cast<uint32_t>(id) ^ 1}).error(),
            400);
  EXPECT_EQ(harness_
                .Call(data_, stun::Method::kConnectionBind,
                      [](stun::MessageWriter&) {})
                .error(),
            400);
  EXPECT_TRUE(Bind(data_, id).ok());
  TestClient again = OnStream(1005);
  EXPECT_EQ(Bind(again, id).error(), 400) << "it is bound";
}

TEST_F(TurnTcp, AConnectionThatNobodyBindsIsClosed) {
  const RelayId relay = Begin(client_);
  Connected(client_, kTestPeer);
  harness_.Permit(client_, kTestPeer.ip);
  EXPECT_TRUE(connections().Accepted(harness_.now(), relay, {kTestPeer.ip, 9}));
  harness_.Advance(absl::Seconds(29));
  EXPECT_EQ(connections().size(), 2u);
  harness_.Advance(absl::Seconds(1));
  EXPECT_EQ(Count<Server::ClosePeer>(), 2u);
  EXPECT_EQ(connections().size(), 0u);
  EXPECT_EQ(stats().peers_unbound, 2u);
}

// Whatever ends the allocation ends its connections, and their shares.
TEST_F(TurnTcp, TheEndOfAnAllocationIsThatOfItsConnections) {
  for (int i = 0; i < 3; ++i) {
    TestClient client = OnStream(static_cast<uint16_t>(2000 + i));
    const RelayId relay = Begin(client);
    Connect(client, kTestPeer);
    harness_.Permit(client, kTestPeer.ip);
    EXPECT_TRUE(
        connections().Accepted(harness_.now(), relay, {kTestPeer.ip, 9}));
    harness_.events().clear();
    if (i == 0) harness_.server().ClientGone(client.path);
    if (i == 1) harness_.Advance(absl::Minutes(11));
    if (i == 2) harness_.server().EndAllocations("u");
    harness_.Drain();
    EXPECT_EQ(Count<Server::ClosePeer>(), 2u) << i;
    EXPECT_EQ(connections().size(), 0u) << i;
    EXPECT_EQ(harness_.server().allocations(), 0u) << i;
  }
}

TEST_F(TurnTcp, WhoIsRefusedAsPeerNowIsCutOff) {
  Begin(client_);
  const ConnectionId id = Connected(client_, kTestPeer);
  EXPECT_TRUE(Bind(data_, id).ok());
  ServerOptions options = ServerHarness::Options();
  options.deny_peers = {{kTestPeer.ip, 32}};
  harness_.SetOptions(options);
  EXPECT_EQ(Take<Server::ClosePeer>().connection, id);
}

TEST_F(TurnTcp, ConnectionsAreBoundedPerAllocationUserAndInAll) {
  ServerOptions options = ServerHarness::Options();
  options.peer_connections_per_allocation_max = 2;
  options.peer_connections_per_user_max = 3;
  options.peer_connections_max = 4;
  harness_.SetOptions(options);
  const RelayId relay = Begin(client_);
  const auto peer = [](uint16_t port) {
    return TransportAddress{kTestPeer.ip, port};
  };
  EXPECT_TRUE(Connect(client_, peer(1)).empty());
  EXPECT_TRUE(Connect(client_, peer(2)).empty());
  EXPECT_EQ(Connect(client_, peer(3)).error(), 508);
  harness_.Permit(client_, kTestPeer.ip);
  EXPECT_FALSE(connections().Accepted(harness_.now(), relay, peer(4)));
  TestClient second = OnStream(1002), third = OnStream(1003, "other", "q");
  Begin(second);
  EXPECT_TRUE(Connect(second, peer(1)).empty());
  EXPECT_EQ(Connect(second, peer(2)).error(), 486);
  Begin(third);
  EXPECT_TRUE(Connect(third, peer(1)).empty());
  EXPECT_EQ(Connect(third, peer(2)).error(), 508);
  EXPECT_EQ(stats().peers_refused, 4u);
  // Shares come back.
  harness_.Refresh(client_, 0);
  EXPECT_TRUE(Connect(third, peer(2)).empty());
}

// What is over is not dropped, as datagrams are: whoever writes has to wait.
TEST_F(TurnTcp, LimitsOfBandwidthMakeStreamsWait) {
  ServerOptions options = ServerHarness::Options();
  options.bandwidth.allocation_bytes_per_s = 1000;
  options.bandwidth.burst = absl::Seconds(1);
  harness_.SetOptions(options);
  Begin(client_);
  const ConnectionId id = Connected(client_, kTestPeer);
  EXPECT_TRUE(Bind(data_, id).ok());
  const auto pass = [&](Direction direction, size_t bytes) {
    return connections().Passed(harness_.now(), id, direction, bytes);
  };
  EXPECT_EQ(pass(Direction::kToPeers, 3000), absl::ZeroDuration());
  EXPECT_EQ(pass(Direction::kToClients, 500), absl::ZeroDuration());
  EXPECT_GT(pass(Direction::kToPeers, 1000), absl::ZeroDuration());
  harness_.Advance(absl::Milliseconds(1900));
  EXPECT_GT(pass(Direction::kToPeers, 0), absl::ZeroDuration());
  harness_.Advance(absl::Milliseconds(200));
  EXPECT_EQ(pass(Direction::kToPeers, 0), absl::ZeroDuration());
  EXPECT_GT(pass(Direction::kToPeers, 1), absl::ZeroDuration());
  EXPECT_EQ(stats().bytes_to_peers, 4001u);
  EXPECT_EQ(stats().over_allocation_bandwidth, 0u);
}

// One whose answer there is no room for is not left behind.
TEST_F(TurnTcp, WhatCannotBeToldIsClosed) {
  const RelayId relay = Begin(client_);
  harness_.Permit(client_, kTestPeer.ip);
  Connect(client_, kTestPeer);
  const ConnectionId id = Take<Server::ConnectPeer>().connection;
  ServerOptions options = ServerHarness::Options();
  options.answers_max = 0;
  harness_.SetOptions(options);
  EXPECT_FALSE(
      connections().Accepted(harness_.now(), relay, {kTestPeer.ip, 9}));
  connections().Connected(harness_.now(), id);
  harness_.Drain();
  EXPECT_EQ(Take<Server::ClosePeer>().connection, id);
  EXPECT_EQ(connections().size(), 0u);
}

TEST_F(TurnTcp, CyclesGiveEverythingBack) {
  const size_t ports = harness_.server().free_ports();
  for (int i = 0; i < 1000; ++i) {
    TestClient client = OnStream(static_cast<uint16_t>(2000 + i));
    const RelayId relay = Begin(client);
    harness_.Permit(client, kTestPeer.ip);
    Connect(client, kTestPeer);
    connections().Accepted(harness_.now(), relay, {kTestPeer.ip, 9});
    harness_.Refresh(client, 0);
    harness_.events().clear();
  }
  EXPECT_EQ(harness_.server().free_ports(), ports);
  EXPECT_EQ(connections().size(), 0u);
  EXPECT_EQ(harness_.server().NextTimeout(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace kyuu::turn
