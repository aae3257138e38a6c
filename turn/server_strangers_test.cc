// What whoever has proven nothing can make the server do: how much it sends,
// and how often it looks at a credential.

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gtest/gtest.h"
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

// Payload sizes of the answers. With realms of up to 28 none is more than three
// times its request (RFC 8656 section 21.1 has no figure); with longer ones the
// budget of bytes holds.
TEST(TurnServerStrangers, AnswersAmplifyLittle) {
  const struct {
    std::string name;
    Method method;
    std::function<void(MessageWriter&)> fill;
    double limit;
  } kRows[] = {
      {"binding", Method::kBinding, kNothing, 1.6},
      {"allocate", Method::kAllocate, kUdp, 3.0},
      {"allocate with fingerprint", Method::kAllocate,
       [](MessageWriter& w) {
         kUdp(w);
         w.AddFingerprint();
       },
       3.0},
      {"unknown attribute", Method::kBinding,
       [](MessageWriter& w) { w.AddRaw(0x7777, {}); }, 3.0},
  };
  for (const std::string& realm : {std::string("kyuu"), std::string(28, 'r')}) {
    ServerOptions options = ServerHarness::Options();
    options.realm = realm;
    options.software = "this must not be told to strangers";
    ServerHarness harness(options);
    for (const auto& row : kRows) {
      SCOPED_TRACE(absl::StrCat(row.name, ", realm of ", realm.size()));
      TestClient client(1000);
      const auto request = harness.Build(client, row.method, row.fill);
      const Reply reply = harness.Exchange(client, request);
      ASSERT_FALSE(reply.empty());
      EXPECT_LE(static_cast<double>(reply.bytes().size()) /
                    static_cast<double>(request.size()),
                row.limit);
    }
  }
}

// RFC 8489 section 9.2.4: a request without integrity MUST get 401 with REALM
// and NONCE, the shortest one too, and however long the realm is.
TEST(TurnServerStrangers, BareRequestIsChallengedWhateverTheRealm) {
  for (const size_t size : {1, 4, 11, 28, 60, 127}) {
    for (const Method method :
         {Method::kAllocate, Method::kRefresh, Method::kCreatePermission,
          Method::kChannelBind}) {
      SCOPED_TRACE(absl::StrCat(stun::MethodName(method), " ", size));
      ServerOptions options = ServerHarness::Options();
      options.realm = std::string(size, 'r');
      ServerHarness harness(options);
      TestClient client(1000);
      const Reply reply = harness.Call(client, method, kNothing);
      EXPECT_EQ(reply.error(), 401);
      ASSERT_TRUE(reply.Get<stun::Realm>());
      EXPECT_EQ(reply.Get<stun::Realm>()->value, options.realm);
      EXPECT_TRUE(reply.Get<stun::Nonce>());
    }
  }
}

TEST(TurnServerStrangers, WhatIsSentBeyondWhatCameIsLimitedPerPrefix) {
  ServerOptions options = ServerHarness::Options();
  // 401 to the Allocate below is 60 bytes to 28.
  options.unauthenticated_gain_bytes_per_s = 32;
  options.unauthenticated_gain_bytes_burst = 7 * 32;
  ServerHarness harness(options);
  const auto count = [&](const char* source) {
    TestClient client = FromSource(source);
    int answers = 0;
    for (int i = 0; i < 20; ++i) {
      answers += !harness.Call(client, Method::kAllocate, kUdp).empty();
    }
    return answers;
  };
  EXPECT_EQ(count("9.9.9.1:1000"), 7);
  EXPECT_EQ(count("9.9.9.1:2000"), 0);  // Another port, the same source.
  EXPECT_EQ(count("9.9.9.2:1000"), 7);
  EXPECT_EQ(count("[2a00::1]:1000"), 7);
  EXPECT_EQ(count("[2a00::ffff:2]:1000"), 0);  // The same /64.
  EXPECT_EQ(count("[2a00:0:0:1::1]:1000"), 7);
  harness.Advance(absl::Seconds(2));
  EXPECT_EQ(count("9.9.9.1:1000"), 2);
  EXPECT_GT(harness.server().stats().rate_limited, 60u);
  TestClient client = FromSource("9.9.9.1:1000");
  // Binding is no amplifier and goes on.
  EXPECT_TRUE(harness.Call(client, Method::kBinding, kNothing).ok());
  // Nor is a challenge to a request that is longer than it.
  const Reply reply =
      harness.Call(client, Method::kAllocate, [](MessageWriter& w) {
        kUdp(w);
        w.Add(stun::Software{std::string(40, 's')});
      });
  EXPECT_EQ(reply.error(), 401);
}

TEST(TurnServerStrangers, ASourceThatHasProvenItselfHasTenTimesTheBudget) {
  ServerOptions options = ServerHarness::Options();
  options.unauthenticated_gain_bytes_per_s = 32;
  options.unauthenticated_gain_bytes_burst = 7 * 32;
  options.proven_for = absl::Minutes(1);
  ServerHarness harness(options);
  TestClient client = FromSource("9.9.9.1:1000");
  const auto count = [&] {
    TestClient stranger = FromSource("9.9.9.1:2000");
    int answers = 0;
    for (int i = 0; i < 200; ++i) {
      answers += !harness.Call(stranger, Method::kAllocate, kUdp).empty();
    }
    return answers;
  };
  harness.Challenge(client);
  EXPECT_EQ(count(), 6);
  // At once, not when the bucket has filled: the others are asking now.
  ASSERT_TRUE(harness.Allocate(client).ok());
  EXPECT_EQ(count(), 63);
  harness.Advance(absl::Seconds(2));
  EXPECT_EQ(count(), 20);
  harness.Advance(absl::Minutes(1));
  EXPECT_EQ(count(), 7);  // No longer.
}

// A school, a conference, a carrier's NAT: the clients send as libwebrtc does
// (at 0, 250, 750 and 1750 ms, with 28 bytes), all within 100 ms.
TEST(TurnServerStrangers,
     AThousandClientsBehindOneAddressAreAnsweredInASecond) {
  constexpr int kClients = 1000;
  constexpr int kSendsMs[] = {0, 250, 750, 1750, 3750, 7750, 15750};
  for (const std::string& realm : {std::string("kyuu"), std::string(28, 'r')}) {
    SCOPED_TRACE(realm);
    ServerOptions options = ServerHarness::Options();
    options.realm = realm;
    ServerHarness harness(options);
    std::multimap<int, uint16_t> sends;
    for (int i = 0; i < kClients; ++i) {
      for (const int ms : kSendsMs) {
        sends.emplace(ms + i / 10, static_cast<uint16_t>(10'000 + i));
      }
    }
    std::map<uint16_t, int> answered;
    int now_ms = 0;
    for (const auto& [ms, port] : sends) {
      if (answered.contains(port)) continue;
      harness.Advance(absl::Milliseconds(ms - now_ms));
      now_ms = ms;
      TestClient client(port);
      if (harness.Call(client, Method::kAllocate, kUdp).error() == 401) {
        answered[port] = ms;
      }
    }
    ASSERT_EQ(answered.size(), size_t{kClients});
    int last = 0;
    for (const auto& [port, ms] : answered) last = std::max(last, ms);
    EXPECT_LE(last, 1000);
  }
}

// Guesses cost an HMAC each: after some, none is looked at, the right one
// neither. Whoever has an allocation at that address goes on.
TEST(TurnServerStrangers, ASourceThatKeepsFailingIsNotLookedAt) {
  ServerOptions options = ServerHarness::Options();
  options.auth_failures_per_s = 1;
  options.auth_failures_burst = 5;
  ServerHarness harness(options);
  TestClient owner(1000), guesser(1001), other(1002);
  other.path.remote.ip = IpAddress::V4(9, 9, 9, 10);
  ASSERT_TRUE(harness.Allocate(owner).ok());
  harness.Challenge(guesser);
  guesser.password = "wrong";
  int answers = 0;
  for (int i = 0; i < 100; ++i) {
    answers += !harness.Call(guesser, Method::kAllocate, kUdp).empty();
  }
  EXPECT_EQ(answers, 5);
  EXPECT_EQ(harness.server().stats().auth_limited, 95u);
  guesser.password = "p";
  EXPECT_TRUE(harness.Allocate(guesser).empty());
  EXPECT_TRUE(harness.Refresh(owner, 600).ok());
  EXPECT_TRUE(harness.Allocate(other).ok());  // Another source.
  harness.Advance(absl::Seconds(1));
  EXPECT_TRUE(harness.Allocate(guesser).ok());
}

// Only who has received our nonce can fail: a forged source locks nobody out.
TEST(TurnServerStrangers, ForgedFailuresDoNotCount) {
  ServerOptions options = ServerHarness::Options();
  options.auth_failures_burst = 5;
  ServerHarness harness(options);
  TestClient client(1000);
  harness.Challenge(client);
  TestClient forger = client;
  forger.nonce = std::string(20, 'A');
  for (int i = 0; i < 100; ++i) harness.Call(forger, Method::kAllocate, kUdp);
  EXPECT_EQ(harness.server().stats().auth_limited, 0u);
  EXPECT_TRUE(harness.Allocate(client).ok());
}

// A flood of forged sources does not push those out of the table that are worth
// remembering.
TEST(TurnServerStrangers, AFloodDoesNotMakeTheServerForgetWhoWasProven) {
  ServerOptions options = ServerHarness::Options();
  options.unauthenticated_sources = 16;
  options.unauthenticated_gain_bytes_per_s = 0.001;
  options.unauthenticated_gain_bytes_burst = 7 * 32;
  ServerHarness harness(options);
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  for (uint32_t i = 0; i < 10'000; ++i) {
    TestClient forged(1000);
    forged.path.remote.ip = IpAddress::V4(0x0b000000 + i * 7919);
    harness.Call(forged, Method::kAllocate, kUdp);
  }
  int answers = 0;
  for (int i = 0; i < 200; ++i) {
    TestClient stranger(2000);
    answers += !harness.Call(stranger, Method::kAllocate, kUdp).empty();
  }
  EXPECT_EQ(answers, 69);  // One went to `client`.
}

TEST(TurnServerStrangers, ClientsOfRfc3489GetTheirAddress) {
  ServerHarness harness;
  TestClient client(1000);
  const auto call = [&](absl::string_view hex) {
    const std::vector<uint8_t> bytes = FromHex(hex);
    harness.server().FromClient(harness.now(), client.path, bytes,
                                bytes.size());
    std::vector<uint8_t> out(600);
    const auto answer =
        harness.server().PollTransmit(harness.now(), absl::MakeSpan(out));
    return answer ? ToHex(answer->bytes) : "none";
  };
  EXPECT_EQ(call("0001 0000 00112233 445566778899aabbccddeeff"),
            "0101000c00112233445566778899aabbccddeeff"
            "00010008000103e809090909");
  EXPECT_EQ(call("0001 0008 00112233 445566778899aabbccddeeff"
                 "0003 0004 00000006"),
            "0111001000112233445566778899aabbccddeeff"
            "0009000400000414000a000200030000");
  EXPECT_EQ(call("0003 0000 00112233 445566778899aabbccddeeff"), "none");
  EXPECT_EQ(harness.server().stats().classic_requests, 2u);
  EXPECT_EQ(harness.server().stats().malformed, 1u);
}

}  // namespace
}  // namespace kyuu::turn
