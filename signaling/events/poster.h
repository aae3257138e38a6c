// What the client says where no WebSocket gets through: posts, one after the
// other, over a byte stream that may break between any two
// (docs/signaling_protocol.md, "Without WebSockets").

#ifndef KYUU_SIGNALING_EVENTS_POSTER_H_
#define KYUU_SIGNALING_EVENTS_POSTER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/counters.h"
#include "base/engine.h"
#include "base/queue.h"
#include "base/timer.h"
#include "signaling/client_connection.h"
#include "signaling/http.h"

namespace kyuu::signaling {

struct PosterOptions {
  WebSocketUrl url;    // Its target is that of the posts.
  std::string stream;  // The name of the stream of events.
  HttpLimits http;
  // Of a post's messages, with a line end behind each: the server takes 65536
  // bytes. A longer message goes alone.
  size_t max_post_bytes = 60'000;
  // Messages not yet answered, each counted as its bytes and 64. A server that
  // does not take them is given up beyond this, as a WebSocket's.
  size_t max_queued_bytes = 1024 * 1024;
  // For the answer to a post, the making of its stream included.
  absl::Duration answer_timeout = absl::Seconds(10);
  // Of a post, with pauses of 0.5, 1, 2 s between them.
  int tries = 4;
  absl::Duration first_pause = absl::Milliseconds(500);
};

// A byte stream to the server is wanted, in place of any that is there:
// HandleConnected() when it is connected, HandleStreamEnd() if it cannot be.
struct StreamWanted {};
// The last event. OK: Close() was called, and the server has taken all.
// UNAVAILABLE: the server cannot be reached, or refuses. INVALID_ARGUMENT: its
// answers are none. RESOURCE_EXHAUSTED: it does not take what is said.
struct PosterClosed {
  absl::Status status;
};

struct PosterStats {
  uint64_t posts = 0;    // That the server has taken.
  uint64_t retries = 0;  // Of them.
  uint64_t bytes_unasked = 0;

  static constexpr Counter<PosterStats> kCounters[] = {
      KYUU_COUNTER(PosterStats, posts),
      KYUU_COUNTER(PosterStats, retries),
      KYUU_COUNTER(PosterStats, bytes_unasked),
  };
};
static_assert(Countable<PosterStats>);

// Poster outlives its byte streams: each is an engine's to those who drive it.
// A post that was not answered may have arrived; the server knows it by its
// number, and so it is said again as it was.
class Poster {
 public:
  using Packet = absl::Span<const uint8_t>;
  using Event = std::variant<StreamWanted, PosterClosed>;

  explicit Poster(const PosterOptions& options) : options_(options) {}

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return timers_.NextTimeout(); }
  void HandleConnected(absl::Time now);
  // The byte stream has ended (OK) or failed, or there will be none; nothing
  // happens without one.
  void HandleStreamEnd(absl::Time now, const absl::Status& why);

  // Queues a message, which is JSON. FAILED_PRECONDITION behind Close() or
  // PosterClosed; RESOURCE_EXHAUSTED if the queue would outgrow
  // max_queued_bytes: that is the end.
  absl::Status Post(absl::Time now, std::string message);
  // A sign of life: a post, empty if nothing waits.
  void ShowLife(absl::Time now);
  // The last post, behind all messages, has `code`: 1000 ends the session.
  void Close(absl::Time now, uint16_t code);

  // This byte stream is of no more use.
  bool finished() const {
    return closed_ || stream_ == Stream::kSpent || stream_ == Stream::kNone;
  }
  const PosterStats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  enum class Stream : uint8_t {
    kNone,
    kWanted,
    kIdle,
    kAnswering,  // A post has been written to it.
    kSpent,      // It is to be closed.
  };
  enum class Timer : uint8_t {
    kAnswer,  // A post is not answered, or its stream not made.
    kRetry,
    kCount,
  };
  // What is posted, until it is answered.
  struct Current {
    std::string request;
    size_t bytes = 0;  // Counted in queued_bytes_.
    int tries = 0;
    bool is_last = false;
  };

  // Goes on with what waits, if there is a way.
  void Advance(absl::Time now);
  Current MakePost();
  void OnAnswer(absl::Time now, const HttpResponse& response);
  // Before the next try of what is posted.
  absl::Duration Pause() const;
  // A try was in vain.
  void LoseStream(absl::Time now, const absl::Status& why);
  void TryAgain(absl::Time now, const absl::Status& why, absl::Duration pause);
  void Finish(absl::Status status);

  const PosterOptions options_;
  TimerTable<Timer> timers_;
  Stream stream_ = Stream::kNone;
  bool stream_is_used_ = false;  // It has carried a post that was answered.
  std::optional<HttpResponseParser> parser_;  // Of the answer.
  size_t interim_ = 0;                        // Responses 1xx before it.
  size_t written_ = 0;                        // Of the request.
  std::optional<Current> current_;
  Queue<std::string> waiting_;
  bool due_ = false;  // A post is to follow, with what waits or without.
  uint64_t number_ = 0;
  size_t queued_bytes_ = 0;
  std::optional<uint16_t> closing_;
  bool closed_ = false;
  Queue<Event> events_;
  PosterStats stats_;
};

static_assert(Engine<Poster>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_EVENTS_POSTER_H_
