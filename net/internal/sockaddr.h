// TransportAddress to and from the system's sockaddr.

#ifndef KYUU_NET_INTERNAL_SOCKADDR_H_
#define KYUU_NET_INTERNAL_SOCKADDR_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/address.h"

namespace kyuu::net::internal {

// Room for either family.
union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

// Fills `out` and returns its length; 0 if `address` has no family.
socklen_t ToSockaddr(const TransportAddress& address, SocketAddress& out);
// The unspecified address for families other than IP.
TransportAddress FromSockaddr(const sockaddr* address);
IpAddress FromInAddr(const in_addr& address);
IpAddress FromIn6Addr(const in6_addr& address, uint32_t scope_id);

// AF_INET, AF_INET6 or AF_UNSPEC.
int FamilyOf(const IpAddress& ip);

// The bound address of `fd`.
TransportAddress LocalAddressOf(int fd);

// "`what`: reason", with the status code that suits `error`.
absl::Status ErrnoStatus(int error, absl::string_view what);

// setsockopt of one value; false if the kernel refuses.
template <typename T>
bool SetOption(int fd, int level, int name, const T& value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// Lets `fd` be bound to an address that is not there yet. A kernel that cannot
// refuses the bind, as ever.
void AwaitAddress(int fd);

}  // namespace kyuu::net::internal

#endif  // KYUU_NET_INTERNAL_SOCKADDR_H_
