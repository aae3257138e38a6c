// Clients whose allocations another server of the ledger has: they have moved
// (RFC 8016), or bind a connection that is there (RFC 6062).

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/random.h"
#include "base/testing.h"
#include "turn/local_ledger.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using stun::MessageWriter;
using stun::Method;
using Bytes = std::vector<uint8_t>;

class TurnVisitors : public testing::Test {
 protected:
  TurnVisitors() : ledger_(ServerHarness::Options(), random_) {
    ServerOptions options = ServerHarness::Options();
    options.nonce_secret = "group";
    options.instances = 2;
    options.visitors_max = 4;
    options.lifetime_max = absl::Minutes(20);
    home_ = std::make_unique<ServerHarness>(options, 1, &ledger_);
    options.instance = 1;
    away_ = std::make_unique<ServerHarness>(options, 2, &ledger_);
  }

  // An allocation at home, and its ticket.
  Bytes Allocate(TestClient& client) {
    const Reply reply = home_->Allocate(
        client, [](MessageWriter& w) { w.Add(stun::MobilityTicket{}); });
    EXPECT_TRUE(reply.ok());
    EXPECT_TRUE(home_->Bind(client, 0x4000, kTestPeer).ok());
    return TicketOf(reply);
  }
  static Bytes TicketOf(const Reply& reply) {
    const auto ticket = reply.Get<stun::MobilityTicket>();
    return ticket ? Bytes(ticket->value.begin(), ticket->value.end()) : Bytes();
  }
  Bytes Refresh(const TestClient& client, const Bytes& ticket) {
    return home_->Build(client, Method::kRefresh, [&](MessageWriter& w) {
      w.Add(stun::Lifetime{600});
      w.Add(stun::MobilityTicket{ticket});
    });
  }
  // What a client sends comes to the other server, and is handed home if that
  // says so; what comes of it there.
  std::optional<Reply> Come(const TestClient& client, const Bytes& bytes,
                            size_t segment_size = 0) {
    const auto forwards = away_->server().FromClient(
        away_->now(), client.path, bytes,
        segment_size == 0 ? bytes.size() : segment_size);
    if (forwards.empty()) return std::nullopt;
    const Forward& forward = forwards[0];
    EXPECT_EQ(forward.exit, Forward::Exit::kServer);
    EXPECT_EQ(forward.instance, 0);
    EXPECT_EQ(forward.path, client.path);
    Bytes all;
    for (size_t i = 0; i < forward.segments; ++i) {
      all.insert(all.end(), forward.payload(i).begin(),
                 forward.payload(i).end());
    }
    EXPECT_EQ(all, bytes);
    home_->server().FromClient(home_->now(), client.path, all,
                               forward.payload_bytes, {.reach = Reach::kHere});
    return home_->Poll(client);
  }
  // The same, where the server at home has nothing for it and gives it back.
  Reply ComeBack(const TestClient& client, const Bytes& bytes) {
    const auto there = away_->server().FromClient(away_->now(), client.path,
                                                  bytes, bytes.size());
    if (there.empty()) return away_->Poll(client);
    EXPECT_EQ(there[0].reach, Reach::kHere);
    const auto back = home_->server().FromClient(
        home_->now(), client.path, bytes, bytes.size(),
        {.reach = there[0].reach, .from = 1});
    if (back.empty()) return home_->Poll(client);
    EXPECT_EQ(back[0].exit, Forward::Exit::kServer);
    EXPECT_EQ(back[0].instance, 1);
    EXPECT_EQ(back[0].path, client.path);
    EXPECT_EQ(back[0].reach, Reach::kReturned);
    EXPECT_EQ(Bytes(back[0].payload(0).begin(), back[0].payload(0).end()),
              bytes);
    EXPECT_TRUE(away_->server()
                    .FromClient(away_->now(), client.path, bytes, bytes.size(),
                                {.reach = Reach::kReturned, .from = 0})
                    .empty());
    Advance(absl::ZeroDuration());  // Its socket is opened.
    return away_->Poll(client);
  }
  void Advance(absl::Duration duration) {
    home_->Advance(duration);
    away_->Advance(duration);
  }
  const ServerStats& stats() { return away_->server().stats(); }

  SeededRandom random_{9};
  LocalLedger ledger_;
  std::unique_ptr<ServerHarness> home_, away_;
  TestClient old_{1000}, new_{2000};
};

TEST_F(TurnVisitors, AMovedClientIsServedByTheServerThatItComesTo) {
  const Bytes ticket = Allocate(old_);
  away_->Challenge(new_);
  const auto moved = Come(new_, Refresh(new_, ticket));
  ASSERT_TRUE(moved.has_value());
  EXPECT_TRUE(moved->ok());
  EXPECT_FALSE(TicketOf(*moved).empty());
  // All that it sends from now on, a train as one.
  const Bytes data = ServerHarness::ChannelMessage(0x4000, "four");
  Bytes train;
  for (int i = 0; i < 3; ++i)
    train.insert(train.end(), data.begin(), data.end());
  ASSERT_TRUE(Come(new_, train, data.size()).has_value());
  ASSERT_EQ(home_->server().forwards().size(), 1u);
  EXPECT_EQ(home_->server().forwards()[0].exit, Forward::Exit::kPeer);
  EXPECT_EQ(home_->server().forwards()[0].segments, 3u);
  EXPECT_TRUE(Come(new_, home_->SendIndication(kTestPeer, "x")).has_value());
  EXPECT_EQ(home_->server().forwards().size(), 1u);
  EXPECT_EQ(stats().handed_on, 5u);
  const auto back = home_->server().FromPeer(home_->now(), *old_.relay,
                                             kTestPeer, AsBytes("x"), 1);
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0].path, new_.path);
}

TEST_F(TurnVisitors, AnAllocationOfItsOwnIsNobodyElses) {
  EXPECT_TRUE(away_->Allocate(new_).ok());
  const Bytes data = ServerHarness::ChannelMessage(0x4000, "four");
  EXPECT_TRUE(away_->server()
                  .FromClient(away_->now(), new_.path, data, data.size())
                  .empty());
  EXPECT_EQ(stats().handed_on, 0u);
}

// Whoever has a ticket could send others' packets astray.
TEST_F(TurnVisitors, AForgedSourceChangesNothing) {
  const Bytes ticket = Allocate(old_);
  new_.nonce = old_.nonce;  // Of another address.
  new_.realm = old_.realm;
  EXPECT_FALSE(Come(new_, Refresh(new_, ticket)).has_value());
  EXPECT_EQ(away_->Poll(new_).error(), 438);
  new_.nonce.clear();
  EXPECT_FALSE(Come(new_, Refresh(new_, ticket)).has_value());
  EXPECT_EQ(away_->Poll(new_).error(), 401);
  away_->Challenge(new_);
  const Bytes made_up(ticket.size(), 'A');
  EXPECT_FALSE(Come(new_, Refresh(new_, made_up)).has_value());
  EXPECT_EQ(away_->Poll(new_).error(), 437);
  EXPECT_EQ(stats().handed_on, 0u);
}

TEST_F(TurnVisitors, VisitorsAreBoundedAndSoIsWhatOneAllocationHas) {
  Bytes ticket = Allocate(old_);
  // However often it moves, it has two addresses.
  for (uint16_t port = 2000; port < 2010; ++port) {
    TestClient client(port);
    away_->Challenge(client);
    const auto moved = Come(client, Refresh(client, ticket));
    ASSERT_TRUE(moved.has_value());
    ticket = TicketOf(*moved);
  }
  const auto visit = [&](uint16_t port) {
    TestClient owner(port), guest(static_cast<uint16_t>(port + 100));
    const Bytes shown = Allocate(owner);
    away_->Challenge(guest);
    const auto moved = Come(guest, Refresh(guest, shown));
    return moved.has_value() ? moved->error() : away_->Poll(guest).error();
  };
  EXPECT_EQ(visit(3000), 0);
  EXPECT_EQ(visit(3001), 0);
  EXPECT_EQ(visit(3002), 437) << "the client makes a new one then";
  EXPECT_EQ(stats().visitors_refused, 1u);
}

TEST_F(TurnVisitors, OneThatIsSilentForALifetimeIsForgotten) {
  const Bytes ticket = Allocate(old_);
  away_->Challenge(new_);
  ASSERT_TRUE(Come(new_, Refresh(new_, ticket)).has_value());
  const Bytes data = ServerHarness::ChannelMessage(0x4000, "four");
  for (int i = 0; i < 4; ++i) {
    Advance(absl::Minutes(9));
    EXPECT_TRUE(Come(new_, data).has_value());
  }
  Advance(absl::Minutes(10));
  EXPECT_FALSE(Come(new_, data).has_value());
  EXPECT_EQ(stats().no_allocation, 1u);
  EXPECT_EQ(away_->server().NextTimeout(), absl::InfiniteFuture());
}

TEST_F(TurnVisitors, OneMayBeSilentAsLongAsItsLastRefreshAskedFor) {
  const Bytes ticket = Allocate(old_);
  away_->Challenge(new_);
  ASSERT_TRUE(Come(new_, Refresh(new_, ticket)).has_value());
  ASSERT_TRUE(Come(new_, home_->Build(new_, Method::kRefresh, [](auto& w) {
    w.Add(stun::Lifetime{1200});
  })));
  const Bytes data = ServerHarness::ChannelMessage(0x4000, "four");
  Advance(absl::Minutes(20) - absl::Seconds(1));
  EXPECT_TRUE(Come(new_, data).has_value());
}

// What is kept of clients that moved and have ended would fill the table.
TEST_F(TurnVisitors, OneThatHasReleasedItsAllocationIsForgottenSoon) {
  for (uint16_t port = 3000; port < 3020; ++port) {
    TestClient owner(port), guest(static_cast<uint16_t>(port + 100));
    const Bytes ticket = Allocate(owner);
    away_->Challenge(guest);
    ASSERT_TRUE(Come(guest, Refresh(guest, ticket)).has_value());
    const auto release = home_->Build(
        guest, Method::kRefresh, [](auto& w) { w.Add(stun::Lifetime{0}); });
    ASSERT_TRUE(Come(guest, release).has_value());
    Advance(absl::Seconds(41));
  }
  EXPECT_EQ(stats().visitors_refused, 0u);
  EXPECT_EQ(home_->server().allocations(), 0u);
  EXPECT_EQ(away_->server().NextTimeout(), absl::InfiniteFuture());
}

// Else somebody could cut off another one.
TEST_F(TurnVisitors, AForgedReleaseForgetsNobody) {
  const Bytes ticket = Allocate(old_);
  away_->Challenge(new_);
  ASSERT_TRUE(Come(new_, Refresh(new_, ticket)).has_value());
  TestClient forged = new_;
  forged.nonce = old_.nonce;
  ASSERT_TRUE(Come(new_, home_->Build(forged, Method::kRefresh, [](auto& w) {
    w.Add(stun::Lifetime{0});
  })));
  Advance(absl::Minutes(9));
  EXPECT_TRUE(Come(new_, ServerHarness::ChannelMessage(0x4000, "four")));
}

// Where a client on DTLS is heard, its later Refreshes cannot be read: the
// server that has its session says when that is over.
TEST_F(TurnVisitors, OneOnDtlsIsForgottenWhenItsVisitIsOver) {
  const Bytes ticket = Allocate(old_);
  new_.path.transport = Transport::kDtls;
  away_->Challenge(new_);
  const Bytes sealed(40, 23);
  const auto hear = [&](const Bytes& bytes) {
    const auto forwards =
        away_->server().FromClient(away_->now(), new_.path, bytes,
                                   sealed.size(), {.reach = Reach::kElsewhere});
    return forwards.empty() ? 0 : forwards[0].visit;
  };
  const auto over = [&](uint64_t visit) {
    EXPECT_TRUE(
        away_->server()
            .FromClient(away_->now(), new_.path, {}, 1,
                        {.reach = Reach::kOver, .from = 0, .visit = visit})
            .empty());
  };
  const auto move = [&] {
    const Bytes refresh = Refresh(new_, ticket);
    const auto forwards = away_->server().FromClient(away_->now(), new_.path,
                                                     refresh, refresh.size());
    ASSERT_EQ(forwards.size(), 1u);
    EXPECT_NE(forwards[0].visit, 0u);
  };
  move();
  const uint64_t first = hear(sealed);
  EXPECT_NE(first, 0u);
  // It begins anew and moves again before the end of the first is told.
  EXPECT_EQ(hear({}), first);
  EXPECT_EQ(hear(sealed), 0u);
  over(first);
  move();
  over(first);
  const uint64_t second = hear(sealed);
  EXPECT_NE(second, 0u);
  EXPECT_NE(second, first);
  over(second);
  EXPECT_EQ(hear(sealed), 0u);
  EXPECT_EQ(away_->server().NextTimeout(), absl::InfiniteFuture());
}

TEST_F(TurnVisitors, WhatHasBeenHandedOnGoesNoFurther) {
  const Bytes ticket = Allocate(old_);
  away_->Challenge(new_);
  const Bytes refresh = Refresh(new_, ticket);
  EXPECT_TRUE(away_->server()
                  .FromClient(away_->now(), new_.path, refresh, refresh.size(),
                              {.reach = Reach::kHere})
                  .empty());
  EXPECT_EQ(away_->Poll(new_).error(), 437);
}

// A NAT gives the address and port of a client that has moved away to another
// client, whose allocation would be lost when the first one moves on.
TEST_F(TurnVisitors, WhoComesFromWhereAVisitorWasIsNoVisitor) {
  Bytes ticket = Allocate(old_);
  const auto move = [&](const TestClient& to) {
    const auto moved = Come(to, Refresh(to, ticket));
    ASSERT_TRUE(moved.has_value());
    ticket = TicketOf(*moved);
    // It has heard the answer there.
    ASSERT_TRUE(Come(to, ServerHarness::ChannelMessage(0x4000, "here")));
  };
  TestClient second(3000), third(4000);
  for (TestClient* client : {&new_, &second, &third}) away_->Challenge(*client);
  move(new_);
  move(second);
  const auto allocate = away_->Build(new_, Method::kAllocate, [](auto& w) {
    w.Add(stun::RequestedTransport{});
  });
  EXPECT_TRUE(ComeBack(new_, allocate).ok());
  EXPECT_EQ(away_->server().allocations(), 1u);
  EXPECT_EQ(home_->server().allocations(), 1u);
  move(third);
  const auto refresh = away_->Build(
      new_, Method::kRefresh, [](auto& w) { w.Add(stun::Lifetime{600}); });
  EXPECT_TRUE(ComeBack(new_, refresh).ok());
  EXPECT_EQ(stats().visitors_refused, 0u);
}

// A client that has an allocation at home is not sent away by a ticket that is
// not good any more, and neither is what it says sent round and round.
TEST_F(TurnVisitors, AnOldTicketIsRefusedWhereItsAllocationWas) {
  const Bytes ticket = Allocate(old_);
  home_->server().EndAllocations(old_.username);
  away_->Challenge(new_);
  EXPECT_EQ(ComeBack(new_, Refresh(new_, ticket)).error(), 437);
  const Bytes refresh = Refresh(new_, ticket);
  EXPECT_TRUE(away_->server()
                  .FromClient(away_->now(), new_.path, refresh, refresh.size(),
                              {.reach = Reach::kReturned, .from = 0})
                  .empty());
  EXPECT_EQ(away_->Poll(new_).error(), 437);
}

TEST_F(TurnVisitors, AStreamGoesWhereItsConnectionIs) {
  TestClient control(1000), data(2000);
  control.path.transport = data.path.transport = Transport::kTcp;
  home_->Challenge(control);
  ASSERT_TRUE(home_
                  ->Call(control, Method::kAllocate,
                         [](MessageWriter& w) {
                           w.Add(stun::RequestedTransport{
                               stun::RequestedTransport::kTcp});
                         })
                  .ok());
  home_->Call(control, Method::kConnect,
              [](MessageWriter& w) { w.Add(stun::XorPeerAddress{kTestPeer}); });
  const auto* connect =
      std::get_if<Server::ConnectPeer>(&home_->events().back());
  ASSERT_NE(connect, nullptr);
  home_->server().connections().Connected(home_->now(), connect->connection);
  const auto bind = [&](const TestClient& client, ConnectionId id) {
    return home_->Build(client, Method::kConnectionBind, [&](MessageWriter& w) {
      w.Add(stun::ConnectionId{static_cast<uint32_t>(id)});
    });
  };
  away_->Challenge(data);
  const auto bound = Come(data, bind(data, connect->connection));
  ASSERT_TRUE(bound.has_value());
  EXPECT_TRUE(bound->ok());
  EXPECT_EQ(home_->server().forwards()[0].exit, Forward::Exit::kJoin);
  // There are two servers; and a datagram binds nothing.
  EXPECT_FALSE(Come(data, bind(data, ConnectionId{2u << 24})).has_value());
  EXPECT_EQ(away_->Poll(data).error(), 400);
  TestClient udp(3000);
  away_->Challenge(udp);
  EXPECT_FALSE(Come(udp, bind(udp, connect->connection)).has_value());
  EXPECT_EQ(away_->Poll(udp).error(), 400);
}

}  // namespace
}  // namespace kyuu::turn
