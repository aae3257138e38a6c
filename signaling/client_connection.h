// The client's end of a WebSocket over a TCP or TLS stream, the opening
// handshake included (RFC 6455 section 4.1). It offers no extension: what a
// client says in its life, some kilobytes, is not worth compressing.

#ifndef KYUU_SIGNALING_CLIENT_CONNECTION_H_
#define KYUU_SIGNALING_CLIENT_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/engine.h"
#include "base/random.h"
#include "base/timer.h"
#include "signaling/endpoint.h"
#include "signaling/http.h"
#include "signaling/internal/upgraded_stream.h"
#include "signaling/websocket.h"

namespace kyuu::signaling {

// WebSocketUrl is where to connect. "http" and "https" count as "ws" and
// "wss", so that the address of a page can be pasted.
struct WebSocketUrl {
  bool secure = false;
  std::string host;  // A name or an address, an IPv6 one without brackets.
  uint16_t port = 80;
  std::string target = "/";  // Path and query.

  // INVALID_ARGUMENT with what is wrong; without a scheme, "ws" is assumed.
  static absl::StatusOr<WebSocketUrl> Parse(absl::string_view url);
  // For the Host header: the port only where it is not the scheme's.
  std::string HostHeader() const;
  std::string ToString() const;
};

struct ClientConnectionOptions {
  WebSocketUrl url;
  std::string subprotocol = kSubprotocol;  // Empty: none is asked for.
  std::string origin;                      // Empty: no Origin header.
  HttpLimits http;
  WebSocketOptions websocket;
  // From the start to the end of the handshake.
  absl::Duration handshake_timeout = absl::Seconds(10);
};

// The handshake is complete; Send() works from here on.
struct WebSocketOpened {
  std::string subprotocol;
};

class ClientConnection {
 public:
  using Packet = absl::Span<const uint8_t>;
  // WebSocketClosed is the last one. Its status is UNAVAILABLE if the server
  // refused the upgrade (the text has its HTTP status) or went away.
  using Event =
      std::variant<WebSocketOpened, WebSocketMessage, WebSocketClosed>;

  // The stream is connected at `now`. `random` must outlive the connection.
  ClientConnection(const ClientConnectionOptions& options, Random& random,
                   absl::Time now);
  // Its parts refer to its options.
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  // As WebSocket's; FAILED_PRECONDITION before WebSocketOpened.
  absl::Status Send(absl::Time now, MessageKind kind, std::string data);
  absl::Status Close(absl::Time now, uint16_t code, absl::string_view reason);
  // The byte stream has ended (OK) or failed.
  void HandleStreamEnd(absl::Time now, const absl::Status& why);

  // That of the answer to the handshake, 101 if it succeeded; 0 before, and
  // without an answer.
  int http_status() const { return http_status_; }
  // Closed and nothing left to transmit.
  bool finished() const;
  // As WebSocket's.
  bool abandoned() const { return stream_.abandoned(); }
  std::string DebugString() const;

 private:
  enum class State : uint8_t { kHandshake, kOpen, kClosed };
  enum class Timer { kHandshake, kCount };

  void HandleResponse(absl::Time now, const HttpResponse& response);
  absl::Status CheckResponse(const HttpResponse& response) const;
  void Finish(absl::Status status);

  const ClientConnectionOptions options_;
  Random* random_;
  State state_ = State::kHandshake;
  TimerTable<Timer> timers_;
  HttpResponseParser parser_;
  std::string key_;
  int http_status_ = 0;
  internal::UpgradedStream<Event> stream_;
};

static_assert(Engine<ClientConnection>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_CLIENT_CONNECTION_H_
