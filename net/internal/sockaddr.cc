#include "net/internal/sockaddr.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace kyuu::net::internal {

int FamilyOf(const IpAddress& ip) {
  return ip.is_v4() ? AF_INET : ip.is_v6() ? AF_INET6 : AF_UNSPEC;
}

socklen_t ToSockaddr(const TransportAddress& address, SocketAddress& out) {
  const absl::Span<const uint8_t> bytes = address.ip.bytes();
  if (address.ip.is_v4()) {
    out.v4 = sockaddr_in{};
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(address.port);
    std::memcpy(&out.v4.sin_addr, bytes.data(), bytes.size());
    return sizeof out.v4;
  }
  if (address.ip.is_v6()) {
    out.v6 = sockaddr_in6{};
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(address.port);
    out.v6.sin6_scope_id = address.ip.scope_id();
    std::memcpy(&out.v6.sin6_addr, bytes.data(), bytes.size());
    return sizeof out.v6;
  }
  return 0;
}

IpAddress FromInAddr(const in_addr& address) {
  return IpAddress::V4(ntohl(address.s_addr));
}

IpAddress FromIn6Addr(const in6_addr& address, uint32_t scope_id) {
  std::array<uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &address, bytes.size());
  return IpAddress::V6(bytes, scope_id);
}

TransportAddress FromSockaddr(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof v4);
    return {FromInAddr(v4.sin_addr), ntohs(v4.sin_port)};
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, address, sizeof v6);
    return {FromIn6Addr(v6.sin6_addr, v6.sin6_scope_id), ntohs(v6.sin6_port)};
  }
  return {};
}

TransportAddress LocalAddressOf(int fd) {
  SocketAddress address{};
  socklen_t size = sizeof address;
  if (getsockname(fd, &address.any, &size) != 0) return {};
  return FromSockaddr(&address.any);
}

absl::Status ErrnoStatus(int error, absl::string_view what) {
  const std::string message =
      absl::StrCat(what, ": ", std::generic_category().message(error));
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(message);
    case EADDRNOTAVAIL:
    case ENOENT:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return absl::ResourceExhaustedError(message);
    case EINVAL:
    case EAFNOSUPPORT:
      return absl::InvalidArgumentError(message);
    case ETIMEDOUT:
      return absl::DeadlineExceededError(message);
    case ECONNREFUSED:
    case ECONNRESET:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EPIPE:
      return absl::UnavailableError(message);
    default:
      return absl::InternalError(message);
  }
}

void AwaitAddress(int fd) {
  // Each family knows one of them.
  const int on = 1;
  SetOption(fd, SOL_IP, IP_FREEBIND, on);
  SetOption(fd, SOL_IPV6, IPV6_FREEBIND, on);
}

}  // namespace kyuu::net::internal
