// The line to a kyuud that is made again when it breaks, by a WebSocket, or
// without one where none gets through.

#ifndef KYUU_TOOLS_KYUU_SERVER_LINE_H_
#define KYUU_TOOLS_KYUU_SERVER_LINE_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "net/loop.h"
#include "signaling/client.h"
#include "tools/kyuu/signaling_link.h"

namespace kyuu::tools {

// How long to wait before the attempt after `failures` of them: 1, 2, 4, ...
// seconds (docs/signaling_protocol.md, "Connections that break"), 30 at most,
// a quarter more or less so that not all come back at once.
absl::Duration RetryDelay(int failures, Random& random);

// ServerLine lives on one loop. It is one signaling client, whose session goes
// on when a connection breaks and another one is made in its grace
// (docs/signaling_protocol.md, "Resumption").
//
// Its owner hears every event of the client, and ConnectionLost for each
// attempt that fails. After that, and after ClientClosed, it calls Retry or
// lets it be. Behind ClientClosed a new client begins, which knows nothing of
// the old one's room and calls.
class ServerLine {
 public:
  using Handler = absl::AnyInvocable<void(signaling::Client::Event)>;

  // `loop` and `random` must outlive it. The handler must not destroy it.
  // `token_file` is "", or holds a token or an API key: it is read for each
  // connection, so that a later token can take an earlier one's place.
  ServerLine(net::Loop& loop, Random& random, std::string url,
             std::string token_file, Handler handler);

  // INVALID_ARGUMENT for a URL that is none, or a file without a token, else
  // what SignalingLink says.
  absl::Status Connect();
  // Connects again after RetryDelay, or when the server has asked to, and
  // returns how long that is.
  absl::Duration Retry();

  // Null before the first Ready and behind ClientClosed. While the connection
  // is lost it takes commands about the room and its calls, and keeps them.
  signaling::Client* client();
  // Between Ready or Resumed and ConnectionLost.
  bool up() const { return up_; }
  // Sends what commands to client() have made. It does nothing from within the
  // handler, after which it happens anyway.
  void Flush();
  // The line goes, or last went, without a WebSocket.
  bool without_socket() const { return without_socket_; }
  // Says goodbye; nothing follows but `done`, as SignalingLink::Close has it.
  void Close(absl::AnyInvocable<void()> done = [] {});

 private:
  // "" without a file.
  absl::StatusOr<std::string> ReadToken() const;
  void OnLink(SignalingLink::Event event);
  void OnConnectionClosed(const signaling::WebSocketClosed& closed);
  // Moves messages and events between link and client.
  void Exchange();

  net::Loop& loop_;
  Random& random_;
  const std::string url_;
  const std::string token_file_;
  std::string token_;  // As it was read last.
  Handler handler_;
  std::unique_ptr<SignalingLink> link_;
  std::optional<signaling::Client> client_;
  net::Alarm client_alarm_;
  net::Alarm retry_;
  bool opened_ = false;  // The client has a WebSocket, or what stands for it.
  bool without_socket_ = false;
  bool up_ = false;
  bool welcomed_ = false;     // client_ was, once at least.
  bool client_over_ = false;  // It has said ClientClosed.
  bool exchanging_ = false;
  bool closed_ = false;
  // As the server that was lost last has asked, for the first attempt.
  std::optional<absl::Duration> retry_after_;
  int failures_ = 0;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_SERVER_LINE_H_
