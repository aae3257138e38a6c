#include "signaling/peerjs/peerjs.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/testing.h"

namespace kyuu::signaling {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Texts = std::vector<std::string>;

constexpr char kOpen[] = R"({"type":"OPEN"})";

std::string Error(const std::string& what) {
  return absl::StrCat(R"({"type":"ERROR","payload":{"msg":")", what, "\"}}");
}

// Peers by the numbers of their connections, each with an address of its own
// unless it is given.
struct World {
  explicit World(PeerJsOptions options = {})
      : server(std::move(options), random) {}

  absl::Status Connect(uint64_t id, const PeerJsIdentity& identity,
                       uint32_t address = 0) {
    const uint32_t own = 0xc0000200u + static_cast<uint32_t>(id);
    const absl::Status status =
        server.Connect(now, ConnectionId{id},
                       IpAddress::V4(address != 0 ? address : own), identity);
    Collect();
    return status;
  }
  // Connects as `name`; returns what it was told.
  Texts Join(uint64_t id, const std::string& name,
             const std::string& token = "t", uint32_t address = 0) {
    EXPECT_OK(Connect(id, {name, token, "peerjs"}, address));
    return Heard(id);
  }
  void Say(uint64_t id, std::string text) {
    server.HandlePacket(now, {ConnectionId{id}, std::move(text)});
    Collect();
  }
  void Offer(uint64_t id, const std::string& to,
             const std::string& payload = "1") {
    Say(id, absl::StrCat(R"({"type":"OFFER","payload":)", payload,
                         R"(,"dst":")", to, "\"}"));
  }
  void Pass(absl::Duration time) {
    now += time;
    server.HandleTimeout(now);
    Collect();
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

  SeededRandom random{3};
  PeerJsServer server;
  absl::Time now = absl::FromUnixSeconds(1000);
  std::map<uint64_t, Texts> sent;
  std::map<uint64_t, CloseConnection> closed;
};

std::string OfferTo(const std::string& from, const std::string& to,
                    const std::string& payload = "1") {
  return absl::StrCat(R"({"type":"OFFER","src":")", from, R"(","dst":")", to,
                      R"(","payload":)", payload, "}");
}

TEST(PeerJsTest, MessagesArePassedOnWithTheirSource) {
  World w;
  EXPECT_THAT(w.Join(1, "ada"), ElementsAre(kOpen));
  EXPECT_THAT(w.Join(2, "bob"), ElementsAre(kOpen));
  for (const char* type : {"OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE"}) {
    // A source that the client claims is not believed.
    w.Say(1, absl::StrCat(R"({"src":"eve","dst":"bob","payload":{ "a":1.50},)",
                          R"("more":0,"type":")", type, "\"}"));
    EXPECT_THAT(w.Heard(2),
                ElementsAre(absl::StrCat(R"({"type":")", type,
                                         R"(","src":"ada","dst":"bob",)",
                                         R"("payload":{ "a":1.50}})")));
  }
  w.Say(1, R"({"type":"LEAVE","dst":"bob"})");
  EXPECT_THAT(w.Heard(2),
              ElementsAre(R"({"type":"LEAVE","src":"ada","dst":"bob"})"));
  // One that has no payload to itself, too.
  w.Offer(1, "ada");
  EXPECT_THAT(w.Heard(1), ElementsAre(OfferTo("ada", "ada")));
  w.Say(1, R"({"type":"HEARTBEAT"})");
  EXPECT_THAT(w.Heard(1), IsEmpty());
  EXPECT_EQ(w.server.stats().passed_on, 7u);
}

TEST(PeerJsTest, WhatIsSaidToAnAbsentPeerWaitsForIt) {
  World w;
  w.Join(1, "ada");
  w.Offer(1, "bob", "1");
  w.Offer(1, "bob", "2");
  w.Say(1, R"({"type":"LEAVE","dst":"bob"})");  // Is of no use later.
  w.Pass(absl::Milliseconds(4999));
  EXPECT_THAT(w.Heard(1), IsEmpty());
  EXPECT_THAT(w.Join(2, "bob"), ElementsAre(kOpen, OfferTo("ada", "bob", "1"),
                                            OfferTo("ada", "bob", "2")));
  EXPECT_EQ(w.server.kept_bytes(), 0u);
  EXPECT_EQ(w.server.NextTimeout(), absl::InfiniteFuture());
  EXPECT_EQ(w.server.stats().kept_passed_on, 2u);
}

TEST(PeerJsTest, AfterATimeEachSenderIsToldOnceThatThePeerIsNotThere) {
  World w;
  w.Join(1, "ada");
  w.Join(2, "eve");
  w.Join(3, "gone");
  w.Offer(1, "bob");
  w.Pass(absl::Seconds(3));
  w.Offer(1, "bob");
  w.Offer(2, "bob");
  w.Offer(3, "bob");
  // Somebody else has the id of the third sender when time is up.
  w.server.Disconnect(ConnectionId{3});
  w.Join(4, "gone", "other");
  EXPECT_EQ(w.server.NextTimeout(), w.now + absl::Seconds(2));
  w.Pass(absl::Seconds(2));
  EXPECT_THAT(w.Heard(1),
              ElementsAre(R"({"type":"EXPIRE","src":"bob","dst":"ada"})"));
  EXPECT_THAT(w.Heard(2),
              ElementsAre(R"({"type":"EXPIRE","src":"bob","dst":"eve"})"));
  EXPECT_THAT(w.Heard(4), IsEmpty());
  EXPECT_EQ(w.server.stats().expired, 4u);
  EXPECT_EQ(w.server.kept_bytes(), 0u);
  w.Pass(absl::Seconds(9));
  EXPECT_THAT(w.Heard(1), IsEmpty());
}

TEST(PeerJsTest, WhoReconnectsWithItsTokenIsOpenAgain) {
  World w;
  w.Join(1, "ada");
  w.Join(2, "bob");
  EXPECT_THAT(w.Join(3, "ada"), ElementsAre(kOpen));
  EXPECT_EQ(w.closed[1].code, 1000);
  EXPECT_EQ(w.server.peer_count(), 2u);
  EXPECT_EQ(w.server.stats().taken_over, 1u);
  // The connection that was replaced speaks for nobody, and its end ends
  // nothing.
  w.Offer(1, "bob");
  EXPECT_THAT(w.Heard(2), IsEmpty());
  EXPECT_EQ(w.server.stats().unknown_connection, 1u);
  w.server.Disconnect(ConnectionId{1});
  w.Offer(2, "ada");
  EXPECT_THAT(w.Heard(3), ElementsAre(OfferTo("bob", "ada")));
  // After its end, too.
  w.server.Disconnect(ConnectionId{3});
  EXPECT_THAT(w.Join(4, "ada", "another"), ElementsAre(kOpen));
}

TEST(PeerJsTest, AnIdIsNotGivenTwice) {
  World w;
  w.Join(1, "ada", "secret");
  for (const char* token : {"secreT", "secre", "secrets"}) {
    EXPECT_THAT(w.Join(2, "ada", token),
                ElementsAre(R"({"type":"ID-TAKEN","payload":)"
                            R"({"msg":"ID is taken"}})"));
    EXPECT_EQ(w.closed[2].reason, "ID is taken");
    w.closed.clear();
  }
  EXPECT_EQ(w.server.stats().refused_taken, 3u);
  w.Join(3, "bob");
  w.Offer(3, "ada");
  EXPECT_EQ(w.Heard(1).size(), 1u);
  // Who was turned away says nothing more.
  w.Offer(2, "bob");
  EXPECT_THAT(w.Heard(3), IsEmpty());
}

TEST(PeerJsTest, IdentitiesAreJudged) {
  struct Row {
    const char* name;
    PeerJsIdentity identity;
    std::string told;
  };
  const std::string incomplete =
      Error("No id, token, or key supplied to websocket server");
  const std::string invalid = Error("Invalid id or token");
  const Row rows[] = {
      {"no id", {"", "t", "peerjs"}, incomplete},
      {"no token", {"a", "", "peerjs"}, incomplete},
      {"no key", {"a", "t", ""}, incomplete},
      {"wrong key",
       {"a", "t", "peerjz"},
       R"({"type":"INVALID-KEY","payload":{"msg":"Invalid key provided"}})"},
      {"control character", {"a\x01", "t", "peerjs"}, invalid},
      {"no UTF-8", {"a\xff", "t", "peerjs"}, invalid},
      {"long id", {std::string(129, 'a'), "t", "peerjs"}, invalid},
      {"long token", {"a", std::string(257, 't'), "peerjs"}, invalid},
      {"the longest",
       {std::string(128, 'a'), std::string(256, 't'), "peerjs"},
       kOpen},
      {"spaces and letters", {"a b-c_\xc3\xa9\"\\", "t", "peerjs"}, kOpen},
  };
  World w;
  uint64_t id = 0;
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    ++id;
    ASSERT_OK(w.Connect(id, row.identity));
    EXPECT_THAT(w.Heard(id), ElementsAre(row.told));
    EXPECT_EQ(w.closed.contains(id), row.told != kOpen);
  }
  EXPECT_EQ(w.server.peer_count(), 2u);
  EXPECT_EQ(w.server.stats().refused_identity, 8u);
}

TEST(PeerJsTest, WhoLeavesIsGone) {
  World w;
  w.Join(1, "ada");
  w.Join(2, "bob");
  w.Say(1, R"({"type":"LEAVE"})");
  EXPECT_EQ(w.closed[1].code, 1000);
  EXPECT_EQ(w.server.ListPeers(), R"(["bob"])");
  w.Offer(1, "bob");
  EXPECT_THAT(w.Heard(2), IsEmpty());
}

TEST(PeerJsTest, WhatIsNoMessageIsToldAndHarmsNobody) {
  World w;
  w.Join(1, "ada");
  w.Join(2, "bob");
  for (const char* text : {"", "hello", "[]", "{\"type\":\"OFFER\"",
                           "{\"type\":\"\xff\"}", "{\"a\":1,\"a\":2}"}) {
    w.Say(1, text);
    EXPECT_THAT(w.Heard(1),
                ElementsAre(Error("Message is not an object of JSON")))
        << text;
  }
  for (const char* text :
       {"{}", R"({"type":"OPEN","dst":"bob"})", R"({"type":"OFFER"})",
        R"({"type":"ERROR","dst":"bob"})", R"({"type":"OFFER","dst":7})",
        R"({"type":"OFFER","dst":""})"}) {
    w.Say(1, text);
    EXPECT_THAT(w.Heard(1), IsEmpty()) << text;
  }
  w.Offer(1, std::string(129, 'x'));
  EXPECT_EQ(w.server.kept_bytes(), 0u);
  EXPECT_THAT(w.Heard(2), IsEmpty());
  EXPECT_EQ(w.server.stats().messages_refused, 6u);
  EXPECT_EQ(w.server.stats().messages_unknown, 7u);
  w.Offer(1, "bob");
  EXPECT_EQ(w.Heard(2).size(), 1u);
}

TEST(PeerJsTest, MetadataMayBeDeepAndWide) {
  World w;
  w.Join(1, "ada");
  w.Join(2, "bob");
  std::string wide = "{";
  for (int i = 0; i < 3000; ++i) {
    absl::StrAppend(&wide, i > 0 ? "," : "", "\"", i, "\":0");
  }
  wide += "}";
  const std::string deep = std::string(60, '[') + wide + std::string(60, ']');
  w.Offer(1, "bob", deep);
  EXPECT_THAT(w.Heard(2), ElementsAre(OfferTo("ada", "bob", deep)));
  w.Offer(1, "bob", std::string(64, '[') + std::string(64, ']'));
  EXPECT_THAT(w.Heard(2), IsEmpty());
  EXPECT_EQ(w.Heard(1).size(), 1u);
}

TEST(PeerJsTest, PeersAreBoundedAndEachSourceHasItsShare) {
  World w({.max_peers = 3, .max_peers_per_source = 2});
  const std::string full =
      Error("Server has reached its concurrent user limit");
  w.Join(1, "a", "t", 7);
  w.Join(2, "b", "t", 7);
  EXPECT_THAT(w.Join(3, "c", "t", 7), ElementsAre(full));
  EXPECT_EQ(w.closed[3].code, 1013);
  // Who reconnects needs no place, unless it comes from elsewhere.
  EXPECT_THAT(w.Join(4, "a", "t", 7), ElementsAre(kOpen));
  EXPECT_THAT(w.Join(5, "a", "t", 8), ElementsAre(kOpen));
  EXPECT_THAT(w.Join(6, "c", "t", 7), ElementsAre(kOpen));
  EXPECT_THAT(w.Join(7, "a", "t", 7), ElementsAre(full));
  EXPECT_THAT(w.Join(8, "d", "t", 9), ElementsAre(full));
  EXPECT_EQ(w.server.peer_count(), 3u);
  w.server.Disconnect(ConnectionId{5});
  EXPECT_THAT(w.Join(9, "d", "t", 9), ElementsAre(kOpen));
  EXPECT_THAT(w.Connect(9, {"e", "t", "peerjs"}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(w.server.stats().refused_full, 3u);
}

// What does not fit is as good as given up at once, and its sender knows.
TEST(PeerJsTest, WhatIsKeptIsBounded) {
  // {"type":"OFFER","src":"a","dst":"x","payload":1} has 49 bytes.
  const size_t cost = OfferTo("a", "x").size() + 2 + 128;
  struct Row {
    const char* name;
    PeerJsOptions options;
    uint32_t address_of_second;
    bool second_is_kept;
  };
  const Row rows[] = {
      {"of a peer", {.max_kept_bytes_per_peer = 2 * cost}, 7, true},
      {"of a source", {.max_kept_bytes_per_source = 2 * cost}, 7, false},
      {"of another source", {.max_kept_bytes_per_source = 2 * cost}, 8, true},
      {"in all", {.max_kept_bytes = 2 * cost}, 8, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    World w(row.options);
    w.Join(1, "a", "t", 7);
    w.Join(2, "b", "t", row.address_of_second);
    w.Offer(1, "x");
    w.Offer(1, "y");
    EXPECT_THAT(w.Heard(1), IsEmpty());
    w.Offer(1, "z");
    EXPECT_THAT(w.Heard(1),
                ElementsAre(R"({"type":"EXPIRE","src":"z","dst":"a"})"));
    w.Offer(2, "x");
    EXPECT_EQ(w.Heard(2).empty(), row.second_is_kept);
    // There is room again as soon as one has come.
    EXPECT_EQ(w.Join(3, "x").size(), row.second_is_kept ? 3u : 2u);
    w.Offer(1, "z");
    EXPECT_THAT(w.Heard(1), IsEmpty());
    w.Pass(absl::Seconds(5));
    EXPECT_EQ(w.server.kept_bytes(), 0u);
  }
}

TEST(PeerJsTest, MessagesHaveABound) {
  World w({.max_message_bytes = 100});
  w.Join(1, "ada");
  w.Join(2, "bob");
  const size_t rest =
      std::string(R"({"type":"OFFER","payload":,"dst":"bob"})").size();
  w.Offer(1, "bob", std::string(100 - rest, '1'));
  EXPECT_EQ(w.Heard(2).size(), 1u);
  w.Offer(1, "bob", std::string(101 - rest, '1'));
  EXPECT_THAT(w.Heard(2), IsEmpty());
  EXPECT_THAT(w.Heard(1), ElementsAre(Error("Message too long")));
}

TEST(PeerJsTest, WhoSaysTooMuchIsToldAndThenClosed) {
  World w({.message_rate = {.per_second = 1, .burst = 2},
           .max_dropped_messages = 2});
  w.Join(1, "ada");
  w.Join(2, "bob");
  for (int i = 0; i < 3; ++i) w.Offer(1, "bob");
  EXPECT_EQ(w.Heard(2).size(), 2u);
  EXPECT_THAT(w.Heard(1),
              ElementsAre(Error("Too many messages in a short time")));
  w.now += absl::Seconds(1);
  w.Offer(1, "bob");
  EXPECT_EQ(w.Heard(2).size(), 1u);
  w.Offer(1, "bob");
  EXPECT_EQ(w.closed[1].code, 1008);
  EXPECT_EQ(w.server.peer_count(), 1u);
  EXPECT_EQ(w.server.stats().rate_limited, 2u);
}

TEST(PeerJsTest, WhatWaitsToBeSentIsBounded) {
  World w({.max_queued_bytes = 200});
  w.Join(1, "ada");
  w.Join(2, "bob");
  const auto say = [&](uint64_t id) {
    w.server.HandlePacket(
        w.now, {ConnectionId{id}, R"({"type":"OFFER","dst":"ada"})"});
  };
  say(2);
  say(2);
  EXPECT_THAT(w.server.Connect(w.now, ConnectionId{3}, IpAddress::V4(9),
                               {"eve", "t", "peerjs"}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  say(2);
  w.Collect();
  EXPECT_EQ(w.Heard(1).size(), 2u);
  EXPECT_EQ(w.closed[2].code, 1013);
  EXPECT_EQ(w.server.stats().overloaded, 2u);
  EXPECT_EQ(w.server.queued_bytes(), 0u);
}

TEST(PeerJsTest, NewIdsAreUuidsAndAllIdsAreListed) {
  World w, same;
  EXPECT_EQ(w.server.ListPeers(), "[]");
  const std::string id = w.server.NewId();
  EXPECT_THAT(id, testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-"
                                        "[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_EQ(same.server.NewId(), id);
  EXPECT_NE(w.server.NewId(), id);
  // One that is in use is not given out.
  same.Join(1, w.server.NewId());
  EXPECT_NE(same.server.NewId(), id);
  w.Join(1, "b\"c");
  w.Join(2, "a");
  EXPECT_EQ(w.server.ListPeers(), R"(["a","b\"c"])");
}

}  // namespace
}  // namespace kyuu::signaling
