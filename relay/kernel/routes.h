// Routes: what the kernel knows of the way to an address.

#ifndef KYUU_RELAY_KERNEL_ROUTES_H_
#define KYUU_RELAY_KERNEL_ROUTES_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/address.h"
#include "net/fd.h"
#include "net/loop.h"

namespace kyuu::relay::kernel {

using Mac = std::array<uint8_t, 6>;

// A network interface of Ethernet.
struct Link {
  std::string name;
  uint32_t ifindex = 0;
  Mac mac{};
  uint32_t mtu = 0;
  std::string driver;  // "" if it does not tell.
};

// Where a packet goes next.
struct Route {
  uint32_t ifindex = 0;
  IpAddress next;  // A gateway, or the destination itself.
  uint32_t mtu =
      0;  // Of the path, if less than the interface's is known; or 0.

  friend bool operator==(const Route&, const Route&) = default;
};

// Who has an address on an interface.
struct Neighbor {
  Mac mac{};
  bool fixed = false;  // Set by hand: it stays, whether used or not.

  friend bool operator==(const Neighbor&, const Neighbor&) = default;
};

// Routes asks the kernel by netlink; each question is answered at once. It may
// be used by one thread at a time.
class Routes {
 public:
  // RESOURCE_EXHAUSTED if the process has no descriptor left.
  static absl::StatusOr<Routes> Open();

  // That of a datagram of UDP between these; nullopt if there is none, or if
  // the destination is this machine or many.
  std::optional<Route> Find(const IpAddress& from, const IpAddress& to);
  // nullopt if it is not known.
  std::optional<Neighbor> FindNeighbor(uint32_t ifindex, const IpAddress& ip);
  // Has the kernel find out who it is, or whether he still is there: as a
  // packet of its own to that address would. Nothing that others can see comes
  // of it if it is known well enough. Never for a fixed one, which the kernel
  // would take for one that it has found itself.
  void Use(uint32_t ifindex, const IpAddress& ip);

 private:
  explicit Routes(net::Fd fd) : fd_(std::move(fd)) {}
  // Sends `request`, an nlmsghdr with its body, under a number of its own, and
  // returns the answer; nothing if there is none.
  absl::Span<const uint8_t> Ask(absl::Span<uint8_t> request);

  net::Fd fd_;
  uint32_t sequence_ = 0;
  std::vector<uint8_t> answer_;
};

// Finds an interface; nullopt if there is none of Ethernet with that name.
std::optional<Link> FindLink(const std::string& name);

// RouteWatch tells on its loop when what Routes says may have changed.
class RouteWatch {
 public:
  struct Handlers {
    // Of one neighbor.
    absl::AnyInvocable<void(uint32_t ifindex, const IpAddress& ip)> on_neighbor;
    // Routes, rules, interfaces, addresses, or anything.
    absl::AnyInvocable<void()> on_change;
  };

  // `loop` must outlive it. RESOURCE_EXHAUSTED without a descriptor.
  static absl::StatusOr<std::unique_ptr<RouteWatch>> Open(net::Loop& loop,
                                                          Handlers handlers);
  RouteWatch(const RouteWatch&) = delete;
  RouteWatch& operator=(const RouteWatch&) = delete;

 private:
  RouteWatch(net::Loop& loop, net::Fd fd, Handlers handlers);
  void Read();

  net::Fd fd_;
  Handlers handlers_;
  net::Watch watch_;
};

}  // namespace kyuu::relay::kernel

#endif  // KYUU_RELAY_KERNEL_ROUTES_H_
