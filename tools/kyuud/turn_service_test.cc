#include "tools/kyuud/turn_service.h"

#include <string>
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

class StreamUrlsTest : public ::testing::Test {
 protected:
  std::vector<std::string> At(const char* public_url) {
    config_.public_url = PublicUrl::Parse(public_url).value();
    return Urls();
  }
  std::vector<std::string> Urls() {
    return StreamUrls(config_, listeners_, "a.test");
  }
  Config config_;
  std::vector<TransportAddress> listeners_ = {{Ip("0.0.0.0"), 443}};
};

TEST_F(StreamUrlsTest, AreWhereHttpIs) {
  EXPECT_EQ(Urls(), std::vector<std::string>{"turn:a.test:443?transport=tcp"});
  config_.tls_certificates = {"chain.pem"};
  EXPECT_EQ(Urls(),
            (std::vector<std::string>{"turn:a.test:443?transport=tcp",
                                      "turns:a.test:443?transport=tcp"}));
}

// The name of a server is no proxy.
TEST_F(StreamUrlsTest, StayWhereAPublicUrlIsOurOwn) {
  config_.tls_certificates = {"chain.pem"};
  EXPECT_EQ(At("https://a.test").size(), 2u);
  EXPECT_EQ(At("https://a.test:443/below").size(), 2u);
}

TEST_F(StreamUrlsTest, AreNoneBehindAProxy) {
  EXPECT_TRUE(At("https://a.test").empty());  // It ends TLS.
  config_.tls_certificates = {"chain.pem"};
  EXPECT_TRUE(At("https://a.test:8443").empty());
  EXPECT_TRUE(At("http://a.test:443").empty());
  config_.public_url.reset();
  config_.proxies = {Block("10.0.0.1/32")};
  EXPECT_TRUE(Urls().empty());
}

// A certificate names no addresses, as a rule.
TEST_F(StreamUrlsTest, OverTlsAreByName) {
  listeners_ = {{Ip("192.0.2.1"), 443}, {Ip("192.0.2.2"), 443}};
  config_.tls_certificates = {"chain.pem"};
  EXPECT_EQ(Urls(),
            (std::vector<std::string>{"turn:192.0.2.1:443?transport=tcp",
                                      "turns:a.test:443?transport=tcp",
                                      "turn:192.0.2.2:443?transport=tcp"}));
  EXPECT_EQ(StreamUrls(config_, {listeners_[0]}, "192.0.2.1")[1],
            "turns:192.0.2.1:443?transport=tcp");
  EXPECT_EQ(StreamUrls(config_, {listeners_[0]}, "")[1],
            "turns:192.0.2.1:443?transport=tcp");
}

}  // namespace
}  // namespace kyuu::tools
