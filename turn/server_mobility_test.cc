#include <optional>
#include <string>
#include <vector>

#include "base/testing.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

// Clients that go on from another address (RFC 8016).

namespace kyuu::turn {
namespace {

using stun::MessageWriter;
using stun::Method;
using Ticket = std::vector<uint8_t>;

class TurnMobility : public testing::Test {
 protected:
  static std::optional<Ticket> TicketOf(const Reply& reply) {
    const auto ticket = reply.Get<stun::MobilityTicket>();
    if (!ticket.has_value()) return std::nullopt;
    return Ticket(ticket->value.begin(), ticket->value.end());
  }
  // An allocation with a channel to kTestPeer; returns its ticket.
  Ticket Allocate() {
    const Reply reply = harness_.Allocate(
        old_, [](MessageWriter& w) { w.Add(stun::MobilityTicket{}); });
    EXPECT_TRUE(reply.ok());
    EXPECT_TRUE(harness_.Bind(old_, 0x4000, kTestPeer).ok());
    new_.relay = old_.relay;
    return TicketOf(reply).value_or(Ticket());
  }
  Reply Show(TestClient& client, const Ticket& ticket, uint32_t seconds = 600) {
    if (client.nonce.empty()) harness_.Challenge(client);
    return harness_.Call(client, Method::kRefresh, [&](MessageWriter& w) {
      w.Add(stun::Lifetime{seconds});
      w.Add(stun::MobilityTicket{ticket});
    });
  }
  // Where data of the peer goes.
  std::optional<Path> FromPeer() {
    const auto forwards = harness_.server().FromPeer(
        harness_.now(), *old_.relay, kTestPeer, AsBytes("x"), 1);
    if (forwards.empty()) return std::nullopt;
    return forwards[0].path;
  }
  bool ToPeer(const TestClient& client) {
    const auto message = ServerHarness::ChannelMessage(0x4000, "x");
    return !harness_.server()
                .FromClient(harness_.now(), client.path, message,
                            message.size())
                .empty();
  }

  static constexpr size_t ticket_bytes_ = internal::TicketMaker::kSize;
  ServerHarness harness_;
  TestClient old_{1000}, new_{2000};
};

TEST_F(TurnMobility, PeersDataGoesToTheOldAddressUntilTheNewOneSpeaks) {
  const Ticket first = Allocate();
  ASSERT_FALSE(first.empty());
  const Reply moved = Show(new_, first);
  ASSERT_TRUE(moved.ok());
  EXPECT_EQ(moved.Get<stun::Lifetime>()->seconds, 600u);
  const std::optional<Ticket> second = TicketOf(moved);
  ASSERT_TRUE(second.has_value());
  EXPECT_NE(*second, first);

  EXPECT_EQ(FromPeer(), old_.path);
  EXPECT_TRUE(ToPeer(old_));
  EXPECT_EQ(FromPeer(), old_.path);
  EXPECT_TRUE(ToPeer(new_));
  EXPECT_EQ(FromPeer(), new_.path);
  // The old one is nobody's any more, and its ticket opens nothing.
  EXPECT_FALSE(ToPeer(old_));
  EXPECT_EQ(harness_.Refresh(old_, 600).error(), 437);
  EXPECT_EQ(Show(old_, first).error(), 437);
  EXPECT_EQ(harness_.server().allocations(), 1u);
  EXPECT_EQ(harness_.server().stats().moves, 1u);
  harness_.Drain();
  const auto* event =
      std::get_if<Server::AllocationMoved>(&harness_.events().back());
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->from, old_.path);
  EXPECT_EQ(event->to, new_.path);
  // And on, and back.
  TestClient third(3000);
  const auto next = TicketOf(Show(third, *second));
  ASSERT_TRUE(next.has_value());
  EXPECT_TRUE(harness_.Permit(third, kTestPeer.ip).ok());
  EXPECT_EQ(FromPeer(), third.path);
  EXPECT_TRUE(Show(old_, *next).ok());
  EXPECT_TRUE(ToPeer(old_));
  EXPECT_EQ(FromPeer(), old_.path);
}

TEST_F(TurnMobility, AnAnswerThatWasLostIsGivenAgain) {
  const Ticket first = Allocate();
  harness_.Challenge(new_);
  const auto request = harness_.Build(
      new_, Method::kRefresh,
      [&](MessageWriter& w) { w.Add(stun::MobilityTicket{first}); });
  const Reply answer = harness_.Exchange(new_, request);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(harness_.Exchange(new_, request).bytes(), answer.bytes());
  EXPECT_EQ(FromPeer(), old_.path);
  // It moves on without having heard: the ticket that it has is still good.
  TestClient third(3000);
  EXPECT_TRUE(Show(third, first).ok());
  EXPECT_TRUE(ToPeer(third));
  EXPECT_EQ(FromPeer(), third.path);
  EXPECT_FALSE(ToPeer(new_));
}

TEST_F(TurnMobility, TicketsAreRefused) {
  ServerOptions forbidding = ServerHarness::Options();
  forbidding.mobility = ServerOptions::Mobility::kForbid;
  ServerHarness other(forbidding);
  TestClient client(1000);
  EXPECT_EQ(
      other
          .Allocate(client,
                    [](MessageWriter& w) { w.Add(stun::MobilityTicket{}); })
          .error(),
      405);
  EXPECT_TRUE(other.Allocate(client).ok());

  // Only an empty one asks, and only in Allocate.
  const std::vector<uint8_t> noise(ticket_bytes_, 7);
  EXPECT_EQ(harness_
                .Allocate(old_,
                          [&](MessageWriter& w) {
                            w.Add(stun::MobilityTicket{noise});
                          })
                .error(),
            400);
  const Ticket ticket = Allocate();
  EXPECT_EQ(Show(old_, {}).error(), 400);
  EXPECT_EQ(Show(new_, noise).error(), 437);
  // Another user with a ticket that was seen (S16).
  TestClient thief(3000, "other", "q");
  EXPECT_EQ(Show(thief, ticket).error(), 441);
  EXPECT_EQ(FromPeer(), old_.path);
  EXPECT_FALSE(ToPeer(thief));
  // Who has an allocation already.
  TestClient busy(4000);
  ASSERT_TRUE(harness_.Allocate(busy).ok());
  const Reply own = Show(busy, ticket);
  EXPECT_FALSE(TicketOf(own).has_value());
  EXPECT_TRUE(ToPeer(old_));
  // And what has ended does not come back.
  EXPECT_TRUE(harness_.Refresh(old_, 0).ok());
  EXPECT_EQ(Show(new_, ticket).error(), 437);
}

// S17: whoever shows a ticket from everywhere has two 5-tuples, and no more.
TEST_F(TurnMobility, OneMoveIsUnderWayAtATime) {
  Ticket ticket = Allocate();
  for (uint16_t i = 0; i < 200; ++i) {
    TestClient client(static_cast<uint16_t>(5000 + i));
    const auto next = TicketOf(Show(client, ticket));
    ASSERT_TRUE(next.has_value());
    ticket = *next;
    if (i == 0) continue;
    client.path.remote.port = static_cast<uint16_t>(5000 + i - 1);
    EXPECT_FALSE(ToPeer(client));
  }
  EXPECT_EQ(FromPeer(), old_.path);
  EXPECT_EQ(harness_.server().allocations(), 1u);
  const size_t ports = harness_.server().free_ports();
  EXPECT_TRUE(harness_.Refresh(old_, 0).ok());
  harness_.Drain();
  EXPECT_EQ(harness_.server().allocations(), 0u);
  EXPECT_EQ(harness_.server().free_ports(), ports + 1);
  new_.path.remote.port = 5199;
  EXPECT_FALSE(ToPeer(new_));
}

TEST_F(TurnMobility, AStreamsEndIsNotThatOfAnAllocationThatMayMove) {
  old_.path.transport = Transport::kTcp;
  const Ticket ticket = Allocate();
  harness_.server().ClientGone(old_.path);
  EXPECT_EQ(harness_.server().allocations(), 1u);
  ASSERT_TRUE(Show(new_, ticket).ok());
  EXPECT_TRUE(ToPeer(new_));
  EXPECT_EQ(FromPeer(), new_.path);
  // It ends with its lifetime.
  harness_.Advance(absl::Minutes(11));
  EXPECT_EQ(harness_.server().allocations(), 0u);
}

// To the driver its 5-tuple is that of a plain client, once its session is
// over.
TEST_F(TurnMobility, AnAllocationEndsWithItsSessionOfDtls) {
  const Ticket ticket = Allocate();
  harness_.server().ClientGone(old_.path);
  EXPECT_EQ(harness_.server().allocations(), 0u);
  EXPECT_FALSE(Show(new_, ticket).ok());
}

TEST_F(TurnMobility, AStreamThatEndsWhileItMovesLeavesTheOtherWay) {
  for (const bool old_ends : {false, true}) {
    old_ = TestClient(1000);
    new_ = TestClient(2000);
    const Ticket ticket = Allocate();
    ASSERT_TRUE(Show(new_, ticket).ok());
    harness_.server().ClientGone(old_ends ? old_.path : new_.path);
    EXPECT_EQ(FromPeer(), old_ends ? new_.path : old_.path);
    EXPECT_EQ(ToPeer(old_), !old_ends);
    EXPECT_EQ(ToPeer(new_), old_ends);
    EXPECT_EQ(harness_.server().EndAllocations("u"), 1u);
    harness_.Drain();
  }
}

}  // namespace
}  // namespace kyuu::turn
