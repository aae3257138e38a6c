#include "net/connect.h"

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "net/testing/loop.h"
#include "net/testing/syscall_faults.h"

namespace kyuu::net {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TransportAddress At(const char* text) {
  return TransportAddress::Parse(text).value();
}

TcpListener Listener(const char* bind, int backlog = 16) {
  return TcpListener::Open({.bind = At(bind), .backlog = backlog}).value();
}

TransportAddress Closed() { return Listener("127.0.0.1:0").local(); }

class ConnectTest : public testing::Test {
 protected:
  absl::StatusOr<TcpStream> Connect(
      const std::vector<TransportAddress>& addresses,
      const ConnectOptions& options = {}) {
    std::optional<absl::StatusOr<TcpStream>> result;
    Connector connector(
        *loop_, addresses,
        [&](absl::StatusOr<TcpStream> stream) {
          result.emplace(std::move(stream));
          loop_->Stop();
        },
        options);
    loop_.RunUntil([&] { return result.has_value(); });
    return *std::move(result);
  }

  TestLoop loop_;
};

TEST(InterleaveTest, FamiliesComeInTurn) {
  const auto a6 = At("[2001:db8::1]:1"), b6 = At("[2001:db8::2]:1"),
             c6 = At("[2001:db8::3]:1"), a4 = At("192.0.2.1:1"),
             b4 = At("192.0.2.2:1");
  EXPECT_THAT(Interleave({a6, b6, c6, a4, b4}),
              ElementsAre(a6, a4, b6, b4, c6));
  EXPECT_THAT(Interleave({a4, b4}), ElementsAre(a4, b4));
  EXPECT_TRUE(Interleave({}).empty());
}

TEST_F(ConnectTest, TheFirstAddressThatAnswersIsTaken) {
  const TcpListener listener = Listener("127.0.0.1:0");
  const auto stream = Connect({listener.local()});
  ASSERT_OK(stream);
  EXPECT_EQ(stream->path().remote, listener.local());
}

// P10: a name is not one address. The delay is not waited for after a refusal.
TEST_F(ConnectTest, AnAddressThatRefusesIsFollowedByTheNextAtOnce) {
  const TcpListener listener = Listener("[::1]:0");
  const auto stream = Connect({Closed(), Closed(), listener.local()},
                              {.attempt_delay = absl::Seconds(15)});
  ASSERT_OK(stream);
  EXPECT_EQ(stream->path().remote, listener.local());
}

TEST_F(ConnectTest, AnAddressWithoutARouteIsSteppedOver) {
  const TcpListener listener = Listener("127.0.0.1:0");
  for (const int error : {ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EACCES}) {
    SyscallFaults faults;
    faults.Fail(Syscall::kConnect, error, 2);
    EXPECT_OK(
        Connect({At("192.0.2.1:9"), At("192.0.2.2:9"), listener.local()}));
  }
}

TEST_F(ConnectTest, ASilentAddressDelaysTheNextOneALittle) {
  // A full queue: the kernel does not answer the next SYN.
  const TcpListener silent = Listener("127.0.0.1:0", 0);
  std::vector<TcpStream> crowd;
  for (int i = 0; i < 4; ++i) {
    crowd.push_back(TcpStream::Connect(silent.local()).value());
  }
  const TcpListener listener = Listener("127.0.0.1:0");
  const absl::Time start = Loop::Now();
  const auto stream = Connect({silent.local(), listener.local()},
                              {.attempt_delay = absl::Milliseconds(20)});
  ASSERT_OK(stream);
  EXPECT_EQ(stream->path().remote, listener.local());
  EXPECT_GE(Loop::Now() - start, absl::Milliseconds(20));
  const auto nobody =
      Connect({silent.local()}, {.timeout = absl::Milliseconds(20)});
  EXPECT_THAT(nobody, StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(ConnectTest, TheErrorNamesEveryAddress) {
  const TransportAddress one = Closed(), two = Closed();
  const auto stream = Connect({one, two});
  EXPECT_THAT(stream, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(std::string(stream.status().message()),
              HasSubstr(one.ToString()));
  EXPECT_THAT(std::string(stream.status().message()),
              HasSubstr(two.ToString()));
  EXPECT_THAT(Connect({}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ConnectTest, TheHandlerMayDestroyTheConnector) {
  const TcpListener listener = Listener("127.0.0.1:0");
  std::unique_ptr<Connector> connector;
  bool connected = false;
  connector =
      std::make_unique<Connector>(*loop_, std::vector{listener.local()},
                                  [&](absl::StatusOr<TcpStream> stream) {
                                    connected = stream.ok();
                                    connector.reset();
                                    loop_->Stop();
                                  });
  loop_.RunUntil([&] { return connected; });
}

}  // namespace
}  // namespace kyuu::net
