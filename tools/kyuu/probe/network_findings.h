// What `kyuu netcheck` has found out about a network, and how it says so.

#ifndef KYUU_TOOLS_KYUU_PROBE_NETWORK_FINDINGS_H_
#define KYUU_TOOLS_KYUU_PROBE_NETWORK_FINDINGS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ice/candidate.h"
#include "stun/nat_discovery.h"
#include "tools/kyuu/probe/stun_probe.h"

namespace kyuu::tools {

struct NetworkFindings {
  // One protocol to one address of a server.
  struct Way {
    ice::RelayProtocol protocol = ice::RelayProtocol::kUdp;
    std::string server;  // As it was named, with the address that was tried.
    absl::StatusOr<StunAnswer> answer;
  };
  std::vector<Way> ways;
  // By the first way over UDP that worked, if there was one.
  std::optional<stun::NatReport> nat;
  std::optional<stun::NatLifetime> lifetime;

  bool Works(ice::RelayProtocol protocol) const;
};

// WayInWords is one line: "udp   stun.example.org (192.0.2.1:3478): works,
// ...".
std::string WayInWords(const NetworkFindings::Way& way);

// NatInWords is what the NAT or firewall does, a line each.
std::vector<std::string> NatInWords(const NetworkFindings& findings);

// Verdict says what will work in this network and what to open, a line each.
std::vector<std::string> Verdict(const NetworkFindings& findings);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PROBE_NETWORK_FINDINGS_H_
