#include "peer/loop_connection.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "ice/gatherer.h"
#include "net/interfaces.h"

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

}  // namespace

absl::StatusOr<std::vector<HostSocket>> OpenHostSockets(LoopbackUse loopback,
                                                        size_t max) {
  KYUU_ASSIGN_OR_RETURN(const std::vector<net::Interface> interfaces,
                        net::Interfaces());
  std::vector<HostSocket> sockets;
  const auto open = [&](bool is_loopback) {
    for (const net::Interface& interface : interfaces) {
      if ((interface.kind == net::InterfaceKind::kLoopback) != is_loopback ||
          interface.address.IsLinkLocal() || sockets.size() == max) {
        continue;
      }
      // An address may be tentative, or go at any moment: the others count.
      absl::StatusOr<net::UdpSocket> socket =
          net::UdpSocket::Open({.bind = {interface.address, 0}});
      if (!socket.ok()) continue;
      sockets.push_back({std::make_unique<net::UdpSocket>(*std::move(socket)),
                         KindOf(interface)});
    }
  };
  open(false);
  if (loopback == LoopbackUse::kAlways ||
      (loopback == LoopbackUse::kIfAlone && sockets.empty())) {
    open(true);
  }
  if (sockets.empty()) {
    return absl::UnavailableError("this machine has no usable IP address");
  }
  return sockets;
}

absl::StatusOr<std::unique_ptr<LoopConnection>> LoopConnection::Create(
    net::Loop& loop, const dtls::Certificate& certificate,
    const LoopConnectionOptions& options, Random& random,
    EventHandler on_event) {
  KYUU_ASSIGN_OR_RETURN(std::vector<HostSocket> sockets,
                        OpenHostSockets(options.loopback, options.sockets_max));
  std::unique_ptr<LoopConnection> connection(new LoopConnection(
      loop, certificate, options, random, std::move(on_event)));
  for (HostSocket& host : sockets) {
    connection->driver_.AddSocket(*host.socket);
    // Before gathering it cannot fail.
    (void)connection->connection_.AddLocalAddress(
        {host.socket->local(), host.kind});
  }
  connection->sockets_ = std::move(sockets);
  return connection;
}

LoopConnection::LoopConnection(net::Loop& loop,
                               const dtls::Certificate& certificate,
                               const LoopConnectionOptions& options,
                               Random& random, EventHandler on_event)
    : connection_(certificate, options.connection, random),
      driver_(loop, connection_, buffer_, std::move(on_event)) {}

}  // namespace kyuu::peer
