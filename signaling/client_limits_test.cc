// Every limit of ClientOptions, hit.

#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "signaling/client.h"
#include "signaling/close_code.h"
#include "signaling/testing/client_world.h"

namespace kyuu::signaling {
namespace {

using ::testing::HasSubstr;

const absl::Time kStart = absl::FromUnixSeconds(1000);

// A client that is in a room, and whatever its server pleases to say.
struct Told {
  explicit Told(ClientOptions options) : client(std::move(options), kStart) {
    Welcomed(SessionOrigin::kNew, 0);
    EXPECT_OK(client.JoinRoom(kStart, "ada"));
    Hear({"1", Joined{"lobby", "ada", {}, false}});
    while (client.PollEvent().has_value()) continue;
    (void)Said();
  }
  void Hear(ServerMessage message) {
    client.HandlePacket(kStart, WriteMessage(message));
  }
  void Welcomed(SessionOrigin origin, uint64_t received) {
    Welcome welcome;
    welcome.session = "s";
    welcome.resume = {"secret", absl::Seconds(30), origin, received};
    Hear({"0", std::move(welcome)});
  }
  // All that the client has said since.
  std::string Said() {
    std::string all;
    while (auto text = client.PollTransmit(kStart, {})) all += *text;
    return all;
  }
  void HearOf(const std::string& name) {
    Hear({"", Presence{PresenceChange::kJoined, {name, "{}"}}});
  }

  Client client;
};

TEST(ClientLimitsTest, MaxPeers) {
  Told ada({.max_peers = 2});
  for (const char* name : {"b", "c", "d"}) ada.HearOf(name);
  EXPECT_EQ(ada.client.peers().size(), 2u);
  EXPECT_FALSE(ada.client.peers().contains("d"));
  EXPECT_EQ(ada.client.stats().stale, 1u);
}

TEST(ClientLimitsTest, MaxCalls) {
  Told ada({.max_calls = 1});
  ada.Hear({"", Incoming{"c1", "bob", true, "{}"}});
  EXPECT_EQ(Expect<IncomingCall>(ada.client).call, "c1");
  ada.Hear({"", Incoming{"c2", "eve", true, "{}"}});
  EXPECT_FALSE(ada.client.PollEvent().has_value());
  EXPECT_THAT(ada.Said(), HasSubstr(R"("call":"c2","reason":"busy")"));
  EXPECT_THAT(ada.client.StartCall(kStart, "kim"),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(ClientLimitsTest, MaxRequests) {
  Told ada({.max_requests = 2});
  EXPECT_OK(ada.client.SetMeta(kStart, "{}"));
  EXPECT_OK(ada.client.RequestCredentials(kStart));
  EXPECT_THAT(ada.client.SetMeta(kStart, "{}"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  // An answer makes room.
  ada.Hear({"2", Updated{}});
  EXPECT_OK(ada.client.SetMeta(kStart, "{}"));
}

TEST(ClientLimitsTest, MaxQueuedOfWhatIsSaid) {
  Told ada({.max_queued = 3});
  ada.Hear({"", Incoming{"c1", "bob", true, "{}"}});
  ada.Hear({"", Accepted{"c1"}});
  for (int i = 0; i < 3; ++i) {
    EXPECT_OK(ada.client.SendCandidate(kStart, "c1", {}));
  }
  EXPECT_THAT(ada.client.SendCandidate(kStart, "c1", {}),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(ClientLimitsTest, MaxQueuedOfWhatIsHeard) {
  Told ada({.max_queued = 3});
  for (int i = 0; i < 9; ++i) ada.HearOf(absl::StrCat("p", i));
  for (int i = 0; i < 4; ++i) Expect<PeerChanged>(ada.client);
  EXPECT_THAT(Expect<ClientClosed>(ada.client).status,
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_FALSE(ada.client.PollEvent().has_value());
}

TEST(ClientLimitsTest, MaxKeptBytes) {
  for (const uint64_t arrived : {uint64_t{2}, uint64_t{30}}) {
    SCOPED_TRACE(arrived);
    Told ada({.on_loss = OnLoss::kKeep, .max_kept_bytes = 2000});
    ada.Hear({"", Incoming{"c1", "bob", true, "{}"}});
    ada.Hear({"", Accepted{"c1"}});
    for (int i = 0; i < 30; ++i) {
      EXPECT_OK(ada.client.SendCandidate(kStart, "c1", {}));
    }
    (void)ada.Said();
    ada.client.HandleConnectionClosed(kStart, kCloseAbnormal, absl::OkStatus());
    while (ada.client.PollEvent().has_value()) continue;
    ASSERT_OK(ada.client.HandleConnectionOpened(kStart));
    ada.Welcomed(SessionOrigin::kResumed, arrived);
    if (arrived == 30) {
      Expect<Resumed>(ada.client);
    } else {
      // What the server misses is not here any more.
      EXPECT_THAT(Expect<ClientClosed>(ada.client).status,
                  StatusIs(absl::StatusCode::kUnavailable));
    }
  }
}

TEST(ClientLimitsTest, RingTimeout) {
  Told ada({.ring_timeout = absl::Seconds(70)});
  ada.Hear({"", Incoming{"c1", "eve", true, "{}"}});
  Expect<IncomingCall>(ada.client);
  for (const char* call : {"c2", "c3"}) {
    ASSERT_OK(ada.client.StartCall(kStart, "bob"));
    ada.Hear({call[1] == '2' ? "2" : "3", Calling{call, "bob", false}});
    Expect<CallStarted>(ada.client);
  }
  ada.Hear({"", Accepted{"c3"}});
  Expect<CallAccepted>(ada.client);
  (void)ada.Said();
  EXPECT_EQ(ada.client.NextTimeout(), kStart + absl::Seconds(70));
  ada.client.HandleTimeout(ada.client.NextTimeout() - absl::Nanoseconds(1));
  EXPECT_FALSE(ada.client.PollEvent().has_value());
  // One that was answered, or is for us to answer, is not ours to end.
  ada.client.HandleTimeout(ada.client.NextTimeout());
  const auto ended = Expect<CallEnded>(ada.client);
  EXPECT_EQ(ended.call, "c2");
  EXPECT_EQ(ended.text, "bob did not answer");
  EXPECT_FALSE(ada.client.PollEvent().has_value());
  EXPECT_THAT(ada.Said(), HasSubstr(R"("call":"c2")"));
  EXPECT_EQ(ada.client.NextTimeout(), absl::InfiniteFuture());
}

// A server that answers something else has not answered: whoever asked is not
// left to wait for ever.
TEST(ClientLimitsTest, AnAnswerOfAnotherKindIsNone) {
  const auto found = [] { return ServerMessage{"2", Found{}}; };
  const auto other = [] { return ServerMessage{"2", Updated{}}; };
  const struct {
    const char* name;
    absl::Status (*ask)(Client&);
    ServerMessage answer;
  } rows[] = {
      {"find", [](Client& c) { return c.Find(kStart, ""); }, other()},
      {"block", [](Client& c) { return c.Block(kStart, "b"); }, other()},
      {"unblock", [](Client& c) { return c.Unblock(kStart, "b"); }, other()},
      {"call", [](Client& c) { return c.StartCall(kStart, "b"); }, other()},
      {"leave", [](Client& c) { return c.LeaveRoom(kStart); }, other()},
      {"update", [](Client& c) { return c.SetMeta(kStart, "{}"); }, found()},
      {"credentials", [](Client& c) { return c.RequestCredentials(kStart); },
       found()},
      {"wrong credentials", [](Client& c) { return c.SetMeta(kStart, "{}"); },
       ServerMessage{"2", IceServers{}}},
      {"unblocked", [](Client& c) { return c.Block(kStart, "b"); },
       ServerMessage{"2", Unblocked{"b"}}},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    Told ada(ClientOptions{});
    ASSERT_OK(row.ask(ada.client));
    ada.Hear(row.answer);
    EXPECT_FALSE(ada.client.PollEvent().has_value());
    EXPECT_EQ(ada.client.stats().stale, 1u);
    EXPECT_EQ(ada.client.NextTimeout(),
              kStart + ClientOptions().request_timeout);
    ada.client.HandleTimeout(ada.client.NextTimeout());
    EXPECT_THAT(Expect<ClientClosed>(ada.client).status,
                StatusIs(absl::StatusCode::kDeadlineExceeded));
  }
}

TEST(ClientTest, FindsPeersPageByPage) {
  ServerOptions options;
  options.rooms.max_looked_at = 1;
  ClientWorld w(options);
  Client& ada = w.Join("ada");
  EXPECT_THAT(w.Add().Find(w.now, ""),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  w.Join("bob");
  w.Join("bobby");
  w.Run();
  while (ada.PollEvent().has_value()) {
  }
  ASSERT_OK(ada.Find(w.now, "BOB"));
  w.Run();
  const auto first = Expect<PeersFound>(ada);
  ASSERT_EQ(first.peers.size(), 1u);
  EXPECT_EQ(first.peers[0].name, "bob");
  EXPECT_EQ(first.after, "bob");
  ASSERT_OK(ada.Find(w.now, "BOB", "{}", first.after));
  w.Run();
  const auto second = Expect<PeersFound>(ada);
  ASSERT_EQ(second.peers.size(), 1u);
  EXPECT_EQ(second.peers[0].name, "bobby");
  EXPECT_EQ(second.after, "");
  const absl::Status wrong[] = {ada.Find(w.now, "\n"),
                                ada.Find(w.now, "", "[]"),
                                ada.Find(w.now, "", "")};
  for (const absl::Status& status : wrong) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  }
  // What the server makes of it is an error of nobody's call.
  ASSERT_OK(ada.Find(w.now, "", R"({"a":[]})"));
  w.Run();
  EXPECT_EQ(Expect<ErrorReceived>(ada).error.code, ErrorCode::kBadMessage);
}

}  // namespace
}  // namespace kyuu::signaling
