#include "tools/kyuu/signaling_link.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "net/resolve.h"
#include "tools/kyuu/overload.h"

namespace kyuu::tools {
namespace {

// The path of the kyuu protocol on kyuud (docs/signaling_protocol.md).
constexpr char kWebSocketPath[] = "/v1/ws";

}  // namespace

absl::StatusOr<std::unique_ptr<SignalingLink>> SignalingLink::Connect(
    net::Loop& loop, Random& random, const std::string& url, Handler handler) {
  KYUU_ASSIGN_OR_RETURN(signaling::WebSocketUrl parsed,
                        signaling::WebSocketUrl::Parse(url));
  if (parsed.target == "/") parsed.target = kWebSocketPath;
  KYUU_ASSIGN_OR_RETURN(const std::vector<TransportAddress> addresses,
                        net::Resolve(parsed.host, parsed.port));
  std::optional<net::TlsContext> tls;
  if (parsed.secure) {
    KYUU_ASSIGN_OR_RETURN(
        tls, net::TlsContext::Client({.server_name = parsed.host}));
  }
  std::unique_ptr<SignalingLink> link(new SignalingLink(
      loop, random, parsed, std::move(tls), std::move(handler)));
  link->connector_.emplace(
      loop, addresses, [l = link.get()](absl::StatusOr<net::TcpStream> tcp) {
        l->OnConnected(std::move(tcp));
      });
  return link;
}

SignalingLink::SignalingLink(net::Loop& loop, Random& random,
                             const signaling::WebSocketUrl& url,
                             std::optional<net::TlsContext> tls,
                             Handler handler)
    : loop_(loop),
      random_(random),
      url_(url),
      tls_(std::move(tls)),
      handler_(std::move(handler)),
      client_alarm_(loop, [this] {
        if (client_) client_->HandleTimeout(net::Loop::Now());
        Flush();
      }) {}

SignalingLink::~SignalingLink() = default;

void SignalingLink::OnConnected(absl::StatusOr<net::TcpStream> tcp) {
  connector_.reset();
  if (!tcp.ok()) return Lost(tcp.status());
  net::Stream stream = tls_
                           ? net::Stream(net::TlsStream(*tls_, *std::move(tcp)))
                           : net::Stream(*std::move(tcp));
  connection_.emplace(signaling::ClientConnectionOptions{.url = url_}, random_,
                      net::Loop::Now());
  driver_.emplace(
      loop_, std::move(stream), *connection_, buffer_,
      [this](signaling::ClientConnection::Event event) {
        OnEvent(std::move(event));
      },
      [this](net::StreamEnd, const absl::Status& why) {
        Lost(why.ok() ? absl::UnavailableError("the connection is over") : why);
      });
  driver_->Flush();
}

void SignalingLink::OnEvent(signaling::ClientConnection::Event event) {
  const absl::Time now = net::Loop::Now();
  std::visit(Overload{
                 [&](signaling::WebSocketOpened&) {
                   client_.emplace(signaling::ClientOptions{}, now);
                 },
                 [&](signaling::WebSocketMessage& message) {
                   if (client_)
                     client_->HandlePacket(now, std::move(message.data));
                 },
                 [&](signaling::WebSocketClosed& closed) {
                   if (client_) {
                     client_->HandleConnectionClosed(now, closed.code,
                                                     closed.status);
                   } else {
                     Lost(closed.status);
                   }
                 },
             },
             event);
  Exchange();
}

void SignalingLink::Flush() {
  if (exchanging_ || closed_) return;
  Exchange();
  if (driver_) driver_->Flush();
}

void SignalingLink::Exchange() {
  if (!client_ || closed_ || std::exchange(exchanging_, true)) return;
  bool progress = true;
  while (progress && !closed_) {
    progress = false;
    while (!closed_) {
      auto event = client_->PollEvent();
      if (!event) break;
      progress = true;
      closed_ = std::holds_alternative<signaling::ClientClosed>(*event);
      if (handler_) handler_(*std::move(event));
    }
    while (!closed_) {
      auto message = client_->PollTransmit(net::Loop::Now(), {});
      if (!message) break;
      progress = true;
      // A failure here shows as WebSocketClosed.
      (void)connection_->Send(net::Loop::Now(), signaling::MessageKind::kText,
                              *std::move(message));
    }
  }
  exchanging_ = false;
  if (!closed_) client_alarm_.Set(client_->NextTimeout());
}

void SignalingLink::Lost(const absl::Status& status) {
  if (std::exchange(closed_, true) || !handler_) return;
  handler_(signaling::ClientClosed{absl::UnavailableError(
      absl::StrCat("cannot reach the server at ", url_.HostHeader(), ": ",
                   status.message()))});
}

void SignalingLink::Close() {
  handler_ = nullptr;
  connector_.reset();
  client_alarm_.Stop();
  if (connection_) {
    // Fails only before the handshake's end, when there is nobody to tell.
    (void)connection_->Close(net::Loop::Now(), signaling::kCloseNormal, "");
  }
  if (driver_) driver_->Flush();
  closed_ = true;
}

}  // namespace kyuu::tools
