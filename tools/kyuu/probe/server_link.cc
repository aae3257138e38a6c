#include "tools/kyuu/probe/server_link.h"

#include <utility>

#include "absl/types/span.h"
#include "base/status_macros.h"
#include "ice/gatherer_types.h"
#include "net/interfaces.h"

namespace kyuu::tools {

absl::StatusOr<std::unique_ptr<ServerLink>> ServerLink::Open(
    net::Loop& loop, const ServerUrl& url, const TransportAddress& server,
    Handlers handlers, Fragments fragments) {
  std::unique_ptr<ServerLink> link(new ServerLink(loop, std::move(handlers)));
  if (url.protocol == ice::RelayProtocol::kUdp) {
    KYUU_RETURN_IF_ERROR(link->OpenSocket(server, fragments));
  } else {
    link->OpenStream(url, server);
  }
  return link;
}

ServerLink::ServerLink(net::Loop& loop, Handlers handlers)
    : loop_(loop), handlers_(std::move(handlers)), ready_(loop, [this] {
        handlers_.on_ready({socket_->udp.local(), socket_->udp.remote()});
        handlers_.on_turn();
      }) {}

// Bound to the address that the kernel would send from.
absl::Status ServerLink::OpenSocket(const TransportAddress& server,
                                    Fragments fragments) {
  KYUU_ASSIGN_OR_RETURN(const IpAddress source, net::SourceAddress(server));
  KYUU_ASSIGN_OR_RETURN(
      net::UdpSocket udp,
      net::UdpSocket::Open({.bind = {source, 0},
                            .dont_fragment = fragments == Fragments::kForbid}));
  KYUU_RETURN_IF_ERROR(udp.Connect(server));
  socket_.emplace(Socket{std::move(udp), nullptr});
  socket_->watch = std::make_unique<net::Watch>(
      loop_, socket_->udp.fd(), net::Interest::kRead,
      [this](net::Readiness) { Receive(); });
  ready_.Set(absl::InfinitePast());
  return absl::OkStatus();
}

void ServerLink::OpenStream(const ServerUrl& url,
                            const TransportAddress& server) {
  const Transport transport = ice::TransportTo(url.protocol);
  peer::ServerStreamHandlers handlers{
      .on_connected =
          [this, server, transport](ice::StreamId,
                                    const TransportAddress& local) {
            handlers_.on_ready({local, server, transport});
          },
      .on_message =
          [this](const Datagram& message) { handlers_.on_datagram(message); },
      .on_ended =
          [this](ice::StreamId, const absl::Status& why) {
            handlers_.on_refused(
                why.ok() ? absl::UnavailableError("it has ended the stream")
                         : why);
          },
      .on_turn = [this] { handlers_.on_turn(); }};
  streams_.emplace(loop_, peer::ServerStreamOptions{}, std::move(handlers));
  streams_->Open({.id = ice::StreamId{1},
                  .server = server,
                  .protocol = url.protocol,
                  .host = url.host});
}

void ServerLink::Receive() {
  while (true) {
    const absl::Span<const net::Train> trains = socket_->udp.Receive(buffer_);
    if (trains.empty()) break;
    for (const net::Train& train : trains) {
      for (size_t i = 0; i < train.segments(); ++i) {
        handlers_.on_datagram({train.path, train.segment(i)});
      }
    }
  }
  const absl::Status refused = socket_->udp.TakeRefusal();
  if (!refused.ok()) handlers_.on_refused(refused);
  handlers_.on_turn();
}

void ServerLink::Send(const Datagram& datagram) {
  if (streams_) return streams_->Send(datagram);
  socket_->udp.SendOne(datagram.path, datagram.bytes);
}

absl::Status ServerLink::Redirect(const TransportAddress& server) {
  return socket_->udp.Connect(server);
}

}  // namespace kyuu::tools
