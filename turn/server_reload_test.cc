// What an operator changes while the TURN server runs, and what he may set
// about who is served.

#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "turn/internal/credentials.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using internal::Credentials;

IpPrefix Block(absl::string_view text) { return IpPrefix::Parse(text).value(); }

class TurnServerReload : public testing::Test {
 protected:
  TurnServerReload() {
    EXPECT_TRUE(harness_.Allocate(call_).ok());
    EXPECT_TRUE(harness_.Bind(call_, 0x4000, kTestPeer).ok());
  }
  void Set(const ServerOptions& options) {
    ASSERT_OK(options.Validate());
    harness_.SetOptions(options);
    harness_.Advance(absl::ZeroDuration());
  }
  // Whether data goes both ways between the call and its peer.
  bool Relays() {
    const auto data = ServerHarness::ChannelMessage(0x4000, "x");
    Server& server = harness_.server();
    return server.FromClient(harness_.now(), call_.path, data, data.size())
                   .size() == 1 &&
           server.FromPeer(harness_.now(), *call_.relay, kTestPeer,
                           AsBytes("x"), 1)
                   .size() == 1;
  }

  ServerHarness harness_;
  TestClient call_{1000};
};

// All that ListSessions() shows, `places` at a time.
std::vector<SessionInfo> Listed(ServerHarness& harness, size_t places) {
  std::vector<SessionInfo> all;
  std::optional<size_t> next = 0;
  while (next.has_value()) {
    const size_t before = all.size();
    next = harness.server().ListSessions(harness.now(), *next, places,
                                         [&](const SessionInfo& info) {
                                           all.push_back(info);
                                           return SessionVerdict::kKeep;
                                         });
    EXPECT_LE(all.size() - before, places);
  }
  return all;
}

TEST_F(TurnServerReload, SessionsAreListedInPieces) {
  harness_.Advance(absl::Seconds(10));
  ASSERT_TRUE(Relays());
  std::vector<TestClient> clients;
  for (uint16_t port = 1001; port < 1010; ++port) {
    clients.emplace_back(port, "other", "q");
    ASSERT_TRUE(harness_.Allocate(clients.back()).ok());
  }
  EXPECT_TRUE(harness_.Refresh(clients[3], 0).ok());
  for (const size_t places : {1, 3, 10, 100}) {
    const std::vector<SessionInfo> all = Listed(harness_, places);
    ASSERT_EQ(all.size(), 9u);
    std::set<SessionId> sessions;
    for (const SessionInfo& info : all) sessions.insert(info.session);
    EXPECT_EQ(sessions.size(), 9u);
    const SessionInfo& first = all.front();
    EXPECT_EQ(first.username, "u");
    EXPECT_EQ(first.client, call_.path);
    EXPECT_EQ(first.relayed, call_.relayed);
    EXPECT_EQ(first.additional, std::nullopt);
    EXPECT_EQ(harness_.now() - first.made, absl::Seconds(10));
    EXPECT_EQ(first.expires - first.made, absl::Minutes(10));
    EXPECT_EQ(first.traffic.bytes_to_peers, 1u);
    EXPECT_EQ(first.traffic.bytes_to_clients, 1u);
    EXPECT_EQ(first.permissions, 1u);
    EXPECT_EQ(first.channels, 1u);
    EXPECT_EQ(all[1].username, "other");
    EXPECT_EQ(all[1].permissions, 0u);
  }
  // Permissions end before channels, and both before a refreshed allocation.
  harness_.Advance(absl::Minutes(6));
  EXPECT_TRUE(harness_.Refresh(call_, 3600).ok());
  EXPECT_EQ(Listed(harness_, 100).front().permissions, 0u);
  EXPECT_EQ(Listed(harness_, 100).front().channels, 1u);
}

TEST_F(TurnServerReload, ASessionIsEndedByHand) {
  TestClient other(1001);
  ASSERT_TRUE(harness_.Allocate(other).ok());
  const SessionId chosen = Listed(harness_, 9).back().session;
  harness_.events().clear();
  const auto end = [&](const SessionInfo& info) {
    return info.session == chosen ? SessionVerdict::kEnd
                                  : SessionVerdict::kKeep;
  };
  EXPECT_EQ(harness_.server().ListSessions(harness_.now(), 0, 9, end),
            std::nullopt);
  harness_.Advance(absl::ZeroDuration());
  EXPECT_EQ(harness_.server().allocations(), 1u);
  EXPECT_TRUE(Relays());
  EXPECT_EQ(harness_.Refresh(other, 600).error(), 437);
  // Its end is told under the same name, and once.
  std::vector<SessionId> ended;
  for (const Server::Event& event : harness_.events()) {
    if (const auto* e = std::get_if<Server::AllocationEnded>(&event)) {
      EXPECT_EQ(e->reason, Server::EndReason::kRevoked);
      ended.push_back(e->session);
    }
  }
  EXPECT_EQ(ended, std::vector<SessionId>{chosen});
  EXPECT_EQ(harness_.server().ListSessions(harness_.now(), 0, 9, end),
            std::nullopt);
}

TEST_F(TurnServerReload, UsersComeAndGoAndCallsGoOn) {
  ServerOptions options = ServerHarness::Options();
  options.users = {{"u", "new"}, {"third", "r"}};
  Set(options);
  EXPECT_TRUE(Relays());
  // The old password is good for the old allocation only.
  EXPECT_TRUE(harness_.Refresh(call_, 600).ok());
  TestClient old(1001), fresh(1002, "u", "new"), third(1003, "third", "r"),
      gone(1004, "other", "q");
  EXPECT_EQ(harness_.Allocate(old).error(), 401);
  EXPECT_TRUE(harness_.Allocate(fresh).ok());
  EXPECT_TRUE(harness_.Allocate(third).ok());
  EXPECT_EQ(harness_.Allocate(gone).error(), 401);
  // The same again changes nothing: whoever is left has no grace to lose.
  options.revoked_grace = absl::ZeroDuration();
  Set(options);
  EXPECT_TRUE(harness_.Refresh(fresh, 600).ok());
}

TEST_F(TurnServerReload, LifetimesAndQuotasAreNew) {
  ServerOptions options = ServerHarness::Options();
  options.lifetime_max = options.lifetime_default = absl::Seconds(60);
  options.allocations_per_user_max = 2;
  options.allocations_max = 3;
  Set(options);
  EXPECT_EQ(harness_.Refresh(call_, 3600).Get<stun::Lifetime>()->seconds, 60);
  TestClient second(1001), third(1002), other(1003, "other", "q"),
      another(1004, "other", "q");
  EXPECT_TRUE(harness_.Allocate(second).ok());
  EXPECT_EQ(harness_.Allocate(third).error(), 486);
  options.allocations_per_user_max = 1;
  Set(options);
  EXPECT_EQ(harness_.server().allocations(), 2u);  // Nobody loses any.
  EXPECT_TRUE(harness_.Allocate(other).ok());
  options.allocations_per_user_max = 9;
  Set(options);
  EXPECT_EQ(harness_.Allocate(another).error(), 508);
}

// What is not to change is what the server has, whatever is said.
TEST_F(TurnServerReload, WhatSocketsAndKeysHangOnStays) {
  ServerOptions options = ServerHarness::Options();
  options.realm = "elsewhere";
  options.relay_addresses.clear();
  options.relay_port_low = options.relay_port_high = 9;
  options.utc_offset = absl::Hours(9);
  Set(options);
  EXPECT_TRUE(harness_.Refresh(call_, 600).ok());
  TestClient next(1001);
  ASSERT_TRUE(harness_.Allocate(next).ok());
  EXPECT_EQ(next.realm, "kyuu");
  EXPECT_GE(next.relayed.port, 50'000);
}

TEST_F(TurnServerReload, ClientsThatAreServedNoMoreEnd) {
  TestClient other(1000, "other", "q");
  other.path.remote.ip = IpAddress::V4(7, 7, 7, 7);
  ASSERT_TRUE(harness_.Allocate(other).ok());
  ServerOptions options = ServerHarness::Options();
  options.deny_clients = {Block("9.9.0.0/16")};
  Set(options);
  EXPECT_EQ(harness_.server().allocations(), 1u);
  EXPECT_FALSE(Relays());
  EXPECT_TRUE(harness_.Refresh(call_, 600).empty());
  EXPECT_EQ(harness_.server().stats().refused_clients, 1u);
  EXPECT_TRUE(harness_.Refresh(other, 600).ok());
  // Only some, and of those not all.
  options.allow_clients = {Block("9.0.0.0/8")};
  Set(options);
  EXPECT_EQ(harness_.server().allocations(), 0u);
  EXPECT_TRUE(harness_.Refresh(other, 600).empty());
  TestClient third(1000);
  third.path.remote.ip = IpAddress::V4(9, 8, 7, 6);
  EXPECT_TRUE(harness_.Allocate(third).ok());
  EXPECT_EQ(harness_.server().stats().refused_clients, 2u);
}

// RFC 8489 section 6.3: a method that is not supported is discarded.
TEST_F(TurnServerReload, ForStunAloneThereAreNoAllocations) {
  ServerOptions options = ServerHarness::Options();
  options.service = ServerOptions::Service::kStun;
  Set(options);
  const uint64_t before = harness_.server().stats().unexpected;
  TestClient client(1001);
  EXPECT_TRUE(harness_.Allocate(client).empty());
  EXPECT_EQ(harness_.server().stats().unexpected, before + 2);
  EXPECT_TRUE(
      harness_.Call(client, stun::Method::kBinding, [](stun::MessageWriter&) {})
          .ok());
}

TEST_F(TurnServerReload, DrainingMakesNoAllocationsAndKeepsThoseThatAre) {
  ServerOptions options = ServerHarness::Options();
  options.admission = ServerOptions::Admission::kDraining;
  Set(options);
  TestClient client(1001);
  EXPECT_EQ(harness_.Allocate(client).error(), 508);
  EXPECT_TRUE(harness_.Refresh(call_, 600).ok());
  EXPECT_TRUE(harness_.Permit(call_, IpAddress::V4(1, 1, 1, 1)).ok());
  EXPECT_TRUE(Relays());
  // RFC 8489 section 10: to one of the family that was asked.
  const TransportAddress next{IpAddress::V4(192, 0, 2, 9), 3478};
  options.alternate_servers = {{*IpAddress::Parse("2a00::9"), 3478}, next};
  Set(options);
  const Reply reply = harness_.Allocate(client);
  EXPECT_EQ(reply.error(), 300);
  EXPECT_EQ(reply.Get<stun::AlternateServer>()->address, next);
  options.alternate_servers.pop_back();
  Set(options);
  EXPECT_EQ(harness_.Allocate(client).error(), 508);
  EXPECT_EQ(harness_.server().stats().sent_away, 3u);
  Set(ServerHarness::Options());
  EXPECT_TRUE(harness_.Allocate(client).ok());
}

// --- Credentials ------------------------------------------------------------

// As `turnadmin -k -u ann -r kyuu -p secret` prints it.
TEST(TurnServerCredentials, AKeyStandsForItsPassword) {
  ServerOptions options = ServerHarness::Options();
  options.users = {
      {"ann", "", absl::HexStringToBytes("06c39c3b54c9df6bcf4af6dac62cee94")}};
  ASSERT_OK(options.Validate());
  ServerHarness harness(options);
  TestClient right(1000, "ann", "secret"), wrong(1001, "ann", "other");
  EXPECT_TRUE(harness.Allocate(right).ok());
  EXPECT_EQ(harness.Allocate(wrong).error(), 401);
}

// A client that uses MD5 is not let in by a key of SHA-256; one that has chosen
// SHA-256 is.
TEST(TurnServerCredentials, AKeyIsOfOneHash) {
  ServerOptions options = ServerHarness::Options();
  options.users = {{"ann", "", std::string(32, 'k')}, {"u", "p"}};
  ASSERT_OK(options.Validate());
  const Credentials credentials(options);
  const auto find = [&](absl::string_view name, stun::PasswordHash hash) {
    return credentials.Find(absl::UnixEpoch(), absl::ZeroDuration(), name, hash)
        .size();
  };
  EXPECT_EQ(find("ann", stun::PasswordHash::kMd5), 0u);
  EXPECT_EQ(find("ann", stun::PasswordHash::kSha256), 1u);
  EXPECT_EQ(find("u", stun::PasswordHash::kMd5), 1u);
  EXPECT_EQ(find("u", stun::PasswordHash::kSha256), 1u);
}

TEST(TurnServerCredentials, EverySecretAndHashCounts) {
  ServerOptions options = ServerHarness::Options();
  options.rest_secrets = {"old", "new"};
  using Mac = Credentials::RestMac;
  using Hash = ServerOptions::RestHash;
  struct Case {
    Hash hash;
    int sha1;
    int sha256;
  };
  for (const Case& c : {Case{Hash::kSha1, 0, 401}, Case{Hash::kSha256, 401, 0},
                        Case{Hash::kEither, 0, 0}}) {
    options.rest_hash = c.hash;
    ServerHarness harness(options);
    uint16_t port = 1000;
    for (const char* secret : {"old", "new", "none"}) {
      for (const Mac mac : {Mac::kSha1, Mac::kSha256}) {
        const std::string name =
            absl::StrCat(absl::ToUnixSeconds(harness.now()) + 600, ":", secret);
        TestClient client(port++, name,
                          Credentials::RestPassword(secret, name, mac));
        const int expected = absl::string_view(secret) == "none" ? 401
                             : mac == Mac::kSha1                 ? c.sha1
                                                                 : c.sha256;
        EXPECT_EQ(harness.Allocate(client).error(), expected) << secret;
      }
    }
  }
}

// printf 1433895918:ninefingers | openssl dgst -sha256 -hmac north -binary |
// base64
TEST(TurnServerCredentials, RestPasswordOfSha256) {
  EXPECT_EQ(Credentials::RestPassword("north", "1433895918:ninefingers",
                                      Credentials::RestMac::kSha256),
            "xdnAJn9/0fhMTrcTABhSvZcYTK5UOj3LzL0Zzpc0EwE=");
}

TEST(TurnServerCredentials, WhatIsNoCredentialIsRefused) {
  const auto valid = [](auto change) {
    ServerOptions options = ServerHarness::Options();
    change(options);
    return options.Validate().ok();
  };
  EXPECT_TRUE(valid([](ServerOptions&) {}));
  EXPECT_FALSE(valid([](ServerOptions& o) { o.rest_secrets = {""}; }));
  EXPECT_FALSE(valid([](ServerOptions& o) { o.rest_secrets.resize(9, "x"); }));
  EXPECT_FALSE(valid([](ServerOptions& o) { o.users[0].key = "short"; }));
  EXPECT_FALSE(valid([](ServerOptions& o) {
    o.users[0] = {"u", "p", std::string(16, 'k')};
  }));
  EXPECT_FALSE(valid([](ServerOptions& o) { o.alternate_servers = {{}}; }));
}

}  // namespace
}  // namespace kyuu::turn
