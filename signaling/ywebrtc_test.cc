#include "signaling/ywebrtc.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"

namespace kyuu::signaling {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Texts = std::vector<std::string>;

// Clients by the numbers of their connections, each with an address of its own
// unless it is given.
struct World {
  explicit World(const YWebrtcOptions& options = {}) : server(options) {}

  absl::Status Connect(uint64_t id, uint32_t address = 0) {
    const uint32_t own = 0xc0000200u + static_cast<uint32_t>(id);
    return server.Connect(now, ConnectionId{id},
                          IpAddress::V4(address != 0 ? address : own));
  }
  void Say(uint64_t id, std::string text) {
    server.HandlePacket(now, {ConnectionId{id}, std::move(text)});
    Collect();
  }
  void Subscribe(uint64_t id, const std::string& topic) {
    Say(id, absl::StrCat(R"({"type":"subscribe","topics":[")", topic, "\"]}"));
  }
  void Collect() {
    while (auto m = server.PollTransmit(now, {})) {
      sent[static_cast<uint64_t>(m->connection)].push_back(std::move(m->text));
    }
    while (auto event = server.PollEvent()) {
      auto& close = std::get<CloseConnection>(*event);
      closed[static_cast<uint64_t>(close.connection)] = std::move(close);
    }
  }
  // What `id` was sent since the last look.
  Texts Heard(uint64_t id) { return std::exchange(sent[id], {}); }

  YWebrtcServer server;
  absl::Time now = absl::FromUnixSeconds(1000);
  std::map<uint64_t, Texts> sent;
  std::map<uint64_t, CloseConnection> closed;
};

std::string Error(const std::string& what) {
  return absl::StrCat(R"({"type":"error","message":")", what, "\"}");
}

TEST(YWebrtcTest, WhatIsPublishedGoesToAllSubscribersTheSenderIncluded) {
  World w;
  for (uint64_t id : {1, 2, 3}) ASSERT_OK(w.Connect(id));
  w.Subscribe(1, "room");
  w.Subscribe(2, "room");
  w.Subscribe(3, "other");
  w.Say(1, R"({"type":"publish","topic":"room","data":{"from":"a"}})");
  const std::string told =
      R"({"type":"publish","topic":"room","data":{"from":"a"},"clients":2})";
  EXPECT_THAT(w.Heard(1), ElementsAre(told));
  EXPECT_THAT(w.Heard(2), ElementsAre(told));
  EXPECT_THAT(w.Heard(3), IsEmpty());
  // Who publishes need not have subscribed.
  w.Say(3, R"({"type":"publish","topic":"room"})");
  EXPECT_THAT(w.Heard(1),
              ElementsAre(R"({"type":"publish","topic":"room","clients":2})"));
  EXPECT_THAT(w.Heard(3), IsEmpty());
  EXPECT_EQ(w.server.stats().published, 2u);
  EXPECT_EQ(w.server.stats().delivered, 4u);
}

TEST(YWebrtcTest, WhatIsPublishedReachesTheClientsOfOtherServers) {
  YWebrtcOptions options;
  options.reach = YWebrtcOptions::Reach::kAll;
  World a(options), b(options);
  ASSERT_OK(a.Connect(1));
  ASSERT_OK(b.Connect(1));
  b.Subscribe(1, "room");
  // Whether anybody here hears it or not.
  a.Say(1, R"({"type":"publish","topic":"room","x":1})");
  a.Subscribe(1, "room");
  a.Say(1, R"({"type":"publish","topic":"room","clients":9,"x":2})");
  while (auto text = a.server.PollPublished()) b.server.HandlePublished(*text);
  b.Collect();
  EXPECT_THAT(
      b.Heard(1),
      ElementsAre(R"({"type":"publish","topic":"room","x":1,"clients":1})",
                  R"({"type":"publish","topic":"room","clients":1,"x":2})"));
  EXPECT_FALSE(b.server.PollPublished().has_value());
  EXPECT_EQ(b.server.stats().from_others, 2u);
  for (const std::string& text :
       {std::string("{}"), std::string("x"), std::string(R"({"topic":7})"),
        absl::StrCat(R"({"topic":"room","x":")", std::string(70'000, 'x'),
                     "\"}")}) {
    b.server.HandlePublished(text);
  }
  EXPECT_EQ(b.server.stats().from_others_dropped, 4u);
  // Alone nothing is kept for others.
  World alone;
  ASSERT_OK(alone.Connect(1));
  alone.Say(1, R"({"type":"publish","topic":"room"})");
  EXPECT_FALSE(alone.server.PollPublished().has_value());
}

TEST(YWebrtcTest, PayloadsArePassedOnAsTheyCameIn) {
  World w;
  ASSERT_OK(w.Connect(1));
  w.Subscribe(1, "r");
  // Numbers, escapes and spaces that another writer would write differently.
  w.Say(1,
        " {\"topic\" : \"\\u0072\",\"type\":\"publish\",\"data\":"
        "[1.0e+2, \"\\/\\u00e9\" ] }\n");
  EXPECT_THAT(
      w.Heard(1),
      ElementsAre("{\"topic\" : \"\\u0072\",\"type\":\"publish\","
                  "\"data\":[1.0e+2, \"\\/\\u00e9\" ] ,\"clients\":1}"));
  // A count that the client has put there is replaced.
  w.Say(1, R"({"type":"publish","clients":{"a":[]},"topic":"r"})");
  EXPECT_THAT(w.Heard(1),
              ElementsAre(R"({"type":"publish","clients":1,"topic":"r"})"));
}

TEST(YWebrtcTest, PingIsAnswered) {
  World w;
  ASSERT_OK(w.Connect(1));
  w.Say(1, R"({"type":"ping"})");
  EXPECT_THAT(w.Heard(1), ElementsAre(R"({"type":"pong"})"));
}

TEST(YWebrtcTest, WhoHasUnsubscribedOrGoneHearsNothing) {
  World w;
  for (uint64_t id : {1, 2, 3}) {
    ASSERT_OK(w.Connect(id));
    w.Subscribe(id, "r");
    w.Subscribe(id, "r");  // Twice is once.
  }
  EXPECT_EQ(w.server.subscription_count(), 3u);
  w.Say(1, R"({"type":"unsubscribe","topics":["r","never",7]})");
  w.server.Disconnect(ConnectionId{2});
  w.server.Disconnect(ConnectionId{2});
  w.Say(1, R"({"type":"publish","topic":"r"})");
  EXPECT_THAT(w.Heard(1), IsEmpty());
  EXPECT_THAT(w.Heard(2), IsEmpty());
  EXPECT_THAT(w.Heard(3),
              ElementsAre(R"({"type":"publish","topic":"r","clients":1})"));
  // The last one takes the topic along.
  w.server.Disconnect(ConnectionId{3});
  EXPECT_EQ(w.server.topic_count(), 0u);
  EXPECT_EQ(w.server.subscription_count(), 0u);
  EXPECT_EQ(w.server.connection_count(), 1u);
}

TEST(YWebrtcTest, WhatIsNoMessageHarmsNobody) {
  World w;
  ASSERT_OK(w.Connect(1));
  w.Subscribe(1, "r");
  for (const char* text : {"", "hello", "[]", "7", "{", "{\"type\":\"ping\"",
                           "{\"type\":\"\xff\"}", "{\"a\":1,\"a\":2}"}) {
    w.Say(1, text);
    EXPECT_THAT(w.Heard(1), ElementsAre(Error("not an object of JSON")))
        << text;
  }
  // What is of no known form is ignored, as the reference server does.
  for (const char* text :
       {"{}", R"({"type":7})", R"({"type":"shout"})", R"({"type":"publish"})",
        R"({"type":"subscribe"})", R"({"type":"subscribe","topics":"r"})",
        R"({"type":"subscribe","topics":[1,null,{},["x"]]})",
        R"({"type":"publish","topic":["r"]})",
        R"({"type":"publish","topic":""})"}) {
    w.Say(1, text);
    EXPECT_THAT(w.Heard(1), IsEmpty()) << text;
  }
  EXPECT_EQ(w.server.stats().messages_refused, 8u);
  EXPECT_EQ(w.server.stats().messages_unknown, 3u);
  w.Say(1, R"({"type":"publish","topic":"r"})");
  EXPECT_EQ(w.Heard(1).size(), 1u);
  w.Say(9, "{}");
  EXPECT_EQ(w.server.stats().unknown_connection, 1u);
}

TEST(YWebrtcTest, ConnectionsAreBoundedAndEachSourceHasItsShare) {
  World w({.max_connections = 4, .max_connections_per_source = 2});
  ASSERT_OK(w.Connect(1, 7));
  ASSERT_OK(w.Connect(2, 7));
  EXPECT_THAT(w.Connect(2), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(w.Connect(3, 7), StatusIs(absl::StatusCode::kResourceExhausted));
  ASSERT_OK(w.Connect(3));
  ASSERT_OK(w.Connect(4));
  EXPECT_THAT(w.Connect(5), StatusIs(absl::StatusCode::kResourceExhausted));
  w.server.Disconnect(ConnectionId{1});
  EXPECT_OK(w.Connect(5, 7));
}

TEST(YWebrtcTest, MessagesAndNamesHaveABound) {
  World w({.max_message_bytes = 40, .max_topic_bytes = 3});
  ASSERT_OK(w.Connect(1));
  w.Subscribe(1, "abc");
  EXPECT_THAT(w.Heard(1), IsEmpty());
  w.Subscribe(1, "abcd");
  EXPECT_THAT(w.Heard(1), ElementsAre(Error("name of a topic too long")));
  w.Say(1, absl::StrCat("{\"type\":\"ping\"", std::string(25, ' '), "}"));
  EXPECT_THAT(w.Heard(1), ElementsAre(R"({"type":"pong"})"));
  w.Say(1, absl::StrCat("{\"type\":\"ping\"", std::string(26, ' '), "}"));
  EXPECT_THAT(w.Heard(1), ElementsAre(Error("message too long")));
}

// One bound each: what it is told at it, and who is let in beside.
TEST(YWebrtcTest, TopicsAndSubscriptionsAreBounded) {
  struct Row {
    const char* name;
    YWebrtcOptions options;
    const char* told;
  };
  const Row rows[] = {
      {"of a connection",
       {.max_topics_per_connection = 2},
       "too many topics of one connection"},
      {"topics of a source",
       {.max_topics_per_source = 2},
       "too many topics of one address"},
      {"subscriptions of a source",
       {.max_subscriptions_per_source = 2},
       "too many subscriptions of one address"},
      {"topics", {.max_topics = 2}, "server full"},
      {"subscriptions", {.max_subscriptions = 2}, "server full"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    World w(row.options);
    ASSERT_OK(w.Connect(1));
    w.Subscribe(1, "a");
    w.Subscribe(1, "b");
    w.Subscribe(1, "a");
    EXPECT_THAT(w.Heard(1), IsEmpty());
    w.Subscribe(1, "c");
    EXPECT_THAT(w.Heard(1), ElementsAre(Error(row.told)));
    EXPECT_EQ(w.server.topic_count(), 2u);
    EXPECT_EQ(w.server.subscription_count(), 2u);
    // A place that is given back is there again.
    w.Say(1, R"({"type":"unsubscribe","topics":["a"]})");
    w.Subscribe(1, "c");
    EXPECT_THAT(w.Heard(1), IsEmpty());
    EXPECT_EQ(w.server.subscription_count(), 2u);
  }
}

TEST(YWebrtcTest, WhatIsRefusedTakesNoPlace) {
  World w({.max_topics_per_source = 1, .max_subscriptions_per_source = 2});
  ASSERT_OK(w.Connect(1));
  ASSERT_OK(w.Connect(2));
  w.Subscribe(1, "a");
  w.Subscribe(2, "b");
  for (int i = 0; i < 3; ++i) w.Subscribe(1, "c");
  EXPECT_EQ(w.Heard(1).size(), 3u);
  w.Subscribe(1, "b");
  EXPECT_THAT(w.Heard(1), IsEmpty());
  EXPECT_EQ(w.server.subscription_count(), 3u);
}

TEST(YWebrtcTest, SubscribersOfATopicAreBoundedAndEachSourceHasItsShare) {
  World w({.max_subscribers_per_topic = 3,
           .max_subscribers_per_topic_per_source = 2});
  for (uint64_t id : {1, 2, 3}) {
    ASSERT_OK(w.Connect(id, 7));
    w.Subscribe(id, "r");
  }
  EXPECT_THAT(w.Heard(2), IsEmpty());
  EXPECT_THAT(w.Heard(3),
              ElementsAre(Error("too many subscribers of one address")));
  ASSERT_OK(w.Connect(4));
  w.Subscribe(4, "r");
  EXPECT_THAT(w.Heard(4), IsEmpty());
  ASSERT_OK(w.Connect(5));
  w.Subscribe(5, "r");
  EXPECT_THAT(w.Heard(5), ElementsAre(Error("topic full")));
  // The place of one who leaves is free, also for its own address.
  w.Say(1, R"({"type":"unsubscribe","topics":["r"]})");
  w.Subscribe(3, "r");
  EXPECT_THAT(w.Heard(3), IsEmpty());
  // Those of an unknown address, behind a proxy, have no share.
  World behind({.max_subscribers_per_topic_per_source = 1});
  for (uint64_t id : {1, 2}) {
    ASSERT_OK(behind.server.Connect(behind.now, ConnectionId{id}, IpAddress()));
    behind.Subscribe(id, "r");
    EXPECT_THAT(behind.Heard(id), IsEmpty());
  }
}

TEST(YWebrtcTest, WhoSaysTooMuchIsToldAndThenClosed) {
  World w({.message_rate = {.per_second = 1, .burst = 2},
           .max_dropped_messages = 2});
  ASSERT_OK(w.Connect(1));
  const std::string ping = R"({"type":"ping"})";
  const std::string pong = R"({"type":"pong"})";
  const std::string error = Error("too many messages in a short time");
  for (int i = 0; i < 3; ++i) w.Say(1, ping);
  EXPECT_THAT(w.Heard(1), ElementsAre(pong, pong, error));
  w.now += absl::Seconds(1);
  w.Say(1, ping);
  EXPECT_THAT(w.Heard(1), ElementsAre(pong));
  w.Say(1, ping);
  EXPECT_THAT(w.Heard(1), IsEmpty());
  EXPECT_EQ(w.closed[1].code, 1008);
  EXPECT_EQ(w.server.connection_count(), 0u);
  EXPECT_EQ(w.server.stats().rate_limited, 2u);
}

TEST(YWebrtcTest, WhatIsSentForAMessageIsLimitedToo) {
  const std::string text = R"({"type":"publish","topic":"r","data":"12"})";
  const std::string told =
      R"({"type":"publish","topic":"r","data":"12","clients":3})";
  const double cost = static_cast<double>(3 * (told.size() + 64));
  World w({.fanout_rate = {.per_second = cost, .burst = 2 * cost}});
  for (uint64_t id : {1, 2, 3}) {
    ASSERT_OK(w.Connect(id));
    w.Subscribe(id, "r");
  }
  for (int i = 0; i < 3; ++i) w.Say(1, text);
  EXPECT_THAT(w.Heard(2), ElementsAre(told, told));
  EXPECT_EQ(w.server.stats().rate_limited, 1u);
  // Others have their own, and it comes back with time.
  w.Say(2, text);
  w.now += absl::Seconds(1);
  w.Say(1, text);
  EXPECT_EQ(w.Heard(3).size(), 4u);
  // A message that is dearer than the burst is taken once nothing is owed.
  const std::string dear =
      absl::StrCat(R"({"type":"publish","topic":"r","data":")",
                   std::string(1000, 'x'), "\"}");
  w.Say(1, dear);
  EXPECT_THAT(w.Heard(3), IsEmpty());
  w.now += absl::Seconds(2);
  w.Say(1, dear);
  EXPECT_EQ(w.Heard(3).size(), 1u);
  w.now += absl::Seconds(2);
  w.Say(1, text);
  EXPECT_THAT(w.Heard(3), IsEmpty());
}

TEST(YWebrtcTest, WhatWaitsToBeSentIsBounded) {
  World w({.max_queued_bytes = 100});
  ASSERT_OK(w.Connect(1));
  ASSERT_OK(w.Connect(2));
  const auto say = [&](uint64_t id) {
    w.server.HandlePacket(w.now, {ConnectionId{id}, R"({"type":"ping"})"});
  };
  say(1);
  say(1);
  say(2);  // Is one too many.
  w.Collect();
  EXPECT_EQ(w.Heard(1).size(), 2u);
  EXPECT_EQ(w.closed[2].code, 1013);
  EXPECT_EQ(w.server.stats().overloaded, 1u);
  EXPECT_EQ(w.server.queued_bytes(), 0u);
  say(1);
  w.Collect();
  EXPECT_EQ(w.Heard(1).size(), 1u);
}

}  // namespace
}  // namespace kyuu::signaling
