#include "tools/kyuu/ice_servers.h"

#include "base/testing.h"

namespace kyuu::tools {
namespace {

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
