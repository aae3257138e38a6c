#include "relay/reserved_sockets.h"

#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "net/udp_socket.h"

namespace kyuu::relay {
namespace {

const TransportAddress kAnyPort{IpAddress::V4(127, 0, 0, 1), 0};

bool IsFree(const TransportAddress& bind) {
  return net::UdpSocket::Open({.bind = bind}).ok();
}

TEST(ReservedSockets, KeepThePortUntilItIsTakenOrTheTimeIsOver) {
  const absl::Time now = absl::UnixEpoch();
  ReservedSockets sockets;
  std::vector<TransportAddress> ports;
  for (int i = 0; i < 3; ++i) {
    auto socket = net::UdpSocket::Open({.bind = kAnyPort});
    ASSERT_OK(socket);
    ports.push_back(socket->local());
    sockets.Put(now, *std::move(socket), now + absl::Seconds(30 + i));
  }
  std::optional<net::UdpSocket> taken = sockets.Take(ports[0]);
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->local(), ports[0]);
  EXPECT_FALSE(sockets.Take(ports[0]).has_value());
  sockets.Expire(now + absl::Seconds(30));
  EXPECT_FALSE(IsFree(ports[0])) << "who has taken it has it";
  EXPECT_FALSE(IsFree(ports[1]));
  sockets.Expire(now + absl::Seconds(31));
  EXPECT_TRUE(IsFree(ports[1]));
  EXPECT_FALSE(sockets.Take(ports[1]).has_value());
  // Nobody has to call Expire().
  auto last = net::UdpSocket::Open({.bind = kAnyPort});
  ASSERT_OK(last);
  sockets.Put(now + absl::Seconds(32), *std::move(last),
              absl::InfiniteFuture());
  EXPECT_TRUE(IsFree(ports[2]));
}

}  // namespace
}  // namespace kyuu::relay
