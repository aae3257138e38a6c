// The server's bounds: what clients cannot make it hold, send or leak.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "turn/internal/credentials.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using stun::MessageWriter;
using stun::Method;

const auto kNothing = [](MessageWriter&) {};
const auto kUdp = [](MessageWriter& w) { w.Add(stun::RequestedTransport{}); };

TestClient FromSource(const char* source) {
  TestClient client(0);
  client.path.remote = *TransportAddress::Parse(source);
  return client;
}

// --- Quotas -----------------------------------------------------------------

// Whatever 5-tuples a user comes from.
TEST(TurnServerSecurity, UserQuotaCountsAllOfAUsersAllocations) {
  ServerOptions options = ServerHarness::Options();
  options.allocations_per_user_max = 2;
  ServerHarness harness(options);
  TestClient first(1000), second(1001), third(1002), other(1003, "other", "q");
  ASSERT_TRUE(harness.Allocate(first).ok());
  ASSERT_TRUE(harness.Allocate(second).ok());
  EXPECT_EQ(harness.Allocate(third).error(), 486);
  EXPECT_TRUE(harness.Allocate(other).ok());
  ASSERT_TRUE(harness.Refresh(first, 0).ok());
  EXPECT_TRUE(harness.Allocate(third).ok());
}

TEST(TurnServerSecurity, TotalQuota) {
  ServerOptions options = ServerHarness::Options();
  options.allocations_max = 2;
  ServerHarness harness(options);
  TestClient first(1000), second(1001), third(1002, "other", "q");
  ASSERT_TRUE(harness.Allocate(first).ok());
  ASSERT_TRUE(harness.Allocate(second).ok());
  // RFC 8656 section 15: 486 would mean this user.
  EXPECT_EQ(harness.Allocate(third).error(), 508);
}

TEST(TurnServerSecurity, NewExpiriesOfATimeLimitedNameCountTogether) {
  ServerOptions options = ServerHarness::Options();
  options.rest_secrets = {"secret"};
  options.allocations_per_user_max = 1;
  ServerHarness harness(options);
  const auto rest = [&](uint16_t port, int64_t expiry) {
    const std::string name = absl::StrCat(expiry, ":ann");
    return TestClient(port, name,
                      internal::Credentials::RestPassword("secret", name));
  };
  TestClient first = rest(1000, 1'700'001'000);
  TestClient second = rest(1001, 1'700'001'001);
  ASSERT_TRUE(harness.Allocate(first).ok());
  EXPECT_EQ(harness.Allocate(second).error(), 486);
}

// Per-allocation caps.
TEST(TurnServerSecurity, PermissionsAreCapped) {
  ServerOptions options = ServerHarness::Options();
  options.permissions_max = 5;
  ServerHarness harness(options);
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  for (uint8_t i = 1; i <= 5; ++i) {
    EXPECT_TRUE(harness.Permit(client, IpAddress::V4(8, 8, 8, i)).ok());
  }
  EXPECT_EQ(harness.Permit(client, IpAddress::V4(8, 8, 8, 6)).error(), 508);
  EXPECT_EQ(
      harness.Bind(client, 0x4000, {IpAddress::V4(8, 8, 8, 6), 1}).error(),
      508);
  EXPECT_TRUE(harness.Permit(client, IpAddress::V4(8, 8, 8, 5)).ok());
  // What has expired makes room.
  harness.Advance(absl::Minutes(5));
  EXPECT_TRUE(harness.Permit(client, IpAddress::V4(8, 8, 8, 6)).ok());
  // Many in one request count too.
  EXPECT_EQ(
      harness
          .Call(client, Method::kCreatePermission,
                [](MessageWriter& w) {
                  for (uint8_t i = 1; i <= 5; ++i) {
                    w.Add(stun::XorPeerAddress{{IpAddress::V4(8, 8, 8, i), 0}});
                  }
                })
          .error(),
      508);
}

// A datagram has room for thousands of addresses; what comes after the first
// that there is no room for is not looked at.
TEST(TurnServerSecurity, CreatePermissionEndsAtTheFirstAddressTooMany) {
  ServerOptions options = ServerHarness::Options();
  options.permissions_max = 5;
  ServerHarness harness(options);
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  const auto call = [&](uint32_t distinct, uint32_t count,
                        std::optional<IpAddress> last) {
    return harness.Call(client, Method::kCreatePermission,
                        [&](MessageWriter& w) {
                          for (uint32_t i = 0; i < count; ++i) {
                            w.Add(stun::XorPeerAddress{
                                {IpAddress::V4(0x08080800 + i % distinct), 0}});
                          }
                          if (last) w.Add(stun::XorPeerAddress{{*last, 0}});
                        });
  };
  // The one that is forbidden stands behind it.
  EXPECT_EQ(call(100, 100, IpAddress::V4(127, 0, 0, 1)).error(), 508);
  EXPECT_EQ(harness.server().stats().forbidden, 0u);
  EXPECT_EQ(call(4, 4, IpAddress::V4(127, 0, 0, 1)).error(), 403);
  // The same ones again and again are no more than themselves.
  EXPECT_TRUE(call(5, 100, std::nullopt).ok());
}

TEST(TurnServerSecurity, ChannelsAreCapped) {
  ServerOptions options = ServerHarness::Options();
  options.channels_max = 3;
  ServerHarness harness(options);
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  for (uint16_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(harness
                    .Bind(client, static_cast<uint16_t>(0x4000 + i),
                          {kTestPeer.ip, static_cast<uint16_t>(100 + i)})
                    .ok());
  }
  EXPECT_EQ(harness.Bind(client, 0x4003, {kTestPeer.ip, 103}).error(), 508);
}

TEST(TurnServer, ReservationsAreCapped) {
  ServerOptions options = ServerHarness::Options();
  options.reservations_max = 1;
  ServerHarness harness(options);
  TestClient first(1000), second(1001);
  const auto pair = [](MessageWriter& w) { w.Add(stun::EvenPort{true}); };
  EXPECT_TRUE(harness.Allocate(first, pair).ok());
  EXPECT_EQ(harness.Allocate(second, pair).error(), 508);
}

TEST(TurnServer, PortsRunOutWith508) {
  ServerOptions options = ServerHarness::Options();
  options.relay_port_high = options.relay_port_low;
  ServerHarness harness(options);
  TestClient first(1000), second(1001);
  EXPECT_TRUE(harness.Allocate(first).ok());
  EXPECT_EQ(harness.Allocate(second).error(), 508);
}

TEST(TurnServer, AnswersAndEventsThatNobodyTakesAreBounded) {
  ServerOptions options = ServerHarness::Options();
  options.answers_max = 10;
  options.events_max = 5;
  ServerHarness harness(options);
  TestClient client(1000);
  const auto binding = harness.Build(client, Method::kBinding, kNothing);
  for (int i = 0; i < 100; ++i) {
    harness.server().FromClient(harness.now(), client.path, binding,
                                binding.size());
  }
  EXPECT_EQ(harness.server().stats().answers_dropped, 90u);
  harness.Exchange(client, binding);
  // Each Allocate leaves an event; who comes when none is taken gets nothing.
  std::vector<TestClient> many;
  for (uint16_t i = 0; i < 20; ++i) {
    many.emplace_back(static_cast<uint16_t>(2001 + i));
    harness.Challenge(many.back());
  }
  const uint64_t before = harness.server().stats().answers_dropped;
  for (const TestClient& another : many) {
    const auto request = harness.Build(another, Method::kAllocate, kUdp);
    harness.server().FromClient(harness.now(), another.path, request,
                                request.size());
  }
  EXPECT_EQ(harness.server().allocations(), 5u);
  EXPECT_EQ(harness.server().stats().answers_dropped, before + 15);
}

// --- Amplification and floods -----------------------------------------------

TEST(TurnServerSecurity, SourcePortZeroIsDropped) {
  ServerHarness harness;
  TestClient client = FromSource("9.9.9.1:0");
  EXPECT_TRUE(harness.Call(client, Method::kBinding, kNothing).empty());
  TestClient good(1000);
  ASSERT_TRUE(harness.Allocate(good).ok());
  ASSERT_TRUE(harness.Permit(good, kTestPeer.ip).ok());
  EXPECT_TRUE(harness.server()
                  .FromPeer(harness.now(), *good.relay, {kTestPeer.ip, 0},
                            AsBytes("x"), 1)
                  .empty());
  EXPECT_EQ(harness.server().stats().bad_source, 2u);
}

// A flood from forged sources leaves nothing behind, and whoever has
// credentials still gets in. (Memory is bounded by construction: the table of
// sources has a fixed size; nothing else is written before authentication.)
TEST(TurnServerSecurity, FloodOfUnauthenticatedRequestsLeavesNoState) {
  ServerHarness harness;
  const std::string before = harness.server().DebugString();
  TestClient client(1000);
  const auto request = harness.Build(client, Method::kAllocate, kUdp);
  std::vector<uint8_t> out(2048);
  for (uint32_t i = 0; i < 100'000; ++i) {
    Path path = client.path;
    path.remote = {IpAddress::V4(0x0b000000 + i * 7919),
                   static_cast<uint16_t>(1 + i % 60'000)};
    harness.server().FromClient(harness.now(), path, request, request.size());
    while (harness.server().PollTransmit(harness.now(), absl::MakeSpan(out))) {
    }
  }
  EXPECT_EQ(harness.server().DebugString(), before);
  EXPECT_TRUE(harness.Allocate(client).ok());
}

// --- Ports ------------------------------------------------------------------

// Cycles of every flavour give every port back.
TEST(TurnServerSecurity, NoPortLeaks) {
  ServerHarness harness;
  const size_t ports = harness.server().free_ports();
  TestClient client(1000), second(1001);
  harness.Challenge(client);
  harness.Challenge(second);
  for (int i = 0; i < 3000; ++i) {
    if (i % 500 == 0) {
      harness.Challenge(client);
      harness.Challenge(second);
    }
    std::optional<stun::ReservationToken> token;
    const Reply reply = harness.Allocate(client, [&](MessageWriter& w) {
      if (i % 4 == 1) w.Add(stun::EvenPort{false});
      if (i % 4 >= 2) w.Add(stun::EvenPort{true});
    });
    ASSERT_TRUE(reply.ok());
    token = reply.Get<stun::ReservationToken>();
    ASSERT_EQ(token.has_value(), i % 4 >= 2);
    if (i % 4 == 3) {
      ASSERT_TRUE(
          harness.Allocate(second, [&](MessageWriter& w) { w.Add(*token); })
              .ok());
    }
    if (i % 3 == 0) {
      ASSERT_TRUE(harness.Refresh(client, 0).ok());
      if (i % 4 == 3) {
        ASSERT_TRUE(harness.Refresh(second, 0).ok());
      }
      if (i % 4 == 2) harness.Advance(absl::Seconds(31));
    } else {
      harness.Advance(absl::Minutes(10));
    }
    harness.events().clear();
    ASSERT_EQ(harness.server().free_ports(), ports) << i;
    if (i % 3 != 0) {
      harness.Challenge(client);
      harness.Challenge(second);
    }
  }
}

// Relayed ports cannot be guessed: chi-square over the range, at a
// significance of about 1e-5.
TEST(TurnServerSecurity, PortsAreUniform) {
  ServerHarness harness;
  std::map<uint16_t, int> counts;
  TestClient client(1000);
  constexpr int kRounds = 10'000;
  for (int i = 0; i < kRounds; ++i) {
    ASSERT_TRUE(harness.Allocate(client).ok());
    ++counts[client.relayed.port];
    ASSERT_TRUE(harness.Refresh(client, 0).ok());
    harness.events().clear();
  }
  double chi_square = 0;
  for (uint16_t port = 50'000; port < 50'100; ++port) {
    const double delta = counts[port] - kRounds / 100.0;
    chi_square += delta * delta / (kRounds / 100.0);
  }
  EXPECT_LT(chi_square, 170);  // 99 degrees of freedom.
  EXPECT_GT(chi_square, 45);
}

// --- Credentials ------------------------------------------------------------

TEST(TurnServer, TimeLimitedCredentialsWorkUntilTheirExpiry) {
  ServerOptions options = ServerHarness::Options();
  options.rest_secrets = {"north"};
  // The driver's clock is not UTC.
  options.utc_offset = absl::Hours(1000);
  ServerHarness harness(options);
  const int64_t utc = absl::ToUnixSeconds(harness.now() + options.utc_offset);
  const auto make = [&](uint16_t port, const std::string& name) {
    return TestClient(port, name,
                      internal::Credentials::RestPassword("north", name));
  };
  TestClient good = make(1000, absl::StrCat(utc + 900, ":ann"));
  EXPECT_TRUE(harness.Allocate(good).ok());
  TestClient bare = make(1001, absl::StrCat(utc + 900));
  EXPECT_TRUE(harness.Allocate(bare).ok());
  TestClient late = make(1002, absl::StrCat(utc - 1, ":ann"));
  EXPECT_EQ(harness.Allocate(late).error(), 401);
  TestClient odd = make(1003, absl::StrCat("+", utc + 900, ":ann"));
  EXPECT_EQ(harness.Allocate(odd).error(), 401);
  TestClient forged = good;
  forged.path.remote.port = 1004;
  forged.nonce.clear();
  forged.password = "guess";
  EXPECT_EQ(harness.Allocate(forged).error(), 401);
  // Expired, it makes no new allocation. (What it made goes on for the grace.)
  harness.Advance(absl::Minutes(16));
  TestClient again = make(1005, good.username);
  EXPECT_EQ(harness.Allocate(again).error(), 401);
}

TEST(TurnServer, TimeLimitedPasswordIsBase64OfHmacSha1) {
  // printf 1433895918:ninefingers | openssl dgst -sha1 -hmac north -binary |
  // base64
  EXPECT_EQ(
      internal::Credentials::RestPassword("north", "1433895918:ninefingers"),
      "jy8hTxmOO7UtEKXqSkSlvakPVYA=");
}

TEST(TurnServer, GrantedCredentialsExpireAndAreCapped) {
  ServerOptions options = ServerHarness::Options();
  options.granted_max = 2;
  ServerHarness harness(options);
  Server& server = harness.server();
  const absl::Time soon = harness.now() + absl::Minutes(1);
  EXPECT_OK(server.Grant(harness.now(), "a", "pw", soon));
  EXPECT_OK(server.Grant(harness.now(), "b", "pw"));
  EXPECT_OK(server.Grant(harness.now(), "b", "pw2"));  // Replaces.
  EXPECT_THAT(server.Grant(harness.now(), "c", "pw"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(server.Grant(harness.now(), "", "pw"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  TestClient a(1000, "a", "pw"), b(1001, "b", "pw2");
  EXPECT_TRUE(harness.Allocate(b).ok());
  harness.Advance(absl::Minutes(1));
  EXPECT_EQ(harness.Allocate(a).error(), 401);
  EXPECT_OK(server.Grant(harness.now(), "c", "pw"));  // In the place of "a".
}

// Names are bytes to us.
TEST(TurnServerSecurity, NamesAreOpaque) {
  ServerHarness harness;
  for (const std::string& name :
       {std::string("%s%n'\";\n\x1b"), std::string(508, 'n'),
        std::string("nul\0inside", 10), std::string("\xff\xfe")}) {
    EXPECT_OK(harness.server().Grant(harness.now(), name, "pw"));
    TestClient client(1000, name, "pw");
    EXPECT_TRUE(harness.Allocate(client).ok());
    EXPECT_TRUE(harness.Refresh(client, 0).ok());
  }
}

}  // namespace
}  // namespace kyuu::turn
