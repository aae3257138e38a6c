#include "net/multicast/multicast_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "net/internal/sockaddr.h"

namespace kyuu::net {
namespace {

using internal::SetOption;
using internal::SocketAddress;

constexpr int kHops = 255;
// Datagrams that one Receive steps over.
constexpr int kMaxSkipped = 16;

bool JoinV4(int fd, const IpAddress& group, uint32_t interface) {
  ip_mreqn request{};
  std::memcpy(&request.imr_multiaddr, group.bytes().data(), 4);
  request.imr_ifindex = static_cast<int>(interface);
  // Without IP_MULTICAST_ALL=0 it would hear what others have joined.
  return SetOption(fd, SOL_IP, IP_MULTICAST_ALL, 0) &&
         SetOption(fd, SOL_IP, IP_MULTICAST_IF, request) &&
         SetOption(fd, SOL_IP, IP_MULTICAST_TTL, kHops) &&
         SetOption(fd, SOL_IP, IP_MULTICAST_LOOP, 1) &&
         SetOption(fd, SOL_IP, IP_ADD_MEMBERSHIP, request);
}

bool JoinV6(int fd, const IpAddress& group, uint32_t interface) {
  ipv6_mreq request{};
  std::memcpy(&request.ipv6mr_multiaddr, group.bytes().data(), 16);
  request.ipv6mr_interface = interface;
  return SetOption(fd, SOL_IPV6, IPV6_MULTICAST_ALL, 0) &&
         SetOption(fd, SOL_IPV6, IPV6_MULTICAST_IF,
                   static_cast<int>(interface)) &&
         SetOption(fd, SOL_IPV6, IPV6_MULTICAST_HOPS, kHops) &&
         SetOption(fd, SOL_IPV6, IPV6_MULTICAST_LOOP, 1) &&
         SetOption(fd, SOL_IPV6, IPV6_JOIN_GROUP, request);
}

}  // namespace

absl::StatusOr<MulticastSocket> MulticastSocket::Open(
    const TransportAddress& group, uint32_t interface) {
  const std::string what =
      absl::StrCat("multicast ", group.ToString(), " on ", interface);
  if (!group.ip.IsMulticast()) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": not a group"));
  }
  Fd fd(socket(internal::FamilyOf(group.ip),
               SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return internal::ErrnoStatus(errno, what);
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (group.ip.is_v6()) SetOption(fd.get(), SOL_IPV6, IPV6_V6ONLY, 1);
  SocketAddress address;
  const socklen_t size = internal::ToSockaddr(group, address);
  if (group.ip.is_v6()) address.v6.sin6_scope_id = interface;
  if (bind(fd.get(), &address.any, size) != 0 ||
      !(group.ip.is_v4() ? JoinV4(fd.get(), group.ip, interface)
                         : JoinV6(fd.get(), group.ip, interface))) {
    return internal::ErrnoStatus(errno, what);
  }
  return MulticastSocket(std::move(fd), group);
}

std::optional<MulticastSocket::Received> MulticastSocket::Receive(
    absl::Span<uint8_t> buffer) {
  for (int skipped = 0; skipped < kMaxSkipped; ++skipped) {
    SocketAddress remote;
    socklen_t size = sizeof remote;
    const ssize_t got = recvfrom(fd_.get(), buffer.data(), buffer.size(),
                                 MSG_TRUNC, &remote.any, &size);
    if (got < 0 && errno == EAGAIN) return std::nullopt;
    if (got < 0 || static_cast<size_t>(got) > buffer.size()) continue;
    return Received{internal::FromSockaddr(&remote.any),
                    buffer.first(static_cast<size_t>(got))};
  }
  return std::nullopt;
}

bool MulticastSocket::Send(const TransportAddress& remote,
                           absl::Span<const uint8_t> bytes) {
  SocketAddress address;
  const socklen_t size = internal::ToSockaddr(remote, address);
  return sendto(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL,
                &address.any, size) == static_cast<ssize_t>(bytes.size());
}

}  // namespace kyuu::net
