// What applications say to each other beside calls, and what they report.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "signaling/server.h"
#include "signaling/testing/nodes_world.h"
#include "signaling/testing/server_world.h"

namespace kyuu::signaling {
namespace {

using nlohmann::json;

// The code of the error, or the type of another answer.
std::string What(const json& answer) {
  return answer.value("code", answer.value("type", ""));
}
json To(const std::string& name, json data) {
  return {{"type", "message"}, {"to", name}, {"data", std::move(data)}};
}
json ToAll(json data) {
  return {{"type", "message"}, {"all", true}, {"data", std::move(data)}};
}
// What applications have said to a client, "name: data", in order.
std::vector<std::string> Heard(ServerWorld& w, int client) {
  std::vector<std::string> heard;
  for (const json& m : w.sent[client]) {
    if (m["type"] != "message") continue;
    heard.push_back(absl::StrCat(m["from"].get<std::string>(),
                                 m.value("all", false) ? " to all: " : ": ",
                                 m["data"].dump()));
  }
  return heard;
}
using Texts = std::vector<std::string>;

TEST(SayTest, ItComesAsItWasSaidToWhomItIsFor) {
  ServerWorld w;
  w.Join(1, "ada");
  w.Join(2, "bob");
  w.Join(3, "eve");
  w.Join(4, "far", "elsewhere");
  EXPECT_EQ(w.Request(1, {{"type", "message"},
                          {"to", "bob"},
                          {"data", {{"sdp", "v=0"}, {"n", 1}}},
                          {"id", 9}}),
            json({{"type", "sent"}, {"id", 9}}));
  EXPECT_EQ(What(w.Request(1, ToAll("hello"))), "sent");
  EXPECT_EQ(Heard(w, 2),
            (Texts{"ada: {\"n\":1,\"sdp\":\"v=0\"}", "ada to all: \"hello\""}));
  EXPECT_EQ(Heard(w, 3), Texts{"ada to all: \"hello\""});
  EXPECT_EQ(Heard(w, 1), Texts());
  EXPECT_EQ(Heard(w, 4), Texts());
  EXPECT_EQ(w.server.stats().messages_passed_on, 3u);
}

TEST(SayTest, DataIsPassedOnByteForByte) {
  ServerWorld w;
  w.Join(1, "ada");
  w.Join(2, "bob");
  for (const std::string data :
       {R"(1.50)", R"("\u00e9\/")", R"({"b": 1,  "a" :2})", "false", "[ ]"}) {
    std::string told;
    ASSERT_OK(w.server.Connect(w.now, ConnectionId{77}, IpAddress()));
    w.server.Disconnect(w.now, ConnectionId{77}, Departure::kGoodbye);
    w.server.HandlePacket(
        w.now,
        {ConnectionId{1},
         absl::StrCat(R"({"type":"message","to":"bob","data":)", data, "}")});
    while (const auto m = w.server.PollTransmit(w.now, {})) {
      if (m->connection == ConnectionId{2}) told = m->text;
    }
    EXPECT_EQ(told, absl::StrCat(R"({"type":"message","from":"ada","data":)",
                                 data, "}"));
  }
}

TEST(SayTest, WhatCannotBeSaidIsToldWithItsReason) {
  ServerWorld w;
  w.Hello(1);
  EXPECT_EQ(What(w.Request(1, To("bob", 1))), "not_joined");
  EXPECT_EQ(What(w.Request(1, ToAll(1))), "not_joined");
  w.Join(2, "bob");
  w.Request(1, {{"type", "join"}, {"name", "ada"}});
  EXPECT_EQ(What(w.Request(1, To("eve", 1))), "not_found");
  EXPECT_EQ(What(w.Request(1, To("ada", 1))), "not_found");
  EXPECT_EQ(What(w.Request(1, {{"type", "message"}, {"data", 1}})),
            "bad_message");
  EXPECT_EQ(What(w.Request(1, {{"type", "message"}, {"to", "bob"}})),
            "bad_message");
  EXPECT_EQ(What(w.Request(1, To("bob", nullptr))), "bad_message");
  json both = To("bob", 1);
  both["all"] = true;
  EXPECT_EQ(What(w.Request(1, both)), "bad_message");
  EXPECT_EQ(What(w.Request(1, To("bob", std::string(16 * 1024, 'x')))),
            "too_large");
  EXPECT_EQ(What(w.Request(1, To("bob", std::string(16 * 1024 - 2, 'x')))),
            "sent");
  EXPECT_EQ(Heard(w, 2).size(), 1u);
}

TEST(SayTest, WhoIsBlockedIsNotHeard) {
  ServerWorld w;
  w.Join(1, "ada");
  w.Join(2, "bob");
  w.Send(2, {{"type", "block"}, {"name", "ada"}});
  // As to everybody else: who is blocked does not learn of it.
  EXPECT_EQ(What(w.Request(1, To("bob", 1))), "sent");
  EXPECT_EQ(What(w.Request(1, ToAll(1))), "sent");
  EXPECT_EQ(Heard(w, 2), Texts());
  EXPECT_EQ(w.server.stats().messages_blocked, 2u);
}

TEST(SayTest, LargeOnesCountForMore) {
  ServerOptions options;
  options.message_rate = {.per_second = 1, .burst = 20};
  ServerWorld w(options);
  w.Join(1, "ada");
  w.Join(2, "bob");
  w.Pass(absl::Minutes(1));
  // 16 KiB are as nine messages.
  const json large = To("bob", std::string(16 * 1024 - 2, 'x'));
  EXPECT_EQ(What(w.Request(1, large)), "sent");
  EXPECT_EQ(What(w.Request(1, large)), "sent");
  const json refused = w.Request(1, large);
  EXPECT_EQ(What(refused), "rate_limited");
  EXPECT_GT(refused["retry_after_ms"], 0);
  EXPECT_EQ(Heard(w, 2).size(), 2u);
}

TEST(SayTest, ARoomIsToldNoMoreThanItMayCost) {
  ServerOptions options;
  options.rooms.said_bytes_per_second = 1e4;
  options.rooms.max_said_bytes = 3e4;
  ServerWorld w(options);
  w.Join(1, "ada");
  for (int i = 2; i < 12; ++i) w.Join(i, absl::StrCat("peer ", i));
  w.Pass(absl::Seconds(10));
  // 20 kB in all are two seconds.
  EXPECT_EQ(What(w.Request(1, ToAll(std::string(2000, 'x')))), "sent");
  const json refused = w.Request(2, ToAll(1));
  EXPECT_EQ(What(refused), "rate_limited");
  EXPECT_GT(refused["retry_after_ms"], 1000);
  // To one it may be said, and so it may in another room.
  EXPECT_EQ(What(w.Request(2, To("ada", 1))), "sent");
  w.Join(20, "far", "elsewhere");
  EXPECT_EQ(What(w.Request(20, ToAll(1))), "sent");
  w.Pass(absl::Seconds(2));
  EXPECT_EQ(What(w.Request(2, ToAll(1))), "sent");
  w.Pass(absl::Seconds(2));
  EXPECT_EQ(What(w.Request(1, ToAll(std::string(3000, 'x')))), "too_large");
}

TEST(SayTest, ALargeRoomIsToldInSteps) {
  ServerOptions options;
  options.rooms.presence_messages_per_step = 4;
  options.max_sayings = 2;
  ServerWorld w(options);
  constexpr int kPeers = 11;
  for (int i = 1; i <= kPeers; ++i) w.Join(i, absl::StrCat("peer ", i));
  w.Pass(absl::Seconds(1));
  const auto say = [&](const json& message) {
    w.server.HandlePacket(w.now, {ConnectionId{1}, message.dump()});
    w.Collect();
  };
  const auto heard = [&] {
    size_t count = 0;
    for (int i = 1; i <= kPeers; ++i) count += Heard(w, i).size();
    return count;
  };
  say(ToAll(1));
  EXPECT_EQ(heard(), 0u);
  EXPECT_LE(w.server.NextTimeout(), w.now);
  say(ToAll(2));
  // So many wait; others hear when to come again.
  say(ToAll(3));
  EXPECT_EQ(What(w.sent[1].back()), "rate_limited");
  for (const size_t expected : {4u, 8u, 10u, 14u}) {
    w.server.HandleTimeout(w.now);
    w.Collect();
    EXPECT_EQ(heard(), expected);
  }
  // Who has left meanwhile hears nothing more.
  w.Lose(2);
  // That he has left is told in steps, too.
  for (int i = 0; i < 8; ++i) w.server.HandleTimeout(w.now);
  w.Collect();
  EXPECT_GT(w.server.NextTimeout(), w.now);
  for (int i = 3; i <= kPeers; ++i) {
    EXPECT_EQ(Heard(w, i), (Texts{"peer 1 to all: 1", "peer 1 to all: 2"}));
  }
}

TEST(SayTest, ItWaitsForWhoIsAwayAndEndsNobodysSession) {
  ServerOptions options;
  options.max_outbox_bytes = 40000;
  ServerWorld w(options);
  w.Join(1, "ada");
  const json welcome = w.KeptJoin(2, "bob");
  w.Lose(2);
  EXPECT_EQ(What(w.Request(1, To("bob", std::string(15000, 'x')))), "sent");
  const json refused = w.Request(1, To("bob", std::string(15000, 'x')));
  EXPECT_EQ(What(refused), "rate_limited");
  EXPECT_GT(refused["retry_after_ms"], 0);
  EXPECT_EQ(What(w.Request(1, ToAll(std::string(15000, 'x')))), "sent");
  EXPECT_EQ(w.server.stats().messages_dropped, 2u);
  EXPECT_EQ(What(w.Request(1, To("bob", "last"))), "sent");
  w.Resume(3, welcome, w.sent[2].size() - 1);
  const Texts heard = Heard(w, 3);
  ASSERT_EQ(heard.size(), 2u);
  EXPECT_EQ(heard[1], "ada: \"last\"");
}

TEST(SayTest, ItReachesPeersOfOtherServers) {
  NodesWorld world(3, 2);
  world.Join(0, 1, "ada");
  world.Join(1, 2, "bob");
  world.Join(1, 3, "eve");
  world.Run(absl::Milliseconds(300));
  world[1].Send(3, {{"type", "block"}, {"name", "ada"}});
  EXPECT_EQ(What(world.Ask(0, 1, To("bob", 1))), "sent");
  EXPECT_EQ(What(world.Ask(0, 1, ToAll(2))), "sent");
  EXPECT_EQ(What(world.Ask(0, 1, To("bob", 3))), "sent");
  world.Run(absl::Milliseconds(300));
  EXPECT_EQ(Heard(world[1], 2), (Texts{"ada: 1", "ada to all: 2", "ada: 3"}));
  EXPECT_EQ(Heard(world[1], 3), Texts());
  EXPECT_EQ(Heard(world[0], 1), Texts());
}

// --- Signals and reports
// ------------------------------------------------------

TEST(SignalTest, ProvisionalAnswersAndRollbacksArePassedOn) {
  ServerWorld w;
  const std::string call = w.Call();
  const json pranswer = {
      {"type", "signal"}, {"call", call}, {"kind", "pranswer"}, {"sdp", "v=0"}};
  const json rollback = {
      {"type", "signal"}, {"call", call}, {"kind", "rollback"}};
  w.Send(2, pranswer);
  w.Send(1, rollback);
  EXPECT_EQ(w.sent[1].back(), pranswer);
  EXPECT_EQ(w.sent[2].back(), rollback);
}

TEST(ReportTest, EachSideOfACallReportsOnce) {
  ServerWorld w;
  const std::string call = w.Call();
  const auto report = [&](int who, const std::string& outcome) {
    return json{{"type", "report"},
                {"call", call},
                {"outcome", outcome},
                {"round_trip_ms", 20 * who},
                {"id", 5}};
  };
  const size_t before = w.sent[1].size();
  w.Send(1, report(1, "direct"));
  w.Send(2, report(2, "relayed"));
  EXPECT_EQ(w.sent[1].size(), before);
  EXPECT_EQ(What(w.Request(1, report(1, "failed"))), "bad_state");
  EXPECT_EQ(w.server.stats().reports_direct, 1u);
  EXPECT_EQ(w.server.stats().reports_relayed, 1u);
  EXPECT_EQ(w.server.stats().reports_failed, 0u);
  EXPECT_DOUBLE_EQ(w.server.round_trips().sum(), 0.06);
}

TEST(ReportTest, WhatIsNoCallOfHisNobodyReports) {
  ServerWorld w;
  const std::string call = w.Call();
  w.Join(3, "eve");
  const auto report = [&](const std::string& id, const std::string& outcome) {
    return json{{"type", "report"}, {"call", id}, {"outcome", outcome}};
  };
  EXPECT_EQ(What(w.Request(3, report(call, "failed"))), "unknown_call");
  EXPECT_EQ(What(w.Request(1, report("none", "failed"))), "unknown_call");
  EXPECT_EQ(What(w.Request(1, report(call, "great"))), "bad_message");
  // Before it is accepted there is nothing to report.
  const std::string rings =
      w.Request(3, {{"type", "call"}, {"to", "ada"}})["call"];
  EXPECT_EQ(What(w.Request(3, report(rings, "failed"))), "bad_state");
  EXPECT_EQ(w.server.stats().reports_failed, 0u);
}

}  // namespace
}  // namespace kyuu::signaling
