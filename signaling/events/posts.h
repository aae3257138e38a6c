// Posts: which event stream a request's messages belong to, and whether they
// are the next ones.

#ifndef KYUU_SIGNALING_EVENTS_POSTS_H_
#define KYUU_SIGNALING_EVENTS_POSTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/deadline_queue.h"
#include "base/random.h"
#include "signaling/envelope.h"
#include "signaling/http.h"

namespace kyuu::signaling {

// Header fields of a post (docs/signaling_protocol.md, "Without WebSockets").
inline constexpr char kStreamHeader[] = "Kyuu-Stream";
inline constexpr char kPostHeader[] = "Kyuu-Post";
inline constexpr char kCloseHeader[] = "Kyuu-Close";

// As many as the default message rate lets through at once
// (ServerOptions::messages).
inline constexpr size_t kMaxMessagesPerPost = 200;

// How long a stream takes posts behind its end. Its client's last one, a
// goodbye most likely, comes by another connection and may be later than the
// end: as much later as it takes to connect, and to be heard at the second try
// (RFC 6298 section 2: after 1 s).
inline constexpr absl::Duration kPostLinger = absl::Seconds(3);

// What a post brings: all of its messages, or none if it was taken before.
struct Posted {
  ConnectionId connection{};
  std::vector<std::string> messages;  // Valid UTF-8, in order.
  // The client ends the stream behind them: the code that it would close its
  // WebSocket with.
  std::optional<uint16_t> close;
};

// Why a post is refused; nothing has changed by it.
struct PostRefused {
  int status = 0;  // 4xx
  std::string text;
};

// Posts knows the streams by secrets that only those who read them have. A
// value; it holds some 150 bytes for each stream, whose number is the caller's
// to bound: one that lingers counts as an open one.
class Posts {
 public:
  // `random` must outlive it.
  explicit Posts(Random& random) : random_(random) {}

  // The name of a stream that is open, 64 hexadecimal digits: 128 bits by which
  // it is found, and 128 that prove it. `connection` has none yet.
  std::string Open(ConnectionId connection);
  // Its reader has gone, and may have posted something before. The stream takes
  // posts until PopGone() tells it; nothing happens if there is none.
  void Linger(absl::Time now, ConnectionId connection);
  // A stream whose time to linger is over, and which is closed by this; nullopt
  // if there is none.
  std::optional<ConnectionId> PopGone(absl::Time now);
  // When to call PopGone() next; absl::InfiniteFuture() for never.
  absl::Time NextTimeout() const { return lingering_.NextTimeout(); }
  // Its stream is no more; nothing happens if there was none.
  void Close(ConnectionId connection);

  // Judges a POST by its fields and body. Posts are numbered from 1: the next
  // one is taken, an earlier one was (its answer may have been lost) and is
  // not taken again, a later one is refused (409).
  std::variant<Posted, PostRefused> Take(const HttpRequest& request);

  size_t size() const { return streams_.size(); }

 private:
  struct Stream {
    ConnectionId connection{};
    std::string proof;
    uint64_t taken = 0;  // Posts.
  };

  Stream* Find(absl::string_view name);

  Random& random_;
  absl::flat_hash_map<std::string, Stream> streams_;  // By what finds them.
  absl::flat_hash_map<ConnectionId, std::string> names_;
  DeadlineQueue<ConnectionId> lingering_;
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_EVENTS_POSTS_H_
