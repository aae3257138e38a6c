// Interfaces: the addresses of this machine, for ICE gathering.

#ifndef KYUU_NET_INTERFACES_H_
#define KYUU_NET_INTERFACES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/address.h"

namespace kyuu::net {

enum class InterfaceKind : uint8_t { kLoopback, kPointToPoint, kOther };

// One address of one interface; an interface with several appears as often.
struct Interface {
  std::string name;
  uint32_t index = 0;
  IpAddress address;  // With its scope if link-local.
  InterfaceKind kind = InterfaceKind::kOther;
  // Of IPv6 only, and false where the system does not tell. The preferred
  // lifetime is over: what runs may run on, nothing new begins (RFC 4862
  // section 5.5.4).
  bool deprecated = false;
  // Made to hinder tracking, and replaced daily (RFC 8981).
  bool temporary = false;
  // False where no cable is plugged in, or no network was joined (IFF_RUNNING):
  // the address is there all the same, and nothing goes out.
  bool running = true;
};

// Interfaces lists the addresses of all interfaces that are up, in the system's
// order.
absl::StatusOr<std::vector<Interface>> Interfaces();

// IsHere tells whether `ip` is one of `interfaces`, or loopback, all of which
// every machine has.
bool IsHere(const std::vector<Interface>& interfaces, const IpAddress& ip);

// SourceAddress is the address that the system would send from towards
// `remote`; nothing is sent. UNAVAILABLE if there is no route.
absl::StatusOr<IpAddress> SourceAddress(const TransportAddress& remote);

// RouteMtu is the largest packet, in bytes with its IP header, that the system
// would send towards `remote` in one piece: what the interface takes, or less
// where it has heard so of the way. Nothing is sent. UNAVAILABLE if there is no
// route.
absl::StatusOr<size_t> RouteMtu(const TransportAddress& remote);

}  // namespace kyuu::net

#endif  // KYUU_NET_INTERFACES_H_
