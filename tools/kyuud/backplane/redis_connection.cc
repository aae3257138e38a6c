#include "tools/kyuud/backplane/redis_connection.h"

#include <utility>
#include <variant>

#include "hiredis/hiredis.h"
#include "net/tcp.h"

namespace kyuu::tools {

RedisConnection::RedisConnection(net::Loop& loop, const TransportAddress& redis,
                                 const std::optional<net::TlsContext>& tls,
                                 End end)
    : end_(std::move(end)), alarm_(loop, [this] { HandleAlarm(); }) {
  absl::StatusOr<net::TcpStream> tcp = net::TcpStream::Connect(redis);
  if (!tcp.ok()) {
    failure_ = std::string(tcp.status().message());
    alarm_.Set(absl::InfinitePast());
    return;
  }
  driver_.emplace(
      loop,
      tls.has_value() ? net::Stream(net::TlsStream(*tls, *std::move(tcp)))
                      : net::Stream(*std::move(tcp)),
      client_, buffer_,
      [this](RedisClient::Event event) { HandleEvent(std::move(event)); },
      [this](net::StreamEnd, const absl::Status& why) {
        if (failure_.empty()) failure_ = std::string(why.message());
        HandleEnd();
      });
}

void RedisConnection::HandleEvent(RedisClient::Event event) {
  if (const auto* closed = std::get_if<RedisClient::Closed>(&event)) {
    failure_ = std::string(closed->status.message());
    return;  // The driver ends with it.
  }
  HandleReply(*std::get<RedisClient::Replied>(event).reply);
}

void RedisConnection::HandleReply(const redisReply& reply) {
  if (!answers_.empty()) {
    Answer answer = std::move(answers_.front());
    answers_.pop_front();
    return answer(reply);
  }
  if (on_message_ == nullptr) return;  // Nobody has asked.
  // It may destroy the connection.
  const std::shared_ptr<Answer> on_message = on_message_;
  (*on_message)(reply);
}

void RedisConnection::HandleAlarm() {
  if (!driver_.has_value()) return HandleEnd();
  driver_->Flush();
}

void RedisConnection::HandleEnd() {
  End end = std::exchange(end_, nullptr);
  const std::string why = failure_;
  // Last: it may destroy us.
  if (end) end(why);
}

void RedisConnection::Send(const std::vector<std::string>& words,
                           Answer answer) {
  answers_.push_back(std::move(answer));
  Queue(words);
}

void RedisConnection::Subscribe(const std::vector<std::string>& channels,
                                Answer answer) {
  on_message_ = std::make_shared<Answer>(std::move(answer));
  std::vector<std::string> words = {"SUBSCRIBE"};
  words.insert(words.end(), channels.begin(), channels.end());
  Queue(words);
}

void RedisConnection::Queue(const std::vector<std::string>& words) {
  if (client_.unsent_bytes() == 0) alarm_.Set(absl::InfinitePast());
  client_.Send(words);
}

void RedisConnection::Flush() {
  if (driver_.has_value()) driver_->Flush();
}

}  // namespace kyuu::tools
