// The server's half of a signaling connection over plain HTTP: an endless
// response of server-sent events (WHATWG HTML, section "Server-sent events"),
// for clients whose way to the server lets no WebSocket through. What the
// client says comes by requests of their own (posts.h).

#ifndef KYUU_SIGNALING_EVENTS_EVENT_STREAM_H_
#define KYUU_SIGNALING_EVENTS_EVENT_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/engine.h"
#include "base/queue.h"
#include "base/timer.h"

namespace kyuu::signaling {

struct EventStreamOptions {
  // Messages not yet polled, each counted as its bytes and 64. A reader so slow
  // that they pile up beyond this is cut.
  size_t max_queued_bytes = 1024 * 1024;
  // A comment is sent when nothing else was for so long: proxies cut what is
  // silent, some after 20 s.
  absl::Duration heartbeat = absl::Seconds(15);
  // The client is asked for a sign of life when it has said nothing for so
  // long, and given up when it still says nothing: a stream that nobody reads
  // any more looks like one that is read. A dead client is noticed within 35 s,
  // as with WebSockets.
  absl::Duration ping_interval = absl::Seconds(25);
  absl::Duration pong_timeout = absl::Seconds(10);
};

// The last event. What is queued, a farewell perhaps, is still to be sent.
//
//   OK                  Close() was called
//   RESOURCE_EXHAUSTED  a slow reader
//   DEADLINE_EXCEEDED   nothing was heard of the client
//   UNAVAILABLE         the byte stream has ended
struct EventStreamClosed {
  absl::Status status;
};

// EventStream writes the body of the response, from its first byte:
//
//   event: stream      The first one; its data names the stream in the
//   data: 5f0c...      client's requests.
//
//   data: {...}        A message. Where its JSON has line ends, which are
//   blanks
//                      there, it has several lines of data.
//   :                  The heartbeat.
//
//   retry: 2500        When to come back, in ms, from a server that goes away.
//
//   event: ping        Wants a post, which may be empty.
//   data:
//
//   event: close       The last one: the code and reason of a WebSocket's
//   close. data: {"code":1001,"reason":"the server is shutting down"}
class EventStream {
 public:
  using Packet = absl::Span<const uint8_t>;
  using Event = EventStreamClosed;

  // The response has begun at `now`; `name` is the data of the first event.
  EventStream(const EventStreamOptions& options, absl::string_view name,
              absl::Time now);

  // A client has nothing to say behind its request: it is counted and dropped.
  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  // Fills `out`; an event goes on in the next call where it was cut.
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return timers_.NextTimeout(); }

  // The client has said something elsewhere.
  void HandlePosted(absl::Time now);
  // Queues a message. FAILED_PRECONDITION once closed; RESOURCE_EXHAUSTED if
  // the queue would outgrow max_queued_bytes: the stream is then cut.
  absl::Status Send(absl::string_view message);
  // Tells who reconnects by itself, as EventSource does, how long to wait
  // before that (the field `retry`). Nothing happens once closed.
  void SetRetry(absl::Duration retry_after);
  // Queues the farewell and ends the stream behind it; `reason` has to be UTF-8
  // without quotes, backslashes and controls. Closing twice does nothing.
  void Close(uint16_t code, absl::string_view reason);
  // The byte stream has ended or failed.
  void HandleStreamEnd();

  // Closed and nothing left to transmit: the byte stream may be closed.
  bool finished() const { return closed_ && out_.empty(); }
  // The client does not read or is not there: the byte stream is to be reset.
  bool abandoned() const { return abandoned_; }
  size_t queued_bytes() const { return queued_bytes_; }
  uint64_t bytes_ignored() const { return bytes_ignored_; }
  std::string DebugString() const;

 private:
  enum class Timer { kHeartbeat, kPing, kPong, kCount };

  void Enqueue(std::string event);
  // Ends it without another word.
  void Cut(absl::Status why);
  void Finish(absl::Status why);

  const EventStreamOptions options_;
  TimerTable<Timer> timers_;
  Queue<std::string> out_;
  size_t first_sent_ = 0;  // Of the first one's bytes.
  size_t queued_bytes_ = 0;
  bool heartbeat_due_ = false;
  bool closed_ = false;
  bool abandoned_ = false;
  std::optional<Event> event_;
  uint64_t bytes_ignored_ = 0;
};

static_assert(Engine<EventStream>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_EVENTS_EVENT_STREAM_H_
