#include "peer/host_sockets.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "base/status_macros.h"

namespace kyuu::peer {
namespace {

// What the name of an interface says by convention (systemd's and older
// schemes), for the order of candidates.
ice::InterfaceKind KindOf(const net::Interface& interface) {
  struct Row {
    const char* prefix;
    ice::InterfaceKind kind;
  };
  static constexpr Row kRows[] = {
      {"en", ice::InterfaceKind::kEthernet},
      {"eth", ice::InterfaceKind::kEthernet},
      {"wl", ice::InterfaceKind::kWifi},
      {"ww", ice::InterfaceKind::kCellular},
      {"ppp", ice::InterfaceKind::kCellular},
      {"tun", ice::InterfaceKind::kVpn},
      {"wg", ice::InterfaceKind::kVpn},
      {"tailscale", ice::InterfaceKind::kVpn},
  };
  if (interface.kind == net::InterfaceKind::kLoopback) {
    return ice::InterfaceKind::kLoopback;
  }
  for (const Row& row : kRows) {
    if (absl::StartsWith(interface.name, row.prefix)) return row.kind;
  }
  return ice::InterfaceKind::kUnknown;
}

// Bridges that container and virtual machine software makes: their addresses
// are the same on many machines, and nobody outside reaches them.
bool IsPrivateBridge(const net::Interface& interface) {
  static constexpr const char* kPrefixes[] = {
      "docker", "br-", "virbr", "lxcbr", "lxdbr", "podman", "cni", "vmnet"};
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [&](const char* prefix) {
                       return absl::StartsWith(interface.name, prefix);
                     });
}

}  // namespace

std::vector<net::Interface> ChooseAddresses(
    const std::vector<net::Interface>& interfaces, LoopbackUse loopback) {
  std::vector<net::Interface> network, link_local, bridges, inside;
  for (const net::Interface& interface : interfaces) {
    if (interface.kind == net::InterfaceKind::kLoopback) {
      inside.push_back(interface);
    } else if (IsPrivateBridge(interface)) {
      if (!interface.address.IsLinkLocal()) bridges.push_back(interface);
    } else if (interface.address.IsLinkLocal()) {
      link_local.push_back(interface);
    } else {
      network.push_back(interface);
    }
  }
  std::vector<net::Interface> chosen = !network.empty()      ? network
                                       : !link_local.empty() ? link_local
                                                             : bridges;
  if (loopback == LoopbackUse::kAlways ||
      (loopback == LoopbackUse::kIfAlone && chosen.empty())) {
    chosen.insert(chosen.end(), inside.begin(), inside.end());
  }
  return chosen;
}

size_t HostSockets::OpenNew(const std::vector<net::Interface>& chosen) {
  size_t opened = 0;
  for (const net::Interface& interface : chosen) {
    const bool known = std::any_of(
        sockets_.begin(), sockets_.end(),
        [&](const HostSocket& host) { return host.ip == interface.address; });
    if (known || sockets_.size() >= max_) continue;
    // An address may be tentative, or go at any moment: the others count.
    absl::StatusOr<net::UdpSocket> socket =
        net::UdpSocket::Open({.bind = {interface.address, 0}});
    if (!socket.ok()) continue;
    sockets_.push_back({std::make_unique<net::UdpSocket>(*std::move(socket)),
                        KindOf(interface), interface.address});
    ++opened;
  }
  return opened;
}

absl::StatusOr<HostSockets> HostSockets::Open(LoopbackUse loopback,
                                              size_t max) {
  KYUU_ASSIGN_OR_RETURN(const std::vector<net::Interface> interfaces,
                        net::Interfaces());
  HostSockets sockets(loopback, max);
  if (sockets.OpenNew(ChooseAddresses(interfaces, loopback)) == 0) {
    return absl::UnavailableError("this machine has no usable IP address");
  }
  return sockets;
}

HostSockets::Changes HostSockets::Refresh() {
  Changes changes;
  const absl::StatusOr<std::vector<net::Interface>> interfaces =
      net::Interfaces();
  if (!interfaces.ok()) return changes;
  const std::vector<net::Interface> chosen =
      ChooseAddresses(*interfaces, loopback_);
  if (chosen.empty()) return changes;
  const auto gone = std::stable_partition(
      sockets_.begin(), sockets_.end(), [&](const HostSocket& host) {
        return std::any_of(chosen.begin(), chosen.end(),
                           [&](const net::Interface& interface) {
                             return interface.address == host.ip;
                           });
      });
  std::move(gone, sockets_.end(), std::back_inserter(changes.gone));
  sockets_.erase(gone, sockets_.end());
  const size_t opened = OpenNew(chosen);
  for (size_t i = sockets_.size() - opened; i < sockets_.size(); ++i) {
    changes.added.push_back(&sockets_[i]);
  }
  return changes;
}

}  // namespace kyuu::peer
