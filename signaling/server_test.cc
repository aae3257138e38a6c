#include "signaling/server.h"

#include <string>
#include <vector>

#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "signaling/testing/server_world.h"

namespace kyuu::signaling {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST(ServerTest, WelcomeWaitsForIceServersAndTellsThem) {
  ServerWorld f;
  f.give_ice_servers = false;
  f.Connect(1);
  f.Say(1, R"({"type":"hello","version":1,"id":"h"})");
  EXPECT_THAT(f.sent[1], IsEmpty());
  EXPECT_EQ(f.Code(1, R"({"type":"join","name":"a"})"), "bad_state");
  f.sent.clear();
  ASSERT_OK(f.server.SetIceServers(f.now, f.opened_sessions.at(0),
                                   {{{"turn:h:1"}, "u", "p"}}));
  f.Collect();
  ASSERT_EQ(f.Types(1), std::vector<std::string>{"welcome"});
  const json& welcome = f.sent[1][0];
  EXPECT_EQ(welcome["id"], "h");
  EXPECT_EQ(welcome["session"], f.opened_sessions.at(0));
  EXPECT_EQ(welcome["session"].get<std::string>().size(), 32u);
  EXPECT_EQ(welcome["ice_servers"][0]["credential"], "p");
  EXPECT_EQ(welcome["limits"]["message_bytes"], 65536);
  f.sent.clear();
  ASSERT_OK(f.server.SetIceServers(f.now, f.opened_sessions.at(0), {}));
  f.Collect();
  EXPECT_EQ(f.Types(1), std::vector<std::string>{"ice_servers"});
}

TEST(ServerTest, SessionClosesOnceWhateverEndsIt) {
  ServerWorld f;
  f.Join(1, "ada");
  f.server.Disconnect(f.now, ConnectionId(1), Departure::kLost);
  f.server.Disconnect(f.now, ConnectionId(1), Departure::kLost);
  f.Collect();
  EXPECT_EQ(f.closed_sessions, f.opened_sessions);
  EXPECT_EQ(f.server.connection_count(), 0u);
  EXPECT_EQ(f.server.peer_count(), 0u);
  EXPECT_EQ(f.server.room_count(), 0u);
  EXPECT_THAT(f.server.SetIceServers(f.now, f.opened_sessions.at(0), {}),
              StatusIs(absl::StatusCode::kNotFound));
  f.Say(1, R"({"type":"ping"})");
  EXPECT_EQ(f.server.stats().unknown_connection, 1u);
}

TEST(ServerTest, JoinTellsWhoIsThereAndEverybodyElse) {
  ServerWorld f;
  f.Hello(1);
  f.Say(1, R"({"type":"join","name":"ada","meta":{"kind":"web"}})");
  f.Hello(2);
  f.sent.clear();
  const json joined =
      f.Ask(2, R"({"type":"join","name":"bob","meta":{"kind":"cli"},"id":9})");
  EXPECT_EQ(joined, json::parse(R"({"type":"joined","room":"lobby",
      "name":"bob","peers":[{"name":"ada","meta":{"kind":"web"}}],
      "more":false,"id":9})"));
  EXPECT_THAT(f.sent[1], ElementsAre(json::parse(R"({"type":"presence",
      "change":"joined","peer":{"name":"bob","meta":{"kind":"cli"}}})")));
  // Metadata changes and departure, too.
  f.sent.clear();
  EXPECT_EQ(f.Code(2, R"({"type":"update","meta":{"away":true}})"), "updated");
  EXPECT_EQ(f.Code(2, R"({"type":"leave"})"), "left");
  ASSERT_EQ(f.sent[1].size(), 2u);
  EXPECT_EQ(f.sent[1][0]["change"], "updated");
  EXPECT_EQ(f.sent[1][0]["peer"]["meta"]["away"], true);
  EXPECT_EQ(f.sent[1][1]["change"], "left");
  EXPECT_EQ(f.Code(2, R"({"type":"join","name":"bob"})"), "joined");
}

TEST(ServerTest, RoomsDoNotSeeEachOther) {
  ServerWorld f;
  f.Join(1, "ada", "red");
  f.Join(2, "ada", "blue");
  EXPECT_EQ(f.Types(1), (std::vector<std::string>{"welcome", "joined"}));
  EXPECT_EQ(f.Code(1, R"({"type":"call","to":"bob"})"), "not_found");
  EXPECT_EQ(f.server.room_count(), 2u);
}

TEST(ServerTest, ErrorsOfJoin) {
  ServerWorld f;
  f.Join(1, "ada");
  f.Hello(2);
  EXPECT_EQ(f.Code(2, R"({"type":"join","name":"ada"})"), "name_taken");
  EXPECT_EQ(f.Code(2, R"({"type":"join","name":""})"), "invalid_name");
  EXPECT_EQ(f.Code(2, R"({"type":"join","name":"a\n"})"), "invalid_name");
  EXPECT_EQ(f.Code(2,
                   "{\"type\":\"join\",\"name\":\"b\","
                   "\"room\":\"x\u202e\"}"),
            "invalid_name");
  EXPECT_EQ(f.Code(2, R"({"type":"call","to":"ada"})"), "not_joined");
  EXPECT_EQ(f.Code(2, R"({"type":"list"})"), "not_joined");
  EXPECT_EQ(f.Code(2, R"({"type":"leave"})"), "not_joined");
  EXPECT_EQ(f.Code(2, R"({"type":"update","meta":{}})"), "not_joined");
  EXPECT_EQ(f.Code(2, R"({"type":"join","name":"bob"})"), "joined");
  EXPECT_EQ(f.Code(2, R"({"type":"join","name":"bob2"})"), "bad_state");
  EXPECT_EQ(f.Code(2, R"({"type":"hello","version":1})"), "bad_state");
  f.Connect(3);
  EXPECT_EQ(f.Code(3, R"({"type":"join","name":"c"})"), "bad_state");
  EXPECT_EQ(f.Code(3, R"({"type":"hello","version":2})"),
            "unsupported_version");
  EXPECT_EQ(f.Code(3, R"({"type":"ping"})"), "pong");
}

TEST(ServerTest, BadMessagesGetATypedErrorAndDisturbNobody) {
  ServerWorld f;
  f.Join(1, "ada");
  f.Join(2, "bob");
  f.sent.clear();
  EXPECT_EQ(f.Code(1, "not json"), "bad_message");
  EXPECT_EQ(f.Code(1, R"({"type":"dance","id":1})"), "unknown_type");
  EXPECT_EQ(f.Code(1, std::string(70000, ' ')), "too_large");
  EXPECT_EQ(f.Code(1, "{\"type\":\"\xff\"}"), "bad_message");
  EXPECT_THAT(f.sent[2], IsEmpty());
  EXPECT_EQ(f.Code(1, R"({"type":"list"})"), "peers");
  EXPECT_EQ(f.server.stats().messages_refused, 4u);
}

TEST(ServerTest, CallFromRingToHangup) {
  ServerWorld f;
  f.Join(1, "ada");
  f.Join(2, "bob");
  f.sent.clear();
  const json calling =
      f.Ask(1, R"({"type":"call","to":"bob","meta":{"x":1},"id":"c"})");
  const std::string call = calling["call"];
  EXPECT_EQ(calling["polite"], false);
  EXPECT_EQ(calling["to"], "bob");
  ASSERT_EQ(f.sent[2].size(), 1u);
  EXPECT_EQ(f.sent[2][0], json({{"type", "incoming"},
                                {"call", call},
                                {"from", "ada"},
                                {"polite", true},
                                {"meta", {{"x", 1}}}}));
  f.sent.clear();
  f.Say(2, json({{"type", "accept"}, {"call", call}}).dump());
  const json accepted = {{"type", "accepted"}, {"call", call}};
  EXPECT_THAT(f.sent[1], ElementsAre(accepted));
  EXPECT_THAT(f.sent[2], ElementsAre(accepted));
  f.sent.clear();
  const json offer = {{"type", "signal"},
                      {"call", call},
                      {"kind", "offer"},
                      {"sdp", "v=0\r\n"}};
  f.Say(1, offer.dump());
  EXPECT_THAT(f.sent[2], ElementsAre(offer));
  EXPECT_THAT(f.sent[1], IsEmpty());
  const json end = {
      {"type", "signal"}, {"call", call}, {"kind", "end-of-candidates"}};
  f.Say(2, end.dump());
  EXPECT_THAT(f.sent[1], ElementsAre(end));
  f.sent.clear();
  f.Say(2, json({{"type", "hangup"}, {"call", call}, {"id", 5}}).dump());
  EXPECT_EQ(f.sent[1][0]["reason"], "hangup");
  EXPECT_EQ(f.sent[2][0]["id"], 5);
  EXPECT_EQ(f.server.call_count(), 0u);
  EXPECT_EQ(f.Code(1, offer.dump()), "unknown_call");
}

// Every request that has a direct answer: the answer, and nothing else that
// anybody gets, repeats the id (docs/signaling_protocol.md, "Form of
// messages").
TEST(ServerTest, EveryDirectAnswerRepeatsTheId) {
  enum class Before : uint8_t { kConnected, kReady, kJoined, kRings, kInCall };
  struct Row {
    const char* request;
    Before before;
    int who;
    const char* answer;
  };
  const Row rows[] = {
      {R"({"type":"hello","version":1})", Before::kConnected, 1, "welcome"},
      {R"({"type":"hello","version":2})", Before::kConnected, 1, "error"},
      {R"({"type":"ping"})", Before::kConnected, 1, "pong"},
      {R"({"type":"join","name":"ada"})", Before::kReady, 1, "joined"},
      {R"({"type":"join","name":""})", Before::kReady, 1, "error"},
      {R"({"type":"update","meta":{}})", Before::kJoined, 1, "updated"},
      {R"({"type":"list"})", Before::kJoined, 1, "peers"},
      {R"({"type":"leave"})", Before::kJoined, 1, "left"},
      {R"({"type":"call","to":"bob"})", Before::kJoined, 1, "calling"},
      {R"({"type":"call","to":"ada"})", Before::kRings, 2, "calling"},
      {R"({"type":"accept"})", Before::kRings, 2, "accepted"},
      {R"({"type":"reject"})", Before::kRings, 2, "rejected"},
      {R"({"type":"hangup"})", Before::kRings, 1, "hangup"},
      {R"({"type":"hangup"})", Before::kInCall, 2, "hangup"},
      {R"({"type":"accept"})", Before::kInCall, 2, "error"},
      {R"({"type":"dance"})", Before::kJoined, 1, "error"},
      {R"({"type":"update"})", Before::kJoined, 1, "error"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.request);
    ServerWorld f;
    std::string call;
    if (row.before == Before::kConnected) f.Connect(1);
    if (row.before == Before::kReady) f.Hello(1);
    if (row.before >= Before::kJoined) {
      f.Join(1, "ada");
      f.Join(2, "bob");
    }
    if (row.before >= Before::kRings) {
      call = f.Ask(1, R"({"type":"call","to":"bob"})").value("call", "");
    }
    if (row.before == Before::kInCall) {
      f.Say(2, json({{"type", "accept"}, {"call", call}}).dump());
    }
    f.sent.clear();
    json request = json::parse(row.request);
    request["id"] = 77;
    if (!call.empty()) request["call"] = call;
    f.Say(row.who, request.dump());
    int repeated = 0;
    for (const auto& [who, messages] : f.sent) {
      for (const json& message : messages) {
        if (!message.contains("id")) continue;
        ++repeated;
        EXPECT_EQ(who, row.who) << message;
        EXPECT_EQ(message["id"], 77);
        EXPECT_EQ(message["type"], row.answer);
      }
    }
    EXPECT_EQ(repeated, 1);
  }
}

// Each message about a call in each state of it, from caller (1), callee (2)
// and a stranger (3): the answer's type or error code; "" for none.
TEST(ServerTest, StateByMessageTable) {
  struct Row {
    const char* message;
    const char* ringing[3];
    const char* accepted[3];
  };
  const Row rows[] = {
      {"accept",
       {"bad_state", "accepted", "unknown_call"},
       {"bad_state", "bad_state", "unknown_call"}},
      {"reject",
       {"bad_state", "rejected", "unknown_call"},
       {"bad_state", "bad_state", "unknown_call"}},
      {"hangup",
       {"hangup", "hangup", "unknown_call"},
       {"hangup", "hangup", "unknown_call"}},
      {"signal",
       {"bad_state", "bad_state", "unknown_call"},
       {"", "", "unknown_call"}},
  };
  for (const Row& row : rows) {
    for (int who = 1; who <= 3; ++who) {
      for (const bool accepted : {false, true}) {
        SCOPED_TRACE(absl::StrCat(row.message, " by ", who,
                                  accepted ? " accepted" : " ringing"));
        ServerWorld f;
        f.Join(1, "ada");
        f.Join(2, "bob");
        f.Join(3, "eve");
        const std::string call =
            f.Ask(1, R"({"type":"call","to":"bob"})").value("call", "");
        if (accepted) {
          f.Say(2, json({{"type", "accept"}, {"call", call}}).dump());
        }
        f.sent.clear();
        f.Say(who, json({{"type", row.message},
                         {"call", call},
                         {"kind", "end-of-candidates"}})
                       .dump());
        std::string got;
        if (!f.sent[who].empty()) {
          const json& answer = f.sent[who].front();
          got = answer["type"] == "error" ? answer["code"] : answer["type"];
        }
        EXPECT_EQ(got, (accepted ? row.accepted : row.ringing)[who - 1]);
      }
    }
  }
}

TEST(ServerTest, GlareIsOneCallWithOppositePoliteness) {
  ServerWorld f;
  f.Join(1, "ada");
  f.Join(2, "bob");
  const json first = f.Ask(1, R"({"type":"call","to":"bob","id":1})");
  f.sent.clear();
  f.Say(2, R"({"type":"call","to":"ada","id":2})");
  ASSERT_EQ(f.Types(2), (std::vector<std::string>{"calling", "accepted"}));
  EXPECT_EQ(f.sent[2][0]["call"], first["call"]);
  EXPECT_EQ(f.sent[2][0]["polite"], true);
  EXPECT_EQ(first["polite"], false);
  EXPECT_EQ(f.Types(1), std::vector<std::string>{"accepted"});
  EXPECT_EQ(f.server.call_count(), 1u);
  // Once more is an error that names the call.
  const json again = f.Ask(1, R"({"type":"call","to":"bob"})");
  EXPECT_EQ(again["code"], "bad_state");
  EXPECT_EQ(again["call"], first["call"]);
}

TEST(ServerTest, CallOfNobodyAndOfOneself) {
  ServerWorld f;
  f.Join(1, "ada");
  const json answer = f.Ask(1, R"({"type":"call","to":"bob","id":4})");
  EXPECT_EQ(answer["code"], "not_found");
  EXPECT_EQ(answer["id"], 4);
  EXPECT_EQ(f.Code(1, R"({"type":"call","to":"ada"})"), "not_found");
}

TEST(ServerTest, UnansweredCallTimesOut) {
  ServerWorld f;
  f.Join(1, "ada");
  f.Join(2, "bob");
  f.Ask(1, R"({"type":"call","to":"bob"})");
  f.sent.clear();
  EXPECT_EQ(f.server.NextTimeout(), f.now + absl::Seconds(60));
  f.server.HandleTimeout(f.now + absl::Seconds(59));
  f.Collect();
  EXPECT_THAT(f.sent[1], IsEmpty());
  f.server.HandleTimeout(f.now + absl::Seconds(60));
  f.Collect();
  EXPECT_EQ(f.sent[1][0]["reason"], "timeout");
  EXPECT_EQ(f.sent[2][0]["reason"], "timeout");
  EXPECT_EQ(f.server.NextTimeout(), absl::InfiniteFuture());
}

TEST(ServerTest, WhoeverGoesEndsItsCalls) {
  for (const bool lost : {false, true}) {
    ServerWorld f;
    const std::string call = f.Call();
    if (lost) {
      f.server.Disconnect(f.now, ConnectionId(1), Departure::kLost);
      f.Collect();
    } else {
      f.Say(1, R"({"type":"leave"})");
    }
    ASSERT_EQ(f.Types(2), (std::vector<std::string>{"hangup", "presence"}));
    EXPECT_EQ(f.sent[2][0]["reason"], lost ? "peer_lost" : "peer_left");
    EXPECT_EQ(f.sent[2][1]["change"], "left");
    EXPECT_EQ(f.server.call_count(), 0u);
  }
}

TEST(ServerTest, ConnectionWithoutHelloIsClosed) {
  ServerWorld f;
  f.Connect(1);
  EXPECT_EQ(f.server.NextTimeout(), f.now + absl::Seconds(10));
  f.server.HandleTimeout(f.now + absl::Seconds(10));
  f.Collect();
  EXPECT_EQ(f.closed[1].reason, "no hello");
  EXPECT_EQ(f.server.connection_count(), 0u);
  EXPECT_THAT(f.closed_sessions, IsEmpty());
}

TEST(ServerTest, RateLimitDropsThenClosesAndForgives) {
  ServerOptions options;
  options.message_rate.burst = 5;
  options.message_rate.per_second = 10;
  options.max_dropped_messages = 3;
  ServerWorld f(options);
  f.Hello(1);
  f.Hello(2);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(f.Code(1, R"({"type":"ping"})"), "pong");
  }
  const json error = f.Ask(1, R"({"type":"ping"})");
  EXPECT_EQ(error["code"], "rate_limited");
  EXPECT_EQ(error["retry_after_ms"], 100);
  EXPECT_EQ(f.Code(2, R"({"type":"ping"})"), "pong");
  f.now += absl::Milliseconds(100);
  EXPECT_EQ(f.Code(1, R"({"type":"ping"})"), "pong");
  // After a quiet time the count of dropped ones starts anew.
  f.now += absl::Seconds(10);
  for (int i = 0; i < 5; ++i) f.Say(1, R"({"type":"ping"})");
  for (int i = 0; i < 3; ++i) f.Say(1, R"({"type":"ping"})");
  EXPECT_THAT(f.closed, IsEmpty());
  f.Say(1, R"({"type":"ping"})");
  EXPECT_EQ(f.closed[1].reason, "too many messages");
  EXPECT_EQ(f.closed_sessions.size(), 1u);
  EXPECT_EQ(f.server.stats().rate_limited, 5u);
}

TEST(ServerTest, BoundsOfConnectionsRoomsPeersAndCalls) {
  ServerOptions options;
  options.max_connections = 4;
  options.rooms.max_rooms = 1;
  options.rooms.max_peers_per_room = 3;
  options.calls.max_calls_per_peer = 1;
  ServerWorld f(options);
  for (int id = 1; id <= 3; ++id) f.Join(id, absl::StrCat("p", id));
  f.Hello(4);
  EXPECT_THAT(f.server.Connect(f.now, ConnectionId(5), ServerWorld::Address(5)),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(f.Code(4, R"({"type":"join","name":"p4"})"), "room_full");
  EXPECT_EQ(f.Code(4, R"({"type":"join","name":"p4","room":"b"})"), "joined");
  f.Say(3, R"({"type":"leave"})");
  EXPECT_EQ(f.Code(3, R"({"type":"join","name":"p3","room":"c"})"),
            "server_full");
  EXPECT_EQ(f.Code(3, R"({"type":"join","name":"p3"})"), "joined");
  EXPECT_EQ(f.Code(1, R"({"type":"call","to":"p2"})"), "calling");
  EXPECT_EQ(f.Code(1, R"({"type":"call","to":"p3"})"), "too_many_calls");
  EXPECT_EQ(f.Code(3, R"({"type":"call","to":"p2"})"), "too_many_calls");
  EXPECT_THAT(f.server.Connect(f.now, ConnectionId(1), ServerWorld::Address(1)),
              StatusIs(absl::StatusCode::kResourceExhausted));
  f.server.Disconnect(f.now, ConnectionId(4), Departure::kLost);
  EXPECT_THAT(f.server.Connect(f.now, ConnectionId(1), ServerWorld::Address(1)),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST(ServerTest, OneSourceHasItsShareOfTheConnections) {
  ServerOptions options;
  options.max_connections = 100;
  options.max_connections_per_source = 2;
  ServerWorld f(options);
  struct Row {
    const char* name;
    const char* greedy[3];
    const char* honest;
  };
  const Row rows[] = {
      {"IPv4 address", {"192.0.2.1", "192.0.2.1", "192.0.2.1"}, "192.0.2.2"},
      {"IPv4-mapped is the same",
       {"198.51.100.1", "::ffff:198.51.100.1", "198.51.100.1"},
       "::ffff:198.51.100.2"},
      {"IPv6 /64",
       {"2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:ffff::3"},
       "2001:db8:0:2::1"},
  };
  uint64_t id = 0;
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const auto connect = [&](const char* address) {
      return f.server.Connect(f.now, ConnectionId(++id),
                              *IpAddress::Parse(address));
    };
    EXPECT_OK(connect(row.greedy[0]));
    EXPECT_OK(connect(row.greedy[1]));
    EXPECT_THAT(connect(row.greedy[2]),
                StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_OK(connect(row.honest));
    // What is given back may be taken again.
    f.server.Disconnect(f.now, ConnectionId(id - 2), Departure::kLost);
    EXPECT_OK(connect(row.greedy[2]));
  }
}

TEST(ServerTest, LongListsComeInPages) {
  ServerOptions options;
  options.rooms.max_list_bytes = 200;
  options.message_rate.burst = 1000;
  ServerWorld f(options);
  for (int id = 10; id < 40; ++id) f.Join(id, absl::StrCat("p", id));
  f.Hello(1);
  f.sent.clear();
  json page = f.Ask(1, R"({"type":"join","name":"ada"})");
  std::vector<std::string> names;
  for (int pages = 1;; ++pages) {
    ASSERT_LT(pages, 31);
    for (const json& peer : page["peers"]) names.push_back(peer["name"]);
    if (page["more"] == false) break;
    page = f.Ask(1, json({{"type", "list"}, {"after", names.back()}}).dump());
  }
  ASSERT_EQ(names.size(), 30u);
  EXPECT_EQ(names.front(), "p10");
  EXPECT_EQ(names.back(), "p39");
}

// Nobody may think that a message was read which was not.
TEST(ServerTest, WhoOverfillsTheQueueIsCutAndKnowsIt) {
  ServerOptions options;
  options.max_queued_bytes = 10000;
  options.message_rate.burst = 1e9;
  ServerWorld f(options);
  f.Hello(1);
  f.Hello(2);
  for (int i = 0; i < 1000; ++i) {
    f.server.HandlePacket(f.now, {ConnectionId(1), R"({"type":"ping"})"});
  }
  EXPECT_LE(f.server.queued_bytes(), 10100u);
  EXPECT_EQ(f.server.stats().overloaded, 1u);
  f.Collect();
  EXPECT_EQ(f.closed[1].reason, "the server is overloaded");
  EXPECT_EQ(f.closed_sessions, std::vector{f.opened_sessions[0]});
  EXPECT_EQ(f.Code(2, R"({"type":"ping"})"), "pong");
}

TEST(ServerTest, WhatACallCounts) {
  ServerWorld f;
  const std::string call = f.Call();
  f.Say(
      1,
      json({{"type", "signal"}, {"call", call}, {"kind", "end-of-candidates"}})
          .dump());
  EXPECT_THAT(NonzeroCounters(f.server.stats()),
              ElementsAre("messages_received", "signals_relayed",
                          "calls_started", "calls_accepted"));
  EXPECT_EQ(f.server.stats().messages_received, 7u);
  EXPECT_EQ(f.server.stats().signals_relayed, 1u);
  EXPECT_EQ(f.server.stats().calls_started, 1u);
  EXPECT_EQ(f.server.stats().calls_accepted, 1u);
}

// Each is told to a whole room; the rest of a client's messages are not.
TEST(ServerTest, ChangesOfPresenceAndCallsHaveRatesOfTheirOwn) {
  ServerOptions options;
  options.presence_rate = {.per_second = 1, .burst = 3};
  options.call_rate = {.per_second = 1, .burst = 1};
  ServerWorld f(options);
  f.Join(1, "ada");
  EXPECT_EQ(f.Code(1, R"({"type":"update","meta":{}})"), "updated");
  EXPECT_EQ(f.Code(1, R"({"type":"update","meta":{}})"), "updated");
  const json refused = f.Ask(1, R"({"type":"update","meta":{},"id":3})");
  EXPECT_EQ(refused["code"], "rate_limited");
  EXPECT_EQ(refused["id"], 3);
  EXPECT_EQ(refused["retry_after_ms"], 1000);
  EXPECT_EQ(f.Code(1, R"({"type":"list"})"), "peers");
  EXPECT_EQ(f.Code(1, R"({"type":"call","to":"bob"})"), "not_found");
  EXPECT_EQ(f.Code(1, R"({"type":"call","to":"bob"})"), "rate_limited");
  // To leave is always possible.
  EXPECT_EQ(f.Code(1, R"({"type":"leave"})"), "left");
  EXPECT_EQ(f.Code(1, R"({"type":"join","name":"ada"})"), "rate_limited");
  f.now += absl::Seconds(1);
  EXPECT_EQ(f.Code(1, R"({"type":"join","name":"ada"})"), "joined");
}

TEST(ServerTest, TheSameSeedGivesTheSameTranscript) {
  const auto transcript = [] {
    ServerWorld f;
    f.Call();
    f.Say(1, R"({"type":"leave"})");
    std::string all;
    for (const auto& [id, messages] : f.sent) {
      for (const json& message : messages) all += message.dump();
    }
    return all + f.opened_sessions.at(0);
  };
  EXPECT_EQ(transcript(), transcript());
}

}  // namespace
}  // namespace kyuu::signaling
