#include "tools/kyuud/backplane/redis_connection.h"

#include <memory>
#include <utility>

#include "hiredis/async.h"
#include "hiredis/hiredis.h"
#include "hiredis/sds.h"

namespace kyuu::tools {
namespace {

RedisConnection* OwnerOf(const redisAsyncContext* context) {
  return static_cast<RedisConnection*>(context->data);
}

struct Arguments {
  explicit Arguments(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      pointers.push_back(text.data());
      sizes.push_back(text.size());
    }
  }
  int count() const { return static_cast<int>(pointers.size()); }

  std::vector<const char*> pointers;
  std::vector<size_t> sizes;
};

}  // namespace

// What hiredis wants of a loop. It belongs to the context, which says when it
// is over, and may outlive the connection by the rest of a callback.
struct RedisConnection::Adapter {
  Adapter(net::Loop& loop, redisAsyncContext& owner)
      : context(owner),
        watch(loop, owner.c.fd, net::Interest::kNone,
              [this](net::Readiness ready) { Handle(ready); }) {}

  void Handle(net::Readiness ready) {
    // hiredis may end the context, and this with it, in any of these.
    const std::weak_ptr<bool> guard = alive;
    if (ready.writable && wants_write) redisAsyncHandleWrite(&context);
    if (guard.expired()) return;
    if (!ready.readable || !wants_read) return;
    redisAsyncHandleRead(&context);
    if (guard.expired() ||
        sdslen(context.c.reader->buf) <= kMaxRedisAnswerBytes + (64 << 10)) {
      return;
    }
    RedisConnection* owner = OwnerOf(&context);
    if (owner != nullptr) owner->HandleEnd("Redis sends more than it may");
  }
  void Apply() {
    watch.SetInterest(wants_read && wants_write ? net::Interest::kReadWrite
                      : wants_read              ? net::Interest::kRead
                      : wants_write             ? net::Interest::kWrite
                                                : net::Interest::kNone);
  }
  static Adapter* Of(void* data) { return static_cast<Adapter*>(data); }

  redisAsyncContext& context;
  bool wants_read = false;
  bool wants_write = false;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  net::Watch watch;
};

RedisConnection::RedisConnection(net::Loop& loop, const TransportAddress& redis,
                                 End end)
    : end_(std::move(end)), alarm_(loop, [this] { HandleEnd(failure_); }) {
  redisAsyncContext* context =
      redisAsyncConnect(redis.ip.ToString().c_str(), redis.port);
  if (context == nullptr || context->err != 0) {
    failure_ = context == nullptr ? "no memory" : context->errstr;
    if (context != nullptr) redisAsyncFree(context);
    alarm_.Set(absl::InfinitePast());
    return;
  }
  context_ = context;
  context->data = this;
  context->ev.data = new Adapter(loop, *context);
  context->ev.addRead = [](void* data) {
    Adapter::Of(data)->wants_read = true;
    Adapter::Of(data)->Apply();
  };
  context->ev.delRead = [](void* data) {
    Adapter::Of(data)->wants_read = false;
    Adapter::Of(data)->Apply();
  };
  context->ev.addWrite = [](void* data) {
    Adapter::Of(data)->wants_write = true;
    Adapter::Of(data)->Apply();
  };
  context->ev.delWrite = [](void* data) {
    Adapter::Of(data)->wants_write = false;
    Adapter::Of(data)->Apply();
  };
  context->ev.cleanup = [](void* data) { delete Adapter::Of(data); };
  redisAsyncSetConnectCallback(context,
                               [](const redisAsyncContext* c, int status) {
                                 RedisConnection* owner = OwnerOf(c);
                                 if (owner == nullptr || status == REDIS_OK)
                                   return;
                                 // hiredis frees it behind this.
                                 owner->context_ = nullptr;
                                 owner->HandleEnd(c->errstr);
                               });
  redisAsyncSetDisconnectCallback(
      context, [](const redisAsyncContext* c, int status) {
        RedisConnection* owner = OwnerOf(c);
        if (owner == nullptr) return;
        owner->context_ = nullptr;
        owner->HandleEnd(status == REDIS_OK ? "closed" : c->errstr);
      });
}

RedisConnection::~RedisConnection() {
  if (context_ == nullptr) return;
  context_->data = nullptr;
  // Within a callback hiredis does it behind that.
  redisAsyncFree(std::exchange(context_, nullptr));
}

void RedisConnection::HandleEnd(absl::string_view why) {
  const std::string reason(why);
  if (context_ != nullptr) {
    context_->data = nullptr;
    redisAsyncFree(std::exchange(context_, nullptr));
  }
  if (!end_) return;
  End end = std::exchange(end_, nullptr);
  end(reason);
}

void RedisConnection::Send(const std::vector<std::string>& arguments,
                           Answer answer) {
  if (context_ == nullptr) return;
  Arguments a(arguments);
  auto owned = std::make_unique<Answer>(std::move(answer));
  const int sent = redisAsyncCommandArgv(
      context_,
      [](redisAsyncContext* c, void* reply, void* data) {
        const std::unique_ptr<Answer> taken(static_cast<Answer*>(data));
        if (OwnerOf(c) == nullptr || reply == nullptr) return;
        (*taken)(static_cast<const redisReply*>(reply));
      },
      owned.get(), a.count(), a.pointers.data(), a.sizes.data());
  // Refused only while the connection ends, which is told.
  if (sent == REDIS_OK) (void)owned.release();
}

void RedisConnection::Subscribe(const std::vector<std::string>& channels,
                                Answer answer) {
  if (context_ == nullptr) return;
  on_message_ = std::make_shared<Answer>(std::move(answer));
  std::vector<std::string> arguments = {"SUBSCRIBE"};
  arguments.insert(arguments.end(), channels.begin(), channels.end());
  Arguments a(arguments);
  // Refused only while the connection ends, which is told.
  (void)redisAsyncCommandArgv(
      context_,
      [](redisAsyncContext* c, void* reply, void*) {
        RedisConnection* owner = OwnerOf(c);
        if (owner == nullptr || reply == nullptr) return;
        // It may destroy the connection.
        const std::shared_ptr<Answer> on_message = owner->on_message_;
        (*on_message)(static_cast<const redisReply*>(reply));
      },
      nullptr, a.count(), a.pointers.data(), a.sizes.data());
}

void RedisConnection::Flush() {
  if (context_ == nullptr) return;
  int is_done = 0;
  // An error comes again with the next event.
  (void)redisBufferWrite(&context_->c, &is_done);
}

size_t RedisConnection::unsent_bytes() const {
  return context_ == nullptr ? 0 : sdslen(context_->c.obuf);
}

}  // namespace kyuu::tools
