// The server's end of one TCP or TLS stream: HTTP/1.1 requests, and once one of
// them asks for it a WebSocket or a stream of events.

#ifndef KYUU_SIGNALING_SERVER_CONNECTION_H_
#define KYUU_SIGNALING_SERVER_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/engine.h"
#include "base/random.h"
#include "base/timer.h"
#include "signaling/deflate/deflate.h"
#include "signaling/deflate/offer.h"
#include "signaling/endpoint.h"
#include "signaling/events/event_stream.h"
#include "signaling/http.h"
#include "signaling/internal/upgraded_stream.h"
#include "signaling/websocket.h"

namespace kyuu::signaling {

struct ServerConnectionOptions {
  HttpLimits http;
  WebSocketOptions websocket;
  EventStreamOptions events;
  // By what the WebSockets of clients that offer it are compressed (RFC 7692),
  // no context taken over; it must outlive the connections. Null: all offers
  // are declined.
  Deflate* deflate = nullptr;
  // From the first byte (or the accept) to the end of a request's header: the
  // answer to clients that dribble (slow-loris).
  absl::Duration request_timeout = absl::Seconds(10);
  // Between requests of a kept-alive connection.
  absl::Duration idle_timeout = absl::Seconds(60);
  // Bytes of responses not yet polled, beyond which the next request is left
  // unparsed: a client that asks without reading costs this and one response.
  size_t max_queued_bytes = 64 * 1024;
  // Input kept meanwhile. wants_input() is false from half of it on; a client
  // whose driver does not ask is cut beyond it.
  size_t max_unparsed_bytes = 64 * 1024;
  // The wall clock at `now` is `now + utc_offset`, for the Date of responses
  // (RFC 9110 section 6.6.1); without it there is none.
  std::optional<absl::Duration> utc_offset;
};

// A request that wants an answer by Respond(). Requests come one at a time:
// the next is parsed after the answer.
struct HttpRequestReceived {
  HttpRequest request;
};
// A well-formed WebSocket handshake (RFC 6455 section 4.2.1) that wants an
// answer by AcceptUpgrade(), or by Respond() to refuse it. Handshakes that are
// not well-formed are answered (400, 426) by the connection itself.
struct UpgradeRequested {
  HttpRequest request;
  bool offers_kyuu = false;  // kSubprotocol is among the offered ones.
};
// Then WebSocketMessage, and WebSocketClosed, EventStreamClosed or HttpClosed
// as the last event.
struct HttpClosed {
  absl::Status status;  // OK when the connection just ended between requests.
};

class ServerConnection {
 public:
  using Packet = absl::Span<const uint8_t>;
  using Event =
      std::variant<HttpRequestReceived, UpgradeRequested, WebSocketMessage,
                   WebSocketClosed, EventStreamClosed, HttpClosed>;

  // The stream was accepted at `now`. `options`, which thousands may have in
  // common, and `random` must outlive the connection.
  ServerConnection(const ServerConnectionOptions& options, Random& random,
                   absl::Time now);
  ServerConnection(ServerConnectionOptions&& options, Random& random,
                   absl::Time now) = delete;

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  // Respond answers the request that was reported last. FAILED_PRECONDITION if
  // none is open.
  absl::Status Respond(absl::Time now, HttpResponse response);
  // AcceptUpgrade answers 101 and turns the stream into a WebSocket;
  // `subprotocol` is left out of the answer if empty, and must be one that the
  // client offered. FAILED_PRECONDITION if no handshake is open.
  absl::Status AcceptUpgrade(absl::Time now, absl::string_view subprotocol);
  // AcceptEvents answers a GET by an EventStream of this name, with `headers`
  // besides those that it needs itself. FAILED_PRECONDITION if no request is
  // open.
  absl::Status AcceptEvents(absl::Time now, absl::string_view name,
                            HttpHeaders headers);
  // As EventStream's; nothing happens without one.
  void HandlePosted(absl::Time now) {
    if (events_) events_->HandlePosted(now);
  }
  void SetRetry(absl::Duration retry_after) {
    if (events_) events_->SetRetry(retry_after);
  }

  // As WebSocket's or EventStream's, which has text only; FAILED_PRECONDITION
  // before there is one.
  absl::Status Send(absl::Time now, MessageKind kind, std::string data);
  // As Send of text that is known to be UTF-8, as all is that Server says.
  absl::Status SendUtf8(absl::Time now, std::string text);
  absl::Status Close(absl::Time now, uint16_t code, absl::string_view reason);

  // OK: the peer's side of the byte stream has ended in order; a client may do
  // so behind its requests, which are answered all the same. Otherwise the
  // stream has failed, and nothing more can be sent.
  void HandleStreamEnd(absl::Time now, const absl::Status& why);

  // The last event has been made and nothing is left to transmit: the stream
  // may be closed. Events may still wait.
  bool finished() const;
  // It is a WebSocket or a stream of events.
  bool upgraded() const {
    return stream_.websocket() != nullptr || events_ != nullptr;
  }
  // As WebSocket's.
  bool abandoned() const {
    return stream_.abandoned() || (events_ && events_->abandoned());
  }
  // False while more input would only be kept.
  bool wants_input() const {
    return !http_ || http_->unparsed.size() < options_->max_unparsed_bytes / 2;
  }
  // Memory that the client makes us hold.
  size_t held_bytes() const;
  // Bytes waiting for PollTransmit.
  size_t queued_bytes() const;
  std::string DebugString() const;

 private:
  enum class State : uint8_t {
    kReading,    // Waiting for a request or inside one.
    kAnswering,  // HttpRequestReceived is out.
    kUpgrading,  // UpgradeRequested is out.
    kWebSocket,
    kEvents,
    kClosed,
  };
  enum class Timer { kRequest, kIdle, kCount };
  // Of a connection that is not a WebSocket yet, nor a stream of events.
  struct Http {
    explicit Http(const HttpLimits& limits) : parser(limits) {}

    TimerTable<Timer> timers;
    HttpRequestParser parser;
    std::string unparsed;
    bool input_ended = false;
    // Of the request being answered.
    bool keep_alive = false;
    bool head = false;
    std::string websocket_key;
    std::vector<std::string> offered_subprotocols;
    std::optional<DeflateGrant> deflate;
  };

  void ParseInput(absl::Time now);
  void ParseRequests(absl::Time now);
  void HandleRequest(absl::Time now, HttpRequest request);
  void HandleHandshake(absl::Time now, HttpRequest request);
  // Answers for the caller; `end` becomes HttpClosed's status unless the
  // connection is kept alive.
  void Refuse(absl::Time now, int code, absl::string_view text,
              absl::Status end);
  void Write(absl::Time now, HttpResponse response, absl::Status end);
  // Unless it has one, or the wall clock is not known.
  void AddDate(absl::Time now, HttpResponse& response) const;
  bool Offers(absl::string_view subprotocol) const;
  // Sees what is granted of offered extensions; false if they are malformed.
  bool JudgeExtensions(const HttpHeaders& headers);
  void Finish(absl::Status status);

  // Ends what was HTTP; returns what the client has sent behind it.
  std::string LeaveHttp();

  const ServerConnectionOptions* options_;
  Random* random_;
  State state_ = State::kReading;
  std::unique_ptr<Http> http_;  // Null once it has become something else.
  internal::UpgradedStream<Event> stream_;
  std::unique_ptr<EventStream> events_;  // Few need one.
};

static_assert(Engine<ServerConnection>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_SERVER_CONNECTION_H_
