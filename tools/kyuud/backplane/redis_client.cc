#include "tools/kyuud/backplane/redis_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "hiredis/hiredis.h"

namespace kyuu::tools {
namespace {

// What stands around a message in its reply.
constexpr size_t kOverheadBytes = 64 << 10;

}  // namespace

absl::string_view TextOf(const redisReply& reply) {
  return reply.str == nullptr ? absl::string_view()
                              : absl::string_view(reply.str, reply.len);
}

void RedisClient::ReplyDeleter::operator()(redisReply* reply) const {
  freeReplyObject(reply);
}
void RedisClient::ReaderDeleter::operator()(redisReader* reader) const {
  redisReaderFree(reader);
}

RedisClient::RedisClient() : reader_(redisReaderCreate()) {
  KYUU_CHECK(reader_ != nullptr);
}

void RedisClient::Send(const std::vector<std::string>& words) {
  if (over_) return;
  absl::StrAppend(&out_, "*", words.size(), "\r\n");
  for (const std::string& word : words) {
    absl::StrAppend(&out_, "$", word.size(), "\r\n", word, "\r\n");
  }
}

void RedisClient::HandlePacket(absl::Time, Packet in) {
  if (over_ || in.empty()) return;
  partial_bytes_ += in.size();
  // What goes wrong shows when replies are taken.
  (void)redisReaderFeed(reader_.get(), AsText(in).data(), in.size());
}

std::optional<RedisClient::Event> RedisClient::PollEvent() {
  if (closed_.has_value()) return *std::exchange(closed_, std::nullopt);
  if (over_) return std::nullopt;
  void* taken = nullptr;
  if (redisReaderGetReply(reader_.get(), &taken) != REDIS_OK) {
    End(absl::DataLossError(
        absl::StrCat("what it says is no reply: ", reader_->errstr)));
  } else if (taken != nullptr) {
    partial_bytes_ = reader_->len - reader_->pos;
    return Replied{std::unique_ptr<redisReply, ReplyDeleter>(
        static_cast<redisReply*>(taken))};
  } else if (partial_bytes_ > kMaxRedisReplyBytes + kOverheadBytes) {
    End(absl::ResourceExhaustedError("it sends more than it may"));
  }
  if (!closed_.has_value()) return std::nullopt;
  return *std::exchange(closed_, std::nullopt);
}

std::optional<RedisClient::Packet> RedisClient::PollTransmit(
    absl::Time, absl::Span<uint8_t> out) {
  const size_t size = std::min(unsent_bytes(), out.size());
  if (size == 0 || over_) return std::nullopt;
  std::copy_n(out_.begin() + static_cast<std::ptrdiff_t>(sent_), size,
              out.begin());
  sent_ += size;
  // What is polled goes once it is the larger part: each byte moves once.
  if (sent_ >= unsent_bytes()) {
    out_.erase(0, sent_);
    sent_ = 0;
  }
  return out.first(size);
}

void RedisClient::HandleStreamEnd(absl::Time, const absl::Status& why) {
  End(why.ok() ? absl::UnavailableError("it has closed the connection") : why);
}

void RedisClient::End(absl::Status why) {
  if (std::exchange(over_, true)) return;
  closed_ = Closed{std::move(why)};
}

}  // namespace kyuu::tools
