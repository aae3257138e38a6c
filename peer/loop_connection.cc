#include "peer/loop_connection.h"

#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "net/tcp.h"

namespace kyuu::peer {

absl::StatusOr<std::unique_ptr<LoopConnection>> LoopConnection::Create(
    net::Loop& loop, const dtls::Certificate& certificate,
    const LoopConnectionOptions& options, Random& random,
    EventHandler on_event) {
  std::optional<HostSockets> sockets;
  if (options.port == nullptr) {
    KYUU_ASSIGN_OR_RETURN(
        sockets, HostSockets::Open({.loopback = options.loopback,
                                    .max = options.sockets_max,
                                    .tcp = options.tcp,
                                    .hide_addresses = options.hide_addresses,
                                    .nat_mappings = options.nat_mappings,
                                    .use = options.use_addresses,
                                    .port_range = options.port_range}));
  } else if (options.hide_addresses) {
    return absl::InvalidArgumentError("a shared port hides no addresses");
  } else {
    KYUU_RETURN_IF_ERROR(options.port->Reserve());
  }
  return std::unique_ptr<LoopConnection>(
      new LoopConnection(loop, certificate, options, random, std::move(sockets),
                         std::move(on_event)));
}

LoopConnection::LoopConnection(net::Loop& loop,
                               const dtls::Certificate& certificate,
                               const LoopConnectionOptions& options,
                               Random& random,
                               std::optional<HostSockets> sockets,
                               EventHandler on_event)
    : connection_(certificate, options.connection, random),
      sockets_(std::move(sockets)),
      on_event_(std::make_shared<EventHandler>(std::move(on_event))),
      driver_(loop, connection_, loop.Shared<net::ReceiveBuffer>(),
              [this](ConnectionEvent event) { OnEvent(std::move(event)); }),
      streams_(loop, options.streams, JoinStreams(connection_, driver_)),
      peer_streams_(loop, options.peer_streams,
                    JoinPeerStreams(connection_, driver_)),
      names_(loop) {
  driver_.SendStreamsBy([this](const Datagram& message) {
    if (!peer_streams_.Send(message)) streams_.Send(message);
  });
  if (sockets_) {
    for (const HostSocket& host : sockets_->sockets()) Add(host);
    watch_.emplace(loop, [this] { FollowAddresses(); });
  } else {
    seat_.emplace(*options.port, connection_, driver_, &peer_streams_);
  }
}

void LoopConnection::Add(const HostSocket& host) {
  driver_.AddSocket(*host.socket);
  for (net::TcpListener* listener : host.listeners()) {
    peer_streams_.AddListener(*listener);
  }
  if (!host.name.empty()) {
    // Too many for one: the peer finds us by our checks.
    (void)names_.Publish(host.name, host.ip, host.interface);
  }
  // There is room for as many as were opened; if not, ICE does without.
  (void)connection_.AddLocalAddress(net::Loop::Now(), host.address());
}

void LoopConnection::Remove(const HostSocket& host) {
  driver_.RemoveSocket(*host.socket);
  for (net::TcpListener* listener : host.listeners()) {
    peer_streams_.RemoveListener(*listener);
  }
  if (!host.name.empty()) names_.Withdraw(host.name);
  // Refused once closed, and then nobody needs it.
  (void)connection_.RemoveLocalAddress(net::Loop::Now(),
                                       host.address().address);
}

void LoopConnection::OnEvent(ConnectionEvent event) {
  if (const auto* wanted = std::get_if<StreamWanted>(&event)) {
    return streams_.Open(*wanted);
  }
  if (const auto* wanted = std::get_if<PeerStreamWanted>(&event)) {
    return peer_streams_.Open(*wanted);
  }
  if (const auto* unwanted = std::get_if<StreamUnwanted>(&event)) {
    peer_streams_.Drop(unwanted->id);  // Ids say whose they are.
    return streams_.Drop(unwanted->id);
  }
  if (const auto* name = std::get_if<ResolveName>(&event)) {
    return names_.Resolve(name->name,
                          [this, id = name->id](std::optional<IpAddress> ip) {
                            connection_.NameResolved(net::Loop::Now(), id, ip);
                            driver_.Flush();  // Last: a handler may destroy us.
                          });
  }
  const std::shared_ptr<EventHandler> handler = on_event_;
  (*handler)(std::move(event));
}

void LoopConnection::FollowAddresses() {
  const HostSockets::Changes changes = sockets_->Refresh();
  if (changes.empty()) return;
  for (const HostSocket& gone : changes.gone) Remove(gone);
  for (const HostSocket* added : changes.added) Add(*added);
  driver_.Flush();  // Last: a handler may destroy us.
}

}  // namespace kyuu::peer
