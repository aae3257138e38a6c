#include <array>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "stun/long_term.h"
#include "stun/nonce_cookie.h"
#include "turn/client.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

// SHA-256, hashed user names and bid-down protection (RFC 8489 section 9.2).

namespace kyuu::turn {
namespace {

using stun::LongTermCredential;
using stun::MessageWriter;
using stun::Method;
using stun::PasswordAlgorithm;
using stun::PasswordAlgorithms;
using stun::PasswordHash;
using Sha256 = ServerOptions::Sha256;

ServerOptions Options(Sha256 where = Sha256::kEverywhere) {
  ServerOptions options = ServerHarness::Options();
  options.sha256 = where;
  return options;
}

class ServerSha256 : public testing::Test {
 protected:
  // A Refresh or Allocate with what the credential adds.
  Reply Call(const LongTermCredential& credential, Method method) {
    std::vector<uint8_t> buffer(600);
    MessageWriter w(absl::MakeSpan(buffer), stun::MessageClass::kRequest,
                    method, stun::TransactionId::Generate(harness_.random()));
    if (method == Method::kAllocate) w.Add(stun::RequestedTransport{});
    credential.Authenticate(w);
    return harness_.Exchange(client_, w.Finish());
  }
  // A Refresh by hand, with a nonce of the server's.
  Reply Refresh(const std::function<void(MessageWriter&)>& fill) {
    std::vector<uint8_t> buffer(600);
    MessageWriter w(absl::MakeSpan(buffer), stun::MessageClass::kRequest,
                    Method::kRefresh,
                    stun::TransactionId::Generate(harness_.random()));
    w.Add(stun::Username{"u"});
    w.Add(stun::Realm{client_.realm});
    w.Add(stun::Nonce{client_.nonce});
    fill(w);
    return harness_.Exchange(client_, w.Finish());
  }
  stun::IntegrityKey Key(PasswordHash hash) {
    return stun::IntegrityKey::LongTerm("u", "kyuu", "p", hash);
  }

  ServerHarness harness_{Options()};
  TestClient client_{1000};
};

TEST_F(ServerSha256, ClientThatKnowsItUsesItAndHidesItsName) {
  LongTermCredential credential("u", "p");
  const Reply challenge = Call(credential, Method::kAllocate);
  EXPECT_EQ(challenge.error(), 401);
  ASSERT_OK(credential.HandleChallenge(challenge.view()));
  EXPECT_TRUE(credential.uses_sha256());
  EXPECT_EQ(stun::ReadNonceCookie(challenge.Get<stun::Nonce>()->value),
            (stun::SecurityFeatures{true, true}));
  for (const Method method : {Method::kAllocate, Method::kRefresh}) {
    const Reply reply = Call(credential, method);
    ASSERT_TRUE(reply.ok());
    EXPECT_TRUE(credential.Check(reply.view()));
    EXPECT_FALSE(reply.view().HasIntegrity());
  }
  // An error has the same.
  const Reply mismatch = Call(credential, Method::kAllocate);
  EXPECT_EQ(mismatch.error(), 437);
  EXPECT_TRUE(credential.Check(mismatch.view()));
  // A stale nonce is answered with the offer again.
  harness_.Advance(absl::Minutes(61));
  const Reply stale = Call(credential, Method::kAllocate);
  EXPECT_EQ(stale.error(), 438);
  EXPECT_OK(credential.HandleChallenge(stale.view()));
  EXPECT_TRUE(Call(credential, Method::kAllocate).ok());
}

TEST_F(ServerSha256, WrongPasswordsAndNamesAreRefused) {
  for (const auto& [name, password] :
       {std::pair{"u", "x"}, std::pair{"nobody", "p"}}) {
    LongTermCredential credential(name, password);
    ASSERT_OK(
        credential.HandleChallenge(Call(credential, Method::kAllocate).view()));
    EXPECT_EQ(Call(credential, Method::kAllocate).error(), 401);
  }
}

TEST_F(ServerSha256, GrantedNamesAreHiddenToo) {
  ASSERT_OK(harness_.server().Grant(harness_.now(), "guest", "secret"));
  LongTermCredential credential("guest", "secret");
  ASSERT_OK(
      credential.HandleChallenge(Call(credential, Method::kAllocate).view()));
  ASSERT_TRUE(Call(credential, Method::kAllocate).ok());
  // What was made with it goes on, and nothing new is made.
  harness_.server().Revoke(harness_.now(), "guest");
  EXPECT_TRUE(Call(credential, Method::kRefresh).ok());
  client_.path.remote.port = 1001;
  LongTermCredential again("guest", "secret");
  ASSERT_OK(again.HandleChallenge(Call(again, Method::kAllocate).view()));
  EXPECT_EQ(Call(again, Method::kAllocate).error(), 401);
}

// Time-limited names are made up by others: none of them is known by its hash.
TEST(ServerSha256Rest, NamesThatAreNotKnownInAdvanceAreNotHidden) {
  ServerOptions options = Options();
  options.rest_secrets = {"secret"};
  ServerHarness harness(options);
  TestClient client(1000);
  const Reply challenge =
      harness.Call(client, Method::kAllocate, [](MessageWriter&) {});
  EXPECT_EQ(stun::ReadNonceCookie(challenge.Get<stun::Nonce>()->value),
            (stun::SecurityFeatures{true, false}));
}

TEST_F(ServerSha256, ClientThatDoesNotKnowItGoesOnWithMd5) {
  ASSERT_TRUE(harness_.Allocate(client_).ok());
  const Reply reply = harness_.Refresh(client_, 600);
  ASSERT_TRUE(reply.ok());
  EXPECT_TRUE(reply.view().CheckIntegrity(Key(PasswordHash::kMd5)));
  EXPECT_FALSE(reply.view().HasIntegritySha256());
}

// S12: whoever changes or strips what was offered gets 400, and what was agreed
// is not weakened.
TEST_F(ServerSha256, WhatWasOfferedAndChosenMustAgree) {
  ASSERT_TRUE(harness_.Allocate(client_).ok());
  const auto sha256 = Key(PasswordHash::kSha256);
  const auto md5 = Key(PasswordHash::kMd5);
  const auto all = PasswordAlgorithms::Sha256ThenMd5();
  const PasswordAlgorithm chosen{PasswordHash::kSha256, {}};
  const std::vector<uint8_t> md5_only = FromHex("0001 0000");
  const std::vector<uint8_t> turned = FromHex("0001 0000 0002 0000");
  const struct {
    std::string name;
    std::function<void(MessageWriter&)> fill;
    int error;
  } kRows[] = {
      {"as it should be",
       [&](MessageWriter& w) {
         w.Add(chosen);
         w.Add(all);
         w.AddIntegritySha256(sha256);
       },
       0},
      {"MD5 of those offered",
       [&](MessageWriter& w) {
         w.Add(PasswordAlgorithm{PasswordHash::kMd5, {}});
         w.Add(all);
         w.AddIntegritySha256(md5);
       },
       0},
      {"both kinds of integrity",
       [&](MessageWriter& w) {
         w.Add(chosen);
         w.Add(all);
         w.AddIntegrity(sha256);
         w.AddIntegritySha256(sha256);
       },
       0},
      {"the offer stripped",
       [&](MessageWriter& w) {
         w.Add(chosen);
         w.AddIntegritySha256(sha256);
       },
       400},
      {"the choice stripped",
       [&](MessageWriter& w) {
         w.Add(all);
         w.AddIntegritySha256(sha256);
       },
       400},
      {"another offer",
       [&](MessageWriter& w) {
         w.Add(PasswordAlgorithm{PasswordHash::kMd5, {}});
         w.Add(PasswordAlgorithms{md5_only});
         w.AddIntegrity(md5);
       },
       400},
      {"in another order",
       [&](MessageWriter& w) {
         w.Add(chosen);
         w.Add(PasswordAlgorithms{turned});
         w.AddIntegritySha256(sha256);
       },
       400},
      {"weaker integrity than was agreed",
       [&](MessageWriter& w) {
         w.Add(chosen);
         w.Add(all);
         w.AddIntegrity(sha256);
       },
       400},
      {"one of both wrong",
       [&](MessageWriter& w) {
         w.Add(chosen);
         w.Add(all);
         w.AddIntegrity(md5);
         w.AddIntegritySha256(sha256);
       },
       401},
      {"the key of the other",
       [&](MessageWriter& w) {
         w.Add(chosen);
         w.Add(all);
         w.AddIntegritySha256(md5);
       },
       401},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(Refresh(row.fill).error(), row.error);
  }
}

// The cookie says what is offered: a nonce without it, or with another, is none
// of ours, however it was come by.
TEST_F(ServerSha256, ANonceIsGoodWithItsOwnCookieOnly) {
  ServerOptions options = Options();
  options.nonce_secret = "fleet";
  ServerHarness offering(options);
  options.sha256 = Sha256::kNowhere;
  ServerHarness plain(options, /*seed=*/2);
  for (ServerHarness* from : {&offering, &plain}) {
    ServerHarness& to = from == &offering ? plain : offering;
    TestClient client(1000);
    from->Challenge(client);
    EXPECT_EQ(to.Refresh(client, 600).error(), 438);
    EXPECT_EQ(from->Refresh(client, 600).error(), 437);
  }
  TestClient client(1000);
  offering.Challenge(client);
  const std::string good = client.nonce;
  for (size_t i = 0; i < good.size(); ++i) {
    client.nonce = good;
    client.nonce[i] ^= 1;
    EXPECT_EQ(offering.Refresh(client, 600).error(), 438) << i;
  }
  client.nonce = good.substr(stun::kNonceCookieSize);
  EXPECT_EQ(offering.Refresh(client, 600).error(), 438);
}

// S15: what a forged source is sent. Streams are not forged.
TEST(ServerSha256Offer, IsMadeWhereTheOptionSays) {
  const struct {
    Sha256 where;
    Transport transport;
    bool offered;
  } kRows[] = {{Sha256::kNowhere, Transport::kTcp, false},
               {Sha256::kOnStreams, Transport::kUdp, false},
               {Sha256::kOnStreams, Transport::kTcp, true},
               {Sha256::kEverywhere, Transport::kUdp, true}};
  for (const auto& row : kRows) {
    ServerHarness harness(Options(row.where));
    TestClient client(1000);
    client.path.transport = row.transport;
    const auto request = harness.Build(
        client, Method::kAllocate,
        [](MessageWriter& w) { w.Add(stun::RequestedTransport{}); });
    const Reply challenge = harness.Exchange(client, request);
    EXPECT_EQ(challenge.Get<PasswordAlgorithms>().has_value(), row.offered);
    EXPECT_EQ(challenge.bytes().size(), row.offered ? 84u : 60u);
    EXPECT_LE(challenge.bytes().size(), 3 * request.size());
    EXPECT_TRUE(harness.Allocate(client).ok());
  }
  EXPECT_EQ(ServerOptions().sha256, Sha256::kOnStreams);
}

TEST(ServerSha256Client, OurOwnClientUsesIt) {
  ServerHarness harness(Options());
  SeededRandom random(3);
  const Path path = TestClient(1000).path;
  Client client(random, {.local = path.remote,
                         .server = path.local,
                         .username = "u",
                         .password = "p"});
  ASSERT_OK(client.Allocate(harness.now()));
  std::array<uint8_t, 1500> out, answer;
  bool sha256 = false;
  for (int i = 0; i < 4; ++i) {
    const auto request =
        client.PollTransmit(harness.now(), absl::MakeSpan(out));
    if (!request.has_value()) break;
    const auto view = stun::MessageView::Parse(request->bytes);
    sha256 = view->HasIntegritySha256() && view->Has<stun::Userhash>();
    harness.server().FromClient(harness.now(), path, request->bytes,
                                request->bytes.size());
    harness.Drain();
    while (auto reply = harness.server().PollTransmit(harness.now(),
                                                      absl::MakeSpan(answer))) {
      client.HandlePacket(harness.now(),
                          {{path.remote, path.local}, reply->bytes});
    }
  }
  EXPECT_TRUE(sha256);
  EXPECT_TRUE(client.allocated());
}

}  // namespace
}  // namespace kyuu::turn
