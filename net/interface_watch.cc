#include "net/interface_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "net/internal/sockaddr.h"

namespace kyuu::net {
namespace {

// Messages read per wake-up; the rest wakes again.
constexpr int kReadsPerTurn = 64;

// Reads what has come. Whether anything has, lost messages (ENOBUFS) included.
bool Drain(int fd) {
  bool any = false;
  std::array<uint8_t, 8192> buffer;
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (recv(fd, buffer.data(), buffer.size(), 0) > 0 || errno == ENOBUFS) {
      any = true;
    } else if (errno != EINTR) {
      break;
    }
  }
  return any;
}

}  // namespace

absl::StatusOr<std::unique_ptr<InterfaceWatch>> InterfaceWatch::Create(
    Loop& loop, Handler handler) {
  Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
               NETLINK_ROUTE));
  if (!fd.valid()) return internal::ErrnoStatus(errno, "netlink");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof address) != 0) {
    return internal::ErrnoStatus(errno, "netlink");
  }
  return std::unique_ptr<InterfaceWatch>(
      new InterfaceWatch(loop, std::move(fd), std::move(handler)));
}

InterfaceWatch::InterfaceWatch(Loop& loop, Fd fd, Handler handler)
    : fd_(std::move(fd)),
      watch_(loop, fd_.get(), Interest::kRead,
             [number = fd_.get(),
              on_change = std::move(handler)](Readiness) mutable {
               if (Drain(number)) on_change();
             }) {}

}  // namespace kyuu::net
