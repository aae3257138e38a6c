// RedisConnection: one connection to Redis on a loop, through hiredis.

#ifndef KYUU_TOOLS_KYUUD_BACKPLANE_REDIS_CONNECTION_H_
#define KYUU_TOOLS_KYUUD_BACKPLANE_REDIS_CONNECTION_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "base/address.h"
#include "net/loop.h"

struct redisAsyncContext;
struct redisReply;

namespace kyuu::tools {

// What Redis may make us hold of one answer: it sends what we have sent it, a
// session with all that waits for its client at most.
inline constexpr size_t kMaxRedisAnswerBytes = 4 << 20;

class RedisConnection {
 public:
  // An answer, for as long as the call lasts; nullptr if the connection ended
  // first.
  using Answer = absl::AnyInvocable<void(const redisReply* reply)>;
  // Called once, unless the connection is destroyed first, which it may be in
  // the call. No answer comes behind it.
  using End = absl::AnyInvocable<void(absl::string_view why)>;

  // Connects; what is sent meanwhile waits.
  RedisConnection(net::Loop& loop, const TransportAddress& redis, End end);
  ~RedisConnection();
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  void Send(const std::vector<std::string>& arguments, Answer answer);
  // As Send, and all messages of the channels are answers. Once.
  void Subscribe(const std::vector<std::string>& channels, Answer answer);
  // Writes what waits as far as the socket takes it at once.
  void Flush();
  size_t unsent_bytes() const;
  bool ended() const { return context_ == nullptr; }

 private:
  struct Adapter;

  // What hiredis says.
  void HandleEnd(absl::string_view why);

  redisAsyncContext* context_ = nullptr;
  End end_;
  std::shared_ptr<Answer> on_message_;
  // For an end that is known before anybody could be told.
  net::Alarm alarm_;
  std::string failure_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_BACKPLANE_REDIS_CONNECTION_H_
