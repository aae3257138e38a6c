#include "tools/kyuud/doctor/checks.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace kyuu::tools {
namespace {

// docs/operating.md, "Sizing": an allocation with the kernel's part, a
// connection with TLS (OpenSSL keeps 14 to 48 kB), and what all clients
// together may make the server hold (FrontDoorOptions, StreamSettings).
constexpr uint64_t kAllocationBytes = 3'600;
constexpr uint64_t kConnectionBytes = 20'000;
constexpr uint64_t kBaseBytes = uint64_t{192} << 20;

const char* Name(Transport transport) {
  return transport == Transport::kUdp ? "udp" : "tcp";
}

Finding CheckPort(const PortFacts& port) {
  const std::string what = absl::StrCat(port.setting, " ", Name(port.transport),
                                        " ", port.address.ToString());
  if (port.bound.ok()) return {Verdict::kPass, "port", what + " is free"};
  if (absl::IsPermissionDenied(port.bound)) {
    return {Verdict::kFail, "port",
            what + " may not be bound: ports below 1024 need a capability",
            "# systemctl edit kyuud\n[Service]\n"
            "AmbientCapabilities=CAP_NET_BIND_SERVICE\n"
            "# or without systemd: setcap cap_net_bind_service=+ep "
            "/usr/local/bin/kyuud"};
  }
  if (absl::IsNotFound(port.bound)) {
    return {Verdict::kWarn, "port",
            what + " is no address of this machine; it is served once it is",
            "ip address   # shows those that there are"};
  }
  if (!absl::IsAlreadyExists(port.bound)) {
    return {Verdict::kFail, "port",
            absl::StrCat(what, ": ", port.bound.message())};
  }
  const std::string look =
      absl::StrCat("ss -l", port.transport == Transport::kUdp ? "u" : "t",
                   "np 'sport = :", port.address.port, "'");
  if (!port.holder) {
    return {Verdict::kNotSeen, "port",
            what + " is held by a process of another user, perhaps a kyuud",
            "sudo " + look};
  }
  if (port.holder->name == "kyuud") {
    return {Verdict::kPass, "port",
            absl::StrCat(what, " is held by a running kyuud, process ",
                         port.holder->pid)};
  }
  return {Verdict::kFail, "port",
          absl::StrCat(what, " is held by ", port.holder->name, ", process ",
                       port.holder->pid),
          absl::StrCat(look, "\nkill ", port.holder->pid,
                       "   # or another port in ", port.setting)};
}

Finding CheckDescriptors(const Config& config, const MachineFacts& facts) {
  const net::DescriptorBudget wanted = WantedDescriptors(config);
  const net::DescriptorBudget budget = net::DivideDescriptors(
      facts.descriptors.hard, ReservedDescriptors(config), wanted);
  const std::string what = absl::StrCat(
      "a hard limit of ", facts.descriptors.hard, " descriptors is enough for ",
      budget.connections, " connections and ", budget.relays, " relays");
  if (budget.connections >= wanted.connections &&
      budget.relays >= wanted.relays) {
    return {Verdict::kPass, "descriptors", what};
  }
  return {Verdict::kWarn, "descriptors",
          absl::StrCat(what, "; the settings want ", wanted.connections,
                       " and ", wanted.relays),
          absl::StrCat("# systemctl edit kyuud\n[Service]\nLimitNOFILE=",
                       wanted.connections + wanted.relays +
                           ReservedDescriptors(config))};
}

Finding CheckMemory(const Config& config, const MachineFacts& facts) {
  if (!facts.memory_bytes) {
    return {Verdict::kNotSeen, "memory",
            "how much this process may have is not told"};
  }
  const net::DescriptorBudget wanted = WantedDescriptors(config);
  const uint64_t needed = kBaseBytes + wanted.connections * kConnectionBytes +
                          wanted.relays * kAllocationBytes;
  const std::string what = absl::StrFormat(
      "full of clients it takes about %d MB, and it may have %d MB",
      needed >> 20, *facts.memory_bytes >> 20);
  if (needed <= *facts.memory_bytes) return {Verdict::kPass, "memory", what};
  return {Verdict::kWarn, "memory", what,
          absl::StrCat(
              "# /etc/kyuud/kyuud.toml\n[limits]\nconnections = ",
              std::max<uint64_t>(wanted.connections / 4, 100),
              "\nallocations = ", std::max<uint64_t>(wanted.relays / 4, 100))};
}

void AddPort(std::string& nft, std::string& ufw, const char* protocol,
             const std::string& port) {
  absl::StrAppend(&nft, "nft add rule inet filter input ", protocol, " dport ",
                  port, " accept\n");
  std::string range = port;
  std::replace(range.begin(), range.end(), '-', ':');
  absl::StrAppend(&ufw, "ufw allow ", range, "/", protocol, "\n");
}

}  // namespace

std::vector<Finding> CheckPorts(const MachineFacts& facts) {
  std::vector<Finding> findings;
  findings.reserve(facts.ports.size());
  for (const PortFacts& port : facts.ports) {
    findings.push_back(CheckPort(port));
  }
  return findings;
}

std::vector<Finding> CheckCertificates(const Config& config,
                                       const MachineFacts& facts,
                                       absl::Time now) {
  std::vector<Finding> findings;
  bool named = false;
  const std::string host =
      config.public_url ? config.public_url->origin.host : "";
  for (const CertificatePairFacts& pair : facts.certificates) {
    if (!pair.chain.ok()) {
      findings.push_back(
          {Verdict::kFail, "certificate",
           std::string(pair.chain.status().message()),
           absl::StrCat("chown root:kyuu ", pair.certificate_file,
                        " && chmod 640 ", pair.certificate_file)});
      continue;
    }
    if (pair.usable.ok()) {
      findings.push_back({Verdict::kPass, "certificate",
                          absl::StrCat(pair.certificate_file, " and its key")});
    } else {
      findings.push_back(
          {Verdict::kFail, "certificate", std::string(pair.usable.message()),
           absl::StrCat("openssl x509 -noout -pubkey -in ",
                        pair.certificate_file,
                        "; openssl pkey -pubout -in KEY   # are to be equal")});
    }
    findings.push_back(JudgeExpiry(*pair.chain, now));
    findings.push_back(JudgeOrder(*pair.chain));
    named = named || IsMadeOutTo(pair.chain->front(), host);
  }
  if (!facts.certificates.empty() && !host.empty() && !named) {
    findings.push_back({Verdict::kFail, "tls-name",
                        absl::StrCat("no certificate is made out to ", host,
                                     ", the name of [http] public-url"),
                        absl::StrCat("certbot certonly -d ", host)});
  }
  return findings;
}

std::vector<Finding> CheckSecrets(const MachineFacts& facts) {
  std::vector<Finding> findings;
  for (const SecretFileFacts& secret : facts.secrets) {
    if (!secret.mode) {
      findings.push_back({Verdict::kFail, "secret",
                          secret.file + " cannot be looked at",
                          "ls -l " + secret.file});
    } else if ((*secret.mode & 07) != 0) {
      findings.push_back(
          {Verdict::kWarn, "secret",
           absl::StrFormat("%s is open to every user of this machine (mode "
                           "%03o)",
                           secret.file, *secret.mode & 0777),
           absl::StrCat("chown root:kyuu ", secret.file, " && chmod 640 ",
                        secret.file)});
    } else {
      findings.push_back({Verdict::kPass, "secret",
                          secret.file + " is nobody else's to read"});
    }
  }
  return findings;
}

std::vector<Finding> CheckResources(const Config& config,
                                    const MachineFacts& facts) {
  std::vector<Finding> findings = {CheckDescriptors(config, facts),
                                   CheckMemory(config, facts)};
  const std::vector<StartWarning> warnings =
      StartWarnings(config, facts.machine);
  for (const StartWarning& warning : warnings) {
    findings.push_back({Verdict::kWarn, "machine", warning.what, warning.fix});
  }
  if (warnings.empty()) {
    findings.push_back({Verdict::kPass, "machine",
                        "buffers and relayed addresses are as they should be"});
  }
  if (!facts.clock_synchronized) {
    findings.push_back({Verdict::kNotSeen, "clock",
                        "whether the clock is right is not told here"});
  } else if (*facts.clock_synchronized) {
    findings.push_back({Verdict::kPass, "clock", "is synchronized"});
  } else {
    findings.push_back({Verdict::kWarn, "clock",
                        "is not synchronized: credentials, tokens and "
                        "certificates expire at the wrong time",
                        "timedatectl set-ntp true"});
  }
  return findings;
}

std::vector<Finding> CheckServices(const Config& config,
                                   const MachineFacts& facts) {
  std::vector<Finding> findings;
  if (!facts.health) {
    findings.push_back({Verdict::kNotSeen, "running",
                        "no kyuud with these settings runs here",
                        "systemctl start kyuud"});
  } else if (facts.health->ok()) {
    findings.push_back({Verdict::kPass, "running",
                        "the kyuud that runs here answers /healthz"});
  } else {
    findings.push_back(
        {Verdict::kFail, "running",
         absl::StrCat("what runs here does not answer /healthz: ",
                      facts.health->message()),
         "systemctl status kyuud; journalctl -u kyuud -n 50"});
  }
  if (facts.kernel && facts.kernel->ok()) {
    findings.push_back({Verdict::kPass, "kernel-path",
                        "the kernel takes the program; interfaces are tried "
                        "at the start"});
  } else if (facts.kernel) {
    const bool required = config.kernel.path == KernelSettings::Path::kRequired;
    findings.push_back(
        {required ? Verdict::kFail : Verdict::kWarn, "kernel-path",
         std::string(facts.kernel->message()),
         absl::IsPermissionDenied(*facts.kernel)
             ? "# systemctl edit kyuud\n[Service]\nAmbientCapabilities="
               "CAP_NET_BIND_SERVICE CAP_BPF CAP_NET_ADMIN CAP_PERFMON\n"
               "CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_BPF "
               "CAP_NET_ADMIN CAP_PERFMON\nSystemCallFilter=bpf"
             : "# /etc/kyuud/kyuud.toml\n[relay]\nkernel-path = \"off\""});
  }
  if (facts.backplane && facts.backplane->ok()) {
    findings.push_back({Verdict::kPass, "backplane", "Redis answers"});
  } else if (facts.backplane) {
    findings.push_back({Verdict::kFail, "backplane",
                        std::string(facts.backplane->message()),
                        "redis-cli -u redis://HOST:PORT ping (over TLS "
                        "rediss://, and --cacert FILE)"});
  }
  return findings;
}

Finding FirewallHint(const Config& config) {
  std::string nft, ufw;
  const auto add = [&](const std::vector<TransportAddress>& listens,
                       const char* protocol) {
    std::vector<uint16_t> ports;
    for (const TransportAddress& listen : listens) {
      if (!listen.ip.IsLoopback()) ports.push_back(listen.port);
    }
    std::sort(ports.begin(), ports.end());
    ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
    for (const uint16_t port : ports) {
      AddPort(nft, ufw, protocol, absl::StrCat(port));
    }
    return !ports.empty();
  };
  bool any = add(config.http_listen, "tcp");
  any = add(config.turn_listen, "udp") || any;
  if (!any) {
    return {Verdict::kPass, "firewall",
            "only loopback is listened at, which no firewall hides"};
  }
  if (config.mode == Mode::kAll || config.mode == Mode::kTurn) {
    AddPort(nft, ufw, "udp",
            absl::StrCat(config.turn.relay_port_low, "-",
                         config.turn.relay_port_high));
  }
  return {Verdict::kNotSeen, "firewall",
          "whether these ports are open; kyuu doctor sees it from outside",
          absl::StrCat(nft, "# or\n", ufw.substr(0, ufw.size() - 1))};
}

std::vector<Finding> Check(const Config& config, const MachineFacts& facts,
                           absl::Time now) {
  std::vector<Finding> findings;
  if (facts.configuration.ok()) {
    findings.push_back({Verdict::kPass, "configuration", "is sound"});
  } else {
    findings.push_back({Verdict::kFail, "configuration",
                        std::string(facts.configuration.message()),
                        absl::StrCat("kyuud check-config ", config.file)});
  }
  for (const std::string& name : config.unknown_variables) {
    findings.push_back({Verdict::kWarn, "configuration",
                        absl::StrCat("the variable ", name, " sets nothing"),
                        absl::StrCat("unset ", name)});
  }
  Append(findings, CheckPorts(facts));
  Append(findings, CheckCertificates(config, facts, now));
  Append(findings, CheckSecrets(facts));
  Append(findings, CheckResources(config, facts));
  Append(findings, CheckServices(config, facts));
  Append(findings, CheckHairpin(config, facts));
  findings.push_back(FirewallHint(config));
  return findings;
}

}  // namespace kyuu::tools
