// A datagram or train on its way into sendmsg.

#ifndef KYUU_NET_INTERNAL_UDP_MESSAGE_H_
#define KYUU_NET_INTERNAL_UDP_MESSAGE_H_

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/types/span.h"
#include "base/address.h"
#include "net/internal/sockaddr.h"

namespace kyuu::net::internal {

// Ancillary data out: GSO size, ECN, packet info.
inline constexpr size_t kControlOut = CMSG_SPACE(sizeof(uint16_t)) +
                                      CMSG_SPACE(sizeof(int)) +
                                      CMSG_SPACE(sizeof(in6_pktinfo));

// UdpMessage is one msghdr with all it points to.
struct UdpMessage {
  SocketAddress remote;
  alignas(cmsghdr) std::array<uint8_t, kControlOut> control;

  void Fill(const Path& path, bool with_source, uint8_t traffic_class,
            size_t segment_size, absl::Span<const iovec> pieces,
            msghdr& header) {
    header = msghdr{};
    header.msg_name = &remote;
    header.msg_namelen = ToSockaddr(path.remote, remote);
    header.msg_iov = const_cast<iovec*>(pieces.data());
    header.msg_iovlen = pieces.size();
    size_ = 0;
    if (segment_size != 0) {
      Add(SOL_UDP, UDP_SEGMENT, static_cast<uint16_t>(segment_size));
    }
    const bool v4 = path.remote.ip.is_v4();
    if (traffic_class != 0) {
      Add(v4 ? SOL_IP : SOL_IPV6, v4 ? IP_TOS : IPV6_TCLASS,
          static_cast<int>(traffic_class));
    }
    if (with_source && !path.local.ip.IsAny()) AddSource(path.local.ip);
    if (size_ > 0) {
      header.msg_control = control.data();
      header.msg_controllen = size_;
    }
  }

 private:
  template <typename T>
  void Add(int level, int type, const T& value) {
    cmsghdr header{};
    header.cmsg_len = CMSG_LEN(sizeof value);
    header.cmsg_level = level;
    header.cmsg_type = type;
    std::memcpy(control.data() + size_, &header, sizeof header);
    std::memcpy(control.data() + size_ + CMSG_LEN(0), &value, sizeof value);
    size_ += CMSG_SPACE(sizeof value);
  }

  void AddSource(const IpAddress& ip) {
    if (ip.is_v4()) {
      in_pktinfo info{};
      info.ipi_spec_dst.s_addr = htonl(ip.v4());
      Add(SOL_IP, IP_PKTINFO, info);
    } else if (ip.is_v6()) {
      in6_pktinfo info{};
      std::memcpy(&info.ipi6_addr, ip.bytes().data(), sizeof info.ipi6_addr);
      info.ipi6_ifindex = ip.scope_id();
      Add(SOL_IPV6, IPV6_PKTINFO, info);
    }
  }

  size_t size_ = 0;
};

}  // namespace kyuu::net::internal

#endif  // KYUU_NET_INTERNAL_UDP_MESSAGE_H_
