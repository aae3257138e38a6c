#include "tools/kyuud/config.h"

#include <cstdio>
#include <fstream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

using Environment = std::vector<std::pair<std::string, std::string>>;

Config Read(const std::vector<std::string>& arguments,
            const Environment& environment = {}) {
  auto result = ReadConfig(arguments, environment);
  if (const Exit* exit = std::get_if<Exit>(&result)) {
    ADD_FAILURE() << exit->text;
    return {};
  }
  return std::get<Config>(result);
}

std::string Problem(const std::vector<std::string>& arguments,
                    const Environment& environment = {}) {
  auto result = ReadConfig(arguments, environment);
  const Exit* exit = std::get_if<Exit>(&result);
  if (exit == nullptr) return "none";
  EXPECT_EQ(exit->code, 2);
  return exit->text;
}

std::string WriteFile(const std::string& text) {
  const std::string name = absl::StrCat(testing::TempDir(), "/kyuud.conf");
  std::ofstream(name) << text;
  return name;
}

TEST(ConfigTest, NothingIsNeeded) {
  const Config config = Read({});
  ASSERT_EQ(config.http_listen.size(), 1u);
  EXPECT_EQ(config.http_listen[0].ToString(), "127.0.0.1:9000");
  ASSERT_EQ(config.turn_listen.size(), 1u);
  EXPECT_EQ(config.turn_listen[0].ToString(), "127.0.0.1:3478");
  EXPECT_GE(config.threads, 1);
  EXPECT_EQ(config.realm, "kyuu");
}

TEST(ConfigTest, FlagsAreRead) {
  const Config config = Read({"--http-listen",
                              "[::]:80",
                              "--http-listen=0.0.0.0:80",
                              "--public-url=https://example.org/kyuu/",
                              "--origin=https://app.test",
                              "--origin",
                              "*",
                              "--proxy=10.0.0.1",
                              "--metrics-from=10.1.0.0/16",
                              "--tls-certificate=chain.pem",
                              "--tls-key=key.pem",
                              "--connections-per-address=7",
                              "--turn-listen=0.0.0.0:1",
                              "--turn-listen",
                              "[::1]:2",
                              "--relay-address",
                              "203.0.113.5",
                              "--relay-ports",
                              "50000-50009",
                              "--realm",
                              "example.org",
                              "--user",
                              "a:b:c",
                              "--user=d:e",
                              "--allow-peer",
                              "10.0.0.0/8",
                              "--threads",
                              "3",
                              "--log-level",
                              "off"});
  ASSERT_EQ(config.http_listen.size(), 2u);
  EXPECT_EQ(config.http_listen[0].ToString(), "[::]:80");
  EXPECT_EQ(config.http_listen[1].ToString(), "0.0.0.0:80");
  EXPECT_EQ(config.public_url->origin.ToString(), "https://example.org");
  EXPECT_EQ(config.public_url->path, "/kyuu");
  ASSERT_EQ(config.origins.size(), 1u);
  EXPECT_TRUE(config.any_origin);
  ASSERT_EQ(config.proxies.size(), 1u);
  EXPECT_EQ(config.tls_certificate, "chain.pem");
  EXPECT_EQ(config.tls_key, "key.pem");
  ASSERT_EQ(config.metrics_from.size(), 1u);
  EXPECT_EQ(config.metrics_from[0].ToString(), "10.1.0.0/16");
  EXPECT_EQ(config.connections_per_address, 7u);
  ASSERT_EQ(config.turn_listen.size(), 2u);
  EXPECT_EQ(config.turn_listen[1].ToString(), "[::1]:2");
  EXPECT_EQ(config.relay_addresses,
            (std::vector<Config::RelayAddress>{
                {IpAddress::V4(203, 0, 113, 5), std::nullopt}}));
  EXPECT_EQ(config.relay_port_low, 50000);
  EXPECT_EQ(config.relay_port_high, 50009);
  EXPECT_EQ(config.realm, "example.org");
  EXPECT_EQ(config.users,
            (std::vector<Config::User>{{"a", "b:c"}, {"d", "e"}}));
  ASSERT_EQ(config.allow_peers.size(), 1u);
  EXPECT_EQ(config.allow_peers[0].ToString(), "10.0.0.0/8");
  EXPECT_EQ(config.threads, 3);
  EXPECT_EQ(config.log_level, LogLevel::kOff);
}

TEST(ConfigTest, FlagsOverrideVariablesWhichOverrideTheFile) {
  const std::string file = WriteFile(
      "realm=\"file\"\nthreads=5\nhttp-listen=\"127.0.0.1:7\"\n"
      "user=[\"f:1\", \"g:2\"]\n");
  const Config config = Read({"--realm", "flag", "--config", file},
                             {{"KYUU_REALM", "variable"},
                              {"KYUU_THREADS", "4"},
                              {"KYUU_TURN_LISTEN", "127.0.0.1:5,127.0.0.1:6"},
                              {"HOME", "/"}});
  EXPECT_EQ(config.realm, "flag");
  EXPECT_EQ(config.threads, 4);
  ASSERT_EQ(config.http_listen.size(), 1u);
  EXPECT_EQ(config.http_listen[0].port, 7);
  EXPECT_EQ(config.turn_listen.size(), 2u);
  EXPECT_EQ(config.users.size(), 2u);
}

TEST(ConfigTest, TheFileMayBeNamedByAVariable) {
  const std::string file = WriteFile("realm=\"file\"\n");
  EXPECT_EQ(Read({}, {{"KYUU_CONFIG", file}}).realm, "file");
}

TEST(ConfigTest, WhatIsWrongIsNamed) {
  EXPECT_THAT(Problem({"--http-listen", "localhost"}),
              testing::HasSubstr("--http-listen"));
  EXPECT_THAT(Problem({"--turn-listen", "1.2.3.4:99999"}),
              testing::HasSubstr("--turn-listen"));
  for (const char* wrong : {"0.0.0.0", "1.2.3.4/", "1.2.3.4/::1", "1.2.3.4/5/6",
                            "/1.2.3.4", "1.2.3.4/0.0.0.0"}) {
    EXPECT_THAT(Problem({"--relay-address", wrong}),
                testing::HasSubstr("--relay-address"))
        << wrong;
  }
  EXPECT_THAT(
      Problem({"--user=a:b", "--user=c:d", "--user=a:e"}),
      testing::AllOf(testing::HasSubstr("--user"), testing::HasSubstr("twice"),
                     testing::Not(testing::HasSubstr("a:e"))));
  for (const char* ports : {"5", "9-8", "0-5", "1-65536", "a-b", "1-2-3"}) {
    EXPECT_THAT(Problem({"--relay-ports", ports}),
                testing::HasSubstr("--relay-ports"));
  }
  EXPECT_THAT(Problem({"--allow-peer", "10.0.0.0/33"}),
              testing::HasSubstr("--allow-peer"));
  EXPECT_THAT(Problem({"--tls-key", "key.pem"}), testing::HasSubstr("--tls-"));
  EXPECT_THAT(Problem({"--tls-certificate", "chain.pem"}),
              testing::HasSubstr("--tls-"));
  EXPECT_THAT(Problem({"--threads", "0"}), testing::HasSubstr("--threads"));
  EXPECT_THAT(Problem({"--log-level", "loud"}),
              testing::HasSubstr("--log-level"));
  EXPECT_THAT(Problem({"--colour", "red"}), testing::HasSubstr("--colour"));
  EXPECT_THAT(Problem({"stray"}), testing::HasSubstr("stray"));
}

// Public addresses of two families, with the private ones behind them.
TEST(ConfigTest, RelayAddressesMayBeSeveralAndPairs) {
  const Config config = Read(
      {"--relay-address", "203.0.113.5/10.0.0.5", "--relay-address=2a00::5"});
  EXPECT_EQ(config.relay_addresses,
            (std::vector<Config::RelayAddress>{
                {IpAddress::V4(203, 0, 113, 5), IpAddress::V4(10, 0, 0, 5)},
                {*IpAddress::Parse("2a00::5"), std::nullopt}}));
}

// Behind a proxy everybody is local.
TEST(ConfigTest, MetricsAreForThisMachineUnlessAProxyIsInFront) {
  EXPECT_EQ(Read({}).metrics_from.size(), 2u);
  EXPECT_TRUE(Read({"--proxy=10.0.0.1"}).metrics_from.empty());
  EXPECT_TRUE(Read({"--public-url=https://a.test"}).metrics_from.empty());
  EXPECT_TRUE(Read({"--metrics-from=none"}).metrics_from.empty());
  EXPECT_EQ(
      Read({"--proxy=::1", "--metrics-from=::1"}).metrics_from[0].ToString(),
      "::1/128");
  EXPECT_THAT(Problem({"--metrics-from=all"}),
              testing::HasSubstr("--metrics-from"));
}

TEST(ConfigTest, APasswordIsNotRepeated) {
  const std::string problem = Problem({"--user", "secret"});
  EXPECT_THAT(problem, testing::HasSubstr("--user"));
  EXPECT_THAT(problem, testing::Not(testing::HasSubstr("secret")));
}

TEST(ConfigTest, UnknownKeysAreErrorsAndUnknownVariablesAreTold) {
  EXPECT_THAT(Problem({"--config", WriteFile("colour=\"red\"\n")}),
              testing::HasSubstr("colour"));
  EXPECT_THAT(Problem({"--config", "/nowhere.conf"}),
              testing::HasSubstr("nowhere"));
  EXPECT_EQ(Read({}, {{"KYUU_COLOUR", "red"}}).unknown_variables,
            std::vector<std::string>{"KYUU_COLOUR"});
}

TEST(ConfigTest, HelpIsNoError) {
  const auto result = ReadConfig({"--help"}, {});
  const Exit* exit = std::get_if<Exit>(&result);
  ASSERT_NE(exit, nullptr);
  EXPECT_EQ(exit->code, 0);
  EXPECT_THAT(exit->text, testing::HasSubstr("--turn-listen"));
}

}  // namespace
}  // namespace kyuu::tools
