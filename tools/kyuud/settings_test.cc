#include "tools/kyuud/settings.h"

#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

// Reads `text` as a file.
Config Read(const std::string& text) {
  const std::string name = absl::StrCat(testing::TempDir(), "/settings.toml");
  std::ofstream(name) << text;
  auto result = ReadConfig({"--config", name}, {});
  if (const Exit* exit = std::get_if<Exit>(&result)) {
    ADD_FAILURE() << exit->text << text;
    return {};
  }
  return std::get<Config>(result);
}

std::vector<std::string> Changed(const Config& a, const Config& b) {
  std::vector<std::string> names;
  for (const Setting& setting : Settings()) {
    if (setting.print(a) != setting.print(b)) names.push_back(setting.path());
  }
  return names;
}

TEST(SettingsTest, NamesAreOfOneSettingEach) {
  std::set<std::string> paths, flags;
  for (const Setting& setting : Settings()) {
    EXPECT_TRUE(paths.insert(setting.path()).second) << setting.path();
    EXPECT_TRUE(flags.insert(std::string(setting.flag)).second);
    EXPECT_FALSE(setting.doc.empty());
  }
}

// As it is, and with each of its settings in force.
TEST(SettingsTest, TheDefaultFileIsTheDefaults) {
  const auto none = ReadConfig({}, {});
  const Config& config = std::get<Config>(none);
  const std::string file = DefaultFile();
  EXPECT_EQ(Changed(Read(file), config), std::vector<std::string>());
  std::string active;
  size_t settings = 0;
  for (const absl::string_view line : absl::StrSplit(file, '\n')) {
    EXPECT_LE(line.size(), 120u);
    const bool is_setting = line.size() > 1 && line[0] == '#' && line[1] != ' ';
    absl::StrAppend(&active, line.substr(is_setting ? 1 : 0), "\n");
    settings += is_setting ? 1 : 0;
  }
  EXPECT_EQ(settings, Settings().size());
  EXPECT_EQ(Changed(Read(active), config), std::vector<std::string>());
}

// What is printed is read as what it was, for every setting.
TEST(SettingsTest, EveryValueSurvivesPrintingAndReading) {
  const Config config = Read(R"(
mode = "turn"
threads = 3
backplane = "rediss://u:p%40@[::1]:1/2?prefix=x"
backplane-ca = "/etc/ca.pem"
backplane-certificate = "/etc/redis.pem"
backplane-key = "/etc/redis.key"
[http]
listen = ["[::1]:80", "0.0.0.0:80"]
public-url = "https://a.test/b"
origins = ["https://c.test", "*"]
compression = "on"
proxies = ["10.0.0.0/8"]
proxy-protocol-from = ["10.1.0.0/16"]
metrics-from = ["192.0.2.1"]
[dialects]
peerjs = "off"
peerjs-path = "/app"
peerjs-key = "k-2_x"
peerjs-discovery = "allow"
y-webrtc = "off"
y-webrtc-path = "/"
origins = ["https://d.test", "*"]
[admin]
socket = "/run/a.sock"
group = "adm"
[tls]
certificates = ["c.pem"]
keys = ["k \"q\" \\.pem"]
[turn]
listen = ["0.0.0.0:3478"]
realm = "example.org"
lifetime = "11m"
lifetime-max = 7200
permission-lifetime = "1s"
channel-lifetime = "1m30s"
channels = "rfc8656"
software = "kyuud"
mobility = "forbid"
tcp-relay = "refuse"
icmp-reports = "everybody"
icmp-report-interval = "1s"
reservation-lifetime = "40s"
discovery = ["192.0.2.1:3478", "192.0.2.2:3479"]
allow-clients = ["198.51.100.0/24"]
deny-clients = ["198.51.100.7"]
drain-timeout = "2h"
alternate-servers = ["192.0.2.9:3478", "[2a00::9]:3478"]
alternate-when = "always"
[relay]
addresses = ["203.0.113.5/10.0.0.5", "2a00::5"]
ports = "50000-50009"
open-attempts = 3
allow-peers = ["10.0.0.0/8"]
deny-peers = ["8.8.8.8"]
kernel-path = "auto"
kernel-stun-rate = 31
kernel-flows = 32
[auth]
authorizer = "unix:/run/auth.sock"
authorizer-timeout = "1s"
authorizer-questions = 5
authorizer-lifetime = "1m"
authorizer-denied = "2m"
users = ["a:b:c", "d:0x00112233445566778899aabbccddeeff"]
secrets = ["one", "two"]
secret-hash = "sha256"
sha256 = "everywhere"
token-keys = ["north:A128GCM:MDEyMzQ1Njc4OWFiY2RlZg=="]
token-server = "t.test"
token-delta = "7s"
revoked-grace = 0
nonce-secret = "n"
nonce-lifetime = "30m"
[limits]
connections = 11
connections-per-address = 12
peers-per-room = 26
peers-per-room-per-address = 27
presence-bytes-per-second = 28000
message-bytes-per-second = 29000
calls-per-peer = 33
allocations = 13
allocations-per-user = 14
allocations-per-source = 15
peer-connections = 19
peer-connections-per-user = 20
peer-connections-per-allocation = 21
source-share = 0.25
permissions = 16
channels = 17
reservations = 18
stranger-bytes-per-second = 1000.5
stranger-bytes-burst = 2000
auth-failures-per-second = 3
auth-failures-burst = 4
bytes-per-second = 5000
bytes-per-second-per-user = 6000.5
bytes-per-second-in-all = 7000
bytes-burst = "30ms"
credentials = 19
answers = 20
events = 21
sources = 22
proven-factor = 2.5
proven-for = "3m"
handover-bytes = 5000
first-byte = "2s"
write = "3s"
stream-idle = "4s"
stream-message-bytes = 4097
stream-queue-bytes = 4098
stream-answer-bytes = 4099
streams-bytes = 70000
dtls-sessions = 23
dtls-sessions-per-address = 24
dtls-idle = "6s"
dtls-handshake = "7s"
dtls-outgoing = 25
[admission]
anonymous = "forbid"
keys = ["2026:ES256:token.pem", ":HS256:secret"]
jwks-files = ["jwks.json"]
issuer = "https://id.example"
audience = "kyuu"
api-keys = ["a-key-of-some-length"]
api-key-files = ["api-keys"]
[log]
level = "debug"
format = "json"
)");
  std::string again;
  absl::string_view section;
  for (const Setting& setting : Settings()) {
    // Its secrets would be there twice; its own test reads it.
    if (setting.path() == "auth.secret-files") continue;
    // It cannot be had with all the others; the same.
    if (setting.path() == "relay.kernel-stun") continue;
    EXPECT_NE(setting.print(config), setting.print(Config())) << setting.path();
    if (setting.section != section) {
      section = setting.section;
      absl::StrAppend(&again, "[", section, "]\n");
    }
    absl::StrAppend(&again, setting.key, " = ",
                    AsToml(setting, setting.print(config)), "\n");
  }
  EXPECT_EQ(Changed(Read(again), config), std::vector<std::string>());
}

TEST(SettingsTest, KernelStunSurvivesPrintingAndReading) {
  const Config config =
      Read("[relay]\nkernel-path = \"auto\"\nkernel-stun = \"on\"\n");
  EXPECT_EQ(config.kernel.stun, KernelSettings::Stun::kOn);
  const Setting* setting = nullptr;
  for (const Setting& s : Settings()) {
    if (s.path() == "relay.kernel-stun") setting = &s;
  }
  ASSERT_NE(setting, nullptr);
  EXPECT_EQ(setting->print(config), std::vector<std::string>{"on"});
  EXPECT_EQ(setting->print(Config()), std::vector<std::string>{"off"});
}

constexpr absl::string_view kAuthorizer =
    "[auth]\nauthorizer = \"unix:/run/auth.sock\"";
constexpr absl::string_view kTwoRealms = R"(
[[realm]]
name = "a.test"
origins = ["https://a.test"]
hosts = ["turn.a.test"]
listeners = ["192.0.2.1:3480"]
users = ["a:b"]
secrets = ["s"]
secret-hash = "either"
authorizer = "on"
allocations = 3
allocations-per-user = 2
bytes-per-second = 8000
bytes-per-second-in-all = 9000.5
alternate-servers = ["192.0.2.9:3478"]
[[realm]]
name = "b.test"
)";

TEST(SettingsTest, RealmsAreTablesAsManyAsThereAre) {
  const Config config = Read(absl::StrCat(kAuthorizer, kTwoRealms));
  ASSERT_EQ(config.turn.realms.size(), 2u);
  turn::RealmOptions a;
  a.name = "a.test";
  a.origins = {"https://a.test"};
  a.hosts = {"turn.a.test"};
  a.listeners = {*TransportAddress::Parse("192.0.2.1:3480")};
  a.users = {{"a", "b", ""}};
  a.rest_secrets = {"s"};
  a.rest_hash = turn::RestHash::kEither;
  a.authorizing = turn::Authorizing::By::kDriver;
  a.allocations_max = 3;
  a.allocations_per_user_max = 2;
  a.allocation_bytes_per_s = 8000;
  a.total_bytes_per_s = 9000.5;
  a.alternate_servers = {*TransportAddress::Parse("192.0.2.9:3478")};
  EXPECT_EQ(config.turn.realms[0], a);
  turn::RealmOptions b;
  b.name = "b.test";
  EXPECT_EQ(config.turn.realms[1], b);
}

TEST(SettingsTest, AReloadTakesRealms) {
  const Config old = Read(std::string(kAuthorizer));
  const Config next = Read(absl::StrCat(kAuthorizer, kTwoRealms));
  for (const auto& [from, to] : {std::pair(old, next), std::pair(next, old)}) {
    const Reloaded reloaded = Reload(from, to);
    ASSERT_EQ(reloaded.changed.size(), 1u);
    EXPECT_EQ(reloaded.changed[0]->path(), "realm");
    EXPECT_TRUE(reloaded.need_restart.empty());
    EXPECT_EQ(reloaded.config.turn.realms, to.turn.realms);
  }
  EXPECT_TRUE(Reload(next, next).changed.empty());
}

TEST(SettingsTest, AReloadTakesWhatItCan) {
  const Config old = Read("[auth]\nusers = [\"a:1\"]\n");
  const Config next = Read(
      "threads = 9\n[turn]\nrealm = \"new\"\nlifetime = \"12m\"\n"
      "[tls]\ncertificates = [\"c\"]\nkeys = [\"k\"]\n"
      "[auth]\nsecrets = [\"s\"]\n");
  const Reloaded reloaded = Reload(old, next);
  const auto paths = [](const std::vector<const Setting*>& settings) {
    std::vector<std::string> names;
    names.reserve(settings.size());
    for (const Setting* setting : settings) names.push_back(setting->path());
    return names;
  };
  EXPECT_EQ(paths(reloaded.changed),
            (std::vector<std::string>{"turn.lifetime", "auth.users",
                                      "auth.secrets"}));
  EXPECT_EQ(paths(reloaded.need_restart),
            (std::vector<std::string>{"threads", "tls.certificates", "tls.keys",
                                      "turn.realm"}));
  EXPECT_EQ(reloaded.config.turn.realm, "kyuu");
  EXPECT_EQ(reloaded.config.turn.lifetime_default, absl::Minutes(12));
  EXPECT_TRUE(reloaded.config.turn.users.empty());
  EXPECT_EQ(reloaded.config.turn.rest_secrets, std::vector<std::string>{"s"});
}

TEST(SettingsTest, TheNearestNameIsFound) {
  EXPECT_EQ(Nearest("prots", {"ports", "realm"}), "ports");
  EXPECT_EQ(Nearest("lisen", {"listen", "lifetime"}), "listen");
  EXPECT_EQ(Nearest("x", {"ports", "realm"}), "");
  EXPECT_EQ(Nearest("", {"ports"}), "");
}

// Its tables are what `kyuud config doc` prints.
TEST(SettingsTest, TheDocumentationIsTrue) {
  std::ifstream file("docs/operating.md");
  std::stringstream docs;
  docs << file.rdbuf();
  EXPECT_TRUE(absl::StrContains(docs.str(), SettingsAsMarkdown()))
      << "its tables are not what `kyuud config doc` prints";
}

}  // namespace
}  // namespace kyuu::tools
