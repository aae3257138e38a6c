#include "tools/kyuud/doctor/checks.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "net/tcp.h"
#include "net/udp_socket.h"
#include "tools/kyuud/doctor/ports.h"

namespace kyuu::tools {
namespace {

using testing::HasSubstr;

const absl::Time kNow = absl::UnixEpoch() + absl::Hours(24 * 20'000);

Config OnTheNetwork() {
  Config config;
  config.threads = 2;
  config.http_listen = {{IpAddress::V4(0, 0, 0, 0), 443}};
  config.turn_listen = {{IpAddress::V4(0, 0, 0, 0), 3478}};
  config.public_url = PublicUrl::Parse("https://kyuu.example").value();
  return config;
}

// A machine with which all is well.
MachineFacts Sound() {
  MachineFacts facts;
  facts.machine = {{{IpAddress::V4(8, 8, 4, 4), IpAddress::V4(8, 8, 4, 4)}},
                   8 << 20,
                   8 << 20};
  facts.descriptors = {1'048'576, 1'048'576, 1'048'576};
  facts.ports = {{"[http] listen",
                  Transport::kTcp,
                  {IpAddress::V4(0, 0, 0, 0), 443},
                  absl::AlreadyExistsError("in use"),
                  Holder{4711, "kyuud"}}};
  facts.certificates = {
      {"/c.pem",
       std::vector<CertificateFacts>{{"CN = kyuu.example",
                                      "CN = ca",
                                      {"kyuu.example"},
                                      kNow - absl::Hours(24),
                                      kNow + absl::Hours(24 * 60)}},
       absl::OkStatus()}};
  facts.secrets = {{"/secret", 0100640}};
  facts.health = absl::OkStatus();
  facts.kernel = absl::OkStatus();
  facts.backplane = absl::OkStatus();
  facts.clock_synchronized = true;
  facts.memory_bytes = uint64_t{8} << 30;
  return facts;
}

std::string NotPassed(const Config& config, const MachineFacts& facts) {
  std::string all;
  for (const Finding& finding : Check(config, facts, kNow)) {
    if (finding.verdict == Verdict::kPass) continue;
    absl::StrAppend(&all, ToText(finding.verdict), " ", finding.name, ": ",
                    finding.what, "\n", finding.fix, "\n");
  }
  return all;
}

TEST(ChecksTest, WhereAllIsWellOnlyTheFirewallIsNotSeen) {
  const std::string found = NotPassed(OnTheNetwork(), Sound());
  EXPECT_THAT(found, testing::StartsWith("NOT SEEN firewall"));
  EXPECT_THAT(found, HasSubstr("nft add rule inet filter input tcp dport 443 "
                               "accept"));
  EXPECT_THAT(found, HasSubstr("udp dport 49152-65535 accept"));
  EXPECT_THAT(found, HasSubstr("ufw allow 49152:65535/udp"));
  EXPECT_EQ(NotPassed(Config(), Sound()), "");
}

TEST(ChecksTest, ARouterThatSendsNothingBackIsToldWithItsRules) {
  Config config = OnTheNetwork();
  config.relay_addresses = {
      {IpAddress::V4(203, 0, 113, 5), IpAddress::V4(192, 168, 1, 5)}};
  MachineFacts facts = Sound();
  facts.hairpins = {{HairpinFacts::Source::kRelayAddress,
                     {IpAddress::V4(203, 0, 113, 5), 3478},
                     IpAddress::V4(192, 168, 1, 5),
                     std::nullopt}};
  HairpinFacts& hairpin = facts.hairpins[0];
  const auto judged = [&] { return CheckHairpin(config, facts).at(0); };
  EXPECT_EQ(judged().verdict, Verdict::kNotSeen);
  hairpin.answered = absl::OkStatus();
  EXPECT_EQ(judged().verdict, Verdict::kPass);
  hairpin.answered = absl::DeadlineExceededError("it does not answer");
  EXPECT_EQ(judged().verdict, Verdict::kWarn);
  EXPECT_THAT(judged().what, HasSubstr("203.0.113.5:3478"));
  EXPECT_THAT(judged().what, HasSubstr("it does not answer"));
  EXPECT_THAT(judged().fix,
              HasSubstr("ip daddr 203.0.113.5 udp dport '{ 3478, 49152-65535 "
                        "}' dnat to 192.168.1.5\n"));
  EXPECT_THAT(judged().fix, HasSubstr("tcp dport '{ 443 }' dnat to"));
  EXPECT_THAT(judged().fix, HasSubstr("ip daddr 192.168.1.5 ip saddr"));
  // What has another address may as well be a proxy.
  hairpin.source = HairpinFacts::Source::kPublicUrl;
  EXPECT_EQ(judged().verdict, Verdict::kNotSeen);
  EXPECT_THAT(judged().fix,
              HasSubstr("addresses = [\"203.0.113.5/192.168.1.5\"]"));
}

struct Row {
  const char* name;
  void (*change)(MachineFacts& facts);
  const char* expected;  // Of what has not passed: its verdict and name.
  const char* says;      // In what is said, or in the fix.
};

TEST(ChecksTest, EachFaultIsSaidWithItsFix) {
  const Row rows[] = {
      {"unsound",
       [](MachineFacts& f) {
         f.configuration = absl::InvalidArgumentError("realm");
       },
       "FAIL configuration: realm", "kyuud check-config"},
      {"a privileged port",
       [](MachineFacts& f) {
         f.ports[0].bound = absl::PermissionDeniedError("no");
       },
       "FAIL port", "CAP_NET_BIND_SERVICE"},
      {"somebody else's port",
       [](MachineFacts& f) {
         f.ports[0].holder = Holder{12, "nginx"};
       },
       "FAIL port", "held by nginx, process 12"},
      {"nobody knows whose port",
       [](MachineFacts& f) { f.ports[0].holder.reset(); }, "NOT SEEN port",
       "sudo ss -ltnp 'sport = :443'"},
      {"an absent address",
       [](MachineFacts& f) { f.ports[0].bound = absl::NotFoundError("no"); },
       "WARN port", "ip address"},
      {"no certificate",
       [](MachineFacts& f) {
         f.certificates[0].chain = absl::NotFoundError("/c.pem cannot be read");
       },
       "FAIL certificate", "chmod 640 /c.pem"},
      {"another key",
       [](MachineFacts& f) {
         f.certificates[0].usable = absl::InvalidArgumentError("other key");
       },
       "FAIL certificate: other key", "openssl pkey"},
      {"another name",
       [](MachineFacts& f) { f.certificates[0].chain->front().names.clear(); },
       "FAIL tls-name", "certbot certonly -d kyuu.example"},
      {"expired",
       [](MachineFacts& f) {
         f.certificates[0].chain->front().not_after = kNow - absl::Hours(1);
       },
       "FAIL tls-expiry", "certbot renew"},
      {"a secret for all", [](MachineFacts& f) { f.secrets[0].mode = 0100644; },
       "WARN secret", "mode 644"},
      {"a secret that is not there",
       [](MachineFacts& f) { f.secrets[0].mode.reset(); }, "FAIL secret",
       "ls -l /secret"},
      {"few descriptors", [](MachineFacts& f) { f.descriptors.hard = 1024; },
       "WARN descriptors", "LimitNOFILE=28"},
      {"little memory",
       [](MachineFacts& f) { f.memory_bytes = uint64_t{128} << 20; },
       "WARN memory", "connections = 3000"},
      {"memory is not told", [](MachineFacts& f) { f.memory_bytes.reset(); },
       "NOT SEEN memory", "not told"},
      {"small buffers",
       [](MachineFacts& f) { f.machine.receive_buffer_max = 212'992; },
       "WARN machine: net.core.rmem_max", "sysctl -w net.core.rmem_max="},
      {"private relays",
       [](MachineFacts& f) {
         f.machine.relays = {
             {IpAddress::V4(10, 0, 0, 5), IpAddress::V4(10, 0, 0, 5)}};
       },
       "WARN machine: relayed addresses are private",
       "addresses = [\"PUBLIC/10.0.0.5\"]"},
      {"a free clock", [](MachineFacts& f) { f.clock_synchronized = false; },
       "WARN clock", "timedatectl set-ntp true"},
      {"no clock", [](MachineFacts& f) { f.clock_synchronized.reset(); },
       "NOT SEEN clock", "not told"},
      {"nothing runs", [](MachineFacts& f) { f.health.reset(); },
       "NOT SEEN running", "systemctl start kyuud"},
      {"it hangs",
       [](MachineFacts& f) {
         f.health = absl::DeadlineExceededError("too late");
       },
       "FAIL running", "journalctl"},
      {"no kernel path",
       [](MachineFacts& f) {
         f.kernel = absl::PermissionDeniedError("needs CAP_BPF");
       },
       "WARN kernel-path: needs CAP_BPF", "SystemCallFilter=bpf"},
      {"no Redis",
       [](MachineFacts& f) { f.backplane = absl::UnavailableError("refused"); },
       "FAIL backplane: refused", "redis-cli"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    MachineFacts facts = Sound();
    row.change(facts);
    const std::string found = NotPassed(OnTheNetwork(), facts);
    EXPECT_THAT(found, HasSubstr(row.expected));
    EXPECT_THAT(found, HasSubstr(row.says));
  }
}

TEST(ChecksTest, AKernelPathThatIsRequiredAndNotHadIsAFailure) {
  MachineFacts facts = Sound();
  facts.kernel = absl::UnimplementedError("no XDP");
  Config config = OnTheNetwork();
  config.kernel.path = KernelSettings::Path::kRequired;
  EXPECT_THAT(NotPassed(config, facts), HasSubstr("FAIL kernel-path: no XDP"));
}

TEST(PortsTest, WhoListensIsFound) {
  const IpAddress loopback = IpAddress::V4(127, 0, 0, 1);
  TransportAddress tcp, udp;
  {
    const auto listener = net::TcpListener::Open({.bind = {loopback, 0}});
    const auto socket = net::UdpSocket::Open({.bind = {loopback, 0}});
    ASSERT_OK(listener);
    ASSERT_OK(socket);
    tcp = listener->local();
    udp = socket->local();
    for (const auto& [transport, address] :
         {std::pair(Transport::kTcp, tcp), std::pair(Transport::kUdp, udp)}) {
      const PortFacts facts = TryPort("x", transport, address);
      EXPECT_EQ(facts.bound.code(), absl::StatusCode::kAlreadyExists);
      ASSERT_TRUE(facts.holder.has_value());
      EXPECT_EQ(facts.holder->pid, getpid());
      EXPECT_THAT(facts.holder->name, HasSubstr("checks_test"));
    }
  }
  EXPECT_OK(TryPort("x", Transport::kTcp, tcp).bound);
  EXPECT_OK(TryPort("x", Transport::kUdp, udp).bound);
  EXPECT_EQ(TryPort("x", Transport::kUdp, {IpAddress::V4(192, 0, 2, 1), 9})
                .bound.code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace kyuu::tools
