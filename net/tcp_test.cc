#include "net/tcp.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "net/loop.h"
#include "net/testing/endpoint.h"
#include "net/testing/loop.h"
#include "net/testing/syscall_faults.h"

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

TEST_F(TcpTest, WhatIsWrittenCorkedLeavesTogether) {
  auto [client, server] = Pair();
  ASSERT_OK(client->Write("before,"));
  loop_.RunUntil([&, &s = *server] { return s.received == "before,"; });
  TcpStream& stream = client->stream;
  stream.Cork();
  for (const char* piece : {"one,", "two,", "three"}) {
    ASSERT_OK(stream.Write(AsBytes(piece)));
  }
  EXPECT_EQ(stream.buffered(), 13u);
  stream.Flush();
  EXPECT_EQ(stream.buffered(), 0u);
  ASSERT_OK(stream.Write(AsBytes(".")));  // Corked no more.
  EXPECT_EQ(stream.buffered(), 0u);
  loop_.RunUntil(
      [&, &s = *server] { return s.received == "before,one,two,three."; });
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

TEST_F(TcpTest, WhatWasPutBackIsReadFirst) {
  auto [client, server] = Pair();
  server->watch.SetInterest(Interest::kNone);
  TcpStream& stream = server->stream;
  ASSERT_OK(client->Write(" HTTP"));
  EXPECT_FALSE(stream.has_pending());
  stream.Unread(AsBytes("GET /"));
  EXPECT_TRUE(stream.has_pending());
  // Whoever owns it by then, with however little room, and without a call.
  TcpStream moved = std::move(stream);
  SyscallFaults faults;
  std::array<uint8_t, 3> buffer;
  std::string got;
  while (moved.has_pending()) {
    const ReadResult read = moved.Read(absl::MakeSpan(buffer));
    ASSERT_EQ(read.state, ReadState::kData);
    got += std::string(AsText(absl::MakeSpan(buffer).first(read.bytes)));
  }
  EXPECT_EQ(got, "GET /");
  EXPECT_EQ(faults.calls(Syscall::kRecv), 0u);
  EXPECT_EQ(moved.Read(absl::MakeSpan(buffer)).bytes, 3u);
  EXPECT_EQ(AsText(buffer), " HT");
}

TEST_F(TcpTest, AnAddressThatIsNotThereYetCanBeAwaited) {
  for (const char* text : {"203.0.113.1:0", "[2001:db8::1]:0"}) {
    const TransportAddress bind = TransportAddress::Parse(text).value();
    EXPECT_THAT(TcpListener::Open({.bind = bind}),
                StatusIs(absl::StatusCode::kNotFound));
    auto listener = TcpListener::Open({.bind = bind, .await_address = true});
    ASSERT_OK(listener);
    EXPECT_EQ(listener->local().ip, bind.ip);
    EXPECT_FALSE(listener->Accept());
  }
}

// A relayed address of TURN over TCP: peers are called from where they call.
TEST_F(TcpTest, StreamsConnectFromWhereAListenerIsThatLendsItsAddress) {
  TcpListener lender =
      TcpListener::Open(
          {.bind = {IpAddress::V4(127, 0, 0, 1), 0}, .lend_address = true})
          .value();
  EXPECT_EQ(TcpListener::Open({.bind = lender.local()}).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(TcpListener::Open({.bind = lender.local(), .lend_address = true})
                .status()
                .code(),
            absl::StatusCode::kAlreadyExists);
  TcpListener other =
      TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}}).value();
  auto first = TcpStream::ConnectFrom(lender.local(), other.local());
  ASSERT_OK(first);
  EXPECT_EQ(first->path().local, lender.local());
  auto second = TcpStream::ConnectFrom(lender.local(), listener_.local());
  EXPECT_OK(second);
  EXPECT_FALSE(TcpStream::ConnectFrom(lender.local(), other.local()).ok());
  auto called = TcpStream::Connect(lender.local());
  ASSERT_OK(called);
  std::optional<TcpStream> accepted;
  Watch watch(*loop_, lender.fd(), Interest::kRead, [&](Readiness) {
    accepted = lender.Accept();
    loop_->Stop();
  });
  loop_.RunUntil([&] { return accepted.has_value(); });
  EXPECT_EQ(accepted->path().remote, called->path().local);
}

TEST_F(TcpTest, ATakenPortIsAlreadyExists) {
  EXPECT_THAT(TcpListener::Open({.bind = listener_.local()}),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

// Takes all descriptors below a real limit, as traffic does.
class Exhausted {
 public:
  Exhausted() {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &limit_), 0);
    const rlimit few{std::min<rlim_t>(limit_.rlim_max, 128), limit_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (true) {
      Fd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!fd.valid()) break;
      taken_.push_back(std::move(fd));
    }
  }
  ~Exhausted() {
    taken_.clear();
    setrlimit(RLIMIT_NOFILE, &limit_);
  }

 private:
  rlimit limit_{};
  std::vector<Fd> taken_;
};

TEST_F(TcpTest, OutOfDescriptorsWhatWaitsIsShedAndTheLoopIsLeft) {
  std::vector<std::unique_ptr<TcpEndpoint>> clients;
  clients.reserve(3);
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<TcpEndpoint>(
        *loop_, TcpStream::Connect(listener_.local()).value()));
  }
  SyscallFaults calls;
  {
    const Exhausted exhausted;
    EXPECT_FALSE(listener_.Accept().has_value());
    EXPECT_TRUE(listener_.exhausted());
    EXPECT_EQ(listener_.stats().shed, 3u);
    // The queue is empty, and the kernel says EMFILE all the same.
    EXPECT_FALSE(listener_.Accept().has_value());
    EXPECT_TRUE(listener_.exhausted());
    EXPECT_LE(calls.calls(Syscall::kAccept), 7u);
  }
  for (auto& client : clients) {
    loop_.RunUntil([&] { return client->over; });
  }
  // With descriptors it goes on as if nothing had been.
  TcpEndpoint late(*loop_, TcpStream::Connect(listener_.local()).value());
  ASSERT_OK(late.Write("hello"));
  TcpEndpoint server(*loop_, Accept());
  loop_.RunUntil([&] { return server.received == "hello"; });
  EXPECT_FALSE(listener_.exhausted());
}

TEST_F(TcpTest, EveryErrnoOfAcceptEndsTheCall) {
  struct Row {
    int error;
    bool exhausted;  // Once it is all that accept4 says.
  };
  const Row rows[] = {
      {EAGAIN, false},      {EINTR, true},      {ECONNABORTED, true},
      {EPROTO, true},       {EPERM, true},      {ENETDOWN, true},
      {ENOPROTOOPT, true},  {EHOSTDOWN, true},  {ENONET, true},
      {EHOSTUNREACH, true}, {EOPNOTSUPP, true}, {ENETUNREACH, true},
      {ETIMEDOUT, true},    {EMFILE, true},     {ENFILE, true},
      {ENOBUFS, true},      {ENOMEM, true},     {EBADF, true},
      {EINVAL, true},       {ENOTSOCK, true},   {EFAULT, true},
  };
  for (const Row& row : rows) {
    for (const bool queue_is_full : {false, true}) {
      SCOPED_TRACE(absl::StrCat("errno ", row.error, " full ", queue_is_full));
      std::optional<TcpStream> client;
      if (queue_is_full) client = TcpStream::Connect(listener_.local()).value();
      {
        SyscallFaults faults;
        faults.Fail(Syscall::kAccept, row.error);
        EXPECT_FALSE(listener_.Accept().has_value());
        EXPECT_EQ(listener_.exhausted(), row.exhausted);
        EXPECT_LE(faults.calls(Syscall::kAccept), 64u);
      }
      // Nothing that accept4 has said is remembered.
      EXPECT_EQ(listener_.Accept().has_value(), queue_is_full);
      EXPECT_FALSE(listener_.exhausted());
    }
  }
}

TEST_F(TcpTest, ConnectionsThatBrokeAreSteppedOver) {
  const auto client = TcpStream::Connect(listener_.local());
  ASSERT_OK(client);
  SyscallFaults faults;
  faults.Fail(Syscall::kAccept, ECONNABORTED, 2);
  faults.Fail(Syscall::kAccept, EPERM, 1);
  EXPECT_TRUE(listener_.Accept().has_value());
  EXPECT_EQ(listener_.stats().broken, 3u);
}

TEST_F(TcpTest, ASpareThatCannotBeHadAgainIsNotWaitedFor) {
  SyscallFaults faults;
  faults.Fail(Syscall::kAccept, EMFILE);
  faults.Fail(Syscall::kOpen, EMFILE);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(listener_.Accept().has_value());
  EXPECT_EQ(faults.calls(Syscall::kOpen), 3u);
  EXPECT_EQ(listener_.stats().exhausted, 3u);
}

TEST_F(TcpTest, EveryErrnoOfReadingAndWritingEndsTheCall) {
  for (const int error : {EINTR, ECONNRESET, ETIMEDOUT, ENOBUFS, ENOMEM, EPIPE,
                          EHOSTUNREACH, EBADF}) {
    SCOPED_TRACE(error);
    auto [client, server] = Pair();
    std::array<uint8_t, 8> buffer;
    SyscallFaults faults;
    faults.Fail(Syscall::kRecv, error, SyscallFaults::kAlways,
                client->stream.fd());
    faults.Fail(Syscall::kSend, error, SyscallFaults::kAlways,
                server->stream.fd());
    const ReadResult got = client->stream.Read(absl::MakeSpan(buffer));
    EXPECT_EQ(got.state,
              error == EINTR ? ReadState::kWouldBlock : ReadState::kFailed);
    EXPECT_EQ(server->stream.Write(AsBytes("x")).ok(), error == EINTR);
    EXPECT_LE(faults.calls(Syscall::kSend), 16u);
    EXPECT_LE(faults.calls(Syscall::kRecv), 16u);
  }
}

TEST_F(TcpTest, ACutThrowsAwayWhatThePeerHasNotRead) {
  auto [client, server] = Pair({.write_buffer_bytes = 8 << 20});
  server->reading = false;
  server->watch.SetInterest(Interest::kNone);
  ASSERT_OK(client->Write(std::string(8 << 20, 'x')));
  EXPECT_GT(client->stream.buffered(), 0u);
  EXPECT_GT(client->stream.taken_bytes(), 0u);
  client->watch.SetInterest(Interest::kNone);
  client->stream.Cut();
  EXPECT_EQ(client->stream.buffered(), 0u);
  EXPECT_FALSE(client->stream.status().ok());
  client->stream.Cut();  // Nothing more to do.
  server->reading = true;
  server->watch.SetInterest(Interest::kRead);
  loop_.RunUntil([&, &s = *server] { return s.over; });
  EXPECT_EQ(server->last, ReadState::kFailed);
}

// Whom the peer has reset needs no reset: a call less for each client that goes
// that way.
TEST_F(TcpTest, WhatThePeerHasResetIsOnlyClosed) {
  for (const bool reset : {false, true}) {
    auto [client, server] = Pair();
    if (reset) {
      client->watch.SetInterest(Interest::kNone);
      client->stream.Cut();
      loop_.RunUntil([&, &s = *server] { return s.over; });
    }
    server->watch.SetInterest(Interest::kNone);
    SyscallFaults faults;
    server->stream.Cut();
    EXPECT_EQ(faults.calls(Syscall::kSetsockopt), reset ? 0u : 1u);
    EXPECT_EQ(server->stream.fd(), -1);
    if (reset) continue;
    loop_.RunUntil([&, &c = *client] { return c.over; });
    EXPECT_EQ(client->last, ReadState::kFailed);
  }
}

// What the kernel keeps for a peer that does not read counts as well.
TEST_F(TcpTest, TheKernelTakesLittleAheadOfTheNetwork) {
  auto client = std::make_unique<TcpEndpoint>(
      *loop_,
      TcpStream::Connect(listener_.local(), {.write_buffer_bytes = 16 << 20})
          .value());
  // A small window: nearly all that was taken waits in our kernel.
  const TcpStream server = Accept();
  const int small = 4096;
  setsockopt(server.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  loop_.RunUntil(
      [&, &c = *client] { return c.stream.interest() == Interest::kRead; });
  ASSERT_OK(client->Write(std::string(16 << 20, 'x')));
  EXPECT_LT(client->stream.unacknowledged(), 1u << 20);
  EXPECT_GT(client->stream.buffered(), 14u << 20);
}

TEST_F(TcpTest, AcceptedStreamsHaveTheirOptionsOfTheListener) {
  const TcpEndpoint client(*loop_,
                           TcpStream::Connect(listener_.local()).value());
  SyscallFaults faults;
  const TcpStream server = Accept();
  EXPECT_EQ(faults.calls(Syscall::kSetsockopt), 0u);
  for (const auto& [option, value] :
       {std::pair{TCP_NODELAY, 1}, {TCP_NOTSENT_LOWAT, 64 * 1024}}) {
    int set = 0;
    socklen_t size = sizeof set;
    ASSERT_EQ(getsockopt(server.fd(), IPPROTO_TCP, option, &set, &size), 0);
    EXPECT_EQ(set, value);
  }
  EXPECT_EQ(server.path().local, listener_.local());
  // Which address it is of several, only the connection knows.
  TcpListener any =
      TcpListener::Open({.bind = {IpAddress::V4(0, 0, 0, 0), 0}}).value();
  const TransportAddress address = {IpAddress::V4(127, 0, 0, 1),
                                    any.local().port};
  const TcpEndpoint other(*loop_, TcpStream::Connect(address).value());
  const std::optional<TcpStream> accepted = any.Accept();
  ASSERT_TRUE(accepted.has_value());
  EXPECT_EQ(accepted->path().local, address);
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
