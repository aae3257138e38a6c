#include "tools/kyuud/kernel/open.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "net/interfaces.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {

using relay::kernel::KernelPath;

absl::Status CheckKernelStun(const KernelSettings& settings,
                             const turn::ServerOptions& turn) {
  if (settings.stun == KernelSettings::Stun::kOff) return absl::OkStatus();
  if (settings.path == KernelSettings::Path::kOff) {
    return absl::InvalidArgumentError("--kernel-stun needs --kernel-path");
  }
  if (!turn.allow_clients.empty() || !turn.deny_clients.empty()) {
    return absl::InvalidArgumentError(
        "--kernel-stun answers everybody: it cannot be had with clients that "
        "are allowed or denied");
  }
  if (!turn.discovery.empty()) {
    return absl::InvalidArgumentError(
        "--kernel-stun answers from where it is asked: it cannot be had with "
        "the other address of RFC 5780");
  }
  return absl::OkStatus();
}

std::vector<IpAddress> AddressesOf(const relay::Cluster& cluster) {
  std::vector<IpAddress> addresses;
  for (const auto& relay : cluster.relay_addresses()) {
    addresses.push_back(relay.bind);
  }
  for (const TransportAddress& listener : cluster.listeners()) {
    if (!listener.ip.IsAny()) {
      addresses.push_back(listener.ip);
      continue;
    }
    const auto interfaces = net::Interfaces();
    if (!interfaces.ok()) continue;
    for (const net::Interface& interface : *interfaces) {
      if (interface.address.family() == listener.ip.family()) {
        addresses.push_back(interface.address);
      }
    }
  }
  return addresses;
}

absl::StatusOr<std::unique_ptr<KernelPath>> OpenKernelPath(
    const KernelSettings& settings, const turn::ServerOptions& turn,
    const relay::Cluster& cluster, net::Loop& loop) {
  KYUU_RETURN_IF_ERROR(CheckKernelStun(settings, turn));
  if (settings.path == KernelSettings::Path::kOff) return nullptr;
  KernelPath::Options options;
  options.addresses = AddressesOf(cluster);
  options.program.flows_max = static_cast<uint32_t>(settings.flows);
  if (settings.stun == KernelSettings::Stun::kOn) {
    options.program.binding_per_s = static_cast<uint32_t>(settings.stun_per_s);
    options.program.binding_burst = options.program.binding_per_s * 10;
  }
  std::vector<uint16_t>& ports = options.program.listeners;
  for (const TransportAddress& listener : cluster.listeners()) {
    if (std::find(ports.begin(), ports.end(), listener.port) == ports.end()) {
      ports.push_back(listener.port);
    }
  }
  absl::StatusOr<std::unique_ptr<KernelPath>> path =
      KernelPath::Open(loop, options);
  if (path.ok()) {
    spdlog::info("turn: relaying in the kernel at {}", (*path)->Where());
    return path;
  }
  if (settings.path == KernelSettings::Path::kRequired) {
    return absl::Status(
        path.status().code(),
        absl::StrCat("--kernel-path=required: ", path.status().message()));
  }
  spdlog::warn("turn: no relaying in the kernel: {}",
               std::string(path.status().message()));
  return nullptr;
}

}  // namespace kyuu::tools
