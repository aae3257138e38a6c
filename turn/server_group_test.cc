// Several TURN servers on one ledger, as one per core: ports, tokens and quotas
// are exact whichever of them a client meets, and what is between two relayed
// addresses is handed over inside.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "turn/local_ledger.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using stun::MessageWriter;
using Token = stun::ReservationToken;

class Group {
 public:
  explicit Group(ServerOptions options, int instances = 2)
      : ledger_(options, random_) {
    options.nonce_secret = "group";
    for (int i = 0; i < instances; ++i) {
      options.instance = i;
      nodes_.push_back(std::make_unique<ServerHarness>(
          options, static_cast<uint64_t>(i + 1), &ledger_));
    }
  }

  ServerHarness& operator[](size_t i) { return *nodes_[i]; }
  LocalLedger& ledger() { return ledger_; }
  void Advance(absl::Duration duration) {
    for (const auto& node : nodes_) node->Advance(duration);
  }
  Token Reserve(size_t i, TestClient& client) {
    const Reply reply = nodes_[i]->Allocate(
        client, [](MessageWriter& w) { w.Add(stun::EvenPort{true}); });
    return reply.Get<Token>().value_or(Token{});
  }
  Reply Redeem(size_t i, TestClient& client, const Token& token) {
    return nodes_[i]->Allocate(client, [&](MessageWriter& w) { w.Add(token); });
  }

  // Hands `bytes` of a client over, and what is for another instance to that.
  // Returns what leaves by sockets, as datagrams with their paths.
  std::vector<std::pair<Path, std::string>> Send(
      size_t i, const TestClient& client, absl::Span<const uint8_t> bytes,
      size_t segment_size) {
    std::vector<std::pair<Path, std::string>> out;
    const auto keep = [&out](const Forward& f) {
      EXPECT_NE(f.exit, Forward::Exit::kRelay);
      for (size_t k = 0; k < f.segments; ++k) {
        const auto datagram = ServerHarness::Datagram(f, k);
        out.emplace_back(f.path, std::string(AsText(datagram)));
      }
    };
    for (const Forward& f : nodes_[i]->server().FromClient(
             nodes_[i]->now(), client.path, bytes, segment_size)) {
      if (f.exit != Forward::Exit::kRelay) {
        keep(f);
        continue;
      }
      std::string payloads;
      for (size_t k = 0; k < f.segments; ++k) {
        payloads += std::string(AsText(f.payload(k)));
      }
      ServerHarness& other = *nodes_[static_cast<size_t>(f.instance)];
      for (const Forward& g :
           other.server().FromPeer(other.now(), f.relay, f.path.local,
                                   AsBytes(payloads), f.payload_bytes)) {
        keep(g);
      }
    }
    return out;
  }

 private:
  SeededRandom random_{99};
  LocalLedger ledger_;
  std::vector<std::unique_ptr<ServerHarness>> nodes_;
};

ServerOptions FewPorts() {
  ServerOptions options = ServerHarness::Options();
  options.relay_port_high = 50'003;
  return options;
}

// T6: more servers than pairs of ports.
TEST(TurnServerGroup, NoPortIsFreeWhileAClientIsRefused) {
  Group group(FewPorts(), /*instances=*/8);
  for (uint16_t round = 0; round < 20; ++round) {
    std::vector<TestClient> clients;
    for (uint16_t i = 0; i < 4; ++i) {
      clients.emplace_back(static_cast<uint16_t>(1000 + i));
      EXPECT_TRUE(group[(round + i * 3u) % 8].Allocate(clients.back()).ok());
    }
    TestClient late(2000);
    EXPECT_EQ(group[round % 8].Allocate(late).error(), 508);
    for (uint16_t i = 0; i < 4; ++i) {
      EXPECT_TRUE(group[(round + i * 3u) % 8].Refresh(clients[i], 0).ok());
    }
  }
}

// A user has one quota, not one for each core.
TEST(TurnServerGroup, QuotasAreExactAcrossServers) {
  ServerOptions options = ServerHarness::Options();
  options.allocations_per_user_max = 3;
  Group group(options, /*instances=*/4);
  int ok = 0;
  std::vector<TestClient> clients;
  for (uint16_t i = 0; i < 12; ++i) {
    clients.emplace_back(static_cast<uint16_t>(1000 + i));
    const Reply reply = group[i % 4].Allocate(clients.back());
    EXPECT_TRUE(reply.ok() || reply.error() == 486);
    ok += reply.ok() ? 1 : 0;
  }
  EXPECT_EQ(ok, 3);
}

TEST(TurnServerGroup, ATokenIsGoodForOneAllocationAnywhere) {
  Group group(FewPorts(), /*instances=*/3);
  TestClient rtp(1000), rtcp(1001);
  const Token token = group.Reserve(0, rtp);
  ASSERT_TRUE(group.Redeem(1, rtcp, token).ok());
  EXPECT_EQ(rtcp.relayed.port, rtp.relayed.port + 1);
  for (size_t i = 0; i < 3; ++i) {
    TestClient replay(static_cast<uint16_t>(1002 + i));
    EXPECT_EQ(group.Redeem(i, replay, token).error(), 508);
  }
  EXPECT_TRUE(group[0].Refresh(rtp, 0).ok());
  EXPECT_TRUE(group[1].Refresh(rtcp, 0).ok());
  EXPECT_EQ(group.ledger().free_ports(), 4u);
}

TEST(TurnServerGroup, PortsComeBackHoweverTheAllocationEnds) {
  const struct {
    std::string name;
    void (*end)(Group&, const TestClient&);
  } kRows[] = {
      {"released",
       [](Group& g, const TestClient& c) { (void)g[1].Refresh(c, 0); }},
      {"expired",
       [](Group& g, const TestClient&) { g.Advance(absl::Hours(2)); }},
      {"revoked",
       [](Group& g, const TestClient& c) {
         g[1].server().EndAllocations(c.username);
       }},
      {"closed", [](Group& g, const TestClient&) { g[1].server().Close(); }},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    Group group(FewPorts());
    TestClient rtp(1000), rtcp(1001);
    ASSERT_TRUE(group.Redeem(1, rtcp, group.Reserve(0, rtp)).ok());
    EXPECT_TRUE(group[0].Refresh(rtp, 0).ok());
    EXPECT_EQ(group.ledger().free_ports(), 3u);
    row.end(group, rtcp);
    group[1].Drain();
    EXPECT_EQ(group.ledger().free_ports(), 4u);
  }
}

// A port is not another server's before its socket is closed.
TEST(TurnServerGroup, APortIsFreeWhenTheDriverHasClosedItsSocket) {
  Group group(FewPorts());
  TestClient client(1000);
  ASSERT_TRUE(group[0].Allocate(client).ok());
  group[0].events().clear();
  const auto bytes =
      group[0].Build(client, stun::Method::kRefresh,
                     [](MessageWriter& w) { w.Add(stun::Lifetime{0}); });
  Server& server = group[0].server();
  server.FromClient(group[0].now(), client.path, bytes, bytes.size());
  const auto event = server.PollEvent();
  ASSERT_TRUE(event.has_value() &&
              std::holds_alternative<Server::CloseRelay>(*event));
  EXPECT_EQ(group.ledger().free_ports(), 3u);
  (void)server.PollEvent();
  EXPECT_EQ(group.ledger().free_ports(), 4u);
}

// Whatever happens in whatever order, no port is lost and none is used twice.
TEST(TurnServerGroup, NoPortIsLostOrUsedTwice) {
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
    for (int step = 0; step < 400; ++step) {
      const size_t node = random.Below(3);
      TestClient client(port++);
      switch (random.Below(6)) {
        case 0:
          tokens.push_back(group.Reserve(node, client));
          break;
        case 1:
          group.Redeem(node, client, tokens[random.Below(tokens.size())]);
          break;
        case 2:
          group[node].Allocate(client);
          break;
        case 3:
          if (live.empty()) break;
          {
            const size_t i = random.Below(live.size());
            (void)group[live[i].node].Refresh(live[i].client, 0);
            live.erase(live.begin() + static_cast<ptrdiff_t>(i));
          }
          break;
        case 4:
          group.Advance(absl::Seconds(random.Below(20)));
          break;
        default:
          group[node].open_relays = !group[node].open_relays;
      }
      if (client.relayed.port != 0) live.push_back({node, client});
      absl::flat_hash_map<uint16_t, int> uses;
      for (const Live& l : live) {
        if (!group[l.node].Refresh(l.client, 600).ok()) continue;
        ASSERT_EQ(++uses[l.client.relayed.port], 1);
      }
    }
    for (size_t i = 0; i < 3; ++i) group[i].server().Close();
    for (size_t i = 0; i < 3; ++i) group[i].Drain();
    group.Advance(absl::Minutes(5));
    EXPECT_EQ(group.ledger().free_ports(), 12u);
  }
}

// T5: behind a 1:1 NAT that does not hairpin, two clients that may only relay
// meet inside of the server, whether one core serves both or not, by channel
// and by Send, as a train too, and see each other's advertised address.
TEST(TurnServerGroup, RelayToRelayIsHandedOverInside) {
  for (const size_t second : {0u, 1u}) {
    SCOPED_TRACE(second);
    ServerOptions options = ServerHarness::Options();
    options.relay_addresses = {
        {IpAddress::V4(10, 0, 0, 5), IpAddress::V4(5, 5, 5, 5)}};
    options.own_relays = ServerOptions::OwnRelays::kAllow;
    Group group(options);
    TestClient a(1000), b(1001);
    ASSERT_TRUE(group[0].Allocate(a).ok());
    ASSERT_TRUE(group[second].Allocate(b).ok());
    ASSERT_EQ(a.relayed.ip, IpAddress::V4(5, 5, 5, 5));
    ASSERT_TRUE(group[0].Bind(a, 0x4000, b.relayed).ok());
    const auto train = [] {
      std::vector<uint8_t> bytes = ServerHarness::ChannelMessage(0x4000, "one");
      for (const char* text : {"two", "six"}) {
        const auto more = ServerHarness::ChannelMessage(0x4000, text);
        bytes.insert(bytes.end(), more.begin(), more.end());
      }
      return bytes;
    }();
    EXPECT_TRUE(group.Send(0, a, train, 7).empty()) << "no permission yet";
    // The untranslated address means the same.
    ASSERT_TRUE(group[second].Permit(b, IpAddress::V4(10, 0, 0, 5)).ok());
    auto out = group.Send(0, a, train, 7);
    ASSERT_EQ(out.size(), 3u);
    for (const auto& [path, bytes] : out) {
      EXPECT_EQ(path, b.path);
      const auto view = stun::MessageView::Parse(AsBytes(bytes));
      ASSERT_TRUE(view.ok());
      EXPECT_EQ(view->Get<stun::XorPeerAddress>()->address, a.relayed);
    }
    EXPECT_EQ(AsText(stun::MessageView::Parse(AsBytes(out[2].second))
                         ->Get<stun::Data>()
                         ->value),
              "six");
    ASSERT_TRUE(group[second].Bind(b, 0x4001, a.relayed).ok());
    out = group.Send(0, a, group[0].SendIndication(b.relayed, "send"), 2048);
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].second, std::string("\x40\x01\0\x04send", 8));
  }
}

// T2: of our relayed addresses only what is lent now is reached.
TEST(TurnServerGroup, OnlyLentRelayedAddressesAreReached) {
  ServerOptions options = ServerHarness::Options();
  options.relay_addresses = {{IpAddress::V4(5, 5, 5, 5), {}}};
  options.own_relays = ServerOptions::OwnRelays::kAllow;
  Group group(options);
  TestClient a(1000), b(1001);
  ASSERT_TRUE(group[0].Allocate(a).ok());
  ASSERT_TRUE(group[1].Allocate(b).ok());
  for (uint16_t port = 49'990; port < 50'110; ++port) {
    const TransportAddress peer{b.relayed.ip, port};
    const bool lent = peer == a.relayed || peer == b.relayed;
    EXPECT_EQ(group[0].server().AllowsPeer(peer), lent) << port;
    if (lent) continue;
    EXPECT_EQ(group[0].Bind(a, 0x4001, peer).error(), 403) << port;
  }
  ASSERT_TRUE(group[0].Bind(a, 0x4000, b.relayed).ok());
  ASSERT_TRUE(group[1].Permit(b, a.relayed.ip).ok());
  const auto data = ServerHarness::ChannelMessage(0x4000, "x");
  EXPECT_EQ(group.Send(0, a, data, data.size()).size(), 1u);
  // The channel outlives the allocation it leads to.
  ASSERT_TRUE(group[1].Refresh(b, 0).ok());
  EXPECT_TRUE(group.Send(0, a, data, data.size()).empty());
  EXPECT_EQ(group[0].server().stats().forbidden, 118u + 1u);
}

// T7: a burst of strangers is answered as often as one server would answer it,
// for each address and each /64.
TEST(TurnServerGroup, WhatStrangersAreSentIsLimitedForAllServersTogether) {
  for (const int instances : {1, 4}) {
    SCOPED_TRACE(instances);
    ServerOptions options = ServerHarness::Options();
    // 401 to the Allocate below is 60 bytes to 28.
    options.unauthenticated_gain_bytes_per_s = 32;
    options.unauthenticated_gain_bytes_burst = 7 * 32;
    Group group(options, instances);
    const auto count = [&](const char* text) {
      TestClient client(0);
      client.path.remote = TransportAddress::Parse(text).value();
      int answers = 0;
      for (int i = 0; i < 40; ++i) {
        ++client.path.remote.port;  // Each of which meets another server.
        answers += !group[static_cast<size_t>(i % instances)]
                        .Call(client, stun::Method::kAllocate,
                              [](MessageWriter& w) {
                                w.Add(stun::RequestedTransport{});
                              })
                        .empty();
      }
      return answers;
    };
    EXPECT_EQ(count("9.9.9.1:1000"), 7);
    EXPECT_EQ(count("9.9.9.2:1000"), 7);
    EXPECT_EQ(count("[2a00::1]:1000"), 7);
    EXPECT_EQ(count("[2a00::ffff:2]:1000"), 0);  // The same /64.
    group.Advance(absl::Seconds(2));
    EXPECT_EQ(count("9.9.9.1:3000"), 2);
    // Who proves himself to one of them has the larger budget at all: ten times
    // the burst, less what the challenge of another's gained.
    TestClient client(1000);
    ASSERT_TRUE(group[0].Allocate(client).ok());
    int answers = 0;
    for (int i = 0; i < 200; ++i) {
      TestClient stranger(static_cast<uint16_t>(2000 + i));
      group[static_cast<size_t>(i % instances)].Challenge(stranger);
      answers += !stranger.nonce.empty();
    }
    EXPECT_EQ(answers, 69);
  }
}

// So are guesses, whichever servers they are spread over.
TEST(TurnServerGroup, WrongCredentialsAreLimitedForAllServersTogether) {
  ServerOptions options = ServerHarness::Options();
  options.auth_failures_per_s = 1;
  options.auth_failures_burst = 5;
  Group group(options, /*instances=*/4);
  int answers = 0;
  for (int i = 0; i < 100; ++i) {
    TestClient guesser(static_cast<uint16_t>(1000 + i));
    ServerHarness& server = group[static_cast<size_t>(i % 4)];
    server.Challenge(guesser);
    guesser.password = "wrong";
    answers += server.Allocate(guesser).error() == 401;
  }
  EXPECT_EQ(answers, 5);
  TestClient other(1000);
  other.path.remote.ip = IpAddress::V4(9, 9, 9, 10);
  EXPECT_TRUE(group[3].Allocate(other).ok());
}

}  // namespace
}  // namespace kyuu::turn
