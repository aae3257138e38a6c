// The signaling server with an Admission: who is let in by what, into which
// rooms, and until when.

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "signaling/client.h"
#include "signaling/close_code.h"
#include "signaling/server.h"
#include "signaling/testing/server_world.h"
#include "signaling/token/admission.h"
#include "signaling/token/signing_key.h"
#include "signaling/token/testing/keys.h"

namespace kyuu::signaling {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Anonymous = AdmissionOptions::Anonymous;

constexpr char kApiKey[] = "an-api-key-of-some-length";

AdmissionOptions Options(Anonymous anonymous) {
  AdmissionOptions options;
  options.anonymous = anonymous;
  options.api_keys = {kApiKey};
  EXPECT_TRUE(
      options.keys.Add(*TokenKey::FromSecret("", testing::kSecret)).ok());
  return options;
}

struct Door {
  explicit Door(Anonymous anonymous = Anonymous::kForbid,
                ServerOptions options = {})
      : admission(Options(anonymous)), world(std::move(options), &admission) {}

  std::string Token(absl::string_view user,
                    absl::Duration lifetime = absl::Minutes(5),
                    absl::string_view name = "",
                    std::optional<std::vector<std::string>> rooms = {}) {
    NewToken token;
    token.subject = std::string(user);
    token.name = std::string(name);
    token.rooms = std::move(rooms);
    token.issued = world.now;
    token.expires = world.now + lifetime;
    return *SigningKey::FromText(testing::kSecret)->MakeToken("", token);
  }
  // Says hello on a connection that is there.
  json Hello(int id, const std::string& token, const json& resume = nullptr) {
    json hello = {{"type", "hello"}, {"version", 1}, {"id", 1}};
    if (!token.empty()) hello["token"] = token;
    if (!resume.is_null()) hello["resume"] = resume;
    return world.Request(id, hello);
  }
  json Enter(int id, const std::string& token, const json& resume = nullptr) {
    world.Connect(id);
    return Hello(id, token, resume);
  }
  json Join(int id, const std::string& name, const std::string& room) {
    return world.Request(id,
                         {{"type", "join"}, {"name", name}, {"room", room}});
  }

  Admission admission;
  ServerWorld world;
};

json Back(const json& welcome, int received = 0) {
  return {{"session", welcome["session"]},
          {"secret", welcome["resume"]["secret"]},
          {"received", received}};
}

TEST(AdmissionServerTest, LetsInWhoShowsATokenAndSaysWhoHeIs) {
  Door door;
  const json welcome = door.Enter(1, door.Token("ada"));
  EXPECT_EQ(welcome["type"], "welcome");
  EXPECT_EQ(welcome["user"], "ada");
  EXPECT_EQ(door.Join(1, "Countess", "lobby")["type"], "joined");
  const json by_key = door.Enter(2, kApiKey);
  EXPECT_EQ(by_key["type"], "welcome");
  EXPECT_FALSE(by_key.contains("user"));
}

TEST(AdmissionServerTest, RefusesBeforeThereIsASession) {
  Door door;
  const json refused = door.Enter(1, "");
  EXPECT_EQ(refused["type"], "error");
  EXPECT_EQ(refused["code"], "unauthorized");
  EXPECT_EQ(refused["id"], 1);
  EXPECT_THAT(refused["message"].get<std::string>(), HasSubstr("token"));
  EXPECT_EQ(door.Enter(2, door.Token("ada", -absl::Minutes(2)))["code"],
            "token_expired");
  EXPECT_THAT(door.world.opened_sessions, IsEmpty());
  EXPECT_EQ(door.Join(1, "ada", "lobby")["code"], "bad_state");
  // With another token it may try again, on the same connection.
  EXPECT_EQ(door.Hello(1, door.Token("ada"))["type"], "welcome");
  EXPECT_EQ(door.world.opened_sessions.size(), 1u);
  EXPECT_EQ(door.admission.stats().refused_anonymous, 1u);
  EXPECT_EQ(door.admission.stats().refused_expired, 1u);
}

TEST(AdmissionServerTest, AnonymousOnesComeIfTheyMay) {
  Door door(Anonymous::kAllow);
  EXPECT_EQ(door.Enter(1, "")["type"], "welcome");
  EXPECT_EQ(door.Enter(2, "no.good.token")["code"], "unauthorized");
}

TEST(AdmissionServerTest, ATokenOfMoreThan8KiBIsTooLarge) {
  Door door;
  EXPECT_EQ(door.Enter(1, std::string(8 * 1024 + 1, 'a'))["code"], "too_large");
}

TEST(AdmissionServerTest, ClosesWhoTriesTooManyTokens) {
  ServerOptions options;
  options.max_refused_tokens = 3;
  Door door(Anonymous::kForbid, options);
  door.world.Connect(1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(door.world.closed.empty());
    EXPECT_EQ(door.Hello(1, "no.good.token")["code"], "unauthorized");
  }
  EXPECT_EQ(door.world.closed.at(1).code, kClosePolicyViolation);
  EXPECT_EQ(door.world.server.connection_count(), 0u);
  // In a session it is the same: it is over.
  door.Enter(2, door.Token("ada"));
  for (int i = 0; i < 3; ++i) {
    door.world.Request(2, {{"type", "credentials"}, {"token", "a.b.c"}});
  }
  EXPECT_EQ(door.world.closed.at(2).code, kClosePolicyViolation);
  EXPECT_EQ(door.world.closed_sessions.size(), 1u);
}

TEST(AdmissionServerTest, ATokenNamesThePeer) {
  Door door;
  door.Enter(1, door.Token("ada", absl::Minutes(5), "Ada Lovelace"));
  EXPECT_EQ(door.Join(1, "the queen", "lobby")["name"], "Ada Lovelace");
  door.Enter(2, door.Token("eve", absl::Minutes(5), "a\nb"));
  EXPECT_EQ(door.Join(2, "eve", "lobby")["code"], "invalid_name");
}

TEST(AdmissionServerTest, ATokenOpensItsRoomsAndNoOthers) {
  Door door;
  door.Enter(1, door.Token("ada", absl::Minutes(5), "", {{"team-*", "Hall"}}));
  EXPECT_EQ(door.Join(1, "ada", "lobby")["code"], "forbidden");
  EXPECT_EQ(door.Join(1, "ada", "")["code"], "forbidden");  // The lobby.
  EXPECT_EQ(door.Join(1, "ada", "team-x")["type"], "joined");
  door.world.Request(1, {{"type", "leave"}});
  EXPECT_EQ(door.Join(1, "ada", "hall")["type"], "joined");
  EXPECT_EQ(door.admission.stats().refused_room, 2u);
}

TEST(AdmissionServerTest, CredentialsEndWithTheToken) {
  Door door;
  const json welcome = door.Enter(1, door.Token("ada", absl::Minutes(5)));
  door.world.Pass(absl::Minutes(5) - absl::Seconds(1));
  EXPECT_THAT(door.world.expired_sessions, IsEmpty());
  door.world.Pass(absl::Seconds(1));
  EXPECT_THAT(door.world.expired_sessions, ElementsAre(welcome["session"]));
  EXPECT_EQ(door.world.server.stats().tokens_expired, 1u);
  // No new ones; all else goes on.
  EXPECT_EQ(door.world.Code(1, R"({"type":"credentials"})"), "token_expired");
  EXPECT_EQ(door.world.credentials_wanted, 0);
  EXPECT_EQ(door.Join(1, "ada", "lobby")["type"], "joined");
  // Until a later token of the same user comes.
  EXPECT_EQ(door.world.Request(1, {{"type", "credentials"},
                                   {"token", door.Token("eve")}})["code"],
            "forbidden");
  EXPECT_EQ(door.world.Request(1, {{"type", "credentials"},
                                   {"token", door.Token("ada")}})["type"],
            "ice_servers");
  door.world.Pass(absl::Minutes(5));
  EXPECT_EQ(door.world.expired_sessions.size(), 2u);
}

TEST(AdmissionServerTest, CredentialsAreNotRenewedBehindTheToken) {
  ServerOptions options;
  options.credentials_lifetime = absl::Minutes(4);
  Door door(Anonymous::kForbid, options);
  door.Enter(1, door.Token("ada", absl::Minutes(5)));
  door.world.Pass(absl::Minutes(3));  // 3/4 of the lifetime.
  EXPECT_EQ(door.world.credentials_wanted, 1);
  door.world.Pass(absl::Hours(1));
  EXPECT_EQ(door.world.credentials_wanted, 1);
}

TEST(AdmissionServerTest, ASessionGoesOnForTheSameUserOnly) {
  Door door(Anonymous::kAllow);
  const json ada = door.Enter(1, door.Token("ada"), json::object());
  door.world.Lose(1);
  const auto resumed = [&](int id, const std::string& token) {
    return door.Enter(id, token, Back(ada));
  };
  // The secret alone is not enough.
  EXPECT_EQ(resumed(2, "")["resume"]["resumed"], false);
  EXPECT_EQ(resumed(3, door.Token("eve"))["resume"]["resumed"], false);
  EXPECT_EQ(resumed(4, kApiKey)["resume"]["resumed"], false);
  const json back = resumed(5, door.Token("ada"));
  EXPECT_EQ(back["resume"]["resumed"], true);
  EXPECT_EQ(back["user"], "ada");
  // Nor is a token enough for the session of a nameless one.
  const json nobody = door.Enter(6, "", json::object());
  door.world.Lose(6);
  EXPECT_EQ(door.Enter(7, door.Token("ada"), Back(nobody))["resume"]["resumed"],
            false);
  EXPECT_EQ(door.Enter(8, "", Back(nobody))["resume"]["resumed"], true);
}

TEST(AdmissionServerTest, AnExpiredTokenDoesNotResumeAndALaterOneDoes) {
  Door door;
  const std::string token = door.Token("ada", absl::Seconds(10));
  const json welcome = door.Enter(1, token, json::object());
  door.world.Lose(1);
  door.world.Pass(absl::Seconds(20));
  EXPECT_THAT(door.world.expired_sessions, ElementsAre(welcome["session"]));
  // Within the leeway of clocks it comes in, and its credentials end at once.
  EXPECT_EQ(door.Enter(2, token, Back(welcome))["resume"]["resumed"], true);
  door.world.Pass(absl::ZeroDuration());
  EXPECT_EQ(door.world.expired_sessions.size(), 2u);
  door.world.Pass(absl::Seconds(50));
  door.world.Lose(2);
  EXPECT_EQ(door.Enter(3, token, Back(welcome))["code"], "token_expired");
  EXPECT_EQ(
      door.Hello(3, door.Token("ada"), Back(welcome))["resume"]["resumed"],
      true);
}

TEST(AdmissionServerTest, OtherKeysHoldAtTheNextHello) {
  Door door;
  const std::string token = door.Token("ada");
  const json welcome = door.Enter(1, token, json::object());
  AdmissionOptions next = Options(Anonymous::kForbid);
  next.keys = KeySet();
  door.admission.SetOptions(next);
  EXPECT_EQ(door.Join(1, "ada", "lobby")["type"], "joined");
  door.world.Lose(1);
  EXPECT_EQ(door.Enter(2, token, Back(welcome))["code"], "unauthorized");
}

// What `client` and the server of `door` have to say to each other.
void Talk(Door& door, int id, Client& client) {
  while (auto text = client.PollTransmit(door.world.now, {})) {
    door.world.sent[id].clear();
    door.world.Say(id, *text);
    for (const json& message : door.world.sent[id]) {
      client.HandlePacket(door.world.now, message.dump());
    }
  }
}

template <typename T>
T Next(Client& client) {
  auto event = client.PollEvent();
  const T* next = event ? std::get_if<T>(&*event) : nullptr;
  EXPECT_NE(next, nullptr);
  return next == nullptr ? T() : *next;
}

TEST(AdmissionServerTest, AClientShowsItsTokenAndALaterOne) {
  Door door;
  door.world.Connect(1);
  ClientOptions options;
  options.token = door.Token("ada", absl::Minutes(5), "", {{"hall"}});
  Client client(options, door.world.now);
  Talk(door, 1, client);
  Next<Ready>(client);
  EXPECT_TRUE(client.JoinRoom(door.world.now, "ada").ok());
  Talk(door, 1, client);
  EXPECT_EQ(Next<JoinFailed>(client).status.code(),
            absl::StatusCode::kPermissionDenied);
  door.world.Pass(absl::Minutes(5));
  EXPECT_TRUE(client.RequestCredentials(door.world.now).ok());
  Talk(door, 1, client);
  EXPECT_EQ(Next<ErrorReceived>(client).error.code, ErrorCode::kTokenExpired);
  client.SetToken(door.Token("ada"));
  EXPECT_TRUE(client.RequestCredentials(door.world.now).ok());
  Talk(door, 1, client);
  Next<IceServersChanged>(client);
}

TEST(AdmissionServerTest, AClientThatIsNotLetInEndsWithTheReason) {
  Door door;
  door.world.Connect(1);
  Client client({}, door.world.now);
  Talk(door, 1, client);
  const absl::Status status = Next<ClientClosed>(client).status;
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()), HasSubstr("shows a token"));
}

}  // namespace
}  // namespace kyuu::signaling
