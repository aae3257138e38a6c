#include "tools/kyuu/network_use/network_use.h"

#include <cstdint>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/address.h"
#include "base/status_macros.h"

namespace kyuu::tools {
namespace {

absl::StatusOr<uint16_t> ParsePort(absl::string_view text) {
  uint32_t port;
  if (text.empty() || text.find_first_not_of("0123456789") != text.npos ||
      !absl::SimpleAtoi(text, &port) || port == 0 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is no port: 1 to 65535"));
  }
  return static_cast<uint16_t>(port);
}

void AddBlocks(CLI::App& command, const char* flag,
               std::vector<IpPrefix>& blocks, const char* what) {
  command
      .add_option_function<std::vector<std::string>>(
          flag,
          [flag, &blocks](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) {
              const auto block = IpPrefix::Parse(text);
              if (!block.ok()) {
                throw CLI::ValidationError(
                    flag, absl::StrCat("\"", text,
                                       "\" is no address, and no block such as "
                                       "192.0.2.0/24 or 2001:db8::/32"));
              }
              blocks.push_back(*block);
            }
          },
          what)
      ->type_name("CIDR")
      ->allow_extra_args(false);
}

}  // namespace

void NetworkUse::ApplyTo(peer::LoopConnectionOptions& options) const {
  options.use_addresses = use;
  options.port_range = ports;
  options.connection.advertise = advertise;
  options.connection.ice.peers = peers;
}

absl::StatusOr<peer::PortRange> ParsePortRange(absl::string_view text) {
  const size_t dash = text.find('-');
  KYUU_ASSIGN_OR_RETURN(const uint16_t low, ParsePort(text.substr(0, dash)));
  if (dash == text.npos) return peer::PortRange{low, low};
  KYUU_ASSIGN_OR_RETURN(const uint16_t high, ParsePort(text.substr(dash + 1)));
  if (high < low) {
    return absl::InvalidArgumentError(
        absl::StrCat(text, " ends before it begins"));
  }
  return peer::PortRange{low, high};
}

void AddNetworkUse(CLI::App& command, NetworkUse& use) {
  AddBlocks(command, "--use", use.use.only,
            "Use these addresses of this machine alone; repeatable");
  AddBlocks(command, "--no-use", use.use.except,
            "Use none of these; repeatable");
  AddBlocks(command, "--advertise", use.advertise.only,
            "Tell the peer these of them alone; repeatable");
  AddBlocks(command, "--no-advertise", use.advertise.except,
            "Tell none of these; repeatable");
  AddBlocks(command, "--allow-peer", use.peers.only,
            "Connect to these addresses of the peer alone, relays of its "
            "included; repeatable");
  AddBlocks(command, "--deny-peer", use.peers.except,
            "Connect to none of these; repeatable");
  command
      .add_option_function<std::string>(
          "--port-range",
          [&use](const std::string& text) {
            const auto range = ParsePortRange(text);
            if (!range.ok()) {
              throw CLI::ValidationError("--port-range",
                                         std::string(range.status().message()));
            }
            use.ports = *range;
          },
          "Ports of this machine that connections use, as a firewall lets them "
          "through: 50000-50100")
      ->type_name("LOW-HIGH");
}

}  // namespace kyuu::tools
