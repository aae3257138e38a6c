#include "tools/kyuu/ice_servers.h"

#include <string>
#include <vector>

#include "base/address.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

TransportAddress At(const char* text) { return *TransportAddress::Parse(text); }

TEST(IceServers, EveryAddressOfANameIsAServer) {
  const std::vector<TransportAddress> addresses = {
      At("[2001:db8::1]:3478"), At("192.0.2.1:3478"), At("192.0.2.2:3478"),
      At("192.0.2.3:3478"), At("[2001:db8::2]:3478")};
  peer::Options options;
  AddResolved({.kind = ServerKind::kStun}, addresses, options);
  EXPECT_THAT(options.stun_servers,
              testing::ElementsAre(addresses[0], addresses[1], addresses[2],
                                   addresses[4]));
  AddResolved({.kind = ServerKind::kTurn, .username = "u", .password = "p"},
              {addresses[0], addresses[1]}, options);
  ASSERT_EQ(options.turn_servers.size(), 2u);
  EXPECT_EQ(options.turn_servers[1].address, addresses[1]);
  EXPECT_EQ(options.turn_servers[1].username, "u");
}

// The name is what a certificate must show.
TEST(IceServers, TheProtocolAndTheNameAreTold) {
  peer::Options options;
  ASSERT_OK(AddIceServer("turns:localhost:443", ServerKind::kTurn, "u", "p",
                         options));
  ASSERT_OK(AddIceServer("turn:127.0.0.1?transport=tcp", ServerKind::kTurn, "u",
                         "p", options));
  ASSERT_GE(options.turn_servers.size(), 2u);
  EXPECT_EQ(options.turn_servers.front().protocol, ice::RelayProtocol::kTls);
  EXPECT_EQ(options.turn_servers.front().host, "localhost");
  EXPECT_EQ(options.turn_servers.front().address.port, 443);
  EXPECT_EQ(options.turn_servers.back().protocol, ice::RelayProtocol::kTcp);
  EXPECT_EQ(options.turn_servers.back().username, "u");
  EXPECT_THAT(
      AddIceServer("stuns:127.0.0.1", ServerKind::kStun, "", "", options),
      StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace kyuu::tools
