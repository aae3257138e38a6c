#include "peer/server_session.h"

#include <array>
#include <optional>
#include <utility>
#include <variant>

#include "absl/time/time.h"
#include "base/status_macros.h"
#include "dtls/record.h"
#include "net/interfaces.h"

namespace kyuu::peer {

absl::StatusOr<std::unique_ptr<ServerSession>> ServerSession::Open(
    net::Loop& loop, const dtls::Authorities& authorities,
    const TransportAddress& server, const std::string& name,
    Handlers handlers) {
  KYUU_ASSIGN_OR_RETURN(const IpAddress source, net::SourceAddress(server));
  KYUU_ASSIGN_OR_RETURN(net::UdpSocket socket,
                        net::UdpSocket::Open({.bind = {source, 0}}));
  // So that a port where nobody listens is told.
  KYUU_RETURN_IF_ERROR(socket.Connect(server));
  // Other ways to the server wait behind this one.
  const dtls::Options options{.retransmission_timeout = absl::Milliseconds(500),
                              .handshake_timeout = absl::Seconds(10)};
  std::unique_ptr<ServerSession> session(new ServerSession(
      loop, std::move(socket), authorities.Connect(name, options),
      std::move(handlers)));
  // It tells from the loop.
  session->session_.Start(net::Loop::Now());
  session->alarm_.Set(absl::InfinitePast());
  return session;
}

ServerSession::ServerSession(net::Loop& loop, net::UdpSocket socket,
                             dtls::Session session, Handlers handlers)
    : loop_(loop),
      socket_(std::move(socket)),
      session_(std::move(session)),
      handlers_(std::move(handlers)),
      buffer_(loop.Shared<net::ReceiveBuffer>()),
      bytes_(dtls::kPlaintextMax + dtls::kRecordOverheadMax),
      watch_(loop_, socket_.fd(), net::Interest::kRead,
             [this](net::Readiness) { Receive(); }),
      alarm_(loop_, [this] {
        session_.HandleTimeout(net::Loop::Now());
        Settle();
      }) {}

void ServerSession::Send(absl::Span<const uint8_t> message) {
  const auto size = session_.Seal(message, absl::MakeSpan(bytes_));
  if (!size.ok()) return;
  socket_.SendOne({socket_.local(), socket_.remote()},
                  absl::MakeConstSpan(bytes_).first(*size));
}

void ServerSession::Close() {
  told_ = false;
  session_.Close(net::Loop::Now());
  Settle();
}

void ServerSession::Receive() {
  while (true) {
    const absl::Span<const net::Train> trains = socket_.Receive(buffer_);
    if (trains.empty()) break;
    for (const net::Train& train : trains) {
      for (size_t i = 0; i < train.segments(); ++i) {
        session_.HandlePacket(net::Loop::Now(), train.segment(i));
        // It is connected before it has messages.
        Settle();
        while (const auto message =
                   session_.ReadPlaintext(absl::MakeSpan(bytes_))) {
          if (told_) handlers_.on_message(*message);
        }
      }
    }
  }
  const absl::Status refused = socket_.TakeRefusal();
  if (!refused.ok()) End(refused);
}

void ServerSession::Settle() {
  std::array<uint8_t, 2048> out;
  while (const auto datagram =
             session_.PollTransmit(net::Loop::Now(), absl::MakeSpan(out))) {
    socket_.SendOne({socket_.local(), socket_.remote()}, *datagram);
  }
  alarm_.Set(session_.NextTimeout());
  while (const auto event = session_.PollEvent()) {
    if (const auto* closed = std::get_if<dtls::Closed>(&*event)) {
      End(closed->status.ok()
              ? absl::UnavailableError("the server has ended the session")
              : closed->status);
    } else if (told_) {
      handlers_.on_connected();
    }
  }
}

void ServerSession::End(const absl::Status& why) {
  alarm_.Stop();
  watch_.SetInterest(net::Interest::kNone);
  if (std::exchange(told_, false)) handlers_.on_ended(why);
}

}  // namespace kyuu::peer
