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
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/status_macros.h"
#include "net/resolve.h"
#include "tools/kyuu/overload.h"

namespace kyuu::tools {
namespace {

constexpr size_t kBufferBytes = 64 * 1024;
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
  KYUU_ASSIGN_OR_RETURN(net::TcpStream tcp,
                        net::TcpStream::Connect(addresses.front()));
  if (!parsed.secure) {
    return std::unique_ptr<SignalingLink>(new SignalingLink(
        loop, random, Stream(std::move(tcp)), parsed, std::move(handler)));
  }
  KYUU_ASSIGN_OR_RETURN(const net::TlsContext context,
                        net::TlsContext::Client({.server_name = parsed.host}));
  return std::unique_ptr<SignalingLink>(new SignalingLink(
      loop, random, Stream(net::TlsStream(context, std::move(tcp))), parsed,
      std::move(handler)));
}

SignalingLink::SignalingLink(net::Loop& loop, Random& random, Stream stream,
                             const signaling::WebSocketUrl& url,
                             Handler handler)
    : loop_(loop),
      stream_(std::move(stream)),
      url_(url),
      handler_(std::move(handler)),
      connection_({.url = url}, random, net::Loop::Now()),
      buffer_(kBufferBytes) {
  const int fd = std::visit([](auto& s) { return s.fd(); }, stream_);
  watch_.emplace(loop_, fd, net::Interest::kReadWrite,
                 [this](net::Readiness ready) { OnReady(ready); });
  alarm_.emplace(loop_, [this] {
    connection_.HandleTimeout(net::Loop::Now());
    if (client_) client_->HandleTimeout(net::Loop::Now());
    Flush();
  });
}

SignalingLink::~SignalingLink() = default;

void SignalingLink::OnReady(net::Readiness ready) {
  if (ready.readable) Read();
  if (ready.writable) std::visit([](auto& s) { s.Flush(); }, stream_);
  Flush();
}

void SignalingLink::Read() {
  while (true) {
    const net::ReadResult result = std::visit(
        [&](auto& s) { return s.Read(absl::MakeSpan(buffer_)); }, stream_);
    if (result.state == net::ReadState::kWouldBlock) return;
    if (result.state == net::ReadState::kData) {
      connection_.HandlePacket(
          net::Loop::Now(), absl::MakeConstSpan(buffer_).first(result.bytes));
      continue;
    }
    connection_.HandleStreamEnd(net::Loop::Now(), absl::OkStatus());
    watch_.reset();
    return;
  }
}

void SignalingLink::Flush() {
  if (flushing_ || closed_) return;
  flushing_ = true;
  while (Exchange()) {
  }
  flushing_ = false;
  if (closed_) return;
  absl::Time next = connection_.NextTimeout();
  if (client_) next = std::min(next, client_->NextTimeout());
  alarm_->Set(next);
  if (watch_) {
    watch_->SetInterest(
        std::visit([](auto& s) { return s.interest(); }, stream_));
  }
}

bool SignalingLink::Exchange() {
  const absl::Time now = net::Loop::Now();
  bool progress = false;
  while (auto event = connection_.PollEvent()) {
    progress = true;
    if (!HandleConnectionEvent(*std::move(event))) return false;
  }
  while (client_) {
    auto event = client_->PollEvent();
    if (!event) break;
    progress = true;
    const bool last = std::holds_alternative<signaling::ClientClosed>(*event);
    if (last) closed_ = true;
    if (handler_) handler_(*std::move(event));
    if (closed_) return false;
  }
  while (client_) {
    auto message = client_->PollTransmit(now, {});
    if (!message) break;
    progress = true;
    // A failure here shows as WebSocketClosed.
    (void)connection_.Send(now, signaling::MessageKind::kText,
                           *std::move(message));
  }
  while (auto bytes = connection_.PollTransmit(now, absl::MakeSpan(buffer_))) {
    progress = true;
    const absl::Status written =
        std::visit([&](auto& s) { return s.Write(*bytes); }, stream_);
    if (!written.ok()) {
      connection_.HandleStreamEnd(now, written);
      break;
    }
  }
  return progress;
}

bool SignalingLink::HandleConnectionEvent(
    signaling::ClientConnection::Event event) {
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
                     LostBeforeOpening(closed.status);
                   }
                 },
             },
             event);
  return !closed_;
}

void SignalingLink::LostBeforeOpening(const absl::Status& status) {
  // Why the stream failed says more than that the handshake did.
  const absl::Status reason =
      std::visit([](auto& s) { return s.status(); }, stream_);
  Lost(absl::UnavailableError(
      absl::StrCat("cannot reach the server at ", url_.HostHeader(), ": ",
                   (reason.ok() ? status : reason).message())));
}

void SignalingLink::Lost(const absl::Status& status) {
  if (closed_) return;
  closed_ = true;
  if (handler_) handler_(signaling::ClientClosed{status});
}

void SignalingLink::Close() {
  handler_ = nullptr;
  const absl::Time now = net::Loop::Now();
  // Refused if the connection is over already.
  (void)connection_.Close(now, signaling::kCloseNormal, "");
  while (auto bytes = connection_.PollTransmit(now, absl::MakeSpan(buffer_))) {
    if (!std::visit([&](auto& s) { return s.Write(*bytes); }, stream_).ok()) {
      break;
    }
  }
  std::visit([](auto& s) { s.ShutdownWrite(); }, stream_);
  closed_ = true;
}

}  // namespace kyuu::tools
