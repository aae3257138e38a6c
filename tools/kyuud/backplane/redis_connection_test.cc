#include "tools/kyuud/backplane/redis_connection.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "hiredis/hiredis.h"
#include "net/tcp.h"
#include "net/testing/certificate.h"
#include "net/testing/endpoint.h"
#include "net/testing/loop.h"
#include "net/tls.h"

namespace kyuu::tools {
namespace {

enum class Over { kTcp, kTls };

// A connection, and what stands in for Redis at its other end: both as plain
// text and over TLS the same is seen.
class RedisConnectionTest : public testing::TestWithParam<Over> {
 protected:
  void Connect(absl::string_view name = "kyuu.test") {
    listener_ = std::make_unique<net::TcpListener>(
        net::TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}})
            .value());
    accept_ = std::make_unique<net::Watch>(
        *loop_, listener_->fd(), net::Interest::kRead,
        [this](net::Readiness) { Accept(*listener_->Accept()); });
    std::optional<net::TlsContext> tls;
    if (GetParam() == Over::kTls) {
      tls =
          net::TlsContext::Client({.server_name = std::string(name),
                                   .ca_file = certificate_.certificate_file()})
              .value();
    }
    connection_ = std::make_unique<RedisConnection>(
        *loop_, listener_->local(), tls, [this](absl::string_view why) {
          why_ = std::string(why);
          loop_->Stop();
        });
  }
  void Accept(net::TcpStream stream) {
    if (GetParam() == Over::kTcp) {
      redis_ = std::make_unique<net::Endpoint<net::Stream>>(
          *loop_, net::Stream(std::move(stream)));
      return;
    }
    const auto context = net::TlsContext::Server(
        {{{certificate_.certificate_file(), certificate_.key_file()}}, {}});
    redis_ = std::make_unique<net::Endpoint<net::Stream>>(
        *loop_, net::Stream(net::TlsStream(*context, std::move(stream))));
  }
  RedisConnection::Answer Note() {
    return [this](const redisReply& reply) {
      absl::StrAppend(&answers_, TextOf(reply), reply.integer, " ");
      loop_->Stop();
    };
  }
  bool Heard(absl::string_view text) {
    return redis_ != nullptr && redis_->received == text;
  }

  const net::TestCertificate certificate_;
  net::TestLoop loop_;
  std::unique_ptr<net::TcpListener> listener_;
  std::unique_ptr<net::Watch> accept_;
  std::unique_ptr<net::Endpoint<net::Stream>> redis_;
  std::unique_ptr<RedisConnection> connection_;
  std::string answers_;
  std::optional<std::string> why_;
};

INSTANTIATE_TEST_SUITE_P(Over, RedisConnectionTest,
                         testing::Values(Over::kTcp, Over::kTls),
                         [](const auto& over) {
                           return over.param == Over::kTcp ? "Tcp" : "Tls";
                         });

TEST_P(RedisConnectionTest, AnswersComeToThoseWhoAsked) {
  Connect();
  connection_->Send({"PING"}, Note());
  connection_->Send({"TIME"}, Note());
  loop_.RunUntil(
      [&] { return Heard("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nTIME\r\n"); });
  ASSERT_OK(redis_->Write("+PONG\r\n:5\r\n"));
  loop_.RunUntil([&] { return answers_ == "PONG0 5 "; });
}

TEST_P(RedisConnectionTest, MessagesComeBehindTheAnswersToWhatWasAskedBefore) {
  Connect();
  connection_->Send({"AUTH", "x"}, Note());
  std::string kinds;
  connection_->Subscribe({"a", "b"}, [&](const redisReply& reply) {
    absl::StrAppend(&kinds, TextOf(*reply.element[0]), " ");
    loop_->Stop();
  });
  loop_.RunUntil([&] { return redis_ != nullptr; });
  ASSERT_OK(redis_->Write(
      "+OK\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe"
      "\r\n$1\r\nb\r\n:2\r\n*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$1\r\nx\r\n"));
  loop_.RunUntil([&] { return kinds == "subscribe subscribe message "; });
  EXPECT_EQ(answers_, "OK0 ");
}

TEST_P(RedisConnectionTest, AnAnswerMayDestroyTheConnection) {
  Connect();
  connection_->Send({"PING"}, [&](const redisReply&) {
    connection_.reset();
    loop_->Stop();
  });
  connection_->Send({"PING"}, Note());
  loop_.RunUntil([&] { return redis_ != nullptr; });
  ASSERT_OK(redis_->Write("+PONG\r\n+PONG\r\n"));
  loop_.RunUntil([&] { return connection_ == nullptr; });
  EXPECT_EQ(answers_, "");
  EXPECT_FALSE(why_.has_value());
}

TEST_P(RedisConnectionTest, MegabytesLeaveAsTheyAreTaken) {
  Connect();
  const std::string large(3 << 20, 'x');
  connection_->Send({"PUBLISH", "c", large}, Note());
  const size_t bytes = connection_->unsent_bytes();
  EXPECT_GT(bytes, large.size());
  loop_.RunUntil(
      [&] { return redis_ != nullptr && redis_->received.size() == bytes; });
  EXPECT_EQ(connection_->unsent_bytes(), 0u);
}

TEST_P(RedisConnectionTest, ARedisThatIsGoneIsTold) {
  Connect();
  connection_->Send({"PING"}, Note());
  loop_.RunUntil([&] { return Heard("*1\r\n$4\r\nPING\r\n"); });
  redis_.reset();
  loop_.RunUntil([&] { return why_.has_value(); });
  EXPECT_NE(*why_, "");
  connection_->Send({"PING"}, Note());  // Of no use, and harmless.
}

TEST_P(RedisConnectionTest, NobodyThereIsTold) {
  connection_ = std::make_unique<RedisConnection>(
      *loop_, TransportAddress{IpAddress::V4(127, 0, 0, 1), 1}, std::nullopt,
      [this](absl::string_view why) {
        why_ = std::string(why);
        connection_.reset();
        loop_->Stop();
      });
  connection_->Send({"PING"}, Note());
  loop_.RunUntil([&] { return why_.has_value(); });
  EXPECT_THAT(*why_, testing::HasSubstr("refused"));
}

class RedisOverTlsTest : public RedisConnectionTest {};
INSTANTIATE_TEST_SUITE_P(Over, RedisOverTlsTest, testing::Values(Over::kTls),
                         [](const auto&) { return "Tls"; });

TEST_P(RedisOverTlsTest, ACertificateOfAnotherNameIsRefused) {
  Connect("redis.test");
  connection_->Send({"AUTH", "sesame"}, Note());
  loop_.RunUntil([&] { return why_.has_value() && redis_->over; });
  EXPECT_THAT(*why_, testing::HasSubstr("hostname mismatch"));
  EXPECT_EQ(redis_->received, "");
}

}  // namespace
}  // namespace kyuu::tools
