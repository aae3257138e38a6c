// ServerLink: the way of the command line to one STUN or TURN server, a UDP
// socket or a stream.

#ifndef KYUU_TOOLS_KYUU_PROBE_SERVER_LINK_H_
#define KYUU_TOOLS_KYUU_PROBE_SERVER_LINK_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/address.h"
#include "net/loop.h"
#include "net/udp_socket.h"
#include "peer/server_streams.h"
#include "peer/server_url.h"

namespace kyuu::tools {

using peer::ServerUrl;

// ServerLink tells from its loop what happens. No handler may destroy it.
class ServerLink {
 public:
  struct Handlers {
    // Datagrams, or a stream's messages, may be sent along this path now.
    absl::AnyInvocable<void(const Path&)> on_ready;
    absl::AnyInvocable<void(const Datagram&)> on_datagram;
    // The server's host refuses datagrams, or the stream has ended or failed.
    absl::AnyInvocable<void(const absl::Status&)> on_refused;
    // After the others: time to send what follows.
    absl::AnyInvocable<void()> on_turn;
  };

  // Whether what is sent over UDP may come in parts.
  enum class Fragments : uint8_t { kAllow, kForbid };

  // `loop` must outlive it. Errors of net::UdpSocket.
  static absl::StatusOr<std::unique_ptr<ServerLink>> Open(
      net::Loop& loop, const ServerUrl& url, const TransportAddress& server,
      Handlers handlers, Fragments fragments = Fragments::kAllow);
  ServerLink(const ServerLink&) = delete;
  ServerLink& operator=(const ServerLink&) = delete;

  void Send(const Datagram& datagram);
  // Goes on with another server (ALTERNATE-SERVER); over UDP alone.
  absl::Status Redirect(const TransportAddress& server);

 private:
  // A socket that is connected, so that a closed port is told at once.
  struct Socket {
    net::UdpSocket udp;
    std::unique_ptr<net::Watch> watch;
  };

  ServerLink(net::Loop& loop, Handlers handlers);
  absl::Status OpenSocket(const TransportAddress& server, Fragments fragments);
  void OpenStream(const ServerUrl& url, const TransportAddress& server);
  void Receive();

  net::Loop& loop_;
  Handlers handlers_;
  net::ReceiveBuffer buffer_;
  net::Alarm ready_;
  std::optional<Socket> socket_;
  std::optional<peer::ServerStreams> streams_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PROBE_SERVER_LINK_H_
