#include "tools/kyuud/turn_service.h"

#include <vector>

#include "base/address.h"
#include "base/testing.h"
#include "tools/kyuud/config.h"

namespace kyuu::tools {
namespace {

IpAddress Ip(absl::string_view text) { return IpAddress::Parse(text).value(); }
IpPrefix Block(absl::string_view text) { return IpPrefix::Parse(text).value(); }

bool Opens(const relay::Options& options, absl::string_view ip) {
  for (const IpPrefix& block : options.server.allow_peers) {
    if (block.Contains(Ip(ip))) return true;
  }
  return false;
}

// What listens on loopback may be behind a proxy: it opens loopback, and
// neither the networks around nor the metadata service.
TEST(RelayOptionsTest, ListenersOnLoopbackOpenLoopbackOnly) {
  const relay::Options options = RelayOptions(Config(), {});
  EXPECT_TRUE(Opens(options, "127.0.0.1"));
  EXPECT_TRUE(Opens(options, "::1"));
  for (const char* ip : {"10.0.0.1", "169.254.169.254", "192.168.1.1",
                         "224.0.0.1", "0.0.0.0", "fe80::1", "fd00::1"}) {
    EXPECT_FALSE(Opens(options, ip)) << ip;
  }
}

TEST(RelayOptionsTest, ListenersElsewhereOpenNothingButWhatIsNamed) {
  Config config;
  config.turn_listen.push_back({Ip("0.0.0.0"), 3478});
  config.turn.allow_peers = {Block("10.0.0.0/8")};
  const relay::Options options = RelayOptions(config, {{Ip("0.0.0.0"), 9000}});
  EXPECT_EQ(options.server.allow_peers, config.turn.allow_peers);
  EXPECT_EQ(options.server.listeners,
            (std::vector<TransportAddress>{{Ip("0.0.0.0"), 9000}}));
}

// Clients come by TCP, too.
TEST(RelayOptionsTest, ListenersOfHttpElsewhereOpenNothing) {
  Config config;
  config.http_listen = {{Ip("0.0.0.0"), 9000}};
  EXPECT_FALSE(Opens(RelayOptions(config, {}), "127.0.0.1"));
  config.turn_listen.clear();
  EXPECT_FALSE(Opens(RelayOptions(config, {}), "127.0.0.1"));
}

// Whether an address without a private one is ours or a NAT's is the relay's to
// find out, again and again.
TEST(RelayOptionsTest, RelayAddressesAreAsGiven) {
  Config config;
  config.relay_addresses = {{Ip("203.0.113.5"), std::nullopt},
                            {Ip("203.0.113.6"), Ip("10.0.0.6")}};
  const relay::Options options = RelayOptions(config, {});
  EXPECT_EQ(options.relay_addresses,
            (std::vector<turn::ServerOptions::RelayAddress>{
                {{}, Ip("203.0.113.5")}, {Ip("10.0.0.6"), Ip("203.0.113.6")}}));
}

}  // namespace
}  // namespace kyuu::tools
