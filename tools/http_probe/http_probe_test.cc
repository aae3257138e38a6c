#include "tools/http_probe/http_probe.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "net/loop.h"
#include "net/tcp.h"

namespace kyuu::tools {
namespace {

// A server of one connection, with the socket calls of the system.
class Server {
 public:
  enum class Then : uint8_t { kClose, kRepeat, kSilence };

  // Says `answer`, and then: ends, says it again until nobody listens, or
  // nothing.
  Server(std::string answer, Then then) {
    auto listener =
        net::TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}});
    listener_.emplace(*std::move(listener));
    address_ = listener_->local();
    thread_ = std::thread([this, answer = std::move(answer), then] {
      int fd = -1;
      while (fd < 0) fd = accept(listener_->fd(), nullptr, nullptr);
      char request[2048];
      while (recv(fd, request, sizeof request, 0) < 0) {
      }
      while (send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) >= 0 &&
             then == Then::kRepeat) {
      }
      // Until the other side goes.
      while (then != Then::kClose && recv(fd, request, sizeof request, 0) > 0) {
      }
      close(fd);
    });
  }
  ~Server() { thread_.join(); }

  absl::StatusOr<signaling::HttpResponse> Ask(absl::Duration patience) {
    HttpQuestion question{.server = address_, .target = "/"};
    question.headers.Add("Host", "localhost");
    question.patience = patience;
    return AskHttp(question);
  }

 private:
  std::optional<net::TcpListener> listener_;
  TransportAddress address_;
  std::thread thread_;
};

constexpr absl::Duration kLong = absl::Seconds(20);
constexpr absl::Duration kShort = absl::Milliseconds(50);

TEST(HttpProbeTest, BodiesOfEveryKindAreRead) {
  for (const auto& [answer, body] : {
           std::pair("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", "abc"),
           std::pair("HTTP/1.1 200 OK\r\n\r\nabcd", "abcd"),
           std::pair("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
                     "abc"),
           std::pair("HTTP/1.1 103 Early Hints\r\n\r\n"
                     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
                     "a"),
           std::pair("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "ab"),
       }) {
    Server server(answer, Server::Then::kClose);
    const auto response = server.Ask(kLong);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, body);
  }
}

TEST(HttpProbeTest, OneThatSaysNothingIsWaitedForNoLonger) {
  Server server("", Server::Then::kSilence);
  EXPECT_EQ(server.Ask(kShort).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST(HttpProbeTest, OneThatGoesIsToldSo) {
  Server server("", Server::Then::kClose);
  EXPECT_EQ(server.Ask(kLong).status().code(), absl::StatusCode::kUnavailable);
}

TEST(HttpProbeTest, GarbageIsNoHttp) {
  Server server("SSH-2.0-OpenSSH_9.2\r\n\r\n", Server::Then::kSilence);
  EXPECT_EQ(server.Ask(kLong).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(HttpProbeTest, AHeaderWithoutEndIsGivenUp) {
  Server server("HTTP/1.1 200 OK\r\n", Server::Then::kSilence);
  EXPECT_EQ(server.Ask(kShort).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  Server endless(absl::StrCat("HTTP/1.1 200 OK\r\n", std::string(20'000, 'a')),
                 Server::Then::kRepeat);
  EXPECT_EQ(endless.Ask(kLong).status().code(), absl::StatusCode::kOutOfRange);
}

TEST(HttpProbeTest, ABodyWithoutEndIsCutOff) {
  Server server("HTTP/1.1 200 OK\r\n\r\n", Server::Then::kRepeat);
  const auto response = server.Ask(kLong);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->body.size(), HttpQuestion().body_bytes_max);
}

}  // namespace
}  // namespace kyuu::tools
