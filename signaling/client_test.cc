// Clients against the real server, in memory: the stories of two people.

#include "signaling/client.h"

#include <string>
#include <vector>

#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "signaling/close_code.h"
#include "signaling/server.h"
#include "signaling/testing/client_world.h"

namespace kyuu::signaling {
namespace {

using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

TEST(ClientTest, TwoPeopleMeetTalkAndPart) {
  ClientWorld world;
  Client& ada = world.Add();
  world.Run();
  const Ready ready = Expect<Ready>(ada);
  EXPECT_EQ(ready.server, "kyuud");
  EXPECT_EQ(ready.ice_servers.size(), 2u);
  EXPECT_EQ(ada.ice_servers()[1].credential, "p");
  ASSERT_OK(ada.JoinRoom(world.now, "ada", "", R"({"kind":"cli"})"));
  world.Run();
  EXPECT_EQ(Expect<JoinedRoom>(ada).room, "lobby");
  Client& bob = world.Join("bob");
  EXPECT_THAT(bob.peers(),
              UnorderedElementsAre(Pair("ada", R"({"kind":"cli"})")));
  EXPECT_EQ(Expect<PeerChanged>(ada).peer.name, "bob");

  ASSERT_OK(ada.StartCall(world.now, "bob"));
  world.Run();
  const CallStarted started = Expect<CallStarted>(ada);
  EXPECT_FALSE(started.polite);
  const IncomingCall incoming = Expect<IncomingCall>(bob);
  EXPECT_EQ(incoming.from, "ada");
  EXPECT_TRUE(incoming.polite);
  // Nothing about addresses before bob agrees.
  EXPECT_THAT(
      ada.SendDescription(world.now, started.call, SignalKind::kOffer, "v=0"),
      StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(bob.AcceptCall(world.now, incoming.call));
  world.Run();
  EXPECT_EQ(Expect<CallAccepted>(ada).peer, "bob");
  EXPECT_EQ(Expect<CallAccepted>(bob).peer, "ada");

  const std::string sdp = "v=0\r\ns=\"\\\xc3\xbc\"\r\n";
  ASSERT_OK(
      ada.SendDescription(world.now, started.call, SignalKind::kOffer, sdp));
  CandidateInit candidate;
  candidate.candidate = "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host";
  candidate.sdp_mid = "0";
  candidate.sdp_m_line_index = 0;
  ASSERT_OK(ada.SendCandidate(world.now, started.call, candidate));
  ASSERT_OK(ada.SendCandidate(world.now, started.call, {}));
  world.Run();
  const auto description = Expect<DescriptionReceived>(bob);
  EXPECT_EQ(description.sdp, sdp);
  EXPECT_EQ(description.kind, SignalKind::kOffer);
  const auto received = Expect<CandidateReceived>(bob);
  EXPECT_EQ(received.candidate.candidate, candidate.candidate);
  EXPECT_EQ(received.candidate.sdp_mid, "0");
  EXPECT_EQ(received.candidate.sdp_m_line_index, 0);
  EXPECT_EQ(Expect<CandidateReceived>(bob).candidate.candidate, "");

  ASSERT_OK(bob.EndCall(world.now, incoming.call));
  world.Run();
  const CallEnded ended = Expect<CallEnded>(ada);
  EXPECT_EQ(ended.reason, "hangup");
  EXPECT_EQ(ended.text, "bob hung up");
  EXPECT_THAT(ada.EndCall(world.now, started.call),
              StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(bob.LeaveRoom(world.now));
  world.Run();
  EXPECT_EQ(Expect<PeerChanged>(ada).change, PresenceChange::kLeft);
  EXPECT_TRUE(ada.peers().empty());
}

TEST(ClientTest, TakenNameIsToldAndAnotherMayBeTried) {
  ClientWorld world;
  world.Join("ada");
  Client& other = world.Add();
  world.Run();
  Expect<Ready>(other);
  ASSERT_OK(other.JoinRoom(world.now, "ada"));
  EXPECT_THAT(other.JoinRoom(world.now, "eve"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  world.Run();
  const JoinFailed failed = Expect<JoinFailed>(other);
  EXPECT_THAT(failed.status, StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(failed.status.message(),
            "the name \"ada\" is taken; choose another one");
  ASSERT_OK(other.JoinRoom(world.now, "eve"));
  world.Run();
  EXPECT_EQ(Expect<JoinedRoom>(other).name, "eve");
}

TEST(ClientTest, AbsentCalleeIsTold) {
  ClientWorld world;
  Client& ada = world.Join("ada");
  ASSERT_OK(ada.StartCall(world.now, "bob"));
  world.Run();
  const CallFailed failed = Expect<CallFailed>(ada);
  EXPECT_EQ(failed.to, "bob");
  EXPECT_THAT(failed.status, StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(failed.status.message(), "\"bob\" is not here");
}

TEST(ClientTest, LostServerIsTold) {
  struct Row {
    uint16_t code;
    const char* text;
  };
  for (const Row& row : {Row{1006, "is lost"}, Row{1001, "shutting down"},
                         Row{1013, "full"}, Row{1008, "policy"}}) {
    ClientWorld world;
    Client& ada = world.Join("ada");
    ada.HandleConnectionClosed(world.now, row.code, absl::OkStatus());
    ada.HandleConnectionClosed(world.now, row.code, absl::OkStatus());
    const ClientClosed closed = Expect<ClientClosed>(ada);
    EXPECT_THAT(closed.status, StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_THAT(std::string(closed.status.message()), HasSubstr(row.text));
    EXPECT_FALSE(ada.PollEvent().has_value());
    EXPECT_THAT(ada.StartCall(world.now, "bob"),
                StatusIs(absl::StatusCode::kFailedPrecondition));
  }
}

TEST(ClientTest, SilentServerIsTold) {
  const absl::Time now = absl::FromUnixSeconds(1000);
  Client client({}, now);
  EXPECT_EQ(client.NextTimeout(), now + absl::Seconds(10));
  client.HandleTimeout(now + absl::Seconds(9));
  EXPECT_FALSE(client.PollEvent().has_value());
  client.HandleTimeout(now + absl::Seconds(10));
  EXPECT_THAT(Expect<ClientClosed>(client).status,
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(client.NextTimeout(), absl::InfiniteFuture());
}

TEST(ClientTest, OtherServersAreRefused) {
  for (
      const char* text :
      {"hello", R"({"type":"welcome"})",
       R"({"type":"welcome","version":2,"session":"s","ice_servers":[],"limits":{},"id":1})",
       R"({"type":"joined","room":"a"})"}) {
    Client client({}, absl::FromUnixSeconds(1000));
    client.HandlePacket(absl::FromUnixSeconds(1000), text);
    EXPECT_THAT(Expect<ClientClosed>(client).status,
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
  // A newer message type is no reason to part.
  Client client({}, absl::FromUnixSeconds(1000));
  client.HandlePacket(absl::FromUnixSeconds(1000), R"({"type":"novelty"})");
  EXPECT_FALSE(client.PollEvent().has_value());
  EXPECT_EQ(client.stats().unknown_types, 1u);
}

TEST(ClientTest, GlareBecomesOneAcceptedCall) {
  ClientWorld world;
  Client& ada = world.Join("ada");
  Client& bob = world.Join("bob");
  Expect<PeerChanged>(ada);
  ASSERT_OK(ada.StartCall(world.now, "bob"));
  ASSERT_OK(bob.StartCall(world.now, "ada"));
  world.Run();
  const CallStarted at_ada = Expect<CallStarted>(ada);
  Expect<CallAccepted>(ada);
  Expect<IncomingCall>(bob);
  const CallStarted at_bob = Expect<CallStarted>(bob);
  Expect<CallAccepted>(bob);
  EXPECT_EQ(at_ada.call, at_bob.call);
  EXPECT_NE(at_ada.polite, at_bob.polite);
}

TEST(ClientTest, RejectedAndUnansweredCallsAreTold) {
  ClientWorld world;
  Client& ada = world.Join("ada");
  Client& bob = world.Join("bob");
  Expect<PeerChanged>(ada);
  ASSERT_OK(ada.StartCall(world.now, "bob"));
  world.Run();
  Expect<CallStarted>(ada);
  ASSERT_OK(bob.RejectCall(world.now, Expect<IncomingCall>(bob).call));
  world.Run();
  EXPECT_EQ(Expect<CallEnded>(ada).text, "bob declined");
  ASSERT_OK(ada.StartCall(world.now, "bob"));
  world.Run();
  Expect<CallStarted>(ada);
  Expect<IncomingCall>(bob);
  world.now += absl::Seconds(60);
  world.server.HandleTimeout(world.now);
  world.Run();
  EXPECT_EQ(Expect<CallEnded>(ada).text, "bob did not answer");
  EXPECT_EQ(Expect<CallEnded>(bob).reason, "timeout");
}

TEST(ClientTest, LongRoomsAreListedToTheEnd) {
  ServerOptions options;
  options.rooms.max_list_bytes = 100;
  ClientWorld world(options);
  for (int i = 10; i < 25; ++i) world.Join(absl::StrCat("p", i));
  Client& ada = world.Join("ada");
  EXPECT_EQ(ada.peers().size(), 15u);
}

TEST(ClientTest, CallersMistakesAreStatuses) {
  ClientWorld world;
  Client& ada = world.Add();
  EXPECT_THAT(ada.JoinRoom(world.now, "ada"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  world.Run();
  EXPECT_THAT(ada.JoinRoom(world.now, ""),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ada.JoinRoom(world.now, "ada", "", "[]"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ada.StartCall(world.now, "bob"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(ada.AcceptCall(world.now, "none"),
              StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(ada.JoinRoom(world.now, "ada"));
  world.Run();
  for (int i = 0; i < 64; ++i) ASSERT_OK(ada.SetMeta(world.now, "{}"));
  EXPECT_THAT(ada.SetMeta(world.now, "{}"),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(ClientTest, FloodOfEventsEndsTheConnection) {
  ClientWorld world;
  Client& ada = world.Join("ada");
  for (int i = 0; i < 20000; ++i) {
    ada.HandlePacket(world.now, R"({"type":"ice_servers","ice_servers":[]})");
  }
  std::optional<Client::Event> last;
  while (auto event = ada.PollEvent()) last = std::move(event);
  EXPECT_THAT(std::get<ClientClosed>(*last).status,
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(ClientTest, CallsBeyondTheLimitAreBusy) {
  const absl::Time now = absl::FromUnixSeconds(1000);
  ClientWorld world;
  Client& ada = world.Join("ada");
  for (int i = 0; i < 65; ++i) {
    ada.HandlePacket(now, absl::StrCat(R"({"type":"incoming","call":"c)", i,
                                       R"(","from":"x","polite":true})"));
  }
  EXPECT_EQ(*ada.PollTransmit(now, {}),
            R"({"type":"reject","call":"c64","reason":"busy"})");
}

TEST(ClientTest, ACallGoesOnOverALostConnection) {
  ClientWorld world;
  Client& bob = world.Join("bob");
  Keeper ada(world);
  ada.Run();
  Expect<Ready>(ada.client);
  ASSERT_OK(ada.client.JoinRoom(world.now, "ada"));
  ada.Run();
  Expect<JoinedRoom>(ada.client);
  Expect<PeerChanged>(bob);
  ASSERT_OK(ada.client.StartCall(world.now, "bob"));
  ada.Run();
  const std::string call = Expect<CallStarted>(ada.client).call;
  ASSERT_OK(bob.AcceptCall(world.now, Expect<IncomingCall>(bob).call));
  ada.Run();
  Expect<CallAccepted>(ada.client);
  Expect<CallAccepted>(bob);

  ada.Lose();
  Expect<ConnectionLost>(ada.client);
  EXPECT_EQ(ada.client.NextTimeout(), absl::InfiniteFuture());
  // Both sides go on talking meanwhile.
  ASSERT_OK(bob.SendDescription(world.now, call, SignalKind::kOffer, "b"));
  world.Run();
  ASSERT_OK(
      ada.client.SendDescription(world.now, call, SignalKind::kOffer, "a1"));
  ASSERT_OK(
      ada.client.SendDescription(world.now, call, SignalKind::kAnswer, "a2"));
  ada.Return();
  EXPECT_EQ(Expect<Resumed>(ada.client).ice_servers.size(), 2u);
  EXPECT_EQ(Expect<DescriptionReceived>(ada.client).sdp, "b");
  EXPECT_EQ(Expect<DescriptionReceived>(bob).sdp, "a1");
  EXPECT_EQ(Expect<DescriptionReceived>(bob).sdp, "a2");
  EXPECT_FALSE(bob.PollEvent().has_value());
  EXPECT_EQ(ada.client.stats().resumed, 1u);
}

TEST(ClientTest, AServerThatGoesAwayIsLeftWhenItHasAskedTo) {
  ClientWorld world;
  Keeper ada(world);
  EXPECT_THAT(world.server.TellDrain(ada.id, absl::Seconds(5)),
              StatusIs(absl::StatusCode::kNotFound));
  ada.Run();
  Expect<Ready>(ada.client);
  EXPECT_THAT(world.server.TellDrain(ConnectionId{9}, absl::Seconds(5)),
              StatusIs(absl::StatusCode::kNotFound));

  const absl::Time told = world.now;
  ASSERT_OK(world.server.TellDrain(ada.id, absl::Seconds(5)));
  ada.Run();
  const absl::Time left = ada.client.NextTimeout();
  EXPECT_GE(left, told + absl::Seconds(5));
  EXPECT_LE(left, world.now + absl::Seconds(5));
  ada.client.HandleTimeout(left - absl::Milliseconds(1));
  EXPECT_FALSE(ada.client.PollEvent().has_value());
  world.now = left;
  ada.client.HandleTimeout(world.now);
  EXPECT_EQ(Expect<ConnectionLost>(ada.client).retry_after,
            absl::ZeroDuration());
  world.server.Disconnect(world.now, ada.id, Departure::kLost);
  ada.Return();
  Expect<Resumed>(ada.client);

  // Closed before, it is not come back to any sooner.
  ASSERT_OK(world.server.TellDrain(ada.id, absl::Seconds(5)));
  ada.Run();
  world.now = ada.client.NextTimeout() - absl::Seconds(3);
  ada.Lose();
  EXPECT_EQ(Expect<ConnectionLost>(ada.client).retry_after, absl::Seconds(3));
  EXPECT_EQ(ada.client.NextTimeout(), absl::InfiniteFuture());
  ada.Return();
  Expect<Resumed>(ada.client);
  // What was asked is over with the connection that it was asked on.
  ada.Lose();
  EXPECT_EQ(Expect<ConnectionLost>(ada.client).retry_after, std::nullopt);
  ada.Return();
  Expect<Resumed>(ada.client);
  ASSERT_OK(world.server.TellDrain(ada.id, absl::InfiniteDuration()));
  ada.Run();
  ada.Lose();
  EXPECT_LE(Expect<ConnectionLost>(ada.client).retry_after, absl::Hours(1));

  // Who ends with its connection has no reason to end earlier.
  Client& bob = world.Join("bob");
  ASSERT_OK(world.server.TellDrain(ConnectionId{0}, absl::Seconds(5)));
  world.Run();
  EXPECT_EQ(bob.NextTimeout(), absl::InfiniteFuture());
}

// What was under way when the connection broke is said again, and only that.
TEST(ClientTest, ARequestLostWithTheConnectionIsAnsweredOnce) {
  for (const bool arrived : {false, true}) {
    SCOPED_TRACE(arrived);
    ClientWorld world;
    Keeper ada(world);
    ada.Run();
    Expect<Ready>(ada.client);
    ASSERT_OK(ada.client.JoinRoom(world.now, "ada"));
    auto text = ada.client.PollTransmit(world.now, {});
    ASSERT_TRUE(text.has_value());
    if (arrived) {
      world.server.HandlePacket(world.now, {ada.id, *std::move(text)});
    }
    ada.Lose();
    Expect<ConnectionLost>(ada.client);
    ada.Return();
    Expect<Resumed>(ada.client);
    EXPECT_EQ(Expect<JoinedRoom>(ada.client).name, "ada");
    EXPECT_FALSE(ada.client.PollEvent().has_value());
    EXPECT_EQ(world.server.peer_count(), 1u);
  }
}

TEST(ClientTest, AServerThatForgotTheSessionIsTold) {
  ClientWorld world;
  Keeper ada(world);
  ada.Run();
  Expect<Ready>(ada.client);
  ASSERT_OK(ada.client.JoinRoom(world.now, "ada", "red"));
  ada.Run();
  Expect<JoinedRoom>(ada.client);
  ada.Lose();
  Expect<ConnectionLost>(ada.client);
  EXPECT_THAT(ada.client.JoinRoom(world.now, "ada"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  world.now += absl::Seconds(30);
  world.server.HandleTimeout(world.now);
  ada.Return();
  const SessionLost lost = Expect<SessionLost>(ada.client);
  EXPECT_EQ(lost.room, "red");
  EXPECT_EQ(lost.name, "ada");
  Expect<Ready>(ada.client);
  EXPECT_FALSE(ada.client.joined());
  ASSERT_OK(ada.client.JoinRoom(world.now, lost.name, lost.room));
  ada.Run();
  EXPECT_EQ(Expect<JoinedRoom>(ada.client).room, "red");
  EXPECT_EQ(ada.client.stats().sessions_lost, 1u);
}

TEST(ClientTest, AServerThatDoesNotAnswerIsAnotherLostConnection) {
  ClientWorld world;
  Keeper ada(world);
  ada.Run();
  Expect<Ready>(ada.client);
  ASSERT_OK(ada.client.JoinRoom(world.now, "ada"));
  ada.client.HandleTimeout(world.now + absl::Seconds(10));
  EXPECT_THAT(Expect<ConnectionLost>(ada.client).status,
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  // Nor does the next one say welcome.
  EXPECT_OK(ada.client.HandleConnectionOpened(world.now));
  EXPECT_THAT(ada.client.HandleConnectionOpened(world.now),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ada.client.HandleTimeout(ada.client.NextTimeout());
  Expect<ConnectionLost>(ada.client);
  ada.Return();
  Expect<Resumed>(ada.client);
  Expect<JoinedRoom>(ada.client);
}

TEST(ClientTest, WhoIsTakenOverDoesNotComeBack) {
  ClientWorld world;
  Keeper ada(world);
  ada.Run();
  Expect<Ready>(ada.client);
  ada.client.HandleConnectionClosed(world.now, kCloseResumedElsewhere,
                                    absl::OkStatus());
  Expect<ClientClosed>(ada.client);
}

TEST(ClientTest, NothingGrowsWithoutBoundWhileTheServerIsAway) {
  ClientWorld world;
  Client& bob = world.Join("bob");
  Keeper ada(world);
  ada.Run();
  ASSERT_OK(ada.client.JoinRoom(world.now, "ada"));
  ada.Run();
  ASSERT_OK(bob.StartCall(world.now, "ada"));
  ada.Run();
  while (auto event = ada.client.PollEvent()) {
    if (const auto* call = std::get_if<IncomingCall>(&*event)) {
      ASSERT_OK(ada.client.AcceptCall(world.now, call->call));
      ada.Run();
      ada.Lose();
      absl::Status status;
      int sent = 0;
      while (status.ok() && sent < 100000) {
        status = ada.client.SendCandidate(world.now, call->call, {});
        ++sent;
      }
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
      EXPECT_EQ(sent, 16 * 1024 + 1);
      return;
    }
  }
  FAIL() << "no call came";
}

TEST(ClientTest, CredentialsOnRequest) {
  ClientWorld world;
  Client& ada = world.Join("ada");
  ASSERT_OK(ada.RequestCredentials(world.now));
  world.Run();
  EXPECT_EQ(Expect<IceServersChanged>(ada).ice_servers.size(), 2u);
  EXPECT_EQ(ada.NextTimeout(), absl::InfiniteFuture());
}

TEST(ClientTest, LimitsOfCalls) {
  ClientWorld world;
  Client& ada = world.Join("ada");
  for (int i = 0; i < 64; ++i) {
    ada.HandlePacket(world.now,
                     absl::StrCat(R"({"type":"incoming","call":"c)", i,
                                  R"(","from":"x","polite":true})"));
  }
  EXPECT_THAT(ada.StartCall(world.now, "bob"),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace kyuu::signaling
