// Rooms with a secret, callers who are not to be heard, and who is looked for.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "signaling/close_code.h"
#include "signaling/server.h"
#include "signaling/testing/nodes_world.h"
#include "signaling/testing/server_world.h"

namespace kyuu::signaling {
namespace {

using nlohmann::json;

json JoinAs(const std::string& name, const std::string& room,
            const std::string& secret = "") {
  json join = {{"type", "join"}, {"name", name}, {"room", room}};
  if (!secret.empty()) join["secret"] = secret;
  return join;
}
// The code of the error, or the type of another answer.
std::string What(const json& answer) {
  return answer.value("code", answer.value("type", ""));
}

// --- Secrets ----------------------------------------------------------------

TEST(RoomSecretTest, ARoomMadeWithOneLetsInOnlyWhoShowsIt) {
  ServerWorld w;
  for (int id : {1, 2, 3}) w.Hello(id);
  const json ada = w.Request(1, JoinAs("ada", "red", "hat"));
  EXPECT_EQ(What(ada), "joined");
  EXPECT_EQ(ada.value("secret", false), true);
  EXPECT_EQ(What(w.Request(2, JoinAs("bob", "red"))), "wrong_secret");
  EXPECT_EQ(What(w.Request(2, JoinAs("bob", "red", "hats"))), "wrong_secret");
  // Who is there is not told by the name that is taken.
  EXPECT_EQ(What(w.Request(2, JoinAs("ada", "red", "cat"))), "wrong_secret");
  const json bob = w.Request(2, JoinAs("bob", "RED", "hat"));
  EXPECT_EQ(What(bob), "joined");
  EXPECT_EQ(bob["secret"], true);
  EXPECT_EQ(w.server.stats().secrets_refused, 2u);
  // A room that nobody is in is anybody's.
  w.Send(1, {{"type", "leave"}});
  w.Send(2, {{"type", "leave"}});
  const json eve = w.Request(3, JoinAs("eve", "red"));
  EXPECT_EQ(What(eve), "joined");
  EXPECT_FALSE(eve.contains("secret"));
}

TEST(RoomSecretTest, WhoShowsOneIsInNoRoomWithoutOne) {
  ServerWorld w;
  w.Hello(1);
  w.Hello(2);
  EXPECT_EQ(What(w.Request(1, JoinAs("ada", "red"))), "joined");
  EXPECT_EQ(What(w.Request(2, JoinAs("bob", "red", "hat"))), "wrong_secret");
  // The default room is everybody's, also when it is empty.
  EXPECT_EQ(What(w.Request(2, JoinAs("bob", "", "hat"))), "wrong_secret");
  EXPECT_EQ(What(w.Request(2, JoinAs("bob", "Lobby", "hat"))), "wrong_secret");
  EXPECT_EQ(w.server.room_count(), 1u);
}

TEST(RoomSecretTest, ItsSizeIsBounded) {
  ServerWorld w;
  w.Hello(1);
  EXPECT_EQ(What(w.Request(1, JoinAs("ada", "red", std::string(129, 'x')))),
            "too_large");
  EXPECT_EQ(
      What(w.Request(
          1,
          {{"type", "join"}, {"name", "ada"}, {"room", "red"}, {"secret", 7}})),
      "bad_message");
  EXPECT_EQ(What(w.Request(1, JoinAs("ada", "red", std::string(128, 'x')))),
            "joined");
}

TEST(RoomSecretTest, AConnectionGuessesSoOften) {
  ServerWorld w;
  w.Hello(1);
  w.Hello(2);
  w.Request(1, JoinAs("ada", "red", "hat"));
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(What(w.Request(2, JoinAs("bob", "red", absl::StrCat(i)))),
              "wrong_secret");
    // Without one it is no guess.
    EXPECT_EQ(What(w.Request(2, JoinAs("bob", "red"))), "wrong_secret");
  }
  EXPECT_FALSE(w.closed.contains(2));
  w.Send(2, JoinAs("bob", "red", "x"));
  ASSERT_TRUE(w.closed.contains(2));
  EXPECT_EQ(w.closed[2].code, kClosePolicyViolation);
}

TEST(RoomSecretTest, AnAddressGuessesSoOften) {
  ServerWorld w;
  const auto connect = [&](int id, const IpAddress& source) {
    EXPECT_OK(w.server.Connect(w.now, ConnectionId(id), source));
    w.Say(id, R"({"type":"hello","version":1})");
  };
  const IpAddress one = IpAddress::V4(192, 0, 2, 77);
  w.Hello(1);
  w.Request(1, JoinAs("ada", "red", "hat"));
  for (int id = 10; id < 30; ++id) {
    connect(id, one);
    EXPECT_EQ(What(w.Request(id, JoinAs("bob", "red", absl::StrCat(id)))),
              "wrong_secret");
  }
  connect(30, one);
  // Right or wrong, it is not looked at.
  const json late = w.Request(30, JoinAs("bob", "red", "hat"));
  EXPECT_EQ(What(late), "rate_limited");
  EXPECT_GT(late["retry_after_ms"], 0);
  // Nobody else waits for that, and other rooms are open to it.
  w.Hello(2);
  EXPECT_EQ(What(w.Request(2, JoinAs("bob", "red", "hat"))), "joined");
  EXPECT_EQ(What(w.Request(30, JoinAs("bob", "blue", "hat"))), "joined");
  w.Send(30, {{"type", "leave"}});
  w.Pass(absl::Seconds(10));
  EXPECT_EQ(What(w.Request(30, JoinAs("carl", "red", "hat"))), "joined");
}

TEST(RoomSecretTest, RightOnesAreNotCounted) {
  ServerWorld w;
  w.Hello(1);
  w.Hello(2);
  w.Request(1, JoinAs("ada", "red", "hat"));
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(What(w.Request(2, JoinAs("bob", "red", "hat"))), "joined") << i;
    w.Send(2, {{"type", "leave"}});
    w.Pass(absl::Seconds(1));
  }
}

ServerOptions OneKey() {
  ServerOptions options;
  options.rooms.secret_key = "of all nodes";
  return options;
}

TEST(RoomSecretTest, AllNodesKnowIt) {
  NodesWorld w(1, 2, OneKey());
  w[0].KeptHello(1);
  const json bob = w[1].KeptHello(2);
  w[0].KeptHello(3);
  EXPECT_EQ(What(w.Ask(0, 1, JoinAs("ada", "red", "hat"))), "joined");
  w.Run(absl::Milliseconds(30));
  EXPECT_EQ(What(w.Ask(1, 2, JoinAs("bob", "red"))), "wrong_secret");
  EXPECT_EQ(What(w.Ask(1, 2, JoinAs("bob", "red", "cat"))), "wrong_secret");
  EXPECT_EQ(What(w.Ask(1, 2, JoinAs("bob", "red", "hat"))), "joined");
  w.Run(absl::Milliseconds(30));
  EXPECT_EQ(w.List(0, 1), std::vector<std::string>{"bob"});
  // A session takes it along.
  w[1].Lose(2);
  EXPECT_EQ(w.Resume(0, 4, bob, 0)["resume"]["resumed"], true);
  w.Run(absl::Milliseconds(200));
  w[0].Send(1, {{"type", "leave"}});
  EXPECT_EQ(What(w.Ask(0, 3, JoinAs("eve", "red", "cat"))), "wrong_secret");
  EXPECT_EQ(What(w.Ask(0, 3, JoinAs("eve", "red", "hat"))), "joined");
}

TEST(RoomSecretTest, TwoRoomsThatAreMadeAtOnceAreNotOne) {
  NodesWorld w(1, 2, OneKey());
  w[0].KeptHello(1);
  w[1].KeptHello(2);
  w[0].Send(1, JoinAs("ada", "red", "hat"));
  w[1].Send(2, JoinAs("bob", "red", "cat"));
  w.Run(absl::Milliseconds(200));
  EXPECT_EQ(w.List(0, 1), std::vector<std::string>{});
  EXPECT_EQ(w.List(1, 2), std::vector<std::string>{});
  EXPECT_EQ(w.stats(0).peers_refused, 1u);
}

// --- Blocking ---------------------------------------------------------------

json BlockOf(const std::string& name) {
  return {{"type", "block"}, {"name", name}};
}
json UnblockOf(const std::string& name) {
  return {{"type", "unblock"}, {"name", name}};
}

TEST(BlockTest, WhoIsBlockedHearsThatOneIsBusy) {
  ServerWorld w;
  w.Join(1, "ada");
  w.Join(2, "bob");
  EXPECT_EQ(w.Request(2, BlockOf("ada")),
            json({{"type", "blocked"}, {"name", "ada"}}));
  w.sent.clear();
  w.Send(1, {{"type", "call"}, {"to", "bob"}});
  EXPECT_EQ(w.Types(1), (std::vector<std::string>{"calling", "rejected"}));
  EXPECT_EQ(w.sent[1][1]["reason"], "busy");
  EXPECT_EQ(w.Types(2), std::vector<std::string>{});
  EXPECT_EQ(w.server.stats().calls_blocked, 1u);
  EXPECT_EQ(w.server.call_count(), 0u);
  // The other way it is as ever.
  EXPECT_EQ(What(w.Request(2, {{"type", "call"}, {"to", "ada"}})), "calling");
  w.Send(1, {{"type", "hangup"}, {"call", w.sent[1].back()["call"]}});
  EXPECT_EQ(What(w.Request(2, UnblockOf("ada"))), "unblocked");
  w.sent.clear();
  w.Send(1, {{"type", "call"}, {"to", "bob"}});
  EXPECT_EQ(w.Types(2), std::vector<std::string>{"incoming"});
}

TEST(BlockTest, CallsThatThereAreEnd) {
  ServerWorld w;
  const std::string call = w.Call();
  w.sent.clear();
  w.Send(2, BlockOf("ada"));
  EXPECT_EQ(w.Types(1), std::vector<std::string>{"hangup"});
  EXPECT_EQ(w.Types(2), (std::vector<std::string>{"blocked", "hangup"}));
  w.Send(1,
         {{"type", "signal"}, {"call", call}, {"kind", "offer"}, {"sdp", "x"}});
  EXPECT_EQ(w.Types(2), (std::vector<std::string>{"blocked", "hangup"}));
  // One that rings, too; of others nothing.
  w.Join(3, "eve");
  w.Join(4, "fred");
  for (int id : {3, 4}) w.Send(id, {{"type", "call"}, {"to", "bob"}});
  w.sent.clear();
  w.Send(2, BlockOf("eve"));
  EXPECT_EQ(w.Types(3), std::vector<std::string>{"rejected"});
  EXPECT_EQ(w.sent[3][0]["reason"], "busy");
  EXPECT_EQ(w.Types(2), (std::vector<std::string>{"blocked", "rejected"}));
  EXPECT_EQ(w.server.call_count(), 1u);
}

TEST(BlockTest, ANameThatLooksTheSameIsTheSame) {
  ServerWorld w;
  w.Join(1, "Ada");
  w.Join(2, "bob");
  w.Send(2, BlockOf("Ada"));
  w.Send(1, {{"type", "leave"}});
  EXPECT_EQ(What(w.Request(1, JoinAs("\xd0\x90"
                                     "da",
                                     ""))),
            "joined");
  w.sent.clear();
  w.Send(1, {{"type", "call"}, {"to", "bob"}});
  EXPECT_EQ(w.Types(1), (std::vector<std::string>{"calling", "rejected"}));
}

TEST(BlockTest, TheListIsBoundedAndOfThisRoom) {
  ServerOptions options;
  options.max_blocked = 2;
  ServerWorld w(options);
  w.Hello(1);
  EXPECT_EQ(What(w.Request(1, BlockOf("a"))), "not_joined");
  EXPECT_EQ(What(w.Request(1, UnblockOf("a"))), "not_joined");
  w.Request(1, JoinAs("ada", ""));
  EXPECT_EQ(What(w.Request(1, BlockOf(""))), "invalid_name");
  EXPECT_EQ(What(w.Request(1, UnblockOf("b"))), "not_found");
  // Also of those who are not here.
  EXPECT_EQ(What(w.Request(1, BlockOf("b"))), "blocked");
  EXPECT_EQ(What(w.Request(1, BlockOf("c"))), "blocked");
  EXPECT_EQ(What(w.Request(1, BlockOf("d"))), "too_large");
  EXPECT_EQ(What(w.Request(1, BlockOf("b"))), "blocked");
  EXPECT_EQ(What(w.Request(1, UnblockOf("b"))), "unblocked");
  EXPECT_EQ(What(w.Request(1, BlockOf("d"))), "blocked");
  w.Send(1, {{"type", "leave"}});
  w.Request(1, JoinAs("ada", ""));
  EXPECT_EQ(What(w.Request(1, UnblockOf("c"))), "not_found");
}

TEST(BlockTest, ASessionTakesItAlong) {
  NodesWorld w(1, 2);
  w.Join(0, 1, "ada");
  const json bob = w.Join(1, 2, "bob");
  w.Run(absl::Milliseconds(200));
  w.Ask(1, 2, BlockOf("ada"));
  const auto is_blocked = [&](int calls) {
    w[0].sent.clear();
    w[0].Send(1, {{"type", "call"}, {"to", "bob"}});
    w.Run(absl::Milliseconds(50));
    EXPECT_EQ(w[0].Types(1), (std::vector<std::string>{"calling", "rejected"}))
        << calls;
  };
  is_blocked(1);
  w[1].Lose(2);
  is_blocked(2);
  EXPECT_EQ(w.Resume(0, 3, bob, 0)["resume"]["resumed"], true);
  w.Run(absl::Milliseconds(200));
  is_blocked(3);
  EXPECT_EQ(What(w.Ask(0, 3, UnblockOf("ada"))), "unblocked");
}

// --- Who is looked for ------------------------------------------------------

TEST(FindTest, PeersOfTheRoomAreTold) {
  ServerWorld w;
  w.Hello(1);
  EXPECT_EQ(What(w.Request(1, {{"type", "find"}})), "not_joined");
  w.Send(1, JoinAs("ada", "red"));
  w.Hello(2);
  json bob = JoinAs("bob", "red");
  bob["meta"] = {{"kind", "cli"}};
  w.Send(2, bob);
  const json found = {{"type", "found"},
                      {"room", "red"},
                      {"peers", {{{"name", "bob"}, {"meta", bob["meta"]}}}}};
  const json find = {
      {"type", "find"}, {"prefix", "B"}, {"meta", {{"kind", "cli"}}}};
  EXPECT_EQ(w.Request(1, find), found);
  json wrong = find;
  wrong["meta"] = {{"kind", {1}}};
  EXPECT_EQ(What(w.Request(1, wrong)), "bad_message");
}

TEST(FindTest, SearchesHaveARate) {
  ServerOptions options;
  options.find_rate = {.per_second = 1, .burst = 3};
  ServerWorld w(options);
  w.Join(1, "ada");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(What(w.Request(1, {{"type", "find"}})), "found");
  }
  const json refused = w.Request(1, {{"type", "find"}});
  EXPECT_EQ(What(refused), "rate_limited");
  EXPECT_EQ(refused["retry_after_ms"], 1000);
  w.Pass(absl::Seconds(1));
  EXPECT_EQ(What(w.Request(1, {{"type", "find"}})), "found");
}

}  // namespace
}  // namespace kyuu::signaling
