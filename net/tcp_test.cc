#include "net/tcp.h"

#include <sys/resource.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "net/loop.h"
#include "net/loop_testing.h"
#include "net/stream_testing.h"

namespace kyuu::net {
namespace {

using TcpEndpoint = Endpoint<TcpStream>;

class TcpTest : public testing::Test {
 protected:
  explicit TcpTest(absl::string_view bind = "127.0.0.1:0")
      : listener_(
            TcpListener::Open({.bind = TransportAddress::Parse(bind).value()})
                .value()) {}

  TcpStream Accept() {
    std::optional<TcpStream> stream;
    Watch watch(*loop_, listener_.fd(), Interest::kRead, [&](Readiness) {
      stream = listener_.Accept();
      loop_->Stop();
    });
    loop_.RunUntil([&] { return stream.has_value(); });
    return *std::move(stream);
  }
  std::pair<std::unique_ptr<TcpEndpoint>, std::unique_ptr<TcpEndpoint>> Pair(
      const StreamOptions& options = {}) {
    auto client = std::make_unique<TcpEndpoint>(
        *loop_, TcpStream::Connect(listener_.local(), options).value());
    return {std::move(client), std::make_unique<TcpEndpoint>(*loop_, Accept())};
  }

  TestLoop loop_;
  TcpListener listener_;
};

TEST_F(TcpTest, BytesTravelBothWays) {
  auto [client, server] = Pair();
  EXPECT_EQ(server->stream.path().local, listener_.local());
  EXPECT_EQ(server->stream.path().remote, client->stream.path().local);
  ASSERT_OK(client->Write("ping"));
  loop_.RunUntil([&, &s = *server] { return s.received == "ping"; });
  ASSERT_OK(server->Write("pong"));
  loop_.RunUntil([&, &c = *client] { return c.received == "pong"; });
}

TEST_F(TcpTest, WhatIsWrittenWhileConnectingArrives) {
  auto client =
      TcpEndpoint(*loop_, TcpStream::Connect(listener_.local()).value());
  ASSERT_OK(client.Write("early"));
  TcpEndpoint server(*loop_, Accept());
  loop_.RunUntil([&] { return server.received == "early"; });
}

TEST_F(TcpTest, HalfClosedConnectionsGoOnTheOtherWay) {
  auto [client, server] = Pair();
  ASSERT_OK(client->Write("question"));
  client->Shutdown();
  EXPECT_THAT(client->Write("more"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  loop_.RunUntil([&, &s = *server] { return s.over; });
  EXPECT_EQ(server->last, ReadState::kEnd);
  EXPECT_EQ(server->received, "question");
  ASSERT_OK(server->Write("answer"));
  loop_.RunUntil([&, &c = *client] { return c.received == "answer"; });
}

TEST_F(TcpTest, APeerThatDoesNotReadFillsABoundedBuffer) {
  auto [client, server] = Pair({.write_buffer_bytes = 100'000});
  server->reading = false;
  server->watch.SetInterest(Interest::kNone);
  const std::string chunk(50'000, 'x');
  size_t taken = 0;
  absl::Status status;
  while ((status = client->Write(chunk)).ok()) taken += chunk.size();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_LE(client->stream.buffered(), 100'000u);
  EXPECT_GT(client->stream.buffered(), 50'000u);
  client->Shutdown();
  // Once it reads, all that was taken arrives, and then the end.
  server->reading = true;
  server->watch.SetInterest(Interest::kRead);
  loop_.RunUntil([&, &s = *server] { return s.over; });
  EXPECT_EQ(server->received, std::string(taken, 'x'));
  EXPECT_EQ(server->last, ReadState::kEnd);
}

TEST_F(TcpTest, ARefusedConnectionFails) {
  TransportAddress closed;
  {
    const auto gone = TcpListener::Open({.bind = {listener_.local().ip, 0}});
    closed = gone->local();
  }
  auto stream = TcpStream::Connect(closed);
  if (!stream.ok()) {  // Loopback may tell at once.
    EXPECT_THAT(stream, StatusIs(absl::StatusCode::kUnavailable));
    return;
  }
  TcpEndpoint client(*loop_, *std::move(stream));
  loop_.RunUntil([&] { return client.over; });
  EXPECT_EQ(client.last, ReadState::kFailed);
  EXPECT_THAT(client.stream.status(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(client.Write("x"), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TcpTest, AResetShowsAsFailure) {
  auto [client, server] = Pair();
  const linger now{1, 0};
  setsockopt(client->stream.fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  client.reset();
  loop_.RunUntil([&, &s = *server] { return s.over; });
  EXPECT_EQ(server->last, ReadState::kFailed);
}

TEST_F(TcpTest, PeekLeavesTheByte) {
  auto [client, server] = Pair();
  EXPECT_EQ(server->stream.PeekByte(), std::nullopt);
  server->reading = false;
  ASSERT_OK(client->Write("GET"));
  std::optional<uint8_t> byte;
  loop_.RunUntil([&, &s = *server] {
    byte = s.stream.PeekByte();
    return byte.has_value();
  });
  EXPECT_EQ(byte, uint8_t{'G'});
  server->reading = true;
  loop_.RunUntil([&, &s = *server] { return s.received == "GET"; });
}

TEST_F(TcpTest, ATakenPortIsAlreadyExists) {
  EXPECT_THAT(TcpListener::Open({.bind = listener_.local()}),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(TcpTest, OutOfDescriptorsTheWaitingConnectionIsClosed) {
  auto client =
      TcpEndpoint(*loop_, TcpStream::Connect(listener_.local()).value());
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none{0, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  bool ready = false;
  Watch watch(*loop_, listener_.fd(), Interest::kRead, [&](Readiness) {
    EXPECT_FALSE(listener_.Accept().has_value());
    ready = true;
    loop_->Stop();
  });
  loop_.RunUntil([&] { return ready; });
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

class Tcp6Test : public TcpTest {
 protected:
  Tcp6Test() : TcpTest("[::1]:0") {}
};

TEST_F(Tcp6Test, BytesTravelOverIpv6) {
  auto [client, server] = Pair();
  ASSERT_OK(client->Write("six"));
  loop_.RunUntil([&, &s = *server] { return s.received == "six"; });
  EXPECT_TRUE(server->stream.path().remote.ip.is_v6());
}

}  // namespace
}  // namespace kyuu::net
