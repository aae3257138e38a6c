// Several servers of PeerJS that are one to their clients.

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/testing.h"
#include "signaling/peerjs/node_message.h"
#include "signaling/peerjs/peerjs.h"

namespace kyuu::signaling {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Texts = std::vector<std::string>;

constexpr char kOpen[] = R"({"type":"OPEN"})";
constexpr char kTaken[] =
    R"({"type":"ID-TAKEN","payload":{"msg":"ID is taken"}})";
constexpr absl::Duration kSoon = absl::Milliseconds(50);

std::string OfferTo(const std::string& from, const std::string& to,
                    const std::string& payload = "1") {
  return absl::StrCat(R"({"type":"OFFER","src":")", from, R"(","dst":")", to,
                      R"(","payload":)", payload, "}");
}
std::string ExpireOf(const std::string& absent, const std::string& to) {
  return absl::StrCat(R"({"type":"EXPIRE","src":")", absent, R"(","dst":")", to,
                      "\"}");
}

// Nodes by their index, with what joins them: messages take a millisecond, and
// so does the authority. A connection is 100 times its node and a number.
class World {
 public:
  explicit World(size_t count, PeerJsOptions options = {}) {
    for (size_t i = 0; i < count; ++i) {
      Node& node = nodes_.emplace_back();
      node.server = std::make_unique<PeerJsServer>(options, random_);
      node.server->Federate();
      node.server->HandleBackplane(now, BackplaneState::kThere);
    }
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = 0; j < count; ++j) {
        if (i != j) nodes_[i].server->HandleNode(now, NodeUp{IdOf(j)});
      }
    }
  }
  PeerJsServer& operator[](size_t node) { return *nodes_[node].server; }
  static NodeId IdOf(size_t node) { return NodeId{node + 1}; }

  // Connects at a node; what it is told comes later.
  void Connect(uint64_t id, const std::string& name,
               const std::string& token = "t") {
    EXPECT_OK(nodes_[id / 100].server->Connect(now, ConnectionId{id},
                                               IpAddress::V4(192, 0, 2, 1),
                                               {name, token, "peerjs"}));
  }
  Texts Join(uint64_t id, const std::string& name,
             const std::string& token = "t") {
    Connect(id, name, token);
    Run(kSoon);
    return Heard(id);
  }
  void Say(uint64_t id, const std::string& type, const std::string& to,
           const std::string& payload = "1") {
    nodes_[id / 100].server->HandlePacket(
        now,
        {ConnectionId{id}, absl::StrCat(R"({"type":")", type, R"(","payload":)",
                                        payload, R"(,"dst":")", to, "\"}")});
  }
  void Leave(uint64_t id) {
    nodes_[id / 100].server->Disconnect(ConnectionId{id});
  }
  Texts Heard(uint64_t id) { return std::exchange(sent_[id], {}); }
  bool IsClosed(uint64_t id) const { return closed_.contains(id); }

  void Run(absl::Duration time) {
    for (const absl::Time end = now + time; now < end;) {
      now += absl::Milliseconds(1);
      Step();
    }
  }
  // Others notice it after 8 s, and so does the authority.
  void Kill(size_t node) {
    nodes_[node].is_dead = true;
    nodes_[node].dead_at = now + absl::Seconds(8);
  }
  // The authority and the way between nodes are away for less than it takes
  // for a link to end.
  void SetBackplane(BackplaneState state) {
    is_away_ = state == BackplaneState::kAway;
    for (Node& node : nodes_) node.server->HandleBackplane(now, state);
  }
  void ForgetHolders() { holders_.clear(); }
  void Hand(size_t node, size_t from, std::string bytes) {
    nodes_[node].server->HandleNode(now,
                                    NodeMessage{IdOf(from), std::move(bytes)});
  }

  absl::Time now = absl::FromUnixSeconds(1000);

 private:
  struct Node {
    std::unique_ptr<PeerJsServer> server;
    std::deque<std::pair<NodeId, std::string>> in;
    std::deque<ClaimAnswer> answers;
    bool is_dead = false;
    absl::Time dead_at = absl::InfiniteFuture();
  };
  struct Holder {
    NodeId node{};
    uint64_t epoch = 0;
  };

  void Step() {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      Node& node = nodes_[i];
      if (now >= node.dead_at) {
        node.dead_at = absl::InfiniteFuture();
        dead_.push_back(IdOf(i));
        for (Node& other : nodes_) {
          if (!other.is_dead) {
            other.server->HandleNode(now, NodeLost{IdOf(i)});
          }
        }
      }
      if (node.is_dead) continue;
      if (!is_away_) {
        for (auto& [from, bytes] : std::exchange(node.in, {})) {
          node.server->HandleNode(now, NodeMessage{from, std::move(bytes)});
        }
        for (const ClaimAnswer& answer : std::exchange(node.answers, {})) {
          node.server->HandleClaim(now, answer);
        }
      }
      node.server->HandleTimeout(now);
      Collect(i);
    }
  }

  void Collect(size_t i) {
    PeerJsServer& server = *nodes_[i].server;
    while (auto m = server.PollTransmit(now, {})) {
      sent_[static_cast<uint64_t>(m->connection)].push_back(std::move(m->text));
    }
    while (auto event = server.PollEvent()) {
      const auto& close = std::get<CloseConnection>(*event);
      closed_[static_cast<uint64_t>(close.connection)] = close.reason;
    }
    while (auto command = server.PollNodeCommand()) {
      if (auto* to = std::get_if<ToNode>(&*command)) {
        nodes_[static_cast<size_t>(to->to) - 1].in.push_back(
            {IdOf(i), std::move(to->message)});
      } else if (const auto* claim = std::get_if<ClaimPlace>(&*command)) {
        if (!is_away_) nodes_[i].answers.push_back(Claim(IdOf(i), *claim));
      } else {
        const auto it = holders_.find(std::get<FreePlace>(*command).place);
        if (it != holders_.end() && it->second.node == IdOf(i)) {
          holders_.erase(it);
        }
      }
    }
  }

  ClaimAnswer Claim(NodeId node, const ClaimPlace& claim) {
    const auto it = holders_.find(claim.place);
    if (it != holders_.end() && it->second.node != node &&
        it->second.node != claim.from &&
        std::find(dead_.begin(), dead_.end(), it->second.node) == dead_.end()) {
      return {claim.place, false, it->second.epoch};
    }
    Holder& holder = holders_[claim.place];
    const bool is_new = holder.node != node;
    holder.node = node;
    if (claim.epoch != 0) {
      holder.epoch = std::max(holder.epoch, claim.epoch);
    } else if (is_new || holder.epoch == 0) {
      holder.epoch = ++last_epoch_;
    }
    return {claim.place, true, holder.epoch};
  }

  SeededRandom random_{3};
  std::deque<Node> nodes_;
  std::vector<NodeId> dead_;
  bool is_away_ = false;
  std::map<std::string, Holder> holders_;
  uint64_t last_epoch_ = 1;
  std::map<uint64_t, Texts> sent_;
  std::map<uint64_t, std::string> closed_;
};

TEST(PeerJsNodesTest, PeersOfDifferentNodesReachEachOther) {
  World w(2);
  EXPECT_THAT(w.Join(1, "ada"), ElementsAre(kOpen));
  EXPECT_THAT(w.Join(101, "bob"), ElementsAre(kOpen));
  for (const char* type : {"OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE"}) {
    w.Say(1, type, "bob", R"({ "a":1.50})");
    w.Run(kSoon);
    EXPECT_THAT(w.Heard(101),
                ElementsAre(absl::StrCat(R"({"type":")", type,
                                         R"(","src":"ada","dst":"bob",)",
                                         R"("payload":{ "a":1.50}})")));
  }
  w.Say(101, "ANSWER", "ada");
  w.Run(kSoon);
  EXPECT_EQ(w.Heard(1).size(), 1u);
  EXPECT_EQ(w[0].stats().passed_elsewhere, 5u);
  EXPECT_EQ(w[0].ListPeers(), R"(["ada","bob"])");
  EXPECT_EQ(w[1].ListPeers(), R"(["ada","bob"])");
  EXPECT_EQ(w[0].remote_peer_count(), 1u);
  w.Leave(101);
  w.Run(kSoon);
  EXPECT_EQ(w[0].ListPeers(), R"(["ada"])");
}

TEST(PeerJsNodesTest, AnIdIsTakenOnAllNodes) {
  World w(3);
  w.Join(1, "ada");
  EXPECT_THAT(w.Join(101, "ada", "other"), ElementsAre(kTaken));
  EXPECT_TRUE(w.IsClosed(101));
  EXPECT_FALSE(w.IsClosed(1));
  EXPECT_EQ(w[1].stats().refused_taken, 1u);
  EXPECT_EQ(w[1].peer_count(), 0u);
  w.Leave(1);
  w.Run(kSoon);
  EXPECT_THAT(w.Join(102, "ada", "other"), ElementsAre(kOpen));
}

TEST(PeerJsNodesTest, OfTwoAtOnceOneGetsTheId) {
  World w(2);
  w.Connect(1, "ada", "a");
  w.Connect(101, "ada", "b");
  w.Run(absl::Seconds(3));
  EXPECT_THAT(w.Heard(1), ElementsAre(kOpen));
  EXPECT_THAT(w.Heard(101), ElementsAre(kTaken));
}

TEST(PeerJsNodesTest, APeerThatReconnectsElsewhereTakesItsIdAlong) {
  World w(3);
  w.Join(1, "ada");
  w.Join(201, "eve");
  EXPECT_THAT(w.Join(101, "ada"), ElementsAre(kOpen));
  EXPECT_TRUE(w.IsClosed(1));
  EXPECT_EQ(w[0].stats().given, 1u);
  EXPECT_EQ(w[0].peer_count(), 0u);
  w.Say(201, "OFFER", "ada");
  w.Run(kSoon);
  EXPECT_THAT(w.Heard(101), ElementsAre(OfferTo("eve", "ada")));
  EXPECT_THAT(w.Heard(1), IsEmpty());
  // And back, as often as it likes; what is said meanwhile is not lost.
  w.Connect(2, "ada");
  w.Run(absl::Milliseconds(2));  // The id is being given.
  w.Say(201, "OFFER", "ada", "2");
  w.Run(kSoon);
  w.Say(201, "OFFER", "ada", "3");
  w.Run(kSoon);
  EXPECT_THAT(w.Heard(2), ElementsAre(kOpen, OfferTo("eve", "ada", "2"),
                                      OfferTo("eve", "ada", "3")));
  EXPECT_EQ(w[2].kept_bytes(), 0u);
}

TEST(PeerJsNodesTest, MessagesWaitForAPeerThatComesElsewhere) {
  World w(2);
  w.Join(1, "ada");
  w.Say(1, "OFFER", "bob", "1");
  w.Say(1, "LEAVE", "bob");  // Is of no use later.
  w.Say(1, "CANDIDATE", "bob", "2");
  w.Run(absl::Seconds(4));
  EXPECT_THAT(
      w.Join(101, "bob"),
      ElementsAre(
          kOpen, OfferTo("ada", "bob", "1"),
          R"({"type":"CANDIDATE","src":"ada","dst":"bob","payload":2})"));
  EXPECT_EQ(w[0].kept_bytes(), 0u);
  EXPECT_THAT(w.Heard(1), IsEmpty());
  // To one that has gone they go back, and wait where they came from.
  w.Leave(101);
  w.Say(1, "OFFER", "bob", "3");
  w.Say(1, "LEAVE", "bob");
  w.Run(kSoon);
  EXPECT_EQ(w[1].stats().returned, 1u);
  EXPECT_EQ(w[1].kept_bytes(), 0u);
  EXPECT_GT(w[0].kept_bytes(), 0u);
  w.Run(absl::Seconds(6));
  EXPECT_THAT(w.Heard(1), ElementsAre(ExpireOf("bob", "ada")));
}

TEST(PeerJsNodesTest, WhatIsSaidBeforeAnIdIsItsOwnIsPassedOnThen) {
  World w(2);
  w.Join(101, "bob");
  w.Connect(1, "ada");
  w.Say(1, "OFFER", "bob");
  w.Run(kSoon);
  EXPECT_THAT(w.Heard(1), ElementsAre(kOpen));
  EXPECT_THAT(w.Heard(101), ElementsAre(OfferTo("ada", "bob")));
  // Who does not get the id has said nothing.
  w.Connect(2, "bob", "other");
  w.Say(2, "OFFER", "ada");
  w.Run(kSoon);
  EXPECT_THAT(w.Heard(1), IsEmpty());
}

TEST(PeerJsNodesTest, WhatIsSaidBeforeIsBounded) {
  PeerJsOptions options;
  options.max_waiting_bytes = 1000;
  World w(1, options);
  w.Connect(1, "ada");
  w.Say(1, "OFFER", "bob", std::string(500, '1'));
  EXPECT_FALSE(w.IsClosed(1));
  w.Say(1, "OFFER", "bob", std::string(500, '1'));
  w.Run(kSoon);
  EXPECT_TRUE(w.IsClosed(1));
  EXPECT_EQ(w[0].stats().overloaded, 1u);
  EXPECT_EQ(w[0].peer_count(), 0u);

  options.max_waiting_bytes = 64 * 1024;
  options.max_kept_bytes = 1000;
  World all(1, options);
  all.Connect(1, "ada");
  all.Connect(2, "bob");
  all.Say(1, "OFFER", "bob", std::string(500, '1'));
  all.Say(2, "OFFER", "ada", std::string(500, '1'));
  all.Run(kSoon);
  EXPECT_FALSE(all.IsClosed(1));
  EXPECT_TRUE(all.IsClosed(2));
}

TEST(PeerJsNodesTest, ANodeThatDiesTakesItsIdsWithIt) {
  World w(2);
  w.Join(1, "ada");
  w.Join(101, "bob");
  w.Kill(1);
  w.Run(absl::Seconds(9));
  EXPECT_EQ(w[0].ListPeers(), R"(["ada"])");
  EXPECT_EQ(w[0].remote_peer_count(), 0u);
  // As on one server: nobody is told, and who calls hears that nobody is there.
  EXPECT_THAT(w.Heard(1), IsEmpty());
  w.Say(1, "OFFER", "bob");
  w.Run(absl::Seconds(6));
  EXPECT_THAT(w.Heard(1), ElementsAre(ExpireOf("bob", "ada")));
  EXPECT_THAT(w.Join(2, "bob", "other"), ElementsAre(kOpen));
}

TEST(PeerJsNodesTest, WhoComesFromANodeThatHasJustDiedWaitsForItsId) {
  World w(3);
  w.Join(101, "bob");
  w.Kill(1);
  w.Run(absl::Seconds(1));
  EXPECT_THAT(w.Join(1, "bob"), IsEmpty());
  w.Run(absl::Seconds(9));
  EXPECT_THAT(w.Heard(1), ElementsAre(kOpen));
  EXPECT_EQ(w[2].ListPeers(), R"(["bob"])");
}

TEST(PeerJsNodesTest, ANodeThatDoesNotAnswerKeepsItsIds) {
  PeerJsOptions options;
  options.dispute_timeout = absl::Seconds(3);  // Nobody knows by then.
  World w(3, options);
  w.Join(101, "bob");
  w.Kill(1);
  EXPECT_THAT(w.Join(1, "bob"), IsEmpty());
  w.Run(absl::Seconds(2));
  EXPECT_THAT(w.Heard(1), IsEmpty());
  w.Run(absl::Seconds(1));
  EXPECT_THAT(w.Heard(1), ElementsAre(kTaken));
  EXPECT_EQ(w[0].NextTimeout(), absl::InfiniteFuture());
}

TEST(PeerJsNodesTest, WhoLeavesWhileItsIdIsOnItsWayLosesItForNobody) {
  World w(2);
  w.Join(1, "ada");
  w.Connect(101, "ada");
  w.Run(absl::Milliseconds(3));  // Asked for, and not yet given.
  w.Leave(101);
  w.Run(kSoon);
  EXPECT_EQ(w[0].stats().given, 1u);
  EXPECT_EQ(w[0].ListPeers(), "[]");
  EXPECT_THAT(w.Join(2, "ada", "other"), ElementsAre(kOpen));
}

TEST(PeerJsNodesTest, WithoutTheBackplaneEachGoesOnAlone) {
  World w(2);
  w.SetBackplane(BackplaneState::kAway);
  w.Connect(1, "ada", "a");
  w.Connect(101, "ada", "b");
  w.Run(kSoon);
  EXPECT_THAT(w.Heard(1), ElementsAre(kOpen));
  EXPECT_THAT(w.Heard(101), ElementsAre(kOpen));
  EXPECT_EQ(w[0].stats().unclaimed, 1u);
  w.SetBackplane(BackplaneState::kThere);
  w.Run(kSoon);
  // One of them keeps it.
  EXPECT_THAT(w.Heard(1), IsEmpty());
  EXPECT_THAT(w.Heard(101), ElementsAre(kTaken));
  EXPECT_EQ(w[1].stats().ids_lost, 1u);
  EXPECT_EQ(w[1].ListPeers(), R"(["ada"])");
}

TEST(PeerJsNodesTest, WhoWaitsForAnIdGetsItWhenTheBackplaneGoes) {
  World w(1);
  w.Connect(1, "ada");
  w.SetBackplane(BackplaneState::kAway);
  w.Run(absl::Milliseconds(2));
  EXPECT_THAT(w.Heard(1), ElementsAre(kOpen));
}

TEST(PeerJsNodesTest, IdsAreClaimedAgain) {
  World w(2);
  w.Join(1, "ada");
  w.ForgetHolders();
  w.Run(absl::Seconds(30));
  EXPECT_THAT(w.Join(101, "ada", "other"), ElementsAre(kTaken));
  // And an authority that says nothing has no say.
  World silent(2);
  silent.Connect(1, "ada");
  silent[0].HandleClaim(silent.now, {"peerjs:nobody", true, 7});
  silent[0].HandleClaim(silent.now, {"lobby\nada", true, 7});
  silent.Kill(1);
  silent.Run(kSoon);
  EXPECT_THAT(silent.Heard(1), ElementsAre(kOpen));
}

TEST(PeerJsNodesTest, IdsOfOtherNodesAreBounded) {
  PeerJsOptions options;
  options.federation.max_remote_peers = 1;
  World w(2, options);
  w.Join(101, "ada");
  w.Join(102, "bob");
  EXPECT_EQ(w[0].remote_peer_count(), 1u);
  EXPECT_EQ(w[0].stats().remote_refused, 1u);
  EXPECT_EQ(w[0].ListPeers(), R"(["ada"])");
}

constexpr char kSomething[] = R"({"type":"OFFER"})";

TEST(PeerJsNodesTest, WhatNodesSayIsJudged) {
  World w(2);
  w.Join(1, "ada");
  w.Hand(0, 1, "");
  w.Hand(0, 1, WriteNodeMessage(peerjs::Here{std::string(200, 'x'), 1}));
  for (const char* text : {"{", "{}", R"({"type":1})"}) {
    w.Hand(0, 1, WriteNodeMessage(peerjs::Passed{"b", "ada", 1, true, text}));
  }
  w.Hand(0, 1, WriteNodeMessage(peerjs::Returned{{"ada", "b", 1, true, "{"}}));
  w.Hand(0, 1,
         WriteNodeMessage(peerjs::Returned{{"ada", "b", 1, false, "{}"}}));
  EXPECT_EQ(w[0].stats().malformed, 7u);
  w.Hand(0, 1, WriteNodeMessage(peerjs::Gone{"ada"}));
  w.Hand(0, 1,
         WriteNodeMessage(peerjs::Returned{{"ada", "b", 9, true, kSomething}}));
  w.Hand(0, 1, WriteNodeMessage(peerjs::Answer{9, "x"}));
  w.Hand(0, 7, WriteNodeMessage(peerjs::Here{"x", 1}));  // Of a stranger.
  EXPECT_EQ(w[0].stats().stale, 4u);
  std::string verdict = WriteNodeMessage(peerjs::Answer{9, "x"});
  verdict.back() = 3;
  EXPECT_FALSE(peerjs::ParseNodeMessage(verdict).ok());
  w.Run(kSoon);
  EXPECT_THAT(w.Heard(1), IsEmpty());
}

TEST(PeerJsNodesTest, WhatCannotBeSentIsNotTaken) {
  PeerJsOptions options;
  options.max_queued_bytes = 200;
  World w(2, options);
  w.Join(1, "ada");
  for (int i = 0; i < 10; ++i) {
    w.Hand(0, 1,
           WriteNodeMessage(peerjs::Passed{"b", "ada", 1, true, kSomething}));
  }
  EXPECT_GT(w[0].stats().overloaded, 0u);
  EXPECT_LE(w[0].queued_bytes(), 300u);
}

}  // namespace
}  // namespace kyuu::signaling
