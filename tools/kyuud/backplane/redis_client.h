// RedisClient: the client's side of Redis' protocol (RESP2), by hiredis'
// reader.

#ifndef KYUU_TOOLS_KYUUD_BACKPLANE_REDIS_CLIENT_H_
#define KYUU_TOOLS_KYUUD_BACKPLANE_REDIS_CLIENT_H_

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
#include "net/stream_engine.h"

struct redisReader;
struct redisReply;

namespace kyuu::tools {

// What Redis may make us hold of one reply: it sends what we have sent it, a
// session with all that waits for its client at most.
inline constexpr size_t kMaxRedisReplyBytes = 4 << 20;

// The text of a reply, or "" if it has none.
absl::string_view TextOf(const redisReply& reply);

// RedisClient is an engine over the bytes of one connection. Replies come in
// the order of the commands; whose they are its owner knows.
class RedisClient {
 public:
  using Packet = absl::Span<const uint8_t>;
  struct ReplyDeleter {
    void operator()(redisReply* reply) const;
  };
  struct Replied {
    std::unique_ptr<redisReply, ReplyDeleter> reply;
  };
  // The last event: the connection has ended, or Redis says what is no reply.
  struct Closed {
    absl::Status status;
  };
  using Event = std::variant<Replied, Closed>;

  RedisClient();

  // A command and its arguments, none of them empty of words; any bytes.
  void Send(const std::vector<std::string>& words);
  // Of commands that were not polled yet.
  size_t unsent_bytes() const { return out_.size() - sent_; }

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time) {}
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return absl::InfiniteFuture(); }

  // As net::StreamEngine has them.
  void HandleStreamEnd(absl::Time now, const absl::Status& why);
  bool finished() const { return over_; }
  bool abandoned() const { return over_; }

 private:
  struct ReaderDeleter {
    void operator()(redisReader* reader) const;
  };

  void End(absl::Status why);

  const std::unique_ptr<redisReader, ReaderDeleter> reader_;
  std::string out_;  // [sent_, size()) waits.
  size_t sent_ = 0;
  size_t partial_bytes_ = 0;  // Came since the last whole reply.
  bool over_ = false;
  std::optional<Closed> closed_;  // Not told yet.
};
static_assert(net::StreamEngine<RedisClient>);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_BACKPLANE_REDIS_CLIENT_H_
