// What routers and hosts say of datagrams that were sent: the kernel's error
// queue (IP_RECVERR).

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "net/internal/sockaddr.h"
#include "net/udp_socket.h"

// clang-format off: it needs what <ctime> declares, and does not include it.
#include <linux/errqueue.h>
// clang-format on

namespace kyuu::net {
namespace {

// Room for the error, and for the address of who said it.
constexpr size_t kControl =
    CMSG_SPACE(sizeof(sock_extended_err) + sizeof(sockaddr_in6)) +
    2 * CMSG_SPACE(sizeof(in6_pktinfo));

// What it says, if it is of a kind that ICMP has.
bool Read(const sock_extended_err& said, SendError& error) {
  const bool v4 = error.remote.ip.is_v4();
  const bool too_big = said.ee_errno == EMSGSIZE;
  error.mtu = too_big ? said.ee_info : 0;
  if (said.ee_origin == SO_EE_ORIGIN_ICMP ||
      said.ee_origin == SO_EE_ORIGIN_ICMP6) {
    error.type = said.ee_type;
    error.code = said.ee_code;
    return true;
  }
  if (said.ee_origin != SO_EE_ORIGIN_LOCAL || !too_big) return false;
  error.type = v4 ? ICMP_DEST_UNREACH : ICMP6_PACKET_TOO_BIG;
  error.code = v4 ? ICMP_FRAG_NEEDED : 0;
  return true;
}

}  // namespace

// With Errors::kKeep the next call on the socket fails with an error of an
// earlier datagram, whatever it is about itself. Whether it is one, a second
// try tells: an earlier error is told once.
bool UdpSocket::IsEarlier(int error) {
  if (errors_ != UdpOptions::Errors::kKeep || error == EAGAIN ||
      error == EINTR) {
    return false;
  }
  if (error == earlier_error_) {
    earlier_error_ = 0;
    return false;
  }
  earlier_error_ = error;
  ++stats_.at<&UdpStats::receive_errors>();
  return true;
}

size_t UdpSocket::TakeErrors(absl::Span<SendError> out) {
  size_t count = 0;
  while (count < out.size()) {
    internal::SocketAddress remote;
    alignas(cmsghdr) std::array<uint8_t, kControl> control;
    msghdr message{};
    message.msg_name = &remote;
    message.msg_namelen = sizeof remote;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (recvmsg(fd_.get(), &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) break;
    SendError& error = out[count];
    error = {internal::FromSockaddr(&remote.any), 0, 0, 0};
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr;
         c = CMSG_NXTHDR(&message, c)) {
      const bool said =
          (c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
          (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR);
      if (!said) continue;
      sock_extended_err value;
      std::memcpy(&value, CMSG_DATA(c), sizeof value);
      if (Read(value, error)) ++count;
      break;
    }
  }
  return count;
}

}  // namespace kyuu::net
