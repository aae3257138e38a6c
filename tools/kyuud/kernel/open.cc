#include "tools/kyuud/kernel/open.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {

using relay::kernel::KernelPath;
using relay::kernel::ProgramOptions;

std::vector<IpAddress> AddressesOf(const relay::Cluster& cluster) {
  std::vector<IpAddress> addresses;
  for (const auto& relay : cluster.relay_addresses()) {
    addresses.push_back(relay.bind);
  }
  for (const TransportAddress& listener : cluster.listeners()) {
    addresses.push_back(listener.ip);
  }
  return addresses;
}

ProgramOptions KernelProgram(const KernelSettings& settings,
                             absl::Span<const TransportAddress> listeners) {
  ProgramOptions options;
  options.flows_max = static_cast<uint32_t>(settings.flows);
  if (settings.stun == KernelSettings::Stun::kOn) {
    options.binding_per_s = static_cast<uint32_t>(settings.stun_per_s);
    options.binding_burst = options.binding_per_s * 10;
  }
  std::vector<uint16_t>& ports = options.listeners;
  for (const TransportAddress& listener : listeners) {
    if (std::find(ports.begin(), ports.end(), listener.port) == ports.end()) {
      ports.push_back(listener.port);
    }
  }
  return options;
}

absl::StatusOr<std::unique_ptr<KernelPath>> OpenKernelPath(
    const KernelSettings& settings, const relay::Cluster& cluster,
    net::Loop& loop) {
  if (settings.path == KernelSettings::Path::kOff) return nullptr;
  KernelPath::Options options;
  options.addresses = AddressesOf(cluster);
  options.program = KernelProgram(settings, cluster.listeners());
  options.on_change = [](const std::string& where, const absl::Status& status) {
    spdlog::info("turn: relaying in the kernel at {}", where);
    if (!status.ok()) {
      spdlog::warn("turn: no relaying in the kernel at {}",
                   std::string(status.message()));
    }
  };
  absl::StatusOr<std::unique_ptr<KernelPath>> path =
      KernelPath::Open(loop, std::move(options));
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
