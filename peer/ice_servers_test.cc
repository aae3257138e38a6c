#include "peer/ice_servers.h"

#include <vector>

#include "base/testing.h"

namespace kyuu::peer {
namespace {

using testing::HasSubstr;

TransportAddress At(const char* text) { return *TransportAddress::Parse(text); }

TEST(IceServers, AreReadAsRtcConfigurationHasThem) {
  const auto urls =
      ParseIceServers({{.urls = {"stun:stun.example.org"}},
                       {.urls = {"turn:relay.example.org?transport=udp",
                                 "turn:relay.example.org?transport=tcp",
                                 "turns:[2001:db8::1]:443?transport=tcp"},
                        .username = "ada",
                        .credential = "secret:@"}});
  ASSERT_OK(urls);
  ASSERT_EQ(urls->size(), 4u);
  EXPECT_EQ((*urls)[0].kind, ServerKind::kStun);
  EXPECT_EQ((*urls)[0].host, "stun.example.org");
  EXPECT_EQ((*urls)[0].port, 3478);
  EXPECT_EQ((*urls)[0].username, "");
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ((*urls)[i].kind, ServerKind::kTurn);
    EXPECT_EQ((*urls)[i].username, "ada");
    EXPECT_EQ((*urls)[i].password, "secret:@");
  }
  EXPECT_EQ((*urls)[1].protocol, ice::RelayProtocol::kUdp);
  EXPECT_EQ((*urls)[2].protocol, ice::RelayProtocol::kTcp);
  EXPECT_EQ((*urls)[3].protocol, ice::RelayProtocol::kTls);
  EXPECT_EQ((*urls)[3].host, "2001:db8::1");
  EXPECT_EQ((*urls)[3].port, 443);
  EXPECT_THAT(ParseIceServers({}), IsOk());
}

TEST(IceServers, WhatIsWrongIsNamed) {
  const auto refused = [](IceServer server, const char* why) {
    const auto urls = ParseIceServers({std::move(server)});
    EXPECT_THAT(urls, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(urls.status().message(), HasSubstr(why));
  };
  refused({}, "without URLs");
  refused({.urls = {"stun.example.org"}}, "begins with");
  refused({.urls = {"http://example.org"}}, "begins with");
  refused({.urls = {"stun:"}}, "no host");
  refused({.urls = {"stun:a:0"}}, "port");
  refused({.urls = {"stun:a?transport=sctp"}}, "query");
  refused({.urls = {"stuns:a"}}, "only over UDP");
  refused({.urls = {"turn:a"}}, "needs username");
  refused({.urls = {"turns:a"}, .username = "u"}, "needs username");
  refused({.urls = {"turn:u:p@a"}, .username = "u", .credential = "p"},
          "beside");
}

TEST(IceServers, EveryAddressOfANameIsAServer) {
  const std::vector<TransportAddress> addresses = {
      At("[2001:db8::1]:3478"), At("192.0.2.1:3478"), At("192.0.2.2:3478"),
      At("192.0.2.3:3478"), At("[2001:db8::2]:3478")};
  std::vector<TransportAddress> stun;
  std::vector<ice::TurnServer> turn;
  AddResolved({.kind = ServerKind::kStun}, addresses, stun, turn);
  EXPECT_THAT(stun, testing::ElementsAre(addresses[0], addresses[1],
                                         addresses[2], addresses[4]));
  EXPECT_THAT(turn, testing::IsEmpty());
  AddResolved({.kind = ServerKind::kTurn,
               .host = "a",
               .username = "u",
               .password = "p"},
              {addresses[0], addresses[1]}, stun, turn);
  ASSERT_EQ(turn.size(), 2u);
  EXPECT_EQ(turn[1].address, addresses[1]);
  EXPECT_EQ(turn[1].username, "u");
  EXPECT_EQ(turn[1].host, "a");
  EXPECT_EQ(stun.size(), 4u);
}

}  // namespace
}  // namespace kyuu::peer
