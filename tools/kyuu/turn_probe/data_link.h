// DataLink: a second stream to a TURN server, which becomes the connection of a
// peer (RFC 6062).

#ifndef KYUU_TOOLS_KYUU_TURN_PROBE_DATA_LINK_H_
#define KYUU_TOOLS_KYUU_TURN_PROBE_DATA_LINK_H_

#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "net/connect.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/stream_driver.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "peer/server_url.h"
#include "turn/message_stream.h"

namespace kyuu::tools {

// DataLink tells from its loop what happens. No handler may destroy it.
class DataLink {
 public:
  struct Handlers {
    // Messages may be sent along this path now.
    absl::AnyInvocable<void(const Path&)> on_ready;
    // A message or, after Join(), bytes of the peer's.
    absl::AnyInvocable<void(const Path&, absl::Span<const uint8_t>)> on_bytes;
    // It could not be connected, or has ended.
    absl::AnyInvocable<void(const absl::Status&)> on_ended;
  };

  // `loop` and `url`, of TCP or TLS, must outlive it.
  DataLink(net::Loop& loop, const peer::ServerUrl& url,
           const TransportAddress& server, Handlers handlers);
  DataLink(const DataLink&) = delete;
  DataLink& operator=(const DataLink&) = delete;

  void Send(absl::Span<const uint8_t> bytes);
  void Join() { messages_.Join(); }

 private:
  absl::StatusOr<net::Stream> Secured(net::TcpStream tcp);
  void OnConnected(absl::StatusOr<net::TcpStream> tcp);

  net::Loop& loop_;
  const peer::ServerUrl& url_;
  Handlers handlers_;
  turn::MessageStream messages_;
  std::optional<net::TlsContext> tls_;
  std::optional<net::StreamDriver<turn::MessageStream>> driver_;
  net::Connector connector_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TURN_PROBE_DATA_LINK_H_
