#include "tools/kyuu/network_use/network_use.h"

#include <string>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kyuu::tools {
namespace {

using ::testing::HasSubstr;

TEST(NetworkUse, FlagsBecomeOptionsOfAConnection) {
  CLI::App app;
  NetworkUse use;
  AddNetworkUse(app, use);
  app.parse(
      "--use 192.0.2.0/24 --use 2001:db8::/32 --no-use 192.0.2.9 "
      "--advertise 192.0.2.1 --no-advertise fe80::/10 --allow-peer "
      "198.51.100.0/24 --deny-peer 198.51.100.7 --port-range 50000-50100");
  peer::LoopConnectionOptions options;
  use.ApplyTo(options);
  const auto ip = [](const char* text) { return *IpAddress::Parse(text); };
  EXPECT_TRUE(options.use_addresses.Takes(ip("192.0.2.1")));
  EXPECT_TRUE(options.use_addresses.Takes(ip("2001:db8::1")));
  EXPECT_FALSE(options.use_addresses.Takes(ip("192.0.2.9")));
  EXPECT_FALSE(options.use_addresses.Takes(ip("203.0.113.1")));
  EXPECT_TRUE(options.connection.advertise.Takes(ip("192.0.2.1")));
  EXPECT_FALSE(options.connection.advertise.Takes(ip("192.0.2.2")));
  EXPECT_TRUE(options.connection.ice.peers.Takes(ip("198.51.100.1")));
  EXPECT_FALSE(options.connection.ice.peers.Takes(ip("198.51.100.7")));
  EXPECT_EQ(options.port_range, (peer::PortRange{50000, 50100}));
}

TEST(NetworkUse, WithoutThemEverythingIsUsed) {
  CLI::App app;
  NetworkUse use;
  AddNetworkUse(app, use);
  app.parse("");
  EXPECT_EQ(use.use, AddressFilter());
  EXPECT_EQ(use.advertise, AddressFilter());
  EXPECT_EQ(use.peers, AddressFilter());
  EXPECT_EQ(use.ports, std::nullopt);
}

TEST(NetworkUse, NonsenseIsToldWithItsReason) {
  struct Row {
    const char* words;
    const char* flag;
    const char* why;
  };
  for (const Row& row : {
           Row{"--use eth0", "--use", "\"eth0\" is no address"},
           Row{"--no-use 192.0.2.0/33", "--no-use", "no address"},
           Row{"--advertise=", "--advertise", ""},
           Row{"--allow-peer example.org", "--allow-peer", "no address"},
           Row{"--deny-peer 10.0.0.0/-1", "--deny-peer", "no address"},
           Row{"--port-range 0-10", "--port-range", "\"0\" is no port"},
           Row{"--port-range 9-8", "--port-range", "ends before it begins"},
           Row{"--port-range 1-65536", "--port-range", "\"65536\" is no port"},
           Row{"--port-range 5-", "--port-range", "\"\" is no port"},
           Row{"--port-range +5", "--port-range", "\"+5\" is no port"},
           Row{"--port-range a", "--port-range", "\"a\" is no port"},
       }) {
    CLI::App app;
    NetworkUse use;
    AddNetworkUse(app, use);
    try {
      app.parse(row.words);
      ADD_FAILURE() << row.words;
    } catch (const CLI::ParseError& error) {
      EXPECT_THAT(error.what(), HasSubstr(row.flag)) << row.words;
      EXPECT_THAT(error.what(), HasSubstr(row.why)) << row.words;
    }
  }
}

TEST(NetworkUse, OnePortIsARange) {
  const auto range = ParsePortRange("7000");
  ASSERT_OK(range);
  EXPECT_EQ(*range, (peer::PortRange{7000, 7000}));
}

}  // namespace
}  // namespace kyuu::tools
