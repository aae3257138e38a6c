// One connection of the command line to a kyuud: a WebSocket over TCP or TLS,
// or what stands for one where none gets through.

#ifndef KYUU_TOOLS_KYUU_SIGNALING_LINK_H_
#define KYUU_TOOLS_KYUU_SIGNALING_LINK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/address.h"
#include "base/random.h"
#include "net/connect.h"
#include "net/loop.h"
#include "net/stream_driver.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "signaling/client_connection.h"
#include "tools/kyuu/event_link.h"

namespace kyuu::tools {

// What a link may be. kBoth: a WebSocket, or, if the server was reached and did
// not open one, a stream of events and posts (docs/signaling_protocol.md,
// "Without WebSockets").
enum class SignalingWays : uint8_t { kWebSocket, kEvents, kBoth };

// SignalingLink lives on one loop. What its WebSocket tells goes to the
// handler, whichever way it is; a server that cannot be reached, or is lost,
// shows as signaling::WebSocketClosed, after which nothing follows.
class SignalingLink {
 public:
  using Event = signaling::ClientConnection::Event;
  using Handler = absl::AnyInvocable<void(Event)>;

  // Connects to `url` ("ws://host:port/path", "wss://...", or the address of
  // the page, "http://..."). Resolves the name, which may block for seconds.
  // INVALID_ARGUMENT or NOT_FOUND with a text for a person. `loop` and `random`
  // must outlive the link. The handler must not destroy it.
  static absl::StatusOr<std::unique_ptr<SignalingLink>> Connect(
      net::Loop& loop, Random& random, const std::string& url,
      SignalingWays ways, Handler handler);
  ~SignalingLink();

  // From WebSocketOpened to WebSocketClosed; Flush() afterwards sends it.
  void Send(std::string message);
  void Flush();

  // Goes, or tries to go, without a WebSocket.
  bool without_socket() const { return events_.has_value(); }

  // Says goodbye to the server, behind all that was sent, and tells nothing
  // more but `done`, once: when the server has heard it, or in 2 s. `done` must
  // not destroy the link.
  void Close(absl::AnyInvocable<void()> done = [] {});
  // Leaves a server with which there is no talking, for this reason, and tells
  // nothing more. Close() may follow.
  void Leave(const absl::Status& why);
  // Gives the connection up without a word, and tells nothing more.
  void Drop();

 private:
  using Driver = net::StreamDriver<signaling::ClientConnection>;

  SignalingLink(net::Loop& loop, Random& random,
                const signaling::WebSocketUrl& url, SignalingWays ways,
                std::optional<net::TlsContext> tls, Handler handler);

  void OnConnected(absl::StatusOr<net::TcpStream> tcp);
  void OnEvent(Event event);
  // The WebSocket was not opened, for this reason. False if there is no other
  // way, or a person has to see to it.
  bool GoWithoutSocket(const absl::Status& why);
  void Lost(const absl::Status& status);
  // Nothing more can be said by this connection.
  void Over();

  net::Loop& loop_;
  Random& random_;
  const signaling::WebSocketUrl url_;
  const SignalingWays ways_;
  const std::optional<net::TlsContext> tls_;
  Handler handler_;
  std::optional<net::Connector> connector_;  // Until connected.
  std::optional<signaling::ClientConnection> connection_;
  net::StreamBuffer buffer_;
  std::optional<Driver> driver_;
  TransportAddress server_;          // That was reached.
  std::optional<EventLink> events_;  // In place of connection_.
  absl::Status socket_failure_;      // Why, if one was tried.
  bool opened_ = false;
  bool closed_ = false;
  bool over_ = false;
  // Of Close(), until it is called.
  absl::AnyInvocable<void()> done_;
  net::Alarm done_alarm_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_SIGNALING_LINK_H_
