// Users whom the server does not know, and the driver is asked about.

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using Verdict = Authorization::Verdict;
using By = ServerOptions::Authorizing::By;

class TurnServerAuthorize : public testing::Test {
 protected:
  void Open(ServerOptions options = ServerHarness::Options()) {
    options.authorizing.by = By::kDriver;
    harness_.emplace(std::move(options));
  }
  // The names that were asked about since the last time.
  std::vector<std::string> Asked() {
    std::vector<std::string> names;
    for (const Server::Event& event : harness_->events()) {
      const auto* wanted = std::get_if<Server::AuthorizationWanted>(&event);
      if (wanted == nullptr) continue;
      EXPECT_EQ(wanted->realm, "kyuu");
      EXPECT_EQ(wanted->client.ip, IpAddress::V4(9, 9, 9, 9));
      names.push_back(wanted->username);
    }
    harness_->events().clear();
    return names;
  }
  void Answer(Authorization answer, absl::Duration until = absl::Minutes(10)) {
    answer.until = harness_->now() + until;
    harness_->server().Authorize(harness_->now(), answer);
    harness_->Drain();
  }
  void Grant(const std::string& name, const std::string& password,
             absl::Duration until = absl::Minutes(10)) {
    Answer({.verdict = Verdict::kGranted, .user = {name, password}}, until);
  }
  const ServerStats& stats() { return harness_->server().stats(); }

  std::optional<ServerHarness> harness_;
};

using Names = std::vector<std::string>;

TEST_F(TurnServerAuthorize, ARequestWaitsForTheAnswerAndIsHeardThen) {
  Open();
  TestClient ann(1000, "ann", "secret");
  EXPECT_TRUE(harness_->Allocate(ann).empty());
  EXPECT_EQ(Asked(), Names{"ann"});
  EXPECT_EQ(stats().auth_asked, 1u);
  EXPECT_EQ(stats().auth_held, 1u);
  Grant("ann", "secret");
  EXPECT_TRUE(harness_->Poll(ann).ok());
  EXPECT_EQ(harness_->server().allocations(), 1u);
  // And is known from then on.
  TestClient again(1001, "ann", "secret"), wrong(1002, "ann", "guess");
  EXPECT_TRUE(harness_->Allocate(again).ok());
  EXPECT_EQ(harness_->Allocate(wrong).error(), 401);
  EXPECT_EQ(Asked(), Names());
}

TEST_F(TurnServerAuthorize, NobodyIsAskedAboutBeforeTheSourceIsProven) {
  Open();
  TestClient ann(1000, "ann", "secret");
  ann.realm = "kyuu";
  ann.nonce = "made up";
  EXPECT_EQ(harness_->Refresh(ann, 600).error(), 438);
  harness_->Challenge(ann);
  // From another address it is worth nothing.
  TestClient forger(2000, "ann", "secret");
  forger.path.remote.ip = IpAddress::V4(9, 9, 9, 10);
  forger.realm = ann.realm;
  forger.nonce = ann.nonce;
  EXPECT_EQ(harness_->Refresh(forger, 600).error(), 438);
  EXPECT_EQ(Asked(), Names());
  EXPECT_EQ(stats().auth_held, 0u);
}

TEST_F(TurnServerAuthorize, WhoIsKnownIsNotAskedAbout) {
  ServerOptions options = ServerHarness::Options();
  options.rest_secrets = {"north"};
  Open(options);
  TestClient wrong(1000, "u", "guess"), rest(1001, "99999999999:ann", "guess");
  EXPECT_EQ(harness_->Allocate(wrong).error(), 401);
  EXPECT_EQ(harness_->Allocate(rest).error(), 401);
  EXPECT_EQ(Asked(), Names());
}

TEST_F(TurnServerAuthorize, AKeyIsAsGoodAsAPassword) {
  Open();
  TestClient ann(1000, "ann", "secret");
  EXPECT_TRUE(harness_->Allocate(ann).empty());
  // MD5 of "ann:kyuu:secret".
  Answer(
      {.verdict = Verdict::kGranted,
       .user = {"ann", "",
                absl::HexStringToBytes("06c39c3b54c9df6bcf4af6dac62cee94")}});
  EXPECT_TRUE(harness_->Poll(ann).ok());
}

TEST_F(TurnServerAuthorize, ADenialIsRememberedForAWhile) {
  Open();
  TestClient eve(1000, "eve", "x");
  EXPECT_TRUE(harness_->Allocate(eve).empty());
  Answer({.verdict = Verdict::kDenied, .user = {"eve"}}, absl::Seconds(10));
  EXPECT_EQ(harness_->Poll(eve).error(), 401);
  harness_->Advance(absl::Seconds(9));
  EXPECT_EQ(harness_->Allocate(eve).error(), 401);
  EXPECT_EQ(Asked(), Names{"eve"});
  harness_->Advance(absl::Seconds(1));
  EXPECT_TRUE(harness_->Allocate(eve).empty());
  EXPECT_EQ(Asked(), Names{"eve"});
}

// Whoever is to be asked is down: that is no refusal, and clients may try
// again.
TEST_F(TurnServerAuthorize, AFailureIs500AndIsAskedAgainInAMoment) {
  Open();
  TestClient ann(1000, "ann", "secret");
  EXPECT_TRUE(harness_->Allocate(ann).empty());
  Answer({.verdict = Verdict::kFailed, .user = {"ann"}});
  EXPECT_EQ(harness_->Poll(ann).error(), 500);
  EXPECT_EQ(harness_->Allocate(ann).error(), 500);
  EXPECT_EQ(Asked(), Names{"ann"});
  harness_->Advance(absl::Seconds(1));
  EXPECT_TRUE(harness_->Allocate(ann).empty());
  EXPECT_EQ(Asked(), Names{"ann"});
  Grant("ann", "secret");
  EXPECT_TRUE(harness_->Poll(ann).ok());
}

// An answer that is of no use does not make it ask for ever.
TEST_F(TurnServerAuthorize, AnswersThatHelpNobodyAreNotAskedForAgainAtOnce) {
  Open();
  TestClient ann(1000, "ann", "secret");
  EXPECT_TRUE(harness_->Allocate(ann).empty());
  EXPECT_EQ(Asked(), Names{"ann"});
  Grant("ann", "secret", absl::ZeroDuration());  // Over already.
  EXPECT_EQ(harness_->Poll(ann).error(), 500);
  EXPECT_EQ(Asked(), Names());
  harness_->Advance(absl::Seconds(1));
  EXPECT_TRUE(harness_->Allocate(ann).empty());
  EXPECT_EQ(Asked(), Names{"ann"});
  Grant("ann", "");  // Neither a password nor a key.
  EXPECT_EQ(harness_->Poll(ann).error(), 500);
  EXPECT_EQ(Asked(), Names());
}

TEST_F(TurnServerAuthorize, ARefreshIsAskedAboutWhenTheAnswerHasRunOut) {
  ServerOptions options = ServerHarness::Options();
  options.lifetime_max = absl::Hours(1);
  Open(options);
  TestClient ann(1000, "ann", "secret");
  harness_->Allocate(ann);
  Grant("ann", "secret", absl::Minutes(1));
  EXPECT_TRUE(harness_->Poll(ann).ok());
  Asked();
  harness_->Advance(absl::Minutes(2));
  EXPECT_TRUE(harness_->Refresh(ann, 600).empty());
  EXPECT_EQ(Asked(), Names{"ann"});
  Grant("ann", "secret", absl::Minutes(1));
  EXPECT_TRUE(harness_->Poll(ann).ok());
  // Who is nobody any more, and who is asked in vain, goes on for the grace.
  for (const Verdict verdict : {Verdict::kFailed, Verdict::kDenied}) {
    harness_->Advance(absl::Minutes(2));
    EXPECT_TRUE(harness_->Refresh(ann, 600).empty());
    Answer({.verdict = verdict, .user = {"ann"}});
    EXPECT_TRUE(harness_->Poll(ann).ok());
    EXPECT_TRUE(harness_->Refresh(ann, 600).ok());
  }
}

TEST_F(TurnServerAuthorize, RetransmissionsWaitOnceAndClientsThatLeaveDoNot) {
  Open();
  TestClient ann(1000, "ann", "secret");
  harness_->Challenge(ann);
  const auto request = harness_->Build(
      ann, stun::Method::kAllocate,
      [](stun::MessageWriter& w) { w.Add(stun::RequestedTransport{}); });
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(harness_->Exchange(ann, request).empty());
  }
  EXPECT_EQ(Asked(), Names{"ann"});
  TestClient stream(1001, "ann", "secret");
  stream.path.transport = Transport::kTcp;
  EXPECT_TRUE(harness_->Allocate(stream).empty());
  harness_->server().ClientGone(stream.path);
  Grant("ann", "secret");
  EXPECT_TRUE(harness_->Poll(ann).ok());
  EXPECT_EQ(harness_->server().allocations(), 1u);
}

TEST_F(TurnServerAuthorize, WhatWaitsIsBounded) {
  ServerOptions options = ServerHarness::Options();
  options.authorizing.questions_max = 2;
  options.authorizing.held_per_user_max = 3;
  options.authorizing.remembered_max = 2;
  Open(options);
  for (uint16_t i = 0; i < 5; ++i) {
    TestClient client(1000 + i, "ann", "secret");
    EXPECT_TRUE(harness_->Allocate(client).empty());
  }
  EXPECT_EQ(stats().auth_held, 3u);
  EXPECT_EQ(stats().auth_overload, 2u);
  for (uint16_t i = 0; i < 5; ++i) {
    TestClient client(2000 + i, absl::StrCat("user", i), "secret");
    EXPECT_TRUE(harness_->Allocate(client).empty());
  }
  EXPECT_EQ(Asked(), (Names{"ann", "user0"}));
  EXPECT_EQ(stats().auth_overload, 6u);
  Grant("ann", "secret");
  EXPECT_EQ(harness_->server().allocations(), 3u);
  // Of more names than are remembered some are asked about again.
  Answer({.verdict = Verdict::kDenied, .user = {"user0"}}, absl::Hours(1));
  Answer({.verdict = Verdict::kDenied, .user = {"user1"}}, absl::Hours(2));
  Answer({.verdict = Verdict::kDenied, .user = {"user2"}}, absl::Hours(3));
  harness_->Advance(absl::Seconds(2));
  TestClient zero(3000, "user0", "x"), two(3002, "user2", "x");
  EXPECT_EQ(harness_->Allocate(two).error(), 401);
  EXPECT_TRUE(harness_->Allocate(zero).empty());
  EXPECT_EQ(Asked(), Names{"user0"});
}

// Three realms, told by their listeners: of one of them nobody is asked about.
class TurnServerAuthorizeRealms : public TurnServerAuthorize {
 protected:
  static constexpr uint16_t kAsked = 3480, kNotAsked = 3481;

  TurnServerAuthorizeRealms() {
    ServerOptions options = ServerHarness::Options();
    for (const uint16_t port : {kAsked, kNotAsked}) {
      RealmOptions realm;
      realm.name = absl::StrCat("realm", port);
      realm.listeners = {{kTestServer.ip, port}};
      realm.users = {{"u", "p"}};
      if (port == kAsked) realm.authorizing = By::kDriver;
      options.realms.push_back(realm);
      options.listeners.push_back(realm.listeners[0]);
    }
    options.granted_max = 2;
    Open(std::move(options));
  }
  static TestClient At(uint16_t listener, uint16_t port,
                       const std::string& name) {
    TestClient client(port, name, "secret");
    client.path.local.port = listener;
    return client;
  }
  // Realms and names.
  std::vector<std::pair<std::string, std::string>> Questions() {
    std::vector<std::pair<std::string, std::string>> questions;
    for (const Server::Event& event : harness_->events()) {
      if (const auto* e = std::get_if<Server::AuthorizationWanted>(&event)) {
        questions.emplace_back(e->realm, e->username);
      }
    }
    harness_->events().clear();
    return questions;
  }
  using Asked = std::vector<std::pair<std::string, std::string>>;
  void GrantIn(const std::string& realm, const std::string& name) {
    Answer({.verdict = Verdict::kGranted,
            .user = {name, "secret"},
            .realm = realm});
  }
};

TEST_F(TurnServerAuthorizeRealms, EachIsAskedAboutForItself) {
  TestClient main = At(kTestServer.port, 1000, "ann");
  TestClient other = At(kAsked, 1001, "ann");
  TestClient not_asked = At(kNotAsked, 1002, "ann");
  EXPECT_TRUE(harness_->Allocate(main).empty());
  EXPECT_TRUE(harness_->Allocate(other).empty());
  EXPECT_EQ(other.realm, "realm3480");
  EXPECT_EQ(harness_->Allocate(not_asked).error(), 401);
  EXPECT_EQ(Questions(), (Asked{{"kyuu", "ann"}, {"realm3480", "ann"}}));
  // What is known of one says nothing of the other of that name.
  Answer({.verdict = Verdict::kDenied, .user = {"ann"}, .realm = "kyuu"});
  EXPECT_EQ(harness_->Poll(main).error(), 401);
  EXPECT_TRUE(harness_->Poll(other).empty());
  GrantIn("realm3480", "ann");
  EXPECT_TRUE(harness_->Poll(other).ok());
  EXPECT_EQ(harness_->Allocate(main).error(), 401);
  EXPECT_EQ(harness_->Allocate(not_asked).error(), 401);
  TestClient again = At(kAsked, 1003, "ann");
  EXPECT_TRUE(harness_->Allocate(again).ok());
  EXPECT_EQ(Questions(), Asked());
  // Those that it names itself need nobody's word.
  TestClient named = At(kAsked, 1004, "u");
  named.password = "p";
  EXPECT_TRUE(harness_->Allocate(named).ok());
}

// The answer comes when nobody is asked any more.
TEST_F(TurnServerAuthorizeRealms, WhatIsAskedNoMoreIsNotGranted) {
  TestClient main = At(kTestServer.port, 1000, "ann");
  TestClient other = At(kAsked, 1001, "ann");
  harness_->Allocate(main);
  harness_->Allocate(other);
  ServerOptions options = ServerHarness::Options();
  options.authorizing.by = By::kDriver;
  RealmOptions realm;
  realm.name = "realm3480";
  realm.listeners = {{kTestServer.ip, kAsked}};
  options.realms = {realm};
  harness_->server().SetOptions(harness_->now(), options);
  GrantIn("realm3480", "ann");
  EXPECT_EQ(harness_->Poll(other).error(), 401);
  GrantIn("kyuu", "ann");
  EXPECT_TRUE(harness_->Poll(main).ok());
}

TEST_F(TurnServerAuthorizeRealms, AFailureIsOfItsRealmAlone) {
  TestClient main = At(kTestServer.port, 1000, "ann");
  TestClient other = At(kAsked, 1001, "ann");
  harness_->Allocate(main);
  Answer({.verdict = Verdict::kFailed, .user = {"ann"}});
  EXPECT_EQ(harness_->Poll(main).error(), 500);
  EXPECT_TRUE(harness_->Allocate(other).empty());
  EXPECT_EQ(Questions(), (Asked{{"kyuu", "ann"}, {"realm3480", "ann"}}));
  // Of a realm that there is not, nothing comes.
  GrantIn("nowhere", "ann");
  EXPECT_TRUE(harness_->Poll(other).empty());
}

TEST_F(TurnServerAuthorizeRealms, EachKnowsAsManyAsMayBeGranted) {
  for (uint16_t i = 0; i < 3; ++i) {
    for (const uint16_t listener : {kTestServer.port, kAsked}) {
      const std::string name = absl::StrCat("user", i);
      TestClient client = At(listener, 1000 + i, name);
      EXPECT_TRUE(harness_->Allocate(client).empty());
      GrantIn(listener == kAsked ? "realm3480" : "kyuu", name);
      EXPECT_EQ(harness_->Poll(client).error(), i < 2 ? 0 : 500);
    }
  }
}

// Who hides his name by USERHASH could not be asked about.
TEST_F(TurnServerAuthorizeRealms, NamesAreNotHiddenWhereTheyAreAskedAbout) {
  ServerOptions options = ServerHarness::Options();
  RealmOptions realm;
  realm.name = "a.test";
  realm.listeners = {{kTestServer.ip, kAsked}};
  options.listeners.push_back(realm.listeners[0]);
  options.sha256 = ServerOptions::Sha256::kEverywhere;
  for (const By by : {By::kNobody, By::kDriver}) {
    realm.authorizing = by;
    options.realms = {realm};
    harness_.emplace(options);
    TestClient client = At(kAsked, 1000, "ann");
    harness_->Challenge(client);
    const auto features = stun::ReadNonceCookie(client.nonce);
    ASSERT_TRUE(features.has_value());
    EXPECT_EQ(features->username_anonymity, by == By::kNobody);
  }
}

TEST_F(TurnServerAuthorize, AUserMayHaveAQuotaOfHisOwn) {
  ServerOptions options = ServerHarness::Options();
  options.allocations_per_user_max = 2;
  Open(options);
  TestClient first(1000, "ann", "secret");
  harness_->Allocate(first);
  Answer({.verdict = Verdict::kGranted,
          .user = {"ann", "secret"},
          .allocations_max = 3});
  EXPECT_TRUE(harness_->Poll(first).ok());
  for (uint16_t i = 1; i < 5; ++i) {
    TestClient more(1000 + i, "ann", "secret"), other(2000 + i);
    EXPECT_EQ(harness_->Allocate(more).error(), i < 3 ? 0 : 486);
    EXPECT_EQ(harness_->Allocate(other).error(), i < 3 ? 0 : 486);
  }
}

}  // namespace
}  // namespace kyuu::turn
