// Several TURN servers on one address, as one per core: ports reserved at one
// are given out by another.

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using stun::MessageWriter;
using Loan = Server::PortLoan;
using Token = stun::ReservationToken;

// Instances with the part of their driver and of the kernel: an address is
// bound once, and loans arrive when the test says so.
class Group {
 public:
  explicit Group(ServerOptions options, int instances = 2) {
    options.instances = instances;
    options.nonce_secret = "group";
    for (int i = 0; i < instances; ++i) {
      options.instance = i;
      nodes_.push_back(std::make_unique<ServerHarness>(
          options, static_cast<uint64_t>(i + 1)));
      nodes_.back()->open_relays = false;
    }
    mail_.resize(nodes_.size());
    for (auto& row : mail_) row.resize(nodes_.size());
  }

  ServerHarness& operator[](size_t i) { return *nodes_[i]; }
  size_t size() const { return nodes_.size(); }
  size_t bound() const { return bound_.size(); }
  bool IsBound(const TransportAddress& address) const {
    return bound_.contains(address);
  }

  // Serves the events of one instance as its driver would.
  void Serve(size_t i) {
    nodes_[i]->Drain();
    while (!nodes_[i]->events().empty()) {
      const Server::Event event = nodes_[i]->events().front();
      nodes_[i]->events().pop_front();
      if (const auto* open = std::get_if<Server::OpenRelay>(&event)) {
        if (bound_.emplace(open->bind, std::pair(i, open->relay)).second) {
          nodes_[i]->server().RelayOpened(nodes_[i]->now(), open->relay);
        } else {
          nodes_[i]->server().RelayFailed(nodes_[i]->now(), open->relay);
        }
        nodes_[i]->Drain();
      } else if (const auto* gone = std::get_if<Server::CloseRelay>(&event)) {
        for (auto it = bound_.begin(); it != bound_.end(); ++it) {
          if (it->second != std::pair(i, gone->relay)) continue;
          bound_.erase(it);
          break;
        }
      } else if (const auto* loan = std::get_if<Loan>(&event)) {
        mail_[i][static_cast<size_t>(loan->owner)].push_back(*loan);
      }
    }
  }
  // Delivers one loan told by `from` to `to`; false if there is none.
  bool Deliver(size_t from, size_t to) {
    if (mail_[from][to].empty()) return false;
    nodes_[to]->server().HandleLoan(mail_[from][to].front());
    mail_[from][to].pop_front();
    return true;
  }
  void DeliverAll() {
    for (size_t from = 0; from < size(); ++from) {
      for (size_t to = 0; to < size(); ++to) {
        while (Deliver(from, to)) {
        }
      }
    }
  }
  void Advance(absl::Duration duration) {
    for (size_t i = 0; i < size(); ++i) {
      nodes_[i]->Advance(duration);
      Serve(i);
    }
  }

  // An allocation by `fill` at instance `i`, with the driver's part done.
  template <typename Fill>
  Reply Allocate(size_t i, TestClient& client, Fill fill) {
    ServerHarness& node = *nodes_[i];
    if (client.nonce.empty()) node.Challenge(client);
    request_ = node.Build(client, stun::Method::kAllocate, [&](auto& w) {
      w.Add(stun::RequestedTransport{});
      fill(w);
    });
    Reply reply = node.Exchange(client, request_);
    Serve(i);
    if (reply.empty()) reply = node.Poll(client);
    if (reply.ok()) {
      client.relayed = reply.Get<stun::XorRelayedAddress>()->address;
    }
    return reply;
  }
  Token Reserve(size_t i, TestClient& client) {
    const Reply reply = Allocate(
        i, client, [](MessageWriter& w) { w.Add(stun::EvenPort{true}); });
    return reply.Get<Token>().value_or(Token{});
  }
  Reply Redeem(size_t i, TestClient& client, const Token& token) {
    return Allocate(i, client, [&](MessageWriter& w) { w.Add(token); });
  }
  int Release(size_t i, const TestClient& client) {
    const int error = nodes_[i]->Refresh(client, 0).error();
    Serve(i);
    return error;
  }
  const std::vector<uint8_t>& request() const { return request_; }

 private:
  std::vector<std::unique_ptr<ServerHarness>> nodes_;
  absl::flat_hash_map<TransportAddress, std::pair<size_t, RelayId>> bound_;
  std::vector<std::vector<std::deque<Loan>>> mail_;  // By sender and owner.
  std::vector<uint8_t> request_;
};

// Two pairs for each of two instances.
ServerOptions FewPorts() {
  ServerOptions options = ServerHarness::Options();
  options.relay_port_high = 50'007;
  return options;
}

TEST(TurnServerGroup, APortIsLentAsLongAsTheBorrowerRelaysAndThenComesBack) {
  Group group(FewPorts());
  TestClient rtp(1000), rtcp(1001);
  const Token token = group.Reserve(0, rtp);
  ASSERT_TRUE(group.Redeem(1, rtcp, token).ok());
  EXPECT_EQ(rtcp.relayed.port, rtp.relayed.port + 1);
  // The borrower's own ports are untouched.
  EXPECT_EQ(group[1].server().free_ports(), 4u);
  group.DeliverAll();
  // No reservation is left to expire, and none is given of a port in use.
  EXPECT_EQ(group.Release(0, rtp), 0);
  group.Advance(absl::Minutes(5));
  EXPECT_EQ(group[0].server().free_ports(), 3u);
  TestClient other(1002), third(1003);
  EXPECT_NE(group.Reserve(0, other), Token{});
  EXPECT_NE(other.relayed.port, rtp.relayed.port);
  EXPECT_EQ(group.Reserve(0, third), Token{});
  EXPECT_EQ(group.Release(1, rtcp), 0);
  group.DeliverAll();
  EXPECT_EQ(group[0].server().free_ports(), 2u);
  EXPECT_NE(group.Reserve(0, third), Token{});
}

TEST(TurnServerGroup, BorrowersRetransmissionGetsTheSameAnswer) {
  Group group(FewPorts());
  TestClient rtp(1000), rtcp(1001);
  const Token token = group.Reserve(0, rtp);
  const Reply first = group.Redeem(1, rtcp, token);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(group[1].Exchange(rtcp, group.request()).bytes(), first.bytes());
  group.DeliverAll();
  EXPECT_EQ(group[1].Exchange(rtcp, group.request()).bytes(), first.bytes());
  EXPECT_EQ(group[1].server().allocations(), 1u);
  EXPECT_EQ(group.bound(), 2u);
}

TEST(TurnServerGroup, ATokenIsGoodForOneAllocationAnywhere) {
  for (const bool told : {false, true}) {
    SCOPED_TRACE(told);
    Group group(FewPorts(), /*instances=*/3);
    const size_t free = group[0].server().free_ports();
    TestClient rtp(1000), rtcp(1001);
    const Token token = group.Reserve(0, rtp);
    ASSERT_TRUE(group.Redeem(1, rtcp, token).ok());
    if (told) group.DeliverAll();
    for (size_t i = 0; i < 3; ++i) {
      TestClient replay(static_cast<uint16_t>(1002 + i));
      EXPECT_EQ(group.Redeem(i, replay, token).error(), 508);
    }
    group.DeliverAll();
    EXPECT_EQ(group.bound(), 2u);
    EXPECT_EQ(group.Release(0, rtp), 0);
    EXPECT_EQ(group.Release(1, rtcp), 0);
    group.DeliverAll();
    EXPECT_EQ(group[0].server().free_ports(), free);
  }
}

TEST(TurnServerGroup, BorrowedPortsComeBackHoweverTheAllocationEnds) {
  const struct {
    std::string name;
    void (*end)(Group&, const TestClient&);
  } kRows[] = {
      {"released", [](Group& g, const TestClient& c) { g.Release(1, c); }},
      {"expired",
       [](Group& g, const TestClient&) { g.Advance(absl::Hours(2)); }},
      {"revoked",
       [](Group& g, const TestClient&) { g[1].server().Revoke("g"); }},
      {"closed", [](Group& g, const TestClient&) { g[1].server().Close(); }},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    Group group(FewPorts());
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_TRUE(group[i].server().Grant(group[i].now(), "g", "p").ok());
    }
    TestClient rtp(1000), rtcp(1001, "g");
    ASSERT_TRUE(group.Redeem(1, rtcp, group.Reserve(0, rtp)).ok());
    group.DeliverAll();
    EXPECT_EQ(group.Release(0, rtp), 0);
    EXPECT_EQ(group[0].server().free_ports(), 3u);
    row.end(group, rtcp);
    group.Serve(1);
    group.DeliverAll();
    EXPECT_EQ(group[0].server().free_ports(), 4u);
    EXPECT_EQ(group.bound(), 0u);
  }
}

// The reservation ends while the word of the loan is on its way.
TEST(TurnServerGroup, WordThatComesLateFindsThePortFreeOrGivenOut) {
  for (const bool given_out : {false, true}) {
    SCOPED_TRACE(given_out);
    Group group(FewPorts());
    TestClient rtp(1000), rtcp(1001), next(1002);
    ASSERT_TRUE(group.Redeem(1, rtcp, group.Reserve(0, rtp)).ok());
    EXPECT_EQ(group.Release(0, rtp), 0);
    group.Advance(absl::Seconds(30));
    EXPECT_EQ(group[0].server().free_ports(), 4u);
    Token token;
    if (given_out) {
      // Reserved for another client: the same pair, as the other is used.
      TestClient filler(1003);
      token = group.Reserve(0, filler);
      if (filler.relayed.port != rtp.relayed.port)
        token = group.Reserve(0, next);
    }
    group.DeliverAll();
    EXPECT_EQ(group.bound(),
              given_out ? group[0].server().allocations() + 1 : 1);
    TestClient late(1004);
    if (given_out) {
      EXPECT_EQ(group.Redeem(0, late, token).error(), 508);
    }
    EXPECT_EQ(group.Release(1, rtcp), 0);
    group.DeliverAll();
    group[0].server().Close();
    EXPECT_EQ(group[0].server().free_ports(), 4u);
  }
}

// One borrower has ended and told nobody yet when the next has the port.
TEST(TurnServerGroup, WordOfTheNextBorrowerMayOvertakeThatOfTheLast) {
  Group group(FewPorts(), /*instances=*/3);
  const size_t free = group[0].server().free_ports();
  TestClient rtp(1000), first(1001), second(1002);
  const Token token = group.Reserve(0, rtp);
  ASSERT_TRUE(group.Redeem(1, first, token).ok());
  EXPECT_EQ(group.Release(1, first), 0);
  ASSERT_TRUE(group.Redeem(2, second, token).ok());
  EXPECT_TRUE(group.Deliver(1, 0));
  EXPECT_TRUE(group.Deliver(2, 0));
  EXPECT_TRUE(group.Deliver(1, 0));
  EXPECT_EQ(group[0].server().free_ports(), free - 2);
  EXPECT_EQ(group.Release(2, second), 0);
  EXPECT_TRUE(group.Deliver(2, 0));
  EXPECT_EQ(group[0].server().free_ports(), free - 1);
}

TEST(TurnServerGroup, OwnAllocationKeepsItsPortWhenTheWordOfAnEndedLoanComes) {
  Group group(FewPorts());
  TestClient rtp(1000), borrower(1001), own(1002);
  const Token token = group.Reserve(0, rtp);
  ASSERT_TRUE(group.Redeem(1, borrower, token).ok());
  EXPECT_EQ(group.Release(1, borrower), 0);
  ASSERT_TRUE(group.Redeem(0, own, token).ok());
  group.DeliverAll();
  EXPECT_EQ(group[0].server().free_ports(), 2u);
  EXPECT_EQ(group.Release(0, own), 0);
  EXPECT_EQ(group[0].server().free_ports(), 3u);
}

TEST(TurnServerGroup, LoansOfPortsThatAreNotOursAreIgnored) {
  Group group(FewPorts());
  Server& server = group[0].server();
  for (const auto change : {Loan::Change::kBegun, Loan::Change::kEnded}) {
    server.HandleLoan({change, 0, {kTestRelay, 50'002}});  // Instance 1's.
    server.HandleLoan({change, 0, {kTestRelay, 40'000}});
    server.HandleLoan({change, 0, {kTestRelay, 0}});
    server.HandleLoan({change, 0, {IpAddress::V4(1, 2, 3, 4), 50'000}});
    EXPECT_EQ(server.free_ports(), 4u);
  }
  server.HandleLoan({Loan::Change::kEnded, 0, {kTestRelay, 50'000}});
  EXPECT_EQ(server.free_ports(), 4u);
  server.HandleLoan({Loan::Change::kBegun, 0, {kTestRelay, 50'000}});
  EXPECT_EQ(server.free_ports(), 3u);
  server.Close();
  EXPECT_EQ(server.free_ports(), 4u);
  server.HandleLoan({Loan::Change::kBegun, 0, {kTestRelay, 50'000}});
  EXPECT_EQ(server.free_ports(), 4u);
}

// S18 for a group: whatever happens in whatever order, and however late the
// instances hear of it, no port is lost and none is used twice.
TEST(TurnServerGroup, S18NoPortIsLostOrUsedTwice) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    SeededRandom random(seed);
    ServerOptions options = FewPorts();
    options.relay_port_high = 50'011;
    Group group(options, /*instances=*/3);
    struct Live {
      size_t node;
      TestClient client;
    };
    std::vector<Live> live;
    std::vector<Token> tokens(1);
    uint16_t port = 1000;
    size_t borrowed = 0;
    for (int step = 0; step < 400; ++step) {
      const size_t node = random.Below(3);
      TestClient client(port++);
      switch (random.Below(8)) {
        case 0:
        case 1:
          if (const Token t = group.Reserve(node, client); t != Token{}) {
            tokens.push_back(t);
          }
          if (client.relayed.port != 0) live.push_back({node, client});
          break;
        case 2:
        case 3: {
          // Of late: older ones count for nothing.
          const size_t of_late = std::min<size_t>(tokens.size(), 3);
          const Token& token =
              tokens[tokens.size() - 1 - random.Below(of_late)];
          if (group.Redeem(node, client, token).ok()) {
            borrowed += client.relayed.port / 2 % 3 != node;
            live.push_back({node, client});
          }
          break;
        }
        case 4:
        case 5: {
          if (live.empty()) break;
          const size_t i = random.Below(live.size());
          group.Release(live[i].node, live[i].client);
          live.erase(live.begin() + static_cast<ptrdiff_t>(i));
          break;
        }
        case 6:
          group.Deliver(random.Below(3), random.Below(3));
          break;
        default:
          if (random.Below(10) == 0) group.DeliverAll();
          group.Advance(absl::Seconds(random.Below(20)));
      }
      for (const Live& one : live) {
        if (one.client.path.remote.port + 20 < port) continue;  // May expire.
        ASSERT_TRUE(group.IsBound(one.client.relayed));
      }
    }
    EXPECT_GT(borrowed, 0u);
    group.Advance(absl::Hours(2));
    group.DeliverAll();
    EXPECT_EQ(group.bound(), 0u);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(group[i].server().free_ports(), 4u);
      EXPECT_EQ(group[i].server().allocations(), 0u);
    }
  }
}

}  // namespace
}  // namespace kyuu::turn
