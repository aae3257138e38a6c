// RedisConnection: one connection to Redis on a loop, over TCP or TLS.

#ifndef KYUU_TOOLS_KYUUD_BACKPLANE_REDIS_CONNECTION_H_
#define KYUU_TOOLS_KYUUD_BACKPLANE_REDIS_CONNECTION_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/address.h"
#include "net/loop.h"
#include "net/stream_driver.h"
#include "net/tls.h"
#include "tools/kyuud/backplane/redis_client.h"

namespace kyuu::tools {

class RedisConnection {
 public:
  // A reply, for as long as the call lasts.
  using Answer = absl::AnyInvocable<void(const redisReply& reply)>;
  // Called once, unless the connection is destroyed first, which it may be in
  // the call. No answer comes behind it.
  using End = absl::AnyInvocable<void(absl::string_view why)>;

  // Connects, with `tls` over TLS; what is sent meanwhile waits.
  RedisConnection(net::Loop& loop, const TransportAddress& redis,
                  const std::optional<net::TlsContext>& tls, End end);
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  // The answer may destroy the connection.
  void Send(const std::vector<std::string>& words, Answer answer);
  // As Send, and all messages of the channels are answers. Once, the last.
  void Subscribe(const std::vector<std::string>& channels, Answer answer);
  // Writes what waits as far as the socket takes it at once.
  void Flush();
  size_t unsent_bytes() const { return client_.unsent_bytes(); }

 private:
  void Queue(const std::vector<std::string>& words);
  void HandleAlarm();
  void HandleEvent(RedisClient::Event event);
  void HandleReply(const redisReply& reply);
  void HandleEnd();

  End end_;
  std::string failure_;  // Why it has ended.
  net::StreamBuffer buffer_;
  RedisClient client_;
  std::deque<Answer> answers_;
  std::shared_ptr<Answer> on_message_;
  // What is sent in one turn of the loop leaves together; and for an end that
  // is known before anybody could be told.
  net::Alarm alarm_;
  std::optional<net::StreamDriver<RedisClient>> driver_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_BACKPLANE_REDIS_CONNECTION_H_
