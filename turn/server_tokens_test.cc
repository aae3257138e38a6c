// Third-party authorization: clients that show tokens (RFC 7635).

#include <optional>
#include <string>

#include "base/testing.h"
#include "gtest/gtest.h"
#include "stun/access_token.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using stun::MessageWriter;
using stun::Method;
using stun::TokenKey;

constexpr absl::string_view kKey = "0123456789abcdef";
constexpr absl::string_view kMacKey = "twenty bytes of key!";

ServerOptions WithTokens() {
  ServerOptions options = ServerHarness::Options();
  options.tokens.keys = {
      {"north", TokenKey::Algorithm::kA128Gcm, std::string(kKey)},
      {"union", TokenKey::Algorithm::kA256Gcm, std::string(32, 'u')}};
  options.tokens.server_name = "turn.example.org";
  return options;
}

class TurnTokens : public testing::Test {
 protected:
  std::string Token(absl::Duration lifetime,
                    absl::Duration age = absl::ZeroDuration(),
                    absl::string_view server = "turn.example.org",
                    absl::string_view key = kKey) {
    stun::TokenContent content;
    content.mac_key = std::string(kMacKey);
    content.timestamp = harness_.now() - age;
    content.lifetime = lifetime;
    return TokenKey::Make(TokenKey::Algorithm::kA128Gcm, AsBytes(key))
        ->Seal(content, server, TokenKey::Nonce{1});
  }
  std::string TokenOfUnion(absl::Duration lifetime) {
    stun::TokenContent content;
    content.mac_key = std::string(kMacKey);
    content.timestamp = harness_.now();
    content.lifetime = lifetime;
    return TokenKey::Make(TokenKey::Algorithm::kA256Gcm,
                          AsBytes(std::string(32, 'u')))
        ->Seal(content, "turn.example.org", TokenKey::Nonce{2});
  }
  // Without a token if it is empty.
  Reply Call(const TestClient& client, Method method, absl::string_view token,
             absl::string_view kid = "north",
             absl::string_view mac_key = kMacKey, uint32_t lifetime = 3600) {
    std::vector<uint8_t> buffer(2048);
    MessageWriter w(absl::MakeSpan(buffer), stun::MessageClass::kRequest,
                    method, stun::TransactionId::Generate(harness_.random()));
    if (method == Method::kAllocate) w.Add(stun::RequestedTransport{});
    w.Add(stun::Lifetime{lifetime});
    if (!token.empty()) w.Add(stun::AccessToken{AsBytes(token)});
    w.Add(stun::Username{kid});
    w.Add(stun::Realm{client.realm});
    w.Add(stun::Nonce{client.nonce});
    w.AddIntegrity(stun::IntegrityKey(AsBytes(mac_key)));
    return harness_.Exchange(client, w.Finish());
  }
  TestClient Challenged(uint16_t port) {
    TestClient client(port);
    harness_.Challenge(client);
    return client;
  }

  ServerHarness harness_{WithTokens()};
};

// Its client signs with the first 16 bytes of the key alone, and looks for that
// in answers.
TEST_F(TurnTokens, AKeyThatIsCutAsCoturnDoesHolds) {
  const TestClient client = Challenged(1000);
  const absl::string_view cut = kMacKey.substr(0, 16);
  const Reply reply =
      Call(client, Method::kAllocate, Token(absl::Minutes(10)), "north", cut);
  ASSERT_TRUE(reply.ok());
  EXPECT_TRUE(reply.view().CheckIntegrity(stun::IntegrityKey(AsBytes(cut))));
}

// The authorization server has another key meanwhile. Another's ticket or
// 5-tuple is not had that way.
TEST_F(TurnTokens, AnAllocationGoesOnWithATokenOfAnotherKey) {
  TestClient client = Challenged(1000);
  ASSERT_TRUE(Call(client, Method::kAllocate, Token(absl::Minutes(10))).ok());
  const std::string other = TokenOfUnion(absl::Minutes(10));
  EXPECT_TRUE(Call(client, Method::kRefresh, other, "union").ok());
  // By its key from now on, without it.
  EXPECT_TRUE(Call(client, Method::kRefresh, "", "union").ok());
  EXPECT_TRUE(Call(client, Method::kRefresh, Token(absl::Minutes(10))).ok());
}

// Requests overtake each other: one that shows the token of before takes away
// neither time nor key.
TEST_F(TurnTokens, AnOlderTokenThatComesLateChangesNothing) {
  TestClient client = Challenged(1000);
  const std::string old = Token(absl::Minutes(10));
  ASSERT_TRUE(Call(client, Method::kAllocate, old).ok());
  harness_.Advance(absl::Minutes(5));
  const absl::string_view key = "another key of twenty";
  stun::TokenContent content;
  content.mac_key = std::string(key);
  content.timestamp = harness_.now();
  content.lifetime = absl::Minutes(30);
  const std::string renewed =
      TokenKey::Make(TokenKey::Algorithm::kA256Gcm,
                     AsBytes(std::string(32, 'u')))
          ->Seal(content, "turn.example.org", TokenKey::Nonce{3});
  ASSERT_TRUE(Call(client, Method::kRefresh, renewed, "union", key).ok());
  const Reply late = Call(client, Method::kRefresh, old);
  ASSERT_TRUE(late.ok());
  EXPECT_EQ(late.Get<stun::Lifetime>()->seconds, 30 * 60 + 5u);
  EXPECT_TRUE(late.view().CheckIntegrity(stun::IntegrityKey(AsBytes(kMacKey))));
  // By the newest key and name, without a token.
  EXPECT_TRUE(Call(client, Method::kRefresh, "", "union", key).ok());
  EXPECT_EQ(Call(client, Method::kRefresh, "").error(), 401);
  harness_.Advance(absl::Minutes(30));
  EXPECT_EQ(harness_.server().allocations(), 1u);
  harness_.Advance(absl::Seconds(5));
  EXPECT_EQ(harness_.server().allocations(), 0u);
}

// What was proven stands, though the newest token ends before it; and that is
// the one to sign by.
TEST_F(TurnTokens, ANewerTokenThatEndsSoonerTakesNothingAway) {
  TestClient client = Challenged(1000);
  ASSERT_TRUE(Call(client, Method::kAllocate, Token(absl::Minutes(30))).ok());
  harness_.Advance(absl::Minutes(1));
  const Reply reply =
      Call(client, Method::kRefresh, TokenOfUnion(absl::Minutes(10)), "union");
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply.Get<stun::Lifetime>()->seconds, 29 * 60 + 5u);
  EXPECT_TRUE(Call(client, Method::kRefresh, "", "union").ok());
}

TEST_F(TurnTokens, ChallengeNamesTheServer) {
  TestClient client(1000);
  const Reply reply = harness_.Call(
      client, Method::kAllocate,
      [](MessageWriter& w) { w.Add(stun::RequestedTransport{}); });
  EXPECT_EQ(reply.error(), 401);
  EXPECT_EQ(reply.Get<stun::ThirdPartyAuthorization>()->value,
            "turn.example.org");
  // Not where there are no keys.
  ServerHarness plain;
  EXPECT_EQ(plain.Call(client, Method::kAllocate, [](MessageWriter&) {})
                .Get<stun::ThirdPartyAuthorization>(),
            std::nullopt);
}

TEST_F(TurnTokens, AllocationLivesNoLongerThanItsToken) {
  TestClient client = Challenged(1000);
  const Reply made = Call(client, Method::kAllocate, Token(absl::Seconds(900)));
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made.Get<stun::Lifetime>()->seconds, 905u);
  // Its key goes on without the token, and lengthens nothing.
  const Reply refreshed = Call(client, Method::kRefresh, "");
  ASSERT_TRUE(refreshed.ok());
  EXPECT_EQ(refreshed.Get<stun::Lifetime>()->seconds, 905u);
  // A new token does.
  harness_.Advance(absl::Seconds(100));
  const Reply longer =
      Call(client, Method::kRefresh, Token(absl::Seconds(2000)));
  ASSERT_TRUE(longer.ok());
  EXPECT_EQ(longer.Get<stun::Lifetime>()->seconds, 2005u);
  harness_.Advance(absl::Seconds(2004));
  EXPECT_EQ(harness_.server().allocations(), 1u);
  harness_.Advance(absl::Seconds(1));
  EXPECT_EQ(harness_.server().allocations(), 0u) << "and there is no grace";
}

TEST_F(TurnTokens, WhatIsNoGoodTokenIsRefused) {
  TestClient client = Challenged(1000);
  const auto allocate = [&](absl::string_view token,
                            absl::string_view kid = "north",
                            absl::string_view mac_key = kMacKey) {
    return Call(client, Method::kAllocate, token, kid, mac_key).error();
  };
  const absl::Duration hour = absl::Hours(1);
  EXPECT_EQ(allocate(Token(hour), "south"), 401);  // Unknown.
  EXPECT_EQ(allocate(Token(hour), "union"), 401);  // Of another key.
  EXPECT_EQ(allocate(Token(hour), "north", "another key of twenty"), 401);
  EXPECT_EQ(allocate(Token(hour, hour, "other.example.org")), 401);
  EXPECT_EQ(allocate(Token(hour, {}, "turn.example.org", "abcdef0123456789")),
            401);
  EXPECT_EQ(allocate("short"), 401);
  EXPECT_EQ(allocate(std::string(1000, '\xff')), 401);  // S8.
  EXPECT_EQ(allocate(""), 401);
  // Clocks may differ, by its lifetime and 5 s.
  EXPECT_EQ(allocate(Token(hour, hour + absl::Seconds(5))), 401);
  EXPECT_EQ(allocate(Token(hour, -hour - absl::Seconds(5))), 401);
  EXPECT_EQ(allocate(Token(hour, hour + absl::Seconds(4))), 0);
}

TEST_F(TurnTokens, PasswordsGoOnBesideThem) {
  TestClient client(1000);
  EXPECT_TRUE(harness_.Allocate(client).ok());
}

// A key stands for all of an authorization server's clients.
TEST_F(TurnTokens, QuotasAreOfEachToken) {
  ServerOptions options = WithTokens();
  options.allocations_per_user_max = 1;
  harness_.SetOptions(options);
  const auto allocate = [&](uint16_t port, absl::string_view mac_key) {
    stun::TokenContent content;
    content.mac_key = std::string(mac_key);
    content.timestamp = harness_.now();
    content.lifetime = absl::Hours(1);
    const std::string token =
        TokenKey::Make(TokenKey::Algorithm::kA128Gcm, AsBytes(kKey))
            ->Seal(content, "turn.example.org", TokenKey::Nonce{1});
    return Call(Challenged(port), Method::kAllocate, token, "north", mac_key)
        .error();
  };
  EXPECT_EQ(allocate(1000, "first key of session"), 0);
  EXPECT_EQ(allocate(1001, "first key of session"), 486);
  EXPECT_EQ(allocate(1002, "other key of session"), 0);
}

// An operator sees and ends what was made by the tokens of a key.
TEST_F(TurnTokens, SessionsAreKnownByTheirKey) {
  ASSERT_TRUE(
      Call(Challenged(1000), Method::kAllocate, Token(absl::Hours(1))).ok());
  ASSERT_TRUE(Call(Challenged(1001), Method::kAllocate,
                   TokenOfUnion(absl::Hours(1)), "union")
                  .ok());
  std::optional<size_t> next = 0;
  while (next.has_value()) {
    next = harness_.server().ListSessions(
        harness_.now(), *next, 1, [](const SessionInfo& info) {
          return info.username == "union" ? SessionVerdict::kEnd
                                          : SessionVerdict::kKeep;
        });
  }
  EXPECT_EQ(harness_.server().allocations(), 1u);
}

TEST_F(TurnTokens, KeysChangeByReload) {
  TestClient client = Challenged(1000);
  ServerOptions options = WithTokens();
  options.tokens.keys.pop_back();
  options.tokens.keys[0].kid = "new";
  harness_.SetOptions(options);
  const std::string token = Token(absl::Hours(1));
  EXPECT_EQ(Call(client, Method::kAllocate, token).error(), 401);
  EXPECT_EQ(Call(client, Method::kAllocate, token, "new").error(), 0);
}

TEST_F(TurnTokens, SenselessKeysAreRefused) {
  EXPECT_OK(WithTokens().Validate());
  const auto valid = [](void (*change)(ServerOptions&)) {
    ServerOptions options = WithTokens();
    change(options);
    return options.Validate().ok();
  };
  EXPECT_FALSE(valid([](ServerOptions& o) { o.tokens.keys[0].kid = ""; }));
  EXPECT_FALSE(valid([](ServerOptions& o) { o.tokens.keys[0].key = "k"; }));
  EXPECT_FALSE(valid([](ServerOptions& o) { o.tokens.keys[1].kid = "north"; }));
  EXPECT_FALSE(valid(
      [](ServerOptions& o) { o.tokens.server_name = std::string(256, 'x'); }));
  EXPECT_FALSE(
      valid([](ServerOptions& o) { o.tokens.delta = absl::Seconds(-1); }));
}

}  // namespace
}  // namespace kyuu::turn
