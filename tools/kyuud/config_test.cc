#include "tools/kyuud/config.h"

#include <cstdio>
#include <fstream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
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
  const std::string name = absl::StrCat(testing::TempDir(), "/kyuud.toml");
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
  EXPECT_EQ(config.turn.realm, "kyuu");
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
  EXPECT_EQ(config.tls_certificates, std::vector<std::string>{"chain.pem"});
  EXPECT_EQ(config.tls_keys, std::vector<std::string>{"key.pem"});
  ASSERT_EQ(config.metrics_from.size(), 1u);
  EXPECT_EQ(config.metrics_from[0].ToString(), "10.1.0.0/16");
  EXPECT_EQ(config.connections_per_address, 7u);
  ASSERT_EQ(config.turn_listen.size(), 2u);
  EXPECT_EQ(config.turn_listen[1].ToString(), "[::1]:2");
  EXPECT_EQ(config.relay_addresses,
            (std::vector<Config::RelayAddress>{
                {IpAddress::V4(203, 0, 113, 5), std::nullopt}}));
  EXPECT_EQ(config.turn.relay_port_low, 50000);
  EXPECT_EQ(config.turn.relay_port_high, 50009);
  EXPECT_EQ(config.turn.realm, "example.org");
  ASSERT_EQ(config.turn.users.size(), 2u);
  EXPECT_EQ(config.turn.users[0].name, "a");
  EXPECT_EQ(config.turn.users[0].password, "b:c");
  EXPECT_EQ(config.turn.users[1].name, "d");
  ASSERT_EQ(config.turn.allow_peers.size(), 1u);
  EXPECT_EQ(config.turn.allow_peers[0].ToString(), "10.0.0.0/8");
  EXPECT_EQ(config.threads, 3);
  EXPECT_EQ(config.log_level, LogLevel::kOff);
}

TEST(ConfigTest, FlagsOverrideVariablesWhichOverrideTheFile) {
  const std::string file = WriteFile(
      "threads = 5\n[http]\nlisten = [\"127.0.0.1:7\"]\n"
      "[turn]\nrealm = \"file\"\n[auth]\nusers = [\"f:1\", \"g:2\"]\n");
  const Config config = Read({"--realm", "flag", "--config", file},
                             {{"KYUU_REALM", "variable"},
                              {"KYUU_THREADS", "4"},
                              {"KYUU_TURN_LISTEN", "127.0.0.1:5,127.0.0.1:6"},
                              {"HOME", "/"}});
  EXPECT_EQ(config.turn.realm, "flag");
  EXPECT_EQ(config.threads, 4);
  ASSERT_EQ(config.http_listen.size(), 1u);
  EXPECT_EQ(config.http_listen[0].port, 7);
  EXPECT_EQ(config.turn_listen.size(), 2u);
  EXPECT_EQ(config.turn.users.size(), 2u);
}

TEST(ConfigTest, TheFileMayBeNamedByAVariable) {
  const std::string file = WriteFile("[turn]\nrealm = \"file\"\n");
  EXPECT_EQ(Read({}, {{"KYUU_CONFIG", file}}).turn.realm, "file");
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
  EXPECT_THAT(Problem({"--kernel-stun", "on"}),
              testing::HasSubstr("needs --kernel-path"));
  EXPECT_THAT(Problem({"--kernel-path", "auto", "--kernel-stun", "on",
                       "--deny-client", "8.8.8.8"}),
              testing::HasSubstr("answers everybody"));
  EXPECT_THAT(Problem({"--threads", "65"}), testing::HasSubstr("--threads"));
  EXPECT_THAT(Problem({"--threads", "-1"}), testing::HasSubstr("--threads"));
  EXPECT_THAT(Problem({"--realm", "a", "--realm", "b"}),
              testing::HasSubstr("--realm: is there twice"));
  EXPECT_THAT(Problem({"--realm", ""}), testing::HasSubstr("realm"));
  EXPECT_THAT(Problem({"--http-listen=none", "--turn-listen=none"}),
              testing::HasSubstr("nothing is served"));
  EXPECT_THAT(Problem({"--log-level", "loud"}),
              testing::HasSubstr("--log-level"));
  EXPECT_THAT(Problem({"--colour", "red"}),
              testing::HasSubstr("--colour: there is no such flag\n"));
  EXPECT_THAT(Problem({"--relay-port=1-2"}),
              testing::HasSubstr("--relay-port: there is no such flag; did you "
                                 "mean --relay-ports?"));
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

// By file, line and column.
TEST(ConfigTest, WhatIsWrongInTheFileIsFound) {
  struct Case {
    const char* text;
    const char* problem;
  };
  for (const Case& c : {
           Case{"[relay]\nprots = \"1-2\"\n",
                ":2:1: there is no \"prots\" in [relay]; did you mean "
                "\"ports\"?"},
           Case{"realm = \"a\"\n",
                ":1:1: there is no \"realm\" above all sections; did you mean "
                "realm in [turn]?"},
           Case{"[http]\nthreads = 1\n",
                ":2:1: there is no \"threads\" in [http]; did you mean "
                "threads in no section?"},
           Case{"[limits]\nanswers = 0\n",
                ":2:11: limits.answers: 0 is not of 1 to 1000000"},
           Case{"[limits]\nproven-factor = 0.5\n", "0.5 is not of 1 to"},
           Case{"[limits]\ndtls-idle = '10ms'\n",
                ":2:13: limits.dtls-idle: \"10ms\" is less than 1s"},
           Case{"[realm]\nname = 'a'\n",
                ":1:2: realms are tables that begin with [[realm]]"},
           Case{"realm = [1]\n", ":1:1: realms are tables that begin"},
           Case{"[[realm]]\nnmae = 'a'\n",
                ":2:1: there is no \"nmae\" in [[realm]]; did you mean "
                "\"name\"?"},
           Case{"[[realm]]\nlifetime = 1\n",
                "did you mean lifetime in [turn]?"},
           Case{"[[realm]]\nusers = 'a:b'\n",
                ":2:9: realm.users is an array of strings, not a string"},
           Case{"[[realm]]\nname = 'a'\nusers = ['a']\n",
                ":3:9: realm.users: not NAME:PASSWORD"},
           Case{"[[realms]]\nname = 'a'\n", "did you mean \"realm\"?"},
           Case{"[http]\nturn-listen = []\n", "did you mean listen in [turn]?"},
           Case{"[rellay]\n",
                ":1:2: there is no \"rellay\" above all sections; did you mean "
                "\"relay\"?"},
           Case{"colour = 1\n",
                ":1:1: there is no \"colour\" above all sections\n"},
           Case{"turn = 1\n", ":1:1: \"turn\" is a section: [turn]"},
           Case{"threads = \"2\"\n",
                ":1:11: threads is an integer, not a string"},
           Case{"[turn]\nlisten = \"1.2.3.4:5\"\n",
                ":2:10: turn.listen is an array of strings, not a string"},
           Case{"[turn]\nlisten = [1]\n",
                ":2:10: turn.listen is an array of strings, not an array"},
           Case{"[turn]\nlifetime = true\n",
                ":2:12: turn.lifetime is a string like \"1h30m\", or seconds, "
                "not a boolean"},
           Case{"[limits]\nallocations = 1.5\n",
                ":2:15: limits.allocations is an integer, not a float"},
           Case{"[limits]\nallocations = -1\n", ":2:15: limits.allocations: "},
           Case{"[turn]\nlisten = [\"nowhere\"]\n", ":2:10: turn.listen: "},
           Case{"[turn]\nlifetime = \"soon\"\n",
                ":2:12: turn.lifetime: \"soon\" is not a time"},
           Case{"[turn]\nrealm = \"a\"\nrealm = \"b\"\n", ":3:"},
           Case{"[turn\n", ":1:"},
       }) {
    EXPECT_THAT(Problem({"--config", WriteFile(c.text)}),
                testing::AllOf(testing::HasSubstr("kyuud.toml:"),
                               testing::HasSubstr(c.problem)))
        << c.text;
  }
  EXPECT_THAT(Problem({"--config", "/nowhere.toml"}),
              testing::HasSubstr("/nowhere.toml cannot be read"));
  Read({"--config", WriteFile("")});
}

TEST(ConfigTest, ARealmAsksTheAuthorizerThatThereIs) {
  EXPECT_THAT(
      Problem({"--config",
               WriteFile("[[realm]]\nname = 'a'\nauthorizer = 'on'\n")}),
      testing::HasSubstr(
          "realm.authorizer: there is no auth.authorizer to ask"));
}

TEST(ConfigTest, UnknownVariablesAreTold) {
  EXPECT_EQ(Read({}, {{"KYUU_COLOUR", "red"}}).unknown_variables,
            std::vector<std::string>{"KYUU_COLOUR"});
  EXPECT_THAT(Problem({}, {{"KYUU_THREADS", "many"}}),
              testing::HasSubstr("KYUU_THREADS: "));
}

TEST(ConfigTest, TimesHaveUnitsOrAreSeconds) {
  const Config config =
      Read({"--config",
            WriteFile("[turn]\nlifetime-max = \"1h30m\"\ndrain-timeout = 90\n"),
            "--lifetime=20m", "--permission-lifetime", "30"});
  EXPECT_EQ(config.turn.lifetime_max, absl::Minutes(90));
  EXPECT_EQ(config.drain_timeout, absl::Seconds(90));
  EXPECT_EQ(config.turn.lifetime_default, absl::Minutes(20));
  EXPECT_EQ(config.turn.permission_lifetime, absl::Seconds(30));
  for (const char* wrong : {"-1", "-5s", "inf", "1y", "", "9999h"}) {
    EXPECT_THAT(Problem({"--lifetime", wrong}),
                testing::HasSubstr("--lifetime"))
        << wrong;
  }
  // What works alone must work together.
  EXPECT_THAT(Problem({"--lifetime=2h"}), testing::HasSubstr("lifetimes"));
}

TEST(ConfigTest, UsersMayHaveKeysInsteadOfPasswords) {
  const std::string key(32, 'a');
  const Config config =
      Read({"--user=ann:0x" + key, "--user=bob:0x" + key + key});
  EXPECT_EQ(config.turn.users[0].key, std::string(16, '\xaa'));
  EXPECT_EQ(config.turn.users[0].password, "");
  EXPECT_EQ(config.turn.users[1].key.size(), 32u);
  for (const std::string& digits :
       {std::string(), key.substr(1), key.substr(1) + "g"}) {
    const std::string problem = Problem({"--user=ann:0x" + digits});
    EXPECT_THAT(problem, testing::HasSubstr("--user"));
    EXPECT_THAT(problem, testing::Not(testing::HasSubstr("aaaa")));
  }
}

TEST(ConfigTest, SecretsMayBeInFiles) {
  const std::string file = absl::StrCat(testing::TempDir(), "/secret");
  std::ofstream(file) << "  south \nnorth\n";
  const Config config =
      Read({"--rest-secret=a", "--rest-secret=b", "--rest-secret-file", file,
            "--rest-hash=either"});
  EXPECT_EQ(config.turn.rest_secrets,
            (std::vector<std::string>{"a", "b", "south"}));
  EXPECT_EQ(config.turn.rest_hash, turn::ServerOptions::RestHash::kEither);
  EXPECT_THAT(Problem({"--rest-secret-file=/nowhere"}),
              testing::HasSubstr("/nowhere"));
  EXPECT_THAT(Problem({"--rest-hash=md5"}),
              testing::HasSubstr("--rest-hash: \"md5\" is none of sha1, "));
}

TEST(ConfigTest, ClientsAreSentAwayOnlyIfItIsSaidWhereTo) {
  EXPECT_THAT(Problem({"--alternate-when=always"}),
              testing::HasSubstr("--alternate-when: needs --alternate-server"));
  EXPECT_THAT(Problem({"--alternate-when=never"}),
              testing::HasSubstr("none of draining, always"));
  EXPECT_EQ(Read({"--alternate-when=always", "--alternate-server=1.2.3.4:5"})
                .turn.admission,
            turn::ServerOptions::Admission::kDraining);
}

TEST(ConfigTest, ModesSayWhatIsServed) {
  EXPECT_EQ(Read({"--mode=stun"}).turn.service,
            turn::ServerOptions::Service::kStun);
  EXPECT_TRUE(Read({"--mode=http"}).turn_listen.empty());
  EXPECT_TRUE(Read({"--mode=turn", "--http-listen=none"}).http_listen.empty());
  EXPECT_EQ(Read({"--mode=turn"}).turn_listen.size(), 1u);
}

TEST(ConfigTest, OtherSignalingHasPathsOfItsOwn) {
  const DialectSettings moved =
      Read({"--peerjs-path=/app/", "--y-webrtc-path=/docs"}).dialects;
  EXPECT_EQ(moved.peerjs_path, "/app");
  EXPECT_EQ(moved.ywebrtc_path, "/docs");
  for (const char* path : {"app", "/a?b", "/a b", "/%41", "/a#b"}) {
    EXPECT_THAT(Problem({absl::StrCat("--peerjs-path=", path)}),
                testing::HasSubstr("is no path"))
        << path;
  }
  for (const char* key : {"a/b", "a b"}) {
    EXPECT_THAT(Problem({absl::StrCat("--peerjs-key=", key)}),
                testing::HasSubstr("letters"))
        << key;
  }
  for (const char* path : {"/v1/ws", "/healthz", "/readyz", "/metrics/"}) {
    EXPECT_THAT(Problem({absl::StrCat("--y-webrtc-path=", path)}),
                testing::HasSubstr("is taken"))
        << path;
  }
  const std::string same = "--y-webrtc-path=/app/peerjs";
  EXPECT_THAT(Problem({"--peerjs-path=/app", same}),
              testing::HasSubstr("PeerJS"));
  EXPECT_EQ(
      Read({"--peerjs-path=/app", "--peerjs=off", same}).dialects.ywebrtc_path,
      "/app/peerjs");
}

TEST(ConfigTest, CommandsAnswer) {
  const auto answer = [](const std::vector<std::string>& arguments) {
    const auto result = ReadConfig(arguments, {});
    const Exit* exit = std::get_if<Exit>(&result);
    return exit == nullptr ? Exit{-1, ""} : *exit;
  };
  EXPECT_EQ(answer({"config", "default"}).code, 0);
  EXPECT_EQ(answer({"config", "doc"}).code, 0);
  EXPECT_EQ(answer({"config"}).code, 2);
  EXPECT_EQ(answer({"config", "all"}).code, 2);
  const std::string file = WriteFile("threads = 3\n");
  const Config config = Read({"check-config", file, "--realm=x"});
  EXPECT_EQ(config.command, Config::Command::kCheck);
  EXPECT_EQ(config.file, file);
  EXPECT_EQ(config.threads, 3);
  EXPECT_EQ(config.turn.realm, "x");
  EXPECT_EQ(Read({"check-config"}).command, Config::Command::kCheck);
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
