// Whom clients may reach through the server, and who owns what.

#include <string>
#include <vector>

#include "base/testing.h"
#include "gtest/gtest.h"
#include "turn/internal/peer_policy.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using ::testing::SizeIs;

// Both families, so that no case is answered by 443.
ServerOptions TwoFamilies() {
  ServerOptions options = ServerHarness::Options();
  options.relay_addresses.push_back({*IpAddress::Parse("2a00:1::2"), {}});
  return options;
}

struct Allocations {
  explicit Allocations(ServerHarness& h) : harness(h), v4(1000), v6(1001) {
    EXPECT_TRUE(harness.Allocate(v4).ok());
    EXPECT_TRUE(
        harness
            .Allocate(v6,
                      [](stun::MessageWriter& w) {
                        w.Add(stun::RequestedAddressFamily{IpFamily::kV6});
                      })
            .ok());
  }
  const TestClient& For(const IpAddress& ip) const {
    return ip.is_v4() ? v4 : v6;
  }
  ServerHarness& harness;
  TestClient v4, v6;
};

// Special ranges, in every spelling that they have.
const char* const kForbidden[] = {"127.0.0.1",
                                  "127.255.0.1",
                                  "0.0.0.0",
                                  "0.1.2.3",
                                  "::",
                                  "::1",
                                  "::ffff:127.0.0.1",
                                  "::ffff:127.0.0.2",
                                  "::ffff:0.0.0.0",
                                  "::127.0.0.1",
                                  "64:ff9b::7f00:1",
                                  "64:ff9b::a9fe:a9fe",
                                  "64:ff9b:1::1",
                                  "2002:7f00:1::",
                                  "2002:808:808::1",
                                  "2001::1",
                                  "2001:0:4136:e378:8000:63bf:3fff:fdd2",
                                  "fe80::1",
                                  "febf::1",
                                  "fc00::1",
                                  "fdff::1",
                                  "fec0::1",
                                  "10.0.0.1",
                                  "10.255.255.255",
                                  "172.16.0.1",
                                  "172.31.255.255",
                                  "192.168.0.1",
                                  "100.64.0.1",
                                  "100.127.255.255",
                                  "169.254.0.1",
                                  "169.254.169.254",
                                  "192.0.0.1",
                                  "192.0.2.77",
                                  "198.18.0.1",
                                  "198.19.255.255",
                                  "198.51.100.1",
                                  "203.0.113.1",
                                  "224.0.0.1",
                                  "239.255.255.255",
                                  "240.0.0.1",
                                  "255.255.255.255",
                                  "ff00::1",
                                  "ff02::1",
                                  "2001:db8::1",
                                  "100::1",
                                  "3fff::1",
                                  "5f00::1",
                                  "4000::1",
                                  "192.88.99.1"};

TEST(TurnServerSecurity, ForbiddenPeersGet403OnEveryPath) {
  ServerHarness harness(TwoFamilies());
  const Allocations owners(harness);
  uint64_t refused = 0;
  for (const char* text : kForbidden) {
    SCOPED_TRACE(text);
    const IpAddress ip = *IpAddress::Parse(text);
    const TestClient& client = owners.For(ip);
    EXPECT_EQ(harness.Permit(client, ip).error(), 403);
    EXPECT_EQ(harness.Bind(client, 0x4000, {ip, 80}).error(), 403);
    const auto indication = harness.SendIndication({ip, 80}, "x");
    EXPECT_THAT(harness.server().FromClient(harness.now(), client.path,
                                            indication, indication.size()),
                SizeIs(0));
    EXPECT_THAT(harness.server().FromPeer(harness.now(), *client.relay,
                                          {ip, 80}, AsBytes("x"), 1),
                SizeIs(0));
    refused += 2;
  }
  EXPECT_EQ(harness.server().stats().forbidden, refused);
  EXPECT_EQ(harness.server().stats().to_peers, 0u);
}

// A peer that is mapped in the message itself (::ffff:a.b.c.d as 16 bytes) is
// of IPv6 on the wire, whatever it reads as (RFC 8656 sections 10.2 and 12.2).
TEST(TurnServerSecurity, MappedPeersAreOfNoAllocationsFamily) {
  ServerHarness harness(TwoFamilies());
  const Allocations owners(harness);
  const auto add = [](stun::MessageWriter& w, const IpAddress& v4) {
    std::array<uint8_t, 20> value{};
    Writer raw(absl::MakeSpan(value));
    raw.U8(0);
    raw.U8(2);
    raw.U16(80 ^ 0x2112);
    // The mask is the cookie, then the transaction id, which is zeros here.
    const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    for (size_t i = 0; i < 12; ++i) {
      const uint32_t mask = i < 4 ? stun::kMagicCookie >> (24 - 8 * i) : 0;
      raw.U8(static_cast<uint8_t>(prefix[i] ^ mask));
    }
    raw.Bytes(v4.bytes());
    w.AddRaw(stun::XorPeerAddress::kType, value);
  };
  for (const TestClient* client : {&owners.v4, &owners.v6}) {
    for (const IpAddress& ip : {IpAddress::V4(127, 0, 0, 1), kTestPeer.ip}) {
      for (const stun::Method method :
           {stun::Method::kCreatePermission, stun::Method::kChannelBind}) {
        std::vector<uint8_t> buffer(400);
        stun::MessageWriter w(absl::MakeSpan(buffer),
                              stun::MessageClass::kRequest, method, {});
        add(w, ip);
        w.Add(stun::ChannelNumber{0x4000});
        w.Add(stun::Username{client->username});
        w.Add(stun::Realm{client->realm});
        w.Add(stun::Nonce{client->nonce});
        w.AddIntegrity(stun::IntegrityKey::LongTerm(
            client->username, client->realm, client->password));
        EXPECT_EQ(harness.Exchange(*client, w.Finish()).error(), 443);
      }
    }
  }
  // Nor does data go there by another spelling.
  ASSERT_TRUE(harness.Permit(owners.v4, kTestPeer.ip).ok());
  std::vector<uint8_t> buffer(400);
  stun::MessageWriter w(absl::MakeSpan(buffer), stun::MessageClass::kIndication,
                        stun::Method::kSend, {});
  add(w, kTestPeer.ip);
  w.Add(stun::Data{AsBytes("x")});
  const auto indication = w.Finish();
  EXPECT_THAT(harness.server().FromClient(harness.now(), owners.v4.path,
                                          indication, indication.size()),
              SizeIs(0));
  EXPECT_EQ(harness.server().stats().malformed, 1u);
}

TEST(TurnServerSecurity, PublicPeersAreAllowed) {
  ServerHarness harness(TwoFamilies());
  const Allocations owners(harness);
  for (const char* text : {"8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1",
                           "198.20.0.1", "223.255.255.255", "2a00::1",
                           "2001:4860::1", "2600::1", "64:ff9b::808:808"}) {
    SCOPED_TRACE(text);
    const IpAddress ip = *IpAddress::Parse(text);
    EXPECT_TRUE(harness.Permit(owners.For(ip), ip).ok());
  }
}

TEST(TurnServerSecurity, BlocksThatAreAllowedByNamePass) {
  ServerOptions options = TwoFamilies();
  options.allow_peers = {*IpPrefix::Parse("192.168.7.0/24"),
                         *IpPrefix::Parse("fd00:7::/32")};
  options.deny_peers = {*IpPrefix::Parse("192.168.7.128/25"),
                        *IpPrefix::Parse("8.8.0.0/16")};
  ServerHarness harness(options);
  const Allocations owners(harness);
  const auto permit = [&](const char* text) {
    const IpAddress ip = *IpAddress::Parse(text);
    return harness.Permit(owners.For(ip), ip).error();
  };
  EXPECT_EQ(permit("192.168.7.1"), 0);
  EXPECT_EQ(permit("fd00:7::1"), 0);
  EXPECT_EQ(permit("192.168.8.1"), 403);
  EXPECT_EQ(permit("fd00:8::1"), 403);
  EXPECT_EQ(permit("192.168.7.200"), 403);  // Denied wins.
  EXPECT_EQ(permit("8.8.8.8"), 403);
}

// An IPv6 block is compared as a number, not byte by byte.
TEST(TurnServerSecurity, Ipv6BlocksAreComparedWhole) {
  ServerOptions options = TwoFamilies();
  options.deny_peers = {*IpPrefix::Parse("2a00:db8::1:0/111")};
  ServerHarness harness(options);
  const Allocations owners(harness);
  const auto permit = [&](const char* text) {
    return harness.Permit(owners.v6, *IpAddress::Parse(text)).error();
  };
  // /111 covers ::0:0 to ::1:ffff.
  EXPECT_EQ(permit("2a00:db8::1:ff01"), 403);
  EXPECT_EQ(permit("2a00:db8::ffff"), 403);
  EXPECT_EQ(permit("2a00:db8::2:0"), 0);
}

// No way to ourselves: listeners, and relays unless that is wanted.
TEST(TurnServerSecurity, OwnAddressesAreForbiddenByDefault) {
  ServerOptions options = ServerHarness::Options();
  // Public addresses, so that only being ours can be the reason.
  options.relay_addresses = {{IpAddress::V4(5, 5, 5, 5), {}}};
  options.listeners = {{IpAddress::V4(5, 5, 5, 4), 3478}};
  ServerHarness harness(options);
  TestClient client(1000), other(1001);
  ASSERT_TRUE(harness.Allocate(client).ok());
  ASSERT_TRUE(harness.Allocate(other).ok());
  EXPECT_EQ(harness.Permit(client, IpAddress::V4(5, 5, 5, 4)).error(), 403);
  EXPECT_EQ(harness.Permit(client, IpAddress::V4(5, 5, 5, 5)).error(), 403);
  EXPECT_EQ(harness.Bind(client, 0x4000, other.relayed).error(), 403);
  EXPECT_EQ(harness.Bind(client, 0x4000, options.listeners[0]).error(), 403);
}

TEST(TurnServerSecurity, RelayToRelayReachesNothingButTheRelayRange) {
  ServerOptions options = ServerHarness::Options();
  options.relay_addresses = {{IpAddress::V4(5, 5, 5, 5), {}}};
  options.listeners = {{IpAddress::V4(5, 5, 5, 5), 3478}};
  options.own_relays = ServerOptions::OwnRelays::kAllow;
  ServerHarness harness(options);
  TestClient client(1000), other(1001);
  ASSERT_TRUE(harness.Allocate(client).ok());
  ASSERT_TRUE(harness.Allocate(other).ok());
  EXPECT_TRUE(harness.Bind(client, 0x4000, other.relayed).ok());
  EXPECT_TRUE(harness.Permit(client, other.relayed.ip).ok());
  for (const uint16_t port :
       std::vector<uint16_t>{22, 3478, 9000, 49'999, 50'100}) {
    SCOPED_TRACE(port);
    const TransportAddress peer{other.relayed.ip, port};
    EXPECT_EQ(harness.Bind(client, 0x4001, peer).error(), 403);
    const auto indication = harness.SendIndication(peer, "x");
    EXPECT_THAT(harness.server().FromClient(harness.now(), client.path,
                                            indication, indication.size()),
                SizeIs(0));
  }
}

TEST(TurnServerSecurity, ListenersStayForbiddenEvenIfTheirAddressIsAllowed) {
  ServerOptions options = ServerHarness::Options();
  options.relay_addresses = {{IpAddress::V4(127, 0, 0, 1), {}}};
  options.listeners = {{IpAddress::V4(0), 3478},
                       {IpAddress::V4(127, 0, 0, 1), 3479}};
  options.allow_peers = {*IpPrefix::Parse("127.0.0.0/8")};
  ServerHarness harness(options);
  TestClient client(1000);
  client.path.remote.ip = IpAddress::V4(127, 0, 0, 1);
  ASSERT_TRUE(harness.Allocate(client).ok());
  const IpAddress loopback = IpAddress::V4(127, 0, 0, 1);
  EXPECT_TRUE(harness.Bind(client, 0x4000, {loopback, 5000}).ok());
  EXPECT_EQ(harness.Bind(client, 0x4001, {loopback, 3478}).error(), 403);
  EXPECT_EQ(harness.Bind(client, 0x4001, {loopback, 3479}).error(), 403);
  EXPECT_EQ(harness.Bind(client, 0x4001, {loopback, 0}).error(), 403);
}

// Who allows a private network does not mean the server's services there.
TEST(TurnServerSecurity, S3OwnAddressesInsideOfAllowedBlocksStayForbidden) {
  ServerOptions options = ServerHarness::Options();
  options.listeners = {{IpAddress::V4(0), 3478}};
  options.own_addresses = {
      *IpAddress::Parse("10.9.9.1"), *IpAddress::Parse("10.9.9.2"),
      *IpAddress::Parse("11.1.1.9"), *IpAddress::Parse("127.0.0.1")};
  options.allow_peers = {*IpPrefix::Parse("10.0.0.0/8"),
                         *IpPrefix::Parse("10.9.9.2/32"),
                         *IpPrefix::Parse("0.0.0.0/0")};
  ServerHarness harness(options);
  const Server& server = harness.server();
  const auto allows = [&server](const char* ip, uint16_t port) {
    return server.AllowsPeer({*IpAddress::Parse(ip), port});
  };
  for (const uint16_t port : std::vector<uint16_t>{22, 3478, 50'000}) {
    EXPECT_FALSE(allows("10.9.9.1", port));
    EXPECT_FALSE(allows("11.1.1.9", port)) << "a public one too";
    EXPECT_FALSE(allows("127.0.0.1", port));
    EXPECT_FALSE(allows("127.7.7.7", port)) << "no interface lists it";
    EXPECT_FALSE(allows("::1", port));
    EXPECT_TRUE(allows("10.9.9.3", port));
  }
  EXPECT_TRUE(allows("10.9.9.2", 22)) << "named by itself";
  EXPECT_FALSE(allows("10.9.9.2", 3478)) << "but no listener";
}

// A relay on a loopback address serves clients there; others never get to it.
TEST(TurnServerSecurity, S3RelaysOnLoopbackAreReachedFromLoopbackOnly) {
  ServerOptions options = ServerHarness::Options();
  const IpAddress loopback = IpAddress::V4(127, 0, 0, 1);
  options.relay_addresses = {{IpAddress::V4(5, 5, 5, 5), {}}, {loopback, {}}};
  options.own_relays = ServerOptions::OwnRelays::kAllow;
  ServerHarness harness(options);
  TestClient far(1000), near(1001), other(1002);
  near.path.local.ip = near.path.remote.ip = loopback;
  other.path.local.ip = other.path.remote.ip = loopback;
  ASSERT_TRUE(harness.Allocate(far).ok());
  EXPECT_EQ(harness.Permit(far, loopback).error(), 403) << "nothing is lent";
  ASSERT_TRUE(harness.Allocate(near).ok());
  ASSERT_TRUE(harness.Allocate(other).ok());
  EXPECT_EQ(near.relayed.ip, loopback);
  EXPECT_EQ(harness.Permit(far, loopback).error(), 403);
  EXPECT_EQ(harness.Bind(far, 0x4000, near.relayed).error(), 403);
  EXPECT_TRUE(harness.Permit(other, loopback).ok());
  EXPECT_TRUE(harness.Bind(other, 0x4000, near.relayed).ok());
  EXPECT_TRUE(harness.Bind(other, 0x4001, far.relayed).ok());
}

// Addresses change while the server runs.
TEST(TurnServerSecurity, S3AddressesThatComeAreForbiddenFromThenOn) {
  ServerOptions options = ServerHarness::Options();
  ServerHarness harness(options);
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  const IpAddress ip = IpAddress::V4(11, 1, 1, 9);
  ASSERT_TRUE(harness.Permit(client, ip).ok());
  harness.server().SetAddresses(options.relay_addresses, options.listeners,
                                {ip});
  const auto send = harness.SendIndication({ip, 22}, "x");
  EXPECT_THAT(harness.server().FromClient(harness.now(), client.path, send,
                                          send.size()),
              SizeIs(0));
  EXPECT_EQ(harness.server().stats().no_permission, 1u);
  EXPECT_EQ(harness.Permit(client, ip).error(), 403);
}

TEST(TurnServerSecurity, CreatePermissionIsAllOrNothing) {
  ServerHarness harness;
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  const Reply reply = harness.Call(
      client, stun::Method::kCreatePermission, [](stun::MessageWriter& w) {
        w.Add(stun::XorPeerAddress{kTestPeer});
        w.Add(stun::XorPeerAddress{{IpAddress::V4(127, 0, 0, 1), 0}});
      });
  EXPECT_EQ(reply.error(), 403);
  EXPECT_THAT(harness.server().FromPeer(harness.now(), *client.relay, kTestPeer,
                                        AsBytes("x"), 1),
              SizeIs(0));
}

// An allocation is its maker's.
TEST(TurnServerSecurity, AnotherValidUserGets441) {
  ServerHarness harness;
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  TestClient thief = client;
  thief.username = "other";
  thief.password = "q";
  EXPECT_EQ(harness.Refresh(thief, 0).error(), 441);
  EXPECT_EQ(harness.Permit(thief, kTestPeer.ip).error(), 441);
  EXPECT_EQ(harness.Bind(thief, 0x4000, kTestPeer).error(), 441);
  EXPECT_EQ(harness.server().allocations(), 1u);
}

TEST(PeerPolicy, SpecialRangesEndWhereTheRegistrySaysSo) {
  const struct {
    const char* ip;
    bool special;
  } kRows[] = {{"9.255.255.255", false},
               {"11.0.0.0", false},
               {"100.63.255.255", false},
               {"126.255.255.255", false},
               {"128.0.0.0", false},
               {"169.253.255.255", false},
               {"169.255.0.0", false},
               {"172.15.255.255", false},
               {"192.0.1.0", false},
               {"192.0.3.0", false},
               {"192.167.255.255", false},
               {"192.169.0.0", false},
               {"198.17.255.255", false},
               {"203.0.112.255", false},
               {"203.0.114.0", false},
               {"1fff:ffff::1", true},
               {"2000::1", false},
               {"2001:1ff::1", true},
               {"2001:200::1", false},
               {"2001:db7::1", false},
               {"2001:db9::1", false},
               {"2001::1", true},
               {"2003::1", false},
               {"3ffe::1", true},
               {"3fff:fff::1", true},
               {"3fff:1000::1", false},
               {"4000::", true}};
  for (const auto& row : kRows) {
    EXPECT_EQ(internal::IsSpecial(*IpAddress::Parse(row.ip)), row.special)
        << row.ip;
  }
  EXPECT_TRUE(internal::IsSpecial(IpAddress()));
}

}  // namespace
}  // namespace kyuu::turn
