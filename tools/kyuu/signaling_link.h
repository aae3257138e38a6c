// One connection of the command line to a kyuud: WebSocket over TCP or TLS.

#ifndef KYUU_TOOLS_KYUU_SIGNALING_LINK_H_
#define KYUU_TOOLS_KYUU_SIGNALING_LINK_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/random.h"
#include "net/connect.h"
#include "net/loop.h"
#include "net/stream_driver.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "signaling/client_connection.h"

namespace kyuu::tools {

// SignalingLink lives on one loop. What its WebSocket tells goes to the
// handler; a server that cannot be reached, or is lost, shows as
// signaling::WebSocketClosed, after which nothing follows.
class SignalingLink {
 public:
  using Event = signaling::ClientConnection::Event;
  using Handler = absl::AnyInvocable<void(Event)>;

  // Connects to `url` ("ws://host:port/path", "wss://...", or the address of
  // the page, "http://..."). Resolves the name, which may block for seconds.
  // INVALID_ARGUMENT or NOT_FOUND with a text for a person. `loop` and `random`
  // must outlive the link. The handler must not destroy it.
  static absl::StatusOr<std::unique_ptr<SignalingLink>> Connect(
      net::Loop& loop, Random& random, const std::string& url, Handler handler);
  ~SignalingLink();

  // From WebSocketOpened to WebSocketClosed; Flush() afterwards sends it.
  void Send(std::string message);
  void Flush();

  // Says goodbye to the server and tells nothing more.
  void Close();
  // Gives the connection up without a word, and tells nothing more.
  void Drop();

 private:
  using Driver = net::StreamDriver<signaling::ClientConnection>;

  SignalingLink(net::Loop& loop, Random& random,
                const signaling::WebSocketUrl& url,
                std::optional<net::TlsContext> tls, Handler handler);

  void OnConnected(absl::StatusOr<net::TcpStream> tcp);
  void OnEvent(Event event);
  void Lost(const absl::Status& status);

  net::Loop& loop_;
  Random& random_;
  const signaling::WebSocketUrl url_;
  const std::optional<net::TlsContext> tls_;
  Handler handler_;
  std::optional<net::Connector> connector_;  // Until connected.
  std::optional<signaling::ClientConnection> connection_;
  net::StreamBuffer buffer_;
  std::optional<Driver> driver_;
  bool opened_ = false;
  bool closed_ = false;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_SIGNALING_LINK_H_
