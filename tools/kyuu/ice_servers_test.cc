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

}  // namespace
}  // namespace kyuu::tools
