#include "net/interfaces.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "net/fd.h"
#include "net/internal/sockaddr.h"

namespace kyuu::net {

absl::StatusOr<std::vector<Interface>> Interfaces() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return internal::ErrnoStatus(errno, "getifaddrs");
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list,
                                                               freeifaddrs);
  std::vector<Interface> interfaces;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) {
      continue;
    }
    const IpAddress ip = internal::FromSockaddr(entry->ifa_addr).ip;
    if (ip.family() == IpFamily::kUnspecified) continue;
    const InterfaceKind kind = (entry->ifa_flags & IFF_LOOPBACK) != 0
                                   ? InterfaceKind::kLoopback
                               : (entry->ifa_flags & IFF_POINTOPOINT) != 0
                                   ? InterfaceKind::kPointToPoint
                                   : InterfaceKind::kOther;
    interfaces.push_back(
        {entry->ifa_name, if_nametoindex(entry->ifa_name), ip, kind});
  }
  return interfaces;
}

absl::StatusOr<IpAddress> SourceAddress(const TransportAddress& remote) {
  internal::SocketAddress address;
  const socklen_t size = internal::ToSockaddr(remote, address);
  const Fd fd(
      socket(internal::FamilyOf(remote.ip), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0 || connect(fd.get(), &address.any, size) != 0) {
    return internal::ErrnoStatus(errno, "no route to " + remote.ToString());
  }
  return internal::LocalAddressOf(fd.get()).ip;
}

}  // namespace kyuu::net
