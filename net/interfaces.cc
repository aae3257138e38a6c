#include "net/interfaces.h"

#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "base/status_macros.h"
#include "net/fd.h"
#include "net/internal/sockaddr.h"

namespace kyuu::net {
namespace {

// Parts of a dump read at most: some 100 000 addresses.
constexpr int kDumpReads = 4096;

struct Ipv6Flags {
  uint32_t index;  // Of the interface.
  std::array<uint8_t, 16> address;
  uint32_t flags;  // IFA_F_*
};

// Takes one RTM_NEWADDR, and changes nothing: the system's macros cast const
// away. The 32 bits of IFA_FLAGS count before the eight of the header.
std::optional<Ipv6Flags> ParseAddress(nlmsghdr* header) {
  if (header->nlmsg_type != RTM_NEWADDR ||
      header->nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg))) {
    return std::nullopt;
  }
  auto* message = static_cast<ifaddrmsg*>(NLMSG_DATA(header));
  Ipv6Flags row{message->ifa_index, {}, message->ifa_flags};
  bool found = false;
  auto left = static_cast<int>(IFA_PAYLOAD(header));
  for (rtattr* at = IFA_RTA(message); RTA_OK(at, left);
       at = RTA_NEXT(at, left)) {
    if (at->rta_type == IFA_ADDRESS && RTA_PAYLOAD(at) == row.address.size()) {
      std::memcpy(row.address.data(), RTA_DATA(at), row.address.size());
      found = true;
    } else if (at->rta_type == IFA_FLAGS &&
               RTA_PAYLOAD(at) == sizeof(row.flags)) {
      std::memcpy(&row.flags, RTA_DATA(at), sizeof(row.flags));
    }
  }
  if (!found) return std::nullopt;
  return row;
}

// What getifaddrs() does not tell of IPv6 addresses; empty where the system
// does not let us ask (rtnetlink RTM_GETADDR).
std::vector<Ipv6Flags> AllIpv6Flags() {
  std::vector<Ipv6Flags> rows;
  const Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  struct {
    nlmsghdr header;
    ifaddrmsg message;
  } request{};
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof(ifaddrmsg));
  request.header.nlmsg_type = RTM_GETADDR;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.message.ifa_family = AF_INET6;
  // The kernel answers before send() returns; the limit is for one that never
  // does.
  const timeval patience{1, 0};
  if (!fd.valid() ||
      !internal::SetOption(fd.get(), SOL_SOCKET, SO_RCVTIMEO, patience) ||
      send(fd.get(), &request, request.header.nlmsg_len, 0) < 0) {
    return rows;
  }
  alignas(nlmsghdr) std::array<char, 16384> buffer;
  for (int i = 0; i < kDumpReads; ++i) {
    const ssize_t size = recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    auto left = static_cast<unsigned>(size);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data());
         NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE ||
          header->nlmsg_type == NLMSG_ERROR) {
        return rows;
      }
      if (auto row = ParseAddress(header)) rows.push_back(*row);
    }
  }
  return rows;
}

void ApplyFlags(const std::vector<Ipv6Flags>& rows,
                std::vector<Interface>& interfaces) {
  for (Interface& interface : interfaces) {
    const absl::Span<const uint8_t> bytes = interface.address.bytes();
    const auto row =
        std::find_if(rows.begin(), rows.end(), [&](const Ipv6Flags& r) {
          return r.index == interface.index &&
                 std::equal(bytes.begin(), bytes.end(), r.address.begin(),
                            r.address.end());
        });
    if (row == rows.end()) continue;
    interface.deprecated = (row->flags & IFA_F_DEPRECATED) != 0;
    interface.temporary = (row->flags & IFA_F_TEMPORARY) != 0;
  }
}

// A UDP socket that is connected to `remote`, of which the system can be asked
// how it would send.
absl::StatusOr<Fd> Towards(const TransportAddress& remote) {
  internal::SocketAddress address;
  const socklen_t size = internal::ToSockaddr(remote, address);
  Fd fd(socket(internal::FamilyOf(remote.ip), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0 || connect(fd.get(), &address.any, size) != 0) {
    return internal::ErrnoStatus(errno, "no route to " + remote.ToString());
  }
  return fd;
}

}  // namespace

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
    interfaces.back().running = (entry->ifa_flags & IFF_RUNNING) != 0;
  }
  if (std::any_of(interfaces.begin(), interfaces.end(),
                  [](const Interface& i) { return i.address.is_v6(); })) {
    ApplyFlags(AllIpv6Flags(), interfaces);
  }
  return interfaces;
}

bool IsHere(const std::vector<Interface>& interfaces, const IpAddress& ip) {
  return ip.IsLoopback() ||
         std::any_of(interfaces.begin(), interfaces.end(),
                     [&ip](const Interface& i) { return i.address == ip; });
}

absl::StatusOr<IpAddress> SourceAddress(const TransportAddress& remote) {
  KYUU_ASSIGN_OR_RETURN(const Fd fd, Towards(remote));
  return internal::LocalAddressOf(fd.get()).ip;
}

absl::StatusOr<size_t> RouteMtu(const TransportAddress& remote) {
  KYUU_ASSIGN_OR_RETURN(const Fd fd, Towards(remote));
  const bool v4 = remote.ip.is_v4();
  int mtu = 0;
  socklen_t size = sizeof mtu;
  if (getsockopt(fd.get(), v4 ? IPPROTO_IP : IPPROTO_IPV6,
                 v4 ? IP_MTU : IPV6_MTU, &mtu, &size) != 0) {
    return internal::ErrnoStatus(errno, "no MTU to " + remote.ToString());
  }
  return static_cast<size_t>(mtu);
}

}  // namespace kyuu::net
