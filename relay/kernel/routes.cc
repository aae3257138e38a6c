#include "relay/kernel/routes.h"

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace kyuu::relay::kernel {
namespace {

// An answer about one thing, and one notification, are shorter.
constexpr size_t kMessageMax = 8192;
// Messages read per wake-up; the rest wakes again.
constexpr int kReadsPerTurn = 64;
// Who is known to have an address, be it since long.
constexpr uint16_t kKnown = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE |
                            NUD_PROBE | NUD_STALE | NUD_DELAY;

int FamilyOf(const IpAddress& ip) { return ip.is_v4() ? AF_INET : AF_INET6; }

// Writes a message of netlink: header, a struct of its type, attributes.
template <typename Body>
class Request {
 public:
  Request(uint16_t type, uint16_t flags, const Body& body) {
    header_.nlmsg_type = type;
    header_.nlmsg_flags = flags;
    bytes_.resize(NLMSG_HDRLEN + NLMSG_ALIGN(sizeof body));
    memcpy(bytes_.data() + NLMSG_HDRLEN, &body, sizeof body);
  }

  Request& Add(uint16_t type, absl::Span<const uint8_t> value) {
    const rtattr attribute{static_cast<uint16_t>(RTA_LENGTH(value.size())),
                           type};
    const size_t at = bytes_.size();
    bytes_.resize(at + RTA_SPACE(value.size()));
    memcpy(bytes_.data() + at, &attribute, sizeof attribute);
    memcpy(bytes_.data() + at + RTA_LENGTH(0), value.data(), value.size());
    return *this;
  }
  template <typename T>
  Request& Add(uint16_t type, const T& value) {
    return Add(type, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
  }

  absl::Span<uint8_t> Finish() {
    header_.nlmsg_len = static_cast<uint32_t>(bytes_.size());
    memcpy(bytes_.data(), &header_, sizeof header_);
    return absl::MakeSpan(bytes_);
  }

 private:
  nlmsghdr header_{};
  std::vector<uint8_t> bytes_;
};

// A message that has come: its header, and what is behind that.
struct Message {
  nlmsghdr header;
  absl::Span<const uint8_t> body;
};

// Takes the first message off `bytes`.
std::optional<Message> Take(absl::Span<const uint8_t>& bytes) {
  Message message;
  if (bytes.size() < sizeof message.header) return std::nullopt;
  memcpy(&message.header, bytes.data(), sizeof message.header);
  const size_t size = message.header.nlmsg_len;
  if (size < NLMSG_HDRLEN || size > bytes.size()) return std::nullopt;
  message.body = bytes.subspan(NLMSG_HDRLEN, size - NLMSG_HDRLEN);
  bytes.remove_prefix(std::min<size_t>(NLMSG_ALIGN(size), bytes.size()));
  return message;
}

// Takes the struct off the front of a body; what is left are attributes.
template <typename T>
std::optional<T> TakeHead(absl::Span<const uint8_t>& body) {
  T head;
  if (body.size() < NLMSG_ALIGN(sizeof head)) return std::nullopt;
  memcpy(&head, body.data(), sizeof head);
  body.remove_prefix(NLMSG_ALIGN(sizeof head));
  return head;
}

// Calls `each(type, value)` for all attributes.
template <typename F>
void ForEachAttribute(absl::Span<const uint8_t> bytes, F each) {
  rtattr attribute;
  while (bytes.size() >= sizeof attribute) {
    memcpy(&attribute, bytes.data(), sizeof attribute);
    const size_t size = attribute.rta_len;
    if (size < RTA_LENGTH(0) || size > bytes.size()) return;
    each(static_cast<uint16_t>(attribute.rta_type & NLA_TYPE_MASK),
         bytes.subspan(RTA_LENGTH(0), size - RTA_LENGTH(0)));
    bytes.remove_prefix(std::min<size_t>(RTA_ALIGN(size), bytes.size()));
  }
}

template <typename T>
T ValueOf(absl::Span<const uint8_t> bytes) {
  T value{};
  memcpy(&value, bytes.data(), std::min(sizeof value, bytes.size()));
  return value;
}

net::Fd OpenNetlink(int flags) {
  return net::Fd(
      socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE));
}

std::string DriverOf(int fd, ifreq& request) {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  request.ifr_data = reinterpret_cast<char*>(&info);
  if (ioctl(fd, SIOCETHTOOL, &request) != 0) return "";
  return {info.driver, strnlen(info.driver, sizeof info.driver)};
}

}  // namespace

absl::StatusOr<Routes> Routes::Open() {
  net::Fd fd = OpenNetlink(0);
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "netlink");
  return Routes(std::move(fd));
}

absl::Span<const uint8_t> Routes::Ask(absl::Span<uint8_t> request) {
  nlmsghdr header;
  memcpy(&header, request.data(), sizeof header);
  header.nlmsg_seq = ++sequence_;
  memcpy(request.data(), &header, sizeof header);
  if (send(fd_.get(), request.data(), request.size(), 0) < 0) return {};
  answer_.resize(kMessageMax);
  // The kernel has answered before send() returns. Another's number is of a
  // question whose answer was not read.
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const ssize_t size =
        recv(fd_.get(), answer_.data(), answer_.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < static_cast<ssize_t>(sizeof header)) return {};
    memcpy(&header, answer_.data(), sizeof header);
    if (header.nlmsg_seq != sequence_) continue;
    return absl::MakeConstSpan(answer_).first(static_cast<size_t>(size));
  }
  return {};
}

std::optional<Route> Routes::Find(const IpAddress& from, const IpAddress& to) {
  rtmsg body{};
  body.rtm_family = static_cast<uint8_t>(FamilyOf(to));
  body.rtm_dst_len = static_cast<uint8_t>(to.bytes().size() * 8);
  body.rtm_src_len = static_cast<uint8_t>(from.bytes().size() * 8);
  Request<rtmsg> request(RTM_GETROUTE, NLM_F_REQUEST, body);
  request.Add(RTA_DST, to.bytes()).Add(RTA_SRC, from.bytes());
  request.Add(RTA_IP_PROTO, uint8_t{IPPROTO_UDP});

  absl::Span<const uint8_t> answer = Ask(request.Finish());
  std::optional<Message> message = Take(answer);
  if (!message.has_value() || message->header.nlmsg_type != RTM_NEWROUTE) {
    return std::nullopt;
  }
  const std::optional<rtmsg> head = TakeHead<rtmsg>(message->body);
  if (!head.has_value() || head->rtm_type != RTN_UNICAST) return std::nullopt;
  Route route;
  route.next = to;
  ForEachAttribute(message->body, [&](uint16_t type, auto value) {
    if (type == RTA_OIF) route.ifindex = ValueOf<uint32_t>(value);
    if (type == RTA_GATEWAY) route.next = IpAddress::FromBytes(value);
    // A gateway of the other family: its own number, then its address.
    if (type == RTA_VIA && value.size() > sizeof(uint16_t)) {
      route.next = IpAddress::FromBytes(value.subspan(sizeof(uint16_t)));
    }
    if (type != RTA_METRICS) return;
    ForEachAttribute(value, [&](uint16_t metric, auto number) {
      if (metric == RTAX_MTU) route.mtu = ValueOf<uint32_t>(number);
    });
  });
  if (route.ifindex == 0 || route.next.family() == IpFamily::kUnspecified) {
    return std::nullopt;
  }
  return route;
}

std::optional<Neighbor> Routes::FindNeighbor(uint32_t ifindex,
                                             const IpAddress& ip) {
  ndmsg body{};
  body.ndm_family = static_cast<uint8_t>(FamilyOf(ip));
  body.ndm_ifindex = static_cast<int>(ifindex);
  Request<ndmsg> request(RTM_GETNEIGH, NLM_F_REQUEST, body);
  request.Add(NDA_DST, ip.bytes());
  absl::Span<const uint8_t> answer = Ask(request.Finish());
  std::optional<Message> message = Take(answer);
  if (!message.has_value() || message->header.nlmsg_type != RTM_NEWNEIGH) {
    return std::nullopt;
  }
  const std::optional<ndmsg> head = TakeHead<ndmsg>(message->body);
  if (!head.has_value() || (head->ndm_state & kKnown) == 0) {
    return std::nullopt;
  }
  std::optional<Neighbor> neighbor;
  ForEachAttribute(message->body, [&](uint16_t type, auto value) {
    if (type == NDA_LLADDR && value.size() == sizeof(Mac)) {
      neighbor = Neighbor{ValueOf<Mac>(value),
                          (head->ndm_state & (NUD_PERMANENT | NUD_NOARP)) != 0};
    }
  });
  return neighbor;
}

void Routes::Use(uint32_t ifindex, const IpAddress& ip) {
  ndmsg body{};
  body.ndm_family = static_cast<uint8_t>(FamilyOf(ip));
  body.ndm_ifindex = static_cast<int>(ifindex);
  body.ndm_flags = NTF_USE;
  Request<ndmsg> request(RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK,
                         body);
  request.Add(NDA_DST, ip.bytes());
  // Whatever the answer is, the neighbor shows it.
  Ask(request.Finish());
}

std::optional<Link> FindLink(const std::string& name) {
  const net::Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  if (!fd.valid() || name.size() >= sizeof request.ifr_name) {
    return std::nullopt;
  }
  name.copy(request.ifr_name, sizeof request.ifr_name - 1);
  Link link;
  link.name = name;
  if (ioctl(fd.get(), SIOCGIFHWADDR, &request) != 0 ||
      request.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
    return std::nullopt;
  }
  memcpy(link.mac.data(), request.ifr_hwaddr.sa_data, link.mac.size());
  if (ioctl(fd.get(), SIOCGIFMTU, &request) != 0) return std::nullopt;
  link.mtu = static_cast<uint32_t>(request.ifr_mtu);
  if (ioctl(fd.get(), SIOCGIFINDEX, &request) != 0) return std::nullopt;
  link.ifindex = static_cast<uint32_t>(request.ifr_ifindex);
  link.driver = DriverOf(fd.get(), request);
  return link;
}

absl::StatusOr<std::unique_ptr<RouteWatch>> RouteWatch::Open(
    net::Loop& loop, Handlers handlers) {
  net::Fd fd = OpenNetlink(SOCK_NONBLOCK);
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "netlink");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_NEIGH | RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
                      RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                      RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE |
                      1u << (RTNLGRP_IPV6_RULE - 1);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof address) != 0) {
    return absl::ErrnoToStatus(errno, "netlink");
  }
  return std::unique_ptr<RouteWatch>(
      new RouteWatch(loop, std::move(fd), std::move(handlers)));
}

RouteWatch::RouteWatch(net::Loop& loop, net::Fd fd, Handlers handlers)
    : fd_(std::move(fd)),
      handlers_(std::move(handlers)),
      watch_(loop, fd_.get(), net::Interest::kRead,
             [this](net::Readiness) { Read(); }) {}

void RouteWatch::Read() {
  std::array<uint8_t, kMessageMax> buffer;
  bool changed = false;
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const ssize_t size = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    // Some were lost.
    changed = changed || (size < 0 && errno == ENOBUFS);
    if (size < 0) break;
    absl::Span<const uint8_t> bytes(buffer.data(), static_cast<size_t>(size));
    while (std::optional<Message> message = Take(bytes)) {
      const uint16_t type = message->header.nlmsg_type;
      if (type != RTM_NEWNEIGH && type != RTM_DELNEIGH) {
        changed = true;
        continue;
      }
      const std::optional<ndmsg> head = TakeHead<ndmsg>(message->body);
      if (!head.has_value()) continue;
      ForEachAttribute(message->body, [&](uint16_t attribute, auto value) {
        if (attribute != NDA_DST) return;
        handlers_.on_neighbor(static_cast<uint32_t>(head->ndm_ifindex),
                              IpAddress::FromBytes(value));
      });
    }
  }
  if (changed) handlers_.on_change();
}

}  // namespace kyuu::relay::kernel
