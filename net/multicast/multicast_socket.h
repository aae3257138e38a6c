// MulticastSocket: a multicast group on one link, for protocols like mDNS.

#ifndef KYUU_NET_MULTICAST_MULTICAST_SOCKET_H_
#define KYUU_NET_MULTICAST_MULTICAST_SOCKET_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "net/fd.h"

namespace kyuu::net {

// MulticastSocket hears what is sent to a group on one interface, from this
// machine too, and nothing else: no unicast, which another program on the same
// port may wait for, and no other interface. Non-blocking; wait with a Watch on
// fd().
class MulticastSocket {
 public:
  // The port may be shared (SO_REUSEADDR) with other programs. `interface` is
  // the system's index. INVALID_ARGUMENT if `group` is none; NOT_FOUND,
  // UNAVAILABLE or PERMISSION_DENIED if the interface is gone or cannot.
  static absl::StatusOr<MulticastSocket> Open(const TransportAddress& group,
                                              uint32_t interface);

  int fd() const { return fd_.get(); }
  const TransportAddress& group() const { return group_; }

  struct Received {
    TransportAddress remote;
    absl::Span<const uint8_t> bytes;
  };
  // The next datagram, in `buffer`; one that is longer is skipped. nullopt when
  // nothing is there.
  std::optional<Received> Receive(absl::Span<uint8_t> buffer);
  // From the interface's address, to the group (with a TTL of 255, RFC 6762
  // section 11) or to a host of the link. What the system refuses is lost, as
  // it would be on the link; false then.
  bool Send(const TransportAddress& remote, absl::Span<const uint8_t> bytes);

 private:
  MulticastSocket(Fd fd, const TransportAddress& group)
      : fd_(std::move(fd)), group_(group) {}

  Fd fd_;
  TransportAddress group_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_MULTICAST_MULTICAST_SOCKET_H_
