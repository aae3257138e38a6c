// The client's half of what stands for a WebSocket where none gets through: the
// request for the stream of events, and what comes by it
// (docs/signaling_protocol.md, "Without WebSockets"). What the client says goes
// by a Poster (poster.h).

#ifndef KYUU_SIGNALING_EVENTS_EVENT_SOURCE_H_
#define KYUU_SIGNALING_EVENTS_EVENT_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/counters.h"
#include "base/engine.h"
#include "base/queue.h"
#include "base/timer.h"
#include "signaling/client_connection.h"
#include "signaling/events/body_reader.h"
#include "signaling/events/event_reader.h"
#include "signaling/http.h"
#include "signaling/websocket.h"

namespace kyuu::signaling {

struct EventSourceOptions {
  WebSocketUrl url;  // Its target is that of the stream of events.
  HttpLimits http;
  EventLimits events;
  // A longer message ends the stream, as it ends a WebSocket.
  size_t max_message_bytes = 64 * 1024;
  // Events not yet taken by PollEvent, each counted as 64 and the bytes of its
  // message: as a WebSocket's.
  size_t max_unread_bytes = 1024 * 1024;
  // From the start until the stream has a name.
  absl::Duration open_timeout = absl::Seconds(10);
  // The server writes a comment after 15 s of silence. Without a whole line for
  // so long it is given up, as a WebSocket is: bytes that drip are none.
  absl::Duration silence_timeout = absl::Seconds(35);
};

// The stream is open; those who post show this name.
struct EventSourceOpened {
  std::string name;
};
// The server wants a sign of life: a post, which may be empty, within 10 s.
struct PostWanted {};

struct EventSourceStats {
  uint64_t messages = 0;
  uint64_t unknown_events = 0;  // Of other names; dropped.
  uint64_t bytes_after_end = 0;

  static constexpr Counter<EventSourceStats> kCounters[] = {
      KYUU_COUNTER(EventSourceStats, messages),
      KYUU_COUNTER(EventSourceStats, unknown_events),
      KYUU_COUNTER(EventSourceStats, bytes_after_end),
  };
};
static_assert(Countable<EventSourceStats>);

class EventSource {
 public:
  using Packet = absl::Span<const uint8_t>;
  // EventSourceOpened first. WebSocketClosed is the last one:
  //
  //   OK                  the server has said `close`, with code and reason
  //   INVALID_ARGUMENT    what it sends are no events of this protocol
  //   OUT_OF_RANGE        beyond a limit (1009)
  //   RESOURCE_EXHAUSTED  too much unread (1008)
  //   DEADLINE_EXCEEDED   it does not answer, or says nothing any more
  //   UNAVAILABLE         it has refused, or the stream has ended
  using Event = std::variant<EventSourceOpened, WebSocketMessage, PostWanted,
                             WebSocketClosed>;

  // The byte stream is connected at `now`.
  EventSource(const EventSourceOptions& options, absl::Time now);

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return timers_.NextTimeout(); }
  // The byte stream has ended (OK) or failed.
  void HandleStreamEnd(absl::Time now, const absl::Status& why);

  // The byte stream may be closed. Until then our direction stays open: its end
  // tells the server that we have gone.
  bool finished() const { return state_ == State::kClosed; }
  const EventSourceStats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  enum class State : uint8_t { kHeader, kUnnamed, kOpen, kClosed };
  enum class Timer : uint8_t { kOpen, kSilence, kCount };

  // Taken off `in`: all of it, unless the header ends within.
  void TakeHeader(Packet& in);
  void OnHeader(const HttpResponse& response);
  void TakeBody(absl::Time now, Packet in);
  void TakeEvents(absl::Time now, Packet in);
  void On(absl::Time now, ServerSentEvent event);
  void OnName(absl::Time now, std::string name);
  void OnMessage(std::string data);
  void OnClose(absl::string_view data);
  // All but the last.
  void Emit(Event event);
  void Finish(absl::Status status, uint16_t code, std::string reason = "");

  const EventSourceOptions options_;
  State state_ = State::kHeader;
  TimerTable<Timer> timers_;
  std::string request_;
  size_t sent_ = 0;
  HttpResponseParser parser_;
  size_t interim_ = 0;  // Responses 1xx before the one that counts.
  BodyReader body_;
  EventReader reader_;
  Queue<Event> events_;
  size_t unread_bytes_ = 0;
  EventSourceStats stats_;
};

static_assert(Engine<EventSource>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_EVENTS_EVENT_SOURCE_H_
