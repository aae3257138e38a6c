#include "tools/kyuu/turn_probe/data_link.h"

#include <utility>
#include <variant>
#include <vector>

#include "base/status_macros.h"
#include "ice/candidate.h"

namespace kyuu::tools {
namespace {

turn::MessageStreamOptions Queue(const peer::ServerUrl& url) {
  turn::MessageStreamOptions options;
  if (url.protocol == ice::RelayProtocol::kTls) {
    options.pieces = turn::OutgoingMessages::Pieces::kMessages;
  }
  return options;
}

}  // namespace

DataLink::DataLink(net::Loop& loop, const peer::ServerUrl& url,
                   const TransportAddress& server, Handlers handlers)
    : loop_(loop),
      url_(url),
      handlers_(std::move(handlers)),
      messages_(Queue(url)),
      connector_(loop, std::vector<TransportAddress>{server},
                 [this](absl::StatusOr<net::TcpStream> tcp) {
                   OnConnected(std::move(tcp));
                 }) {}

absl::StatusOr<net::Stream> DataLink::Secured(net::TcpStream tcp) {
  if (url_.protocol != ice::RelayProtocol::kTls) {
    return net::Stream(std::move(tcp));
  }
  KYUU_ASSIGN_OR_RETURN(net::TlsContext context,
                        net::TlsContext::Client(
                            {.server_name = url_.host, .alpn = {"stun.turn"}}));
  tls_.emplace(std::move(context));
  return net::Stream(net::TlsStream(*tls_, std::move(tcp)));
}

void DataLink::OnConnected(absl::StatusOr<net::TcpStream> tcp) {
  if (!tcp.ok()) return handlers_.on_ended(tcp.status());
  absl::StatusOr<net::Stream> stream = Secured(*std::move(tcp));
  if (!stream.ok()) return handlers_.on_ended(stream.status());
  const Path path = stream->path();
  driver_.emplace(
      loop_, *std::move(stream), messages_, loop_.Shared<net::StreamBuffer>(),
      [this, path](const turn::MessageStream::Event& event) {
        if (const auto* in = std::get_if<turn::MessageStream::Message>(&event))
          return handlers_.on_bytes(path, in->bytes);
        handlers_.on_ended(std::get<turn::MessageStream::Closed>(event).status);
      },
      [this](net::StreamEnd, const absl::Status& why) {
        handlers_.on_ended(why);
      });
  // Begins the handshake of TLS.
  driver_->Flush();
  handlers_.on_ready(path);
}

void DataLink::Send(absl::Span<const uint8_t> bytes) {
  messages_.Send(bytes);
  if (driver_) driver_->Flush();
}

}  // namespace kyuu::tools
