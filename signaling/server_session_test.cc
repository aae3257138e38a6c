// Sessions beyond their connections: what is lost with a WebSocket, and what
// is not.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "signaling/close_code.h"
#include "signaling/server.h"
#include "signaling/testing/server_world.h"

namespace kyuu::signaling {
namespace {

using nlohmann::json;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ServerSessionTest, WelcomeTellsASecretOnlyToWhoAsksForIt) {
  ServerWorld f;
  f.Connect(1);
  const json plain = f.Request(1, {{"type", "hello"}, {"version", 1}});
  EXPECT_FALSE(plain.contains("resume"));
  const json welcome = f.KeptHello(2);
  EXPECT_EQ(welcome["resume"]["secret"].get<std::string>().size(), 32u);
  EXPECT_NE(welcome["resume"]["secret"], welcome["session"]);
  EXPECT_EQ(welcome["resume"]["grace_s"], 30);
  EXPECT_EQ(welcome["resume"]["resumed"], false);
  EXPECT_EQ(welcome["resume"]["received"], 0);
}

TEST(ServerSessionTest, ALostConnectionEndsNeitherPresenceNorCalls) {
  ServerWorld f;
  const json ada = f.KeptJoin(1, "ada");
  f.KeptJoin(2, "bob");
  const std::string call =
      f.Request(1, {{"type", "call"}, {"to", "bob"}})["call"];
  f.Send(2, {{"type", "accept"}, {"call", call}});
  // joined, presence of bob, calling, accepted.
  f.sent.clear();
  f.Lose(1);
  EXPECT_THAT(f.sent[2], IsEmpty());
  EXPECT_THAT(f.closed_sessions, IsEmpty());
  EXPECT_EQ(f.server.waiting_session_count(), 1u);
  for (int i = 0; i < 3; ++i) {
    f.Send(2, {{"type", "signal"},
               {"call", call},
               {"kind", "offer"},
               {"sdp", absl::StrCat("v=", i)}});
  }
  f.Pass(absl::Seconds(29));
  // Of four messages the last one was lost with the connection.
  const json welcome = f.Resume(3, ada, 3);
  EXPECT_EQ(welcome["resume"]["resumed"], true);
  EXPECT_EQ(welcome["resume"]["received"], 2);  // join, call
  EXPECT_EQ(welcome["session"], ada["session"]);
  EXPECT_EQ(welcome["resume"]["secret"], ada["resume"]["secret"]);
  ASSERT_EQ(f.Types(3),
            (std::vector<std::string>{"welcome", "accepted", "signal", "signal",
                                      "signal"}));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(f.sent[3][static_cast<size_t>(i) + 2]["sdp"],
              absl::StrCat("v=", i));
  }
  f.sent.clear();
  f.Send(3,
         {{"type", "signal"}, {"call", call}, {"kind", "end-of-candidates"}});
  EXPECT_EQ(f.Types(2), std::vector<std::string>{"signal"});
  f.Pass(absl::Hours(1));
  EXPECT_THAT(f.closed_sessions, IsEmpty());
  EXPECT_EQ(f.server.stats().sessions_kept, 1u);
  EXPECT_EQ(f.server.stats().sessions_resumed, 1u);
}

// Loses connection 1 and comes back on 2, where the credentials for `welcome`
// are waited for.
void LoseAndComeBack(ServerWorld& f, const json& welcome) {
  f.Lose(1);
  f.answer_credentials = false;
  f.Connect(2);
  f.Send(2, {{"type", "hello"},
             {"version", 1},
             {"resume",
              {{"session", welcome["session"]},
               {"secret", welcome["resume"]["secret"]},
               {"received", 1}}}});
}

TEST(ServerSessionTest, WhoComesBackGetsFreshCredentials) {
  ServerWorld f;
  const json ada = f.KeptJoin(1, "ada");
  LoseAndComeBack(f, ada);
  // It waits for them, as the first `welcome` does.
  EXPECT_EQ(f.credentials_wanted, 1);
  EXPECT_THAT(f.sent[2], IsEmpty());
  f.Provide(ada["session"]);
  f.Collect();
  ASSERT_EQ(f.Types(2), std::vector<std::string>{"welcome"});
  EXPECT_NE(f.sent[2][0]["ice_servers"], ada["ice_servers"]);
}

TEST(ServerSessionTest, AfterTheGraceThePeerIsLost) {
  ServerWorld f;
  const json ada = f.KeptJoin(1, "ada");
  f.KeptJoin(2, "bob");
  f.Send(1, {{"type", "call"}, {"to", "bob"}});
  f.Lose(1);
  f.sent.clear();
  f.Pass(absl::Seconds(30));
  EXPECT_EQ(f.Types(2), (std::vector<std::string>{"hangup", "presence"}));
  EXPECT_EQ(f.sent[2][0]["reason"], "peer_lost");
  EXPECT_THAT(f.closed_sessions, ElementsAre(ada["session"]));
  EXPECT_EQ(f.server.stats().sessions_given_up, 1u);
  const json welcome = f.Resume(3, ada, 1);
  EXPECT_EQ(welcome["resume"]["resumed"], false);
  EXPECT_NE(welcome["session"], ada["session"]);
  EXPECT_EQ(f.server.stats().resumes_refused, 1u);
}

TEST(ServerSessionTest, AGoodbyeEndsTheSessionAtOnce) {
  ServerWorld f;
  f.KeptJoin(1, "ada");
  f.server.Disconnect(f.now, ConnectionId(1), Departure::kGoodbye);
  f.Collect();
  EXPECT_EQ(f.closed_sessions.size(), 1u);
  EXPECT_EQ(f.server.peer_count(), 0u);
}

TEST(ServerSessionTest, OldClientsGoOnAsBefore) {
  ServerWorld f;
  f.Connect(1);
  f.Send(1, {{"type", "hello"}, {"version", 1}});
  f.Send(1, {{"type", "join"}, {"name", "ada"}});
  for (int i = 0; i < 100; ++i) f.Send(1, {{"type", "ping"}});
  // No acknowledgements: they know no such thing.
  EXPECT_EQ(f.Types(1).size(), 102u);
  EXPECT_EQ(f.server.kept_bytes(), 0u);
  EXPECT_EQ(f.Request(1, {{"type", "ack"}, {"received", 1}})["code"],
            "bad_state");
  f.Lose(1);
  EXPECT_EQ(f.closed_sessions.size(), 1u);
  EXPECT_EQ(f.server.waiting_session_count(), 0u);
}

TEST(ServerSessionTest, NobodyResumesWithoutTheSecret) {
  ServerWorld f;
  const json ada = f.KeptJoin(1, "ada");
  f.Lose(1);
  int id = 10;
  const auto resume = [&](const json& with) {
    return f.KeptHello(++id, with)["resume"]["resumed"].get<bool>();
  };
  const json session = ada["session"];
  const std::string secret = ada["resume"]["secret"];
  EXPECT_FALSE(resume({{"session", session}, {"received", 1}}));
  EXPECT_FALSE(
      resume({{"session", session}, {"secret", session}, {"received", 1}}));
  EXPECT_FALSE(resume({{"session", session},
                       {"secret", secret.substr(1) + "0"},
                       {"received", 1}}));
  EXPECT_FALSE(
      resume({{"session", "none"}, {"secret", secret}, {"received", 1}}));
  // Nor by claiming to have had what was not sent.
  EXPECT_FALSE(
      resume({{"session", session}, {"secret", secret}, {"received", 9}}));
  EXPECT_EQ(f.server.stats().resumes_refused, 5u);
  EXPECT_TRUE(
      resume({{"session", session}, {"secret", secret}, {"received", 1}}));
}

TEST(ServerSessionTest, ANewConnectionTakesOverFromOneThatDiedUnnoticed) {
  ServerWorld f;
  const json ada = f.KeptJoin(1, "ada");
  EXPECT_EQ(f.Resume(2, ada, 1)["resume"]["resumed"], true);
  EXPECT_EQ(f.closed[1].code, kCloseResumedElsewhere);
  EXPECT_EQ(f.server.connection_count(), 1u);
  // The end of the old one comes late, and means nothing any more.
  f.Lose(1);
  EXPECT_EQ(f.server.waiting_session_count(), 0u);
  EXPECT_EQ(f.Request(2, {{"type", "list"}})["type"], "peers");
}

TEST(ServerSessionTest, ALossDuringResumptionIsOneMore) {
  ServerWorld f;
  const json ada = f.KeptJoin(1, "ada");
  LoseAndComeBack(f, ada);
  f.Lose(2);
  EXPECT_EQ(f.server.waiting_session_count(), 1u);
  f.answer_credentials = true;
  EXPECT_EQ(f.Resume(3, ada, 1)["resume"]["resumed"], true);
}

TEST(ServerSessionTest, AcknowledgedMessagesAreNotKept) {
  ServerWorld f;
  f.KeptHello(1);
  for (int i = 0; i < 15; ++i) f.Send(1, {{"type", "ping"}});
  EXPECT_EQ(f.Types(1).back(), "pong");
  // The server acknowledges the 16th.
  f.sent.clear();
  f.Send(1, {{"type", "ping"}});
  ASSERT_EQ(f.Types(1), (std::vector<std::string>{"ack", "pong"}));
  EXPECT_EQ(f.sent[1][0]["received"], 16);
  EXPECT_GT(f.server.kept_bytes(), 0u);
  // 17 messages behind `welcome` with its own `ack`.
  EXPECT_EQ(f.Request(1, {{"type", "ack"}, {"received", 18}})["code"],
            "bad_message");
  f.Send(1, {{"type", "ack"}, {"received", 18}});
  EXPECT_EQ(f.server.kept_bytes(), 0u);
}

TEST(ServerSessionTest, AcknowledgingMuchIsNoFlood) {
  ServerOptions options;
  options.message_rate = {.per_second = 1, .burst = 5};
  ServerWorld f(options);
  f.KeptHello(1);
  f.KeptJoin(2, "bob");
  for (uint64_t i = 1; i <= 3; ++i) {
    f.Send(1, {{"type", "ping"}});
    f.Send(1, {{"type", "ack"}, {"received", i}});
  }
  EXPECT_EQ(f.Request(1, {{"type", "ping"}})["type"], "pong");
  EXPECT_EQ(f.server.stats().rate_limited, 0u);
}

TEST(ServerSessionTest, AnswersOfTheRateLimitAreMessagesLikeOthers) {
  ServerOptions options;
  options.message_rate = {.per_second = 0.001, .burst = 2};
  ServerWorld f(options);
  const json ada = f.KeptHello(1);
  f.Send(1, {{"type", "ping"}});
  f.Send(1, {{"type", "ping"}});  // Dropped, and its sender told.
  EXPECT_EQ(f.sent[1].back()["code"], "rate_limited");
  f.Lose(1);
  const json welcome = f.Resume(2, ada, 1);
  EXPECT_EQ(welcome["resume"]["received"], 2);
  EXPECT_EQ(f.Types(2), (std::vector<std::string>{"welcome", "error"}));
}

TEST(ServerSessionTest, BoundsOfWhatWaits) {
  ServerOptions options;
  options.max_sessions_in_grace = 3;
  options.max_sessions_in_grace_per_source = 2;
  ServerWorld f(options);
  const auto join = [&](int id, const char* source) {
    ASSERT_OK(
        f.server.Connect(f.now, ConnectionId(id), *IpAddress::Parse(source)));
    f.Request(id,
              {{"type", "hello"}, {"version", 1}, {"resume", json::object()}});
  };
  for (int id = 1; id <= 3; ++id) join(id, "192.0.2.1");
  for (int id = 4; id <= 5; ++id) join(id, "192.0.2.2");
  for (int id = 1; id <= 3; ++id) f.Lose(id);
  EXPECT_EQ(f.server.waiting_session_count(), 2u);
  EXPECT_EQ(f.closed_sessions.size(), 1u);
  for (int id = 4; id <= 5; ++id) f.Lose(id);
  EXPECT_EQ(f.server.waiting_session_count(), 3u);
  EXPECT_EQ(f.closed_sessions.size(), 2u);
  EXPECT_EQ(f.server.stats().sessions_given_up, 2u);
  f.Pass(absl::Seconds(30));
  EXPECT_EQ(f.server.waiting_session_count(), 0u);
  // And again: what waited has given its share back.
  for (int id = 6; id <= 7; ++id) {
    join(id, "192.0.2.1");
    f.Lose(id);
  }
  EXPECT_EQ(f.server.waiting_session_count(), 2u);
}

// Who is away and is told more than is kept is given up, and those who told
// him know it.
TEST(ServerSessionTest, BoundOfOneOutbox) {
  ServerOptions options;
  options.max_outbox_bytes = 2000;
  ServerWorld f(options);
  const json ada = f.KeptJoin(1, "ada");
  f.KeptJoin(2, "bob");
  const std::string call =
      f.Request(1, {{"type", "call"}, {"to", "bob"}})["call"];
  f.Send(2, {{"type", "accept"}, {"call", call}});
  f.Lose(1);
  f.sent.clear();
  const json offer = {{"type", "signal"},
                      {"call", call},
                      {"kind", "offer"},
                      {"sdp", std::string(600, 'x')}};
  f.Send(2, offer);
  f.Send(2, offer);
  EXPECT_THAT(f.sent[2], IsEmpty());
  f.Send(2, offer);
  EXPECT_EQ(f.Types(2), (std::vector<std::string>{"hangup", "presence"}));
  EXPECT_EQ(f.sent[2][0]["reason"], "peer_lost");
  EXPECT_EQ(f.server.waiting_session_count(), 0u);
  EXPECT_EQ(f.Resume(3, ada, 1)["resume"]["resumed"], false);
}

// A client that is there but never acknowledges costs no more, and learns on
// its return that messages are gone.
TEST(ServerSessionTest, WhoNeverAcknowledgesCostsNoMoreThanTheOutbox) {
  ServerOptions options;
  options.max_outbox_bytes = 1000;
  options.max_kept_bytes = 1500;
  options.message_rate.burst = 1000;
  ServerWorld f(options);
  const json ada = f.KeptHello(1);
  const json bob = f.KeptHello(2);
  for (int i = 0; i < 100; ++i) {
    f.Send(1, {{"type", "ping"}});
    f.Send(2, {{"type", "ping"}});
  }
  EXPECT_LE(f.server.kept_bytes(), 1500u);
  EXPECT_THAT(f.closed, IsEmpty());
  f.Lose(1);
  EXPECT_EQ(f.Resume(3, ada, 1)["resume"]["resumed"], false);
  EXPECT_EQ(f.server.stats().resumes_refused, 1u);
}

TEST(ServerSessionTest, CredentialsOnRequestAndBeforeTheyAreStale) {
  ServerOptions options;
  options.credentials_lifetime = absl::Hours(4);
  options.max_credential_requests = 2;
  ServerWorld f(options);
  f.KeptHello(1);
  const json fresh = f.Request(1, {{"type", "credentials"}, {"id", "c"}});
  EXPECT_EQ(fresh["type"], "ice_servers");
  EXPECT_EQ(fresh["id"], "c");
  f.sent.clear();
  f.Pass(absl::Hours(3) - absl::Seconds(1));
  EXPECT_THAT(f.sent[1], IsEmpty());
  f.Pass(absl::Seconds(1));
  ASSERT_EQ(f.Types(1), std::vector<std::string>{"ice_servers"});
  EXPECT_FALSE(f.sent[1][0].contains("id"));
  f.answer_credentials = false;
  f.Send(1, {{"type", "credentials"}});
  f.Send(1, {{"type", "credentials"}});
  EXPECT_EQ(f.Request(1, {{"type", "credentials"}})["code"], "rate_limited");
}

TEST(ServerSessionTest, WithoutGraceNothingWaits) {
  ServerOptions options;
  options.grace = absl::ZeroDuration();
  ServerWorld f(options);
  EXPECT_FALSE(f.KeptHello(1).contains("resume"));
  f.Lose(1);
  EXPECT_EQ(f.closed_sessions.size(), 1u);
}

// Each message arrives once and in order, wherever connections break: 300 of
// them, 1000 breaks at any place of either direction.
TEST(ServerSessionTest, NothingIsLostDoubledOrReorderedByBrokenConnections) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    SeededRandom dice(seed);
    ServerOptions options;
    options.message_rate = {.per_second = 1e9, .burst = 1e9};
    ServerWorld f(options);
    json ada = f.KeptJoin(1, "ada");
    f.KeptJoin(2, "bob");
    const std::string call =
        f.Request(2, {{"type", "call"}, {"to", "ada"}})["call"];
    f.Send(1, {{"type", "accept"}, {"call", call}});
    // What ada has taken so far: joined, presence, incoming, accepted.
    uint64_t received = 4;
    int connection = 1, next_connection = 10;
    std::vector<std::string> got;
    size_t read = f.sent[1].size();
    for (int i = 0; i < 300; ++i) {
      f.Send(2, {{"type", "signal"},
                 {"call", call},
                 {"kind", "offer"},
                 {"sdp", absl::StrCat(i)}});
      // Of what was sent on this connection, some arrives.
      const auto& sent = f.sent[connection];
      const size_t arrives = dice.Below(sent.size() - read + 1);
      for (size_t k = 0; k < arrives; ++k, ++read) {
        ++received;
        if (sent[read]["type"] == "signal") got.push_back(sent[read]["sdp"]);
      }
      if (dice.Below(3) != 0) continue;
      if (dice.Below(2) == 0) f.Lose(connection);
      connection = next_connection++;
      ASSERT_EQ(f.Resume(connection, ada, received)["resume"]["resumed"], true);
      read = 1;  // Behind `welcome`.
    }
    const auto& sent = f.sent[connection];
    for (; read < sent.size(); ++read) {
      if (sent[read]["type"] == "signal") got.push_back(sent[read]["sdp"]);
    }
    ASSERT_EQ(got.size(), 300u);
    for (int i = 0; i < 300; ++i) {
      EXPECT_EQ(got[static_cast<size_t>(i)], absl::StrCat(i));
    }
  }
}

}  // namespace
}  // namespace kyuu::signaling
