// Several servers that are one to their clients.

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "signaling/backplane/node_message.h"
#include "signaling/testing/nodes_world.h"

namespace kyuu::signaling {
namespace {

using nlohmann::json;
using Names = std::vector<std::string>;

constexpr absl::Duration kSoon = absl::Milliseconds(30);

// "type:detail" of what a client was sent, without acknowledgements.
std::vector<std::string> Told(ServerWorld& world, int client) {
  std::vector<std::string> told;
  for (const json& m : world.sent[client]) {
    const std::string type = m["type"];
    if (type == "ack") continue;
    std::string detail;
    if (type == "presence") {
      detail = absl::StrCat(m["change"].get<std::string>(), " ",
                            m["peer"]["name"].get<std::string>());
    } else if (type == "incoming") {
      detail = m["from"];
    } else if (type == "rejected" || type == "hangup") {
      detail = m["reason"];
    } else if (type == "signal") {
      detail = m.value("sdp", m["kind"].get<std::string>());
    }
    told.push_back(detail.empty() ? type : absl::StrCat(type, ":", detail));
  }
  return told;
}

// "ada" at node 0 and "bob" at node 1, who talk.
struct Talk {
  explicit Talk(NodesWorld& world) {
    ada = world.Join(0, 1, "ada");
    bob = world.Join(1, 2, "bob");
    world.Run(absl::Milliseconds(200));
    call = world.Ask(0, 1, {{"type", "call"}, {"to", "bob"}}).value("call", "");
    world.Run(absl::Milliseconds(200));
    world[1].Send(2, {{"type", "accept"}, {"call", call}});
    world.Run(absl::Milliseconds(200));
    world[0].sent.clear();
    world[1].sent.clear();
  }
  json Signal(const std::string& sdp) const {
    return {
        {"type", "signal"}, {"call", call}, {"kind", "offer"}, {"sdp", sdp}};
  }

  json ada, bob;
  std::string call;
};

TEST(NodesTest, PeersOfDifferentNodesSeeEachOther) {
  NodesWorld world(1, 2);
  world.Join(0, 1, "ada");
  world.Join(1, 2, "bob");
  world.Run(kSoon);
  EXPECT_EQ(world.List(0, 1), Names{"bob"});
  EXPECT_EQ(world.List(1, 2), Names{"ada"});
  world[0].sent.clear();
  world[1].Send(2, {{"type", "update"}, {"meta", {{"away", true}}}});
  world.Run(kSoon);
  ASSERT_EQ(Told(world[0], 1), Names{"presence:updated bob"});
  EXPECT_EQ(world[0].sent[1][0]["peer"]["meta"]["away"], true);
  // Who is at another node is found as all others are.
  const json found = world[0].Request(
      1, {{"type", "find"}, {"prefix", "B"}, {"meta", {{"away", true}}}});
  EXPECT_EQ(found["peers"][0]["name"], "bob");
  world[0].sent.clear();
  world[1].Send(2, {{"type", "leave"}});
  world.Run(kSoon);
  EXPECT_EQ(Told(world[0], 1), Names{"presence:left bob"});
  EXPECT_EQ(world[0].server.peer_count(), 1u);
  EXPECT_EQ(world[0].server.remote_peer_count(), 0u);
}

TEST(NodesTest, WhatOtherDialectsPublishIsToldToAllNodes) {
  NodesWorld world(1, 3);
  world[1].server.Publish("text");
  world.Run(kSoon);
  const std::vector<std::pair<size_t, std::string>> all = {{0, "text"},
                                                           {2, "text"}};
  std::sort(world.published.begin(), world.published.end());
  EXPECT_EQ(world.published, all);
}

TEST(NodesTest, ANodeThatComesLaterLearnsWhoIsThere) {
  NodesWorld world(1, 2);
  world.Stop(1);
  world.Run(absl::Seconds(10));
  world.Join(0, 1, "ada");
  world.GoOn(1);
  world.Run(absl::Seconds(3));
  world.Join(1, 2, "bob");
  EXPECT_EQ(world.List(1, 2), Names{"ada"});
}

TEST(NodesTest, ACallGoesBetweenNodes) {
  NodesWorld world(1, 2);
  world.Join(0, 1, "ada");
  world.Join(1, 2, "bob");
  world.Run(kSoon);
  world[1].sent.clear();
  const json calling = world.Ask(0, 1, {{"type", "call"}, {"to", "bob"}});
  ASSERT_EQ(calling["type"], "calling");
  const std::string call = calling["call"];
  world.Run(kSoon);
  ASSERT_EQ(Told(world[1], 2), Names{"incoming:ada"});
  EXPECT_EQ(world[1].sent[2][0]["call"], call);
  // Nobody's address goes to a stranger.
  EXPECT_EQ(world.Ask(0, 1,
                      {{"type", "signal"},
                       {"call", call},
                       {"kind", "offer"},
                       {"sdp", "early"}})["code"],
            "bad_state");
  world[0].sent.clear();
  EXPECT_EQ(world.Ask(1, 2, {{"type", "accept"}, {"call", call}})["type"],
            "accepted");
  world.Run(kSoon);
  EXPECT_EQ(Told(world[0], 1), Names{"accepted"});
  world[0].sent.clear();
  world[1].sent.clear();
  for (int i = 0; i < 20; ++i) {
    world[0].Send(1, {{"type", "signal"},
                      {"call", call},
                      {"kind", "offer"},
                      {"sdp", absl::StrCat(i)}});
  }
  world.Run(kSoon);
  const Names told = Told(world[1], 2);
  ASSERT_EQ(told.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(told[i], absl::StrCat("signal:", i));
  world[1].Send(2, {{"type", "hangup"}, {"call", call}, {"reason", "done"}});
  world.Run(kSoon);
  EXPECT_EQ(Told(world[0], 1), Names{"hangup:done"});
  EXPECT_EQ(world[0].server.call_count(), 0u);
  EXPECT_EQ(world[1].server.call_count(), 0u);
}

TEST(NodesTest, ACallIsRejectedOrRingsInVain) {
  ServerOptions options;
  options.calls.ring_timeout = absl::Seconds(5);
  NodesWorld world(1, 2, options);
  world.Join(0, 1, "ada");
  world.Join(1, 2, "bob");
  world.Run(kSoon);
  std::string call = world.Ask(0, 1, {{"type", "call"}, {"to", "bob"}})["call"];
  world.Run(kSoon);
  world[0].sent.clear();
  world[1].Send(2, {{"type", "reject"}, {"call", call}});
  world.Run(kSoon);
  EXPECT_EQ(Told(world[0], 1), Names{"rejected:declined"});
  call = world.Ask(0, 1, {{"type", "call"}, {"to", "bob"}})["call"];
  world.Run(kSoon);
  world[0].sent.clear();
  world[1].sent.clear();
  world.Run(absl::Seconds(6));
  EXPECT_EQ(Told(world[0], 1), Names{"hangup:timeout"});
  EXPECT_EQ(Told(world[1], 2), Names{"hangup:timeout"});
}

TEST(NodesTest, OfTwoWhoCallEachOtherAtOnceOneCallGoesOn) {
  int rings_at_ada = 0, rings_at_bob = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    NodesWorld world(seed, 2);
    world.Join(0, 1, "ada");
    world.Join(1, 2, "bob");
    world.Run(kSoon);
    world[0].sent.clear();
    world[1].sent.clear();
    world[0].Send(1, {{"type", "call"}, {"to", "bob"}});
    world[1].Send(2, {{"type", "call"}, {"to", "ada"}});
    world.Run(kSoon);
    EXPECT_EQ(world[0].server.call_count(), 1u);
    EXPECT_EQ(world[1].server.call_count(), 1u);
    const Names ada = Told(world[0], 1), bob = Told(world[1], 2);
    const Names wins{"calling"},
        loses_to_ada{"calling", "hangup:glare", "incoming:ada"},
        loses_to_bob{"calling", "hangup:glare", "incoming:bob"};
    if (ada == wins) {
      EXPECT_EQ(bob, loses_to_ada);
      ++rings_at_bob;
    } else {
      EXPECT_EQ(ada, loses_to_bob);
      EXPECT_EQ(bob, wins);
      ++rings_at_ada;
    }
  }
  EXPECT_GT(rings_at_ada, 0);
  EXPECT_GT(rings_at_bob, 0);
}

TEST(NodesTest, ANameIsOnesOnAllNodes) {
  NodesWorld world(1, 3);
  world.Join(0, 1, "ada");
  world.Run(kSoon);
  for (size_t node : {0, 1, 2}) {
    const int client = 10 + static_cast<int>(node);
    world[node].KeptHello(client);
    EXPECT_EQ(
        world.Ask(node, client, {{"type", "join"}, {"name", "Ada"}})["code"],
        "name_taken");
  }
  world[0].Send(1, {{"type", "leave"}});
  world.Run(kSoon);
  EXPECT_EQ(world.Ask(1, 11, {{"type", "join"}, {"name", "ada"}})["type"],
            "joined");
}

TEST(NodesTest, OfThoseWhoTakeANameAtOnceOneGetsIt) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    NodesWorld world(seed, 3);
    world.delay = absl::Milliseconds(20);
    for (size_t node : {0, 1, 2}) world[node].KeptHello(1);
    for (size_t node : {0, 1, 2}) {
      world[node].sent.clear();
      world[node].Send(1, {{"type", "join"}, {"name", "ada"}});
      // What is said meanwhile waits.
      world[node].Send(1, {{"type", "ping"}, {"id", 7}});
      EXPECT_TRUE(world[node].sent[1].empty());
    }
    world.Run(absl::Milliseconds(200));
    int joined = 0;
    for (size_t node : {0, 1, 2}) {
      ASSERT_EQ(world[node].sent[1].size(), 2u);
      if (world[node].sent[1][0]["type"] == "joined") {
        ++joined;
      } else {
        EXPECT_EQ(world[node].sent[1][0]["code"], "name_taken");
      }
      EXPECT_EQ(world[node].sent[1][1]["type"], "pong");
    }
    EXPECT_EQ(joined, 1);
  }
}

TEST(NodesTest, ADeadNodesPeersAreGoneAndTheirNamesFree) {
  NodesWorld world(1, 2);
  Talk talk(world);
  world.Kill(1);
  world[0].Send(1, talk.Signal("into the void"));
  world.Run(absl::Seconds(9));
  EXPECT_EQ(Told(world[0], 1),
            (Names{"hangup:peer_lost", "presence:left bob"}));
  EXPECT_EQ(world.Ask(0, 1, {{"type", "call"}, {"to", "bob"}})["code"],
            "not_found");
  world[0].KeptHello(3);
  EXPECT_EQ(world.Ask(0, 3, {{"type", "join"}, {"name", "bob"}})["type"],
            "joined");
}

TEST(NodesTest, OneThatWasTakenForDeadGivesUpWhatOthersHaveNow) {
  NodesWorld world(1, 2);
  world.Join(0, 1, "ada");
  world.Join(1, 2, "bob");
  world.Join(1, 4, "carl");
  world.Run(kSoon);
  world.Stop(1);
  world.Run(absl::Seconds(10));
  EXPECT_TRUE(world.List(0, 1).empty());
  world.Join(0, 3, "bob");
  world.GoOn(1);
  world.Run(absl::Seconds(30));
  // Its bob has lost his name; its carl is back.
  EXPECT_TRUE(world[1].closed.contains(2));
  EXPECT_EQ(world.stats(1).names_lost, 1u);
  EXPECT_EQ(world.List(0, 1), (Names{"bob", "carl"}));
  EXPECT_EQ(world.List(1, 4), (Names{"ada", "bob"}));
}

TEST(NodesTest, ShortOutageOfTheBackplaneLosesNothing) {
  for (const auto memory :
       {NodesWorld::Memory::kKept, NodesWorld::Memory::kLost}) {
    NodesWorld world(1, 2);
    Talk talk(world);
    world.TakeDown();
    world[0].Send(1, talk.Signal("while it is away"));
    world.Run(absl::Seconds(4));
    EXPECT_TRUE(world[1].sent[2].empty());
    world.BringUp(memory);
    world.Run(kSoon);
    EXPECT_EQ(Told(world[1], 2), Names{"signal:while it is away"});
    EXPECT_TRUE(Told(world[0], 1).empty());
    // Names are held again.
    world[1].KeptHello(5);
    EXPECT_EQ(world.Ask(1, 5, {{"type", "join"}, {"name", "ada"}})["code"],
              "name_taken");
  }
}

// Acknowledged is what has arrived at the node that it is for: should the own
// one die, it is not lost with it.
TEST(NodesTest, WhatHasNotReachedTheOtherNodeIsNotAcknowledged) {
  NodesWorld world(1, 2);
  Talk talk(world);
  const auto acknowledged = [&] {
    uint64_t received = 0;
    for (const json& m : world[0].sent[1]) {
      if (m["type"] == "ack") received = m["received"];
    }
    return received;
  };
  world.TakeDown();
  for (int i = 0; i < 40; ++i) world[0].Send(1, talk.Signal("x"));
  world.Run(absl::Seconds(4));
  EXPECT_EQ(acknowledged(), 0u);
  world.BringUp(NodesWorld::Memory::kLost);
  world.Run(kSoon);
  world[0].Send(1, {{"type", "ping"}});
  // `join`, `call`, 40 signals, and this.
  EXPECT_EQ(acknowledged(), 43u);
  EXPECT_EQ(Told(world[1], 2).size(), 40u);
}

// Nobody has had the question yet that the `hello` has led to.
TEST(NodesTest, AHelloThatAsksOthersIsNoMessageToAcknowledge) {
  NodesWorld world(1, 2);
  world.Stop(1);
  json nobody;
  nobody["session"] = std::string(32, 'a');
  nobody["resume"]["secret"] = std::string(32, 'b');
  ASSERT_EQ(world.Resume(0, 1, nobody, 0)["resume"]["resumed"], false);
  world[0].sent.clear();
  for (int i = 0; i < 20; ++i) world[0].Send(1, {{"type", "ping"}});
  uint64_t received = 0;
  for (const json& m : world[0].sent[1]) {
    if (m["type"] == "ack") received = m["received"];
  }
  EXPECT_EQ(received, 16u);
}

TEST(NodesTest, LongOutageLeavesLocalPeersAmongThemselves) {
  NodesWorld world(1, 2);
  Talk talk(world);
  world.Join(0, 3, "eve");
  world.Run(kSoon);
  world[0].sent.clear();
  world[1].sent.clear();
  world.TakeDown();
  world[0].Send(1, talk.Signal("lost"));
  world.Run(absl::Seconds(10));
  EXPECT_EQ(Told(world[0], 1),
            (Names{"hangup:peer_lost", "presence:left bob"}));
  EXPECT_EQ(Told(world[1], 2), (Names{"hangup:peer_lost", "presence:left ada",
                                      "presence:left eve"}));
  // They go on: with each other, and others may join.
  EXPECT_EQ(world.Ask(0, 1, {{"type", "call"}, {"to", "eve"}})["type"],
            "calling");
  world.Join(1, 4, "fred");
  EXPECT_EQ(world.stats(1).unclaimed_joins, 1u);
  world.BringUp(NodesWorld::Memory::kLost);
  world.Run(absl::Seconds(3));
  EXPECT_EQ(world.List(0, 1), (Names{"bob", "eve", "fred"}));
  EXPECT_EQ(world.List(1, 2), (Names{"ada", "eve", "fred"}));
}

TEST(NodesTest, WhoTookTheSameNameMeanwhileLosesItOnOneSide) {
  NodesWorld world(1, 2);
  world.Join(0, 1, "ada");
  world.Join(1, 2, "bob");
  world.TakeDown();
  world.Run(absl::Seconds(10));
  world.Join(0, 3, "eve");
  world.Join(1, 3, "eve");
  world.BringUp(NodesWorld::Memory::kKept);
  world.Run(absl::Seconds(5));
  const bool at_0 = world[0].closed.contains(3);
  EXPECT_NE(at_0, world[1].closed.contains(3));
  EXPECT_EQ(world.List(0, 1), (Names{"bob", "eve"}));
  EXPECT_EQ(world.List(1, 2), (Names{"ada", "eve"}));
}

// --- Sessions that move -----------------------------------------------------

TEST(NodesTest, ASessionIsResumedOnAnotherNode) {
  NodesWorld world(1, 3);
  Talk talk(world);
  world.Join(2, 3, "eve");
  world.Run(kSoon);
  world[0].Lose(1);
  world[0].sent.clear();
  world[1].sent.clear();
  world[2].sent.clear();
  world[1].Send(2, talk.Signal("while she is away"));
  world.Run(kSoon);
  const json welcome = world.Resume(2, 1, talk.ada, 0);
  ASSERT_EQ(welcome["type"], "welcome");
  EXPECT_EQ(welcome["resume"]["resumed"], true);
  EXPECT_EQ(welcome["session"], talk.ada["session"]);
  EXPECT_EQ(welcome["resume"]["received"], 2);  // `join` and `call`.
  world.Run(kSoon);
  const Names told = Told(world[2], 1);
  EXPECT_EQ(told.front(), "welcome");
  EXPECT_EQ(told.back(), "signal:while she is away");
  // Nobody has seen it.
  EXPECT_TRUE(Told(world[2], 3).empty());
  EXPECT_TRUE(Told(world[1], 2).empty());
  // The call goes on, both ways.
  world[1].sent.clear();
  world[2].sent.clear();
  world[2].Send(1, talk.Signal("from ada"));
  world[1].Send(2, talk.Signal("from bob"));
  world.Run(kSoon);
  EXPECT_EQ(Told(world[1], 2), Names{"signal:from ada"});
  EXPECT_EQ(Told(world[2], 1), Names{"signal:from bob"});
  EXPECT_EQ(world[0].server.waiting_session_count(), 0u);
  EXPECT_EQ(world[0].server.peer_count(), 0u);
  EXPECT_EQ(world[0].server.call_count(), 0u);
  EXPECT_EQ(world[2].server.peer_count(), 2u);
  // Her name is hers, wherever it is asked for; her old home's death is nothing
  // to her.
  world.Kill(0);
  world.Run(absl::Seconds(60));
  EXPECT_EQ(world.List(1, 2), (Names{"ada", "eve"}));
  EXPECT_EQ(world.List(2, 3), (Names{"ada", "bob"}));
  EXPECT_EQ(world.stats(2).names_lost, 0u);
}

TEST(NodesTest, ASessionGoesBackAndItsCredentialsEndWithIt) {
  NodesWorld world(1, 2);
  Talk talk(world);
  json welcome = world.Resume(1, 11, talk.ada, 0);
  ASSERT_EQ(welcome["resume"]["resumed"], true);
  // The old connection was dead and nobody knew.
  EXPECT_EQ(world[0].closed.at(1).code, 4001);
  EXPECT_TRUE(world[0].closed_sessions.empty());
  world.Run(kSoon);
  world[1].Send(2, talk.Signal("to her new home"));
  world.Run(kSoon);
  EXPECT_EQ(Told(world[1], 11).back(), "signal:to her new home");
  world[1].Lose(11);
  welcome = world.Resume(0, 12, talk.ada, 1);
  ASSERT_EQ(welcome["resume"]["resumed"], true);
  world.Run(kSoon);
  world[1].Send(2, talk.Signal("back again"));
  world.Run(kSoon);
  EXPECT_EQ(Told(world[0], 12).back(), "signal:back again");
  EXPECT_EQ(world.List(1, 2), Names{"ada"});
  world[0].server.Disconnect(world.now, ConnectionId{12}, Departure::kGoodbye);
  world.Run(kSoon);
  EXPECT_TRUE(world.List(1, 2).empty());
  EXPECT_EQ(world[0].closed_sessions.size(), 1u);
  EXPECT_EQ(world[1].closed_sessions.size(), 1u);
}

TEST(NodesTest, AWrongSecretMovesNothing) {
  NodesWorld world(1, 2);
  Talk talk(world);
  json wrong = talk.ada;
  wrong["resume"]["secret"] = std::string(32, '0');
  const json welcome = world.Resume(1, 11, wrong, 0);
  EXPECT_EQ(welcome["resume"]["resumed"], false);
  EXPECT_NE(welcome["session"], talk.ada["session"]);
  EXPECT_TRUE(world[0].closed.empty());
  EXPECT_EQ(world[1].server.stats().resumes_refused, 1u);
}

TEST(NodesTest, ADeadNodesSessionIsLostAndItsClientTold) {
  NodesWorld world(1, 2);
  Talk talk(world);
  world.Kill(0);
  const json welcome = world.Resume(1, 11, talk.ada, 0);
  ASSERT_FALSE(welcome.is_null());
  EXPECT_EQ(welcome["resume"]["resumed"], false);
}

TEST(NodesTest, ANodeThatSaysNothingDelaysAMoveAndLosesItsCalls) {
  NodesWorld world(1, 3);
  Talk talk(world);
  world.Join(2, 3, "eve");
  world.Run(kSoon);
  // Bob's is stopped, and nobody knows yet.
  world.Stop(1);
  const absl::Time begun = world.now;
  const json welcome = world.Resume(2, 11, talk.ada, 4);
  EXPECT_EQ(welcome["resume"]["resumed"], true);
  EXPECT_LT(world.now - begun, absl::Seconds(3));
  world.Run(kSoon);
  EXPECT_EQ(Told(world[2], 11).back(), "hangup:peer_lost");
  world.GoOn(1);
  world.Run(absl::Seconds(1));
  EXPECT_EQ(Told(world[1], 2).back(), "hangup:peer_lost");
  EXPECT_EQ(world[1].server.call_count(), 0u);
  EXPECT_EQ(world.List(1, 2), (Names{"ada", "eve"}));
}

TEST(NodesTest, AJoinThatNobodyAnswersGoesWithoutAClaim) {
  NodesWorld world(1, 2);
  world.delay = absl::Seconds(3);
  world[0].KeptHello(1);
  EXPECT_EQ(world.Ask(0, 1, {{"type", "join"}, {"name", "ada"}})["type"],
            "joined");
  EXPECT_EQ(world.stats(0).unclaimed_joins, 1u);
  // The answer makes it a claim after all.
  world.delay = absl::Milliseconds(1);
  world.Run(absl::Seconds(5));
  world[1].KeptHello(1);
  EXPECT_EQ(world.Ask(1, 1, {{"type", "join"}, {"name", "ada"}})["code"],
            "name_taken");
}

TEST(NodesTest, WhatAMovingSessionHasBegunToSayIsDoneWhereItGoes) {
  NodesWorld world(1, 2);
  const json welcome = world[0].KeptHello(1);
  world.delay = absl::Milliseconds(200);
  world[0].Send(1, {{"type", "join"}, {"name", "ada"}, {"id", 5}});
  world[0].Lose(1);
  const json resumed = world.Resume(1, 11, welcome, 0);
  ASSERT_EQ(resumed["resume"]["resumed"], true);
  EXPECT_EQ(resumed["resume"]["received"], 1);
  world.Run(absl::Seconds(1));
  EXPECT_EQ(Told(world[1], 11), (Names{"welcome", "joined"}));
  EXPECT_EQ(world[1].sent[11].back()["id"], 5);
  EXPECT_EQ(world[0].server.peer_count(), 0u);
}

// --- Bounds -----------------------------------------------------------------

TEST(NodesTest, RemotePeersAreBounded) {
  ServerOptions options;
  options.federation.max_remote_peers = 2;
  NodesWorld world(1, 2, options);
  for (int i = 0; i < 4; ++i) world.Join(0, i, absl::StrCat("n", i));
  world.Run(kSoon);
  world.Join(1, 9, "eve");
  EXPECT_EQ(world.List(1, 9).size(), 2u);
  EXPECT_EQ(world.stats(1).peers_refused, 2u);
}

TEST(NodesTest, WhatWaitsBehindAJoinIsBounded) {
  ServerOptions options;
  options.federation.max_waiting_bytes = 1000;
  NodesWorld world(1, 2, options);
  world.delay = absl::Milliseconds(100);
  world[0].KeptHello(1);
  world[0].Send(1, {{"type", "join"}, {"name", "ada"}});
  for (int i = 0; i < 20; ++i) world[0].Send(1, {{"type", "ping"}});
  EXPECT_EQ(world[0].closed.at(1).code, 1013);
  EXPECT_EQ(world[0].server.stats().overloaded, 1u);
}

TEST(NodesTest, WhatIsHeldBackForAMovingPeerIsBounded) {
  ServerOptions options;
  options.federation.max_held_bytes = 2000;
  NodesWorld world(1, 3, options);
  Talk talk(world);
  world.delay = absl::Milliseconds(200);
  // Bob's node holds back what is for her until she is at the third.
  world[2].Connect(11);
  world[2].Send(11, {{"type", "hello"},
                     {"version", 1},
                     {"resume",
                      {{"session", talk.ada["session"]},
                       {"secret", talk.ada["resume"]["secret"]},
                       {"received", 4}}}});
  for (int i = 0; i < 400 && world.stats(1).held_too_much == 0; ++i) {
    world.Run(absl::Milliseconds(2));
    world[1].Send(2, talk.Signal(std::string(100, 'x')));
  }
  EXPECT_EQ(world.stats(1).held_too_much, 1u);
  // The call is over, and he knows.
  const Names told = Told(world[1], 2);
  EXPECT_NE(std::find(told.begin(), told.end(), "hangup:peer_lost"),
            told.end());
}

TEST(NodesTest, SessionsThatAreAskedForAreBounded) {
  ServerOptions options;
  options.federation.max_wanted = 1;
  NodesWorld world(1, 2, options);
  world.delay = absl::Milliseconds(100);
  const json nobody = {{"session", std::string(32, 'a')},
                       {"resume", {{"secret", std::string(32, 'b')}}}};
  for (int id : {1, 2}) {
    world[0].Connect(id);
    world[0].Send(id, {{"type", "hello"},
                       {"version", 1},
                       {"resume",
                        {{"session", nobody["session"]},
                         {"secret", nobody["resume"]["secret"]},
                         {"received", 0}}}});
  }
  // The second is not looked for.
  EXPECT_TRUE(world[0].sent[1].empty());
  ASSERT_EQ(world[0].sent[2].size(), 1u);
  EXPECT_EQ(world[0].sent[2][0]["resume"]["resumed"], false);
  world.Run(absl::Seconds(1));
  EXPECT_EQ(world[0].sent[1].size(), 1u);
}

TEST(NodesTest, WhatIsNoMessageOfANodeIsCounted) {
  NodesWorld world(1, 2);
  Talk talk(world);
  Server& server = world[1].server;
  const NodeId other{100};
  const auto say = [&](const node::Message& message) {
    server.HandleNode(world.now, NodeMessage{other, node::Write(message)});
  };
  const PeerId ada{other, 1}, bob{NodeId{101}, 1}, nobody{other, 99};
  server.HandleNode(world.now, NodeMessage{other, "nonsense"});
  say(node::Here{nobody, 1, "lobby", "a\nb", "{}"});
  say(node::Here{nobody, 1, "lobby", "carl", "[]"});
  say(node::Rings{"c", ada, bob, "no object"});
  say(node::Ended{talk.call, ada, bob, "\xff"});
  say(node::Signalled{talk.call, ada, bob, R"({"type":"pong"})"});
  EXPECT_EQ(world.stats(1).malformed, 6u);
  EXPECT_EQ(world.stats(1).stale, 0u);
  say(node::Gone{nobody});
  say(node::Here{bob, 99, "lobby", "bob", "{}"});
  say(node::Accepted{talk.call, nobody, bob});
  say(node::Accepted{talk.call, ada, bob});
  say(node::NotHere{77});
  say(node::Held{bob, 5});
  say(node::Over{"session"});
  EXPECT_EQ(world.stats(1).stale, 7u);
  EXPECT_TRUE(Told(world[1], 2).empty());
}

TEST(NodesTest, ASessionThatCannotBeIsNotTaken) {
  NodesWorld world(1, 2);
  world.Join(0, 1, "ada");
  world.Run(kSoon);
  const std::string hex(32, 'a');
  const node::Moved good{1, {NodeId{100}, 50},      hex, hex, 3,
                         0, {"{\"type\":\"pong\"}"}};
  std::vector<node::Moved> moves(8, good);
  moves[0].id = "short";
  moves[1].secret = "";
  moves[2].received = uint64_t{1} << 60;
  moves[3].forgotten = uint64_t{1} << 60;
  moves[4].kept = {"no message"};
  moves[5].unfinished = {"two", "texts"};
  moves[6].is_in_room = true;
  moves[6].meta = "no object";
  moves[7].homes.resize(100);
  int client = 10;
  uint64_t request = 1;
  // Nobody answers but the test.
  world.delay = absl::Seconds(1);
  for (node::Moved& moved : moves) {
    Server& server = world[1].server;
    world[1].Connect(++client);
    world[1].Send(
        client,
        {{"type", "hello"},
         {"version", 1},
         {"resume", {{"session", hex}, {"secret", hex}, {"received", 0}}}});
    moved.request = request++;
    server.HandleNode(world.now, NodeMessage{NodeId{100}, node::Write(moved)});
    world[1].Collect();
    ASSERT_EQ(world[1].sent[client].size(), 1u);
    EXPECT_EQ(world[1].sent[client][0]["resume"]["resumed"], false);
  }
  EXPECT_EQ(world.stats(1).malformed, 8u);
  EXPECT_EQ(world.stats(1).sessions_taken, 0u);
}

// Everything that is said arrives once and in order, whoever moves where and
// how slow the backplane is.
TEST(NodesTest, NothingIsLostDoubledOrOvertakenByMoves) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    SeededRandom random(seed);
    NodesWorld world(seed, 3);
    world.delay = absl::Milliseconds(1 + random.Below(40));
    Talk talk(world);
    struct Side {
      json welcome;
      size_t node;
      int client;
      std::vector<std::string> got;
      uint64_t had = 0;   // Numbered messages of the server.
      uint64_t said = 0;  // By number; to be said again from here.
      std::vector<json> kept;
    };
    Side sides[] = {{talk.ada, 0, 1, {}, 0, 0, {}},
                    {talk.bob, 1, 2, {}, 0, 0, {}}};
    // What each has had until here: joined, presence, call messages.
    const auto collect = [&](Side& side) {
      std::vector<json>& sent = world[side.node].sent[side.client];
      for (const json& m : sent) {
        if (m["type"] == "welcome") continue;
        ++side.had;
        if (m["type"] == "signal") side.got.push_back(m["sdp"]);
        EXPECT_NE(m["type"], "hangup");
        EXPECT_NE(m["type"], "error") << m;
      }
      sent.clear();
    };
    // They were told these before the test looked.
    sides[0].had = 4;  // joined, presence, calling, accepted
    sides[1].had = 3;  // joined, incoming, accepted
    sides[0].said = 2;
    sides[1].said = 2;
    int client = 20;
    std::vector<std::string> expected[2];
    for (int i = 0; i < 60; ++i) {
      const size_t who = random.Below(2);
      Side& side = sides[who];
      if (random.Below(10) < 8) {
        expected[1 - who].push_back(absl::StrCat(i));
        const json message = talk.Signal(absl::StrCat(i));
        side.kept.push_back(message);
        world[side.node].Send(side.client, message);
      } else {
        // It loses its connection, and perhaps what was under way, and comes
        // back somewhere.
        collect(side);
        if (random.Below(2) == 0) {
          world[side.node].Lose(side.client);
        }
        side.node = random.Below(3);
        side.client = ++client;
        const json welcome =
            world.Resume(side.node, side.client, side.welcome, side.had);
        ASSERT_EQ(welcome["resume"]["resumed"], true);
        const uint64_t received = welcome["resume"]["received"];
        ASSERT_EQ(received, side.said + side.kept.size());
      }
      if (random.Below(3) == 0) {
        world.Run(absl::Milliseconds(random.Below(50)));
      }
      collect(sides[0]);
      collect(sides[1]);
    }
    world.Run(absl::Seconds(3));
    collect(sides[0]);
    collect(sides[1]);
    EXPECT_EQ(sides[0].got, expected[0]);
    EXPECT_EQ(sides[1].got, expected[1]);
    for (size_t node : {0, 1, 2}) {
      EXPECT_EQ(world.stats(node).malformed, 0u);
    }
  }
}

}  // namespace
}  // namespace kyuu::signaling
