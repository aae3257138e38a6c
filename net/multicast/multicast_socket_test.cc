#include "net/multicast/multicast_socket.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "net/interfaces.h"
#include "net/loop.h"
#include "net/testing/loop.h"
#include "net/udp_socket.h"

namespace kyuu::net {
namespace {

// Free for local use (RFC 2365), so that nobody's mDNS is in it; its port is
// shared by whatever tests run at once, which is why texts are their own.
const TransportAddress kGroup{IpAddress::V4(239, 255, 66, 1), 15353};

uint32_t Loopback() {
  const auto interfaces = Interfaces();
  if (!interfaces.ok()) return 1;
  const auto it = std::find_if(
      interfaces->begin(), interfaces->end(),
      [](const Interface& i) { return i.kind == InterfaceKind::kLoopback; });
  return it == interfaces->end() ? 1 : it->index;
}

std::string Text(absl::Span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Waits for the datagram that is `text`, among others.
std::optional<TransportAddress> Hear(TestLoop& loop, MulticastSocket& socket,
                                     const std::string& text) {
  std::optional<TransportAddress> from;
  std::array<uint8_t, 100> buffer;
  Watch watch(*loop, socket.fd(), Interest::kRead, [&](Readiness) {
    while (auto received = socket.Receive(absl::MakeSpan(buffer))) {
      if (Text(received->bytes) == text) from = received->remote;
    }
    loop->Stop();
  });
  loop.RunUntil([&] { return from.has_value(); });
  return from;
}

TEST(MulticastSocketTest, AllMembersHearWhatOneSends) {
  TestLoop loop;
  auto a = MulticastSocket::Open(kGroup, Loopback());
  auto b = MulticastSocket::Open(kGroup, Loopback());
  ASSERT_OK(a);
  ASSERT_OK(b);
  EXPECT_EQ(a->group(), kGroup);
  const std::string text = absl::StrCat("hello from ", getpid());
  ASSERT_TRUE(a->Send(kGroup, AsBytes(text)));
  const auto heard = Hear(loop, *b, text);
  ASSERT_TRUE(heard.has_value());
  EXPECT_EQ(heard->port, kGroup.port);
  EXPECT_EQ(Hear(loop, *a, text), heard);  // Who sends hears it, too.
}

TEST(MulticastSocketTest, AnswersGoToOneHostAndLongDatagramsAreSkipped) {
  TestLoop loop;
  auto socket = MulticastSocket::Open(kGroup, Loopback());
  auto asker = UdpSocket::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}});
  ASSERT_OK(socket);
  ASSERT_OK(asker);
  const std::string text = absl::StrCat("answer from ", getpid());
  ASSERT_TRUE(socket->Send(asker->local(), AsBytes(text)));
  ReceiveBuffer memory;
  std::optional<TransportAddress> from;
  Watch watch(*loop, asker->fd(), Interest::kRead, [&](Readiness) {
    for (const Train& train : asker->Receive(memory)) {
      if (Text(train.bytes) == text) from = train.path.remote;
    }
    loop->Stop();
  });
  loop.RunUntil([&] { return from.has_value(); });
  EXPECT_EQ(from->port, kGroup.port);
  ASSERT_TRUE(socket->Send(kGroup, AsBytes(std::string(101, 'x') + text)));
  ASSERT_TRUE(socket->Send(kGroup, AsBytes(text)));
  EXPECT_TRUE(Hear(loop, *socket, text).has_value());
  EXPECT_FALSE(socket->Send({}, AsBytes(text)));
}

TEST(MulticastSocketTest, GroupsAndInterfacesAreChecked) {
  EXPECT_THAT(MulticastSocket::Open({IpAddress::V4(127, 0, 0, 1), 9999}, 1),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_FALSE(MulticastSocket::Open(kGroup, 0x7ffffff0).ok());
  const TransportAddress v6{*IpAddress::Parse("ff02::4242"), kGroup.port};
  EXPECT_FALSE(MulticastSocket::Open(v6, 0x7ffffff0).ok());
}

// Nothing is routed to groups of IPv6 on loopback: tools/interop's
// names.test.mjs sends, on a network.
TEST(MulticastSocketTest, GroupsOfIpv6AreJoined) {
  const TransportAddress group{*IpAddress::Parse("ff01::4242"), kGroup.port};
  EXPECT_OK(MulticastSocket::Open(group, Loopback()));
}

}  // namespace
}  // namespace kyuu::net
