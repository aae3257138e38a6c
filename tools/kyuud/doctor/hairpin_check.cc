// What is to be said of routers in front of the server that have its public
// address.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tools/kyuud/doctor/checks.h"

namespace kyuu::tools {
namespace {

std::string PortsOf(const std::vector<TransportAddress>& listens) {
  std::vector<uint16_t> ports;
  for (const TransportAddress& listen : listens) {
    if (!listen.ip.IsLoopback() && listen.port != 0) {
      ports.push_back(listen.port);
    }
  }
  std::sort(ports.begin(), ports.end());
  ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
  return absl::StrJoin(ports, ", ");
}

// Lines for the router, if it is a Linux with nftables. The rule for
// destinations names no interface: that is what sends back what comes from
// inside; and without another source the server would answer past the router,
// from an address that was not asked.
std::string RouterRules(const Config& config, const HairpinFacts& facts) {
  const bool is_v4 = facts.here.is_v4();
  const char* family = is_v4 ? "ip" : "ip6";
  const std::string rule = absl::StrCat("nft add rule ", family, " hairpin ");
  const std::string chain = absl::StrCat("nft add chain ", family, " hairpin ");
  const std::string to = absl::StrCat(" dnat to ", facts.here.ToString(), "\n");
  std::string udp = PortsOf(config.turn_listen);
  absl::StrAppend(&udp, udp.empty() ? "" : ", ", config.turn.relay_port_low,
                  "-", config.turn.relay_port_high);
  const std::string tcp = PortsOf(config.http_listen);
  const std::string asked =
      absl::StrCat(family, " daddr ", facts.asked.ip.ToString());
  std::string rules = absl::StrCat(
      "# on the router that has ", facts.asked.ip.ToString(),
      "\nnft add table ", family, " hairpin\n", chain,
      "prerouting '{ type nat hook prerouting priority -100; }'\n", rule,
      "prerouting ", asked, " udp dport '{ ", udp, " }'", to);
  if (!tcp.empty()) {
    absl::StrAppend(&rules, rule, "prerouting ", asked, " tcp dport '{ ", tcp,
                    " }'", to);
  }
  absl::StrAppend(
      &rules, chain,
      "postrouting '{ type nat hook postrouting priority 100; }'\n", rule,
      "postrouting ", family, " daddr ", facts.here.ToString(), " ", family,
      " saddr ",
      is_v4 ? "'{ 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16 }'"
            : "fc00::/7",
      " masquerade");
  return rules;
}

Finding JudgeHairpin(const Config& config, const HairpinFacts& facts) {
  const std::string asked = facts.asked.ToString();
  if (!facts.answered) {
    return {Verdict::kNotSeen, "hairpin",
            absl::StrCat("whether ", asked,
                         ", which is no address of this machine, is answered "
                         "from here: no kyuud runs"),
            "systemctl start kyuud"};
  }
  if (facts.answered->ok()) {
    return {Verdict::kPass, "hairpin",
            absl::StrCat(asked,
                         ", which is no address of this machine, is answered "
                         "from here: clients on this side of the router reach "
                         "the server by it")};
  }
  if (facts.source == HairpinFacts::Source::kPublicUrl) {
    return {Verdict::kNotSeen, "hairpin",
            absl::StrCat("STUN at ", asked,
                         ", the address of [http] "
                         "public-url, from here (",
                         facts.answered->message(),
                         "): it is a proxy's that passes on no UDP, or a "
                         "router's that does not send back what comes from "
                         "this side of it"),
            absl::StrCat("# if it is a router's:\n# /etc/kyuud/kyuud.toml\n"
                         "[relay]\naddresses = [\"",
                         facts.asked.ip.ToString(), "/", facts.here.ToString(),
                         "\"]")};
  }
  return {Verdict::kWarn, "hairpin",
          absl::StrCat("STUN at ", asked, ", the router's address of ",
                       facts.here.ToString(), ", is not answered from here (",
                       facts.answered->message(),
                       "): clients on this side of the router reach neither "
                       "the server nor what it relays by that address"),
          RouterRules(config, facts)};
}

}  // namespace

std::vector<Finding> CheckHairpin(const Config& config,
                                  const MachineFacts& facts) {
  std::vector<Finding> findings;
  for (const HairpinFacts& hairpin : facts.hairpins) {
    findings.push_back(JudgeHairpin(config, hairpin));
  }
  return findings;
}

}  // namespace kyuu::tools
