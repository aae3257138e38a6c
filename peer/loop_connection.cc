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

absl::StatusOr<std::unique_ptr<LoopConnection>> LoopConnection::Create(
    net::Loop& loop, const dtls::Certificate& certificate,
    const LoopConnectionOptions& options, Random& random,
    EventHandler on_event) {
  std::unique_ptr<LoopConnection> connection(new LoopConnection(
      loop, certificate, options, random, std::move(on_event)));
  KYUU_RETURN_IF_ERROR(connection->OpenSockets(options));
  return connection;
}

LoopConnection::LoopConnection(net::Loop& loop,
                               const dtls::Certificate& certificate,
                               const LoopConnectionOptions& options,
                               Random& random, EventHandler on_event)
    : connection_(certificate, options.connection, random),
      driver_(loop, connection_, buffer_, std::move(on_event)) {}

absl::Status LoopConnection::OpenSockets(const LoopConnectionOptions& options) {
  KYUU_ASSIGN_OR_RETURN(const std::vector<net::Interface> interfaces,
                        net::Interfaces());
  const auto open = [&](bool loopback) {
    for (const net::Interface& interface : interfaces) {
      if ((interface.kind == net::InterfaceKind::kLoopback) != loopback ||
          interface.address.IsLinkLocal() ||
          sockets_.size() == options.sockets_max) {
        continue;
      }
      // An address may be tentative, or go at any moment: the others count.
      absl::StatusOr<net::UdpSocket> socket =
          net::UdpSocket::Open({.bind = {interface.address, 0}});
      if (!socket.ok()) continue;
      sockets_.push_back(std::make_unique<net::UdpSocket>(*std::move(socket)));
      driver_.AddSocket(*sockets_.back());
      // Before gathering it cannot fail.
      (void)connection_.AddLocalAddress(
          {sockets_.back()->local(), KindOf(interface)});
    }
  };
  open(false);
  if (options.loopback == LoopbackUse::kAlways ||
      (options.loopback == LoopbackUse::kIfAlone && sockets_.empty())) {
    open(true);
  }
  if (sockets_.empty()) {
    return absl::UnavailableError("this machine has no usable IP address");
  }
  return absl::OkStatus();
}

}  // namespace kyuu::peer
