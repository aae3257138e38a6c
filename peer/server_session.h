// ServerSession: DTLS with a TURN server (RFC 7350), over a socket of its own.

#ifndef KYUU_PEER_SERVER_SESSION_H_
#define KYUU_PEER_SERVER_SESSION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "dtls/authorities.h"
#include "dtls/session.h"
#include "net/loop.h"
#include "net/udp_socket.h"

namespace kyuu::peer {

// ServerSession tells from the loop what comes of it. No handler may destroy
// it.
class ServerSession {
 public:
  struct Handlers {
    absl::AnyInvocable<void()> on_connected;
    absl::AnyInvocable<void(absl::Span<const uint8_t>)> on_message;
    // The last one: it could not be connected, or is over.
    absl::AnyInvocable<void(const absl::Status&)> on_ended;
  };

  // Begins a session with `server`, who has to prove to be `name`. `loop` must
  // outlive it. Errors of net::UdpSocket::Open, UNAVAILABLE without a route.
  static absl::StatusOr<std::unique_ptr<ServerSession>> Open(
      net::Loop& loop, const dtls::Authorities& authorities,
      const TransportAddress& server, const std::string& name,
      Handlers handlers);
  ServerSession(const ServerSession&) = delete;
  ServerSession& operator=(const ServerSession&) = delete;

  // Of our socket.
  const TransportAddress& local() const { return socket_.local(); }
  // Sends a message at once; dropped before on_connected and after on_ended.
  void Send(absl::Span<const uint8_t> message);
  // Says so to the server. Nothing is told any more.
  void Close();

 private:
  ServerSession(net::Loop& loop, net::UdpSocket socket, dtls::Session session,
                Handlers handlers);
  void Receive();
  // Sends what the session has to say, tells its events and arms its timer.
  void Settle();
  void End(const absl::Status& why);

  net::Loop& loop_;
  net::UdpSocket socket_;
  dtls::Session session_;
  Handlers handlers_;
  bool told_ = true;  // Whether handlers are told.
  net::ReceiveBuffer& buffer_;
  std::vector<uint8_t> bytes_;
  net::Watch watch_;
  net::Alarm alarm_;
};

}  // namespace kyuu::peer

#endif  // KYUU_PEER_SERVER_SESSION_H_
