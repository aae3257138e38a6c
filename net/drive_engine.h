// What a Driver (net/drive.h) is given: its options, what it may ask of an
// engine beyond the five verbs, and whom it shares sockets with.

#ifndef KYUU_NET_DRIVE_ENGINE_H_
#define KYUU_NET_DRIVE_ENGINE_H_

#include <concepts>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"

namespace kyuu::net {

class UdpSocket;

struct DriveOptions {
  // Space offered to PollTransmit for one datagram: jumbo frames
  // (peer::Options::max_datagram_bytes). It is of the slab that a loop's
  // drivers have in common.
  size_t datagram_bytes = 8192;
  // Receive calls per socket and wake-up, 16 trains each: a flooded socket must
  // not starve timers and the other sockets.
  size_t receives_per_turn = 8;
};

// Whoever owns sockets that several drivers share. Thousands may, so that a
// driver has a pointer to it and nothing more.
class SharedSocketHooks {
 public:
  virtual ~SharedSocketHooks() = default;
  // Of what is about to leave: each STUN message.
  virtual void OnStun(const Datagram& datagram) = 0;
  // It takes no more: Flush() is to be called when it is writable.
  virtual void OnBlocked(UdpSocket& socket) = 0;
  // After each Flush(), unless the driver was destroyed in it.
  virtual void OnSettled() = 0;
};

// UrgentEngine has something to say after a single packet, now and then: its
// peer counts its answers (SCTP's finds losses that way). While it is true
// between two packets of one wake-up, PollTransmit is asked for what would be
// another packet at the end of it, and events are delivered after each receive
// call.
template <typename E>
concept UrgentEngine = requires(const E& view) {
  { view.transmit_urgent() } -> std::same_as<bool>;
};

// RefusableEngine takes the word of a connected socket's host that nobody
// listens there (a hard ICMP error, UdpSocket::TakeRefusal(); RFC 8489 section
// 6.2.1 ends transactions by it).
template <typename E>
concept RefusableEngine = requires(E engine, absl::Time now,
                                   const TransportAddress& remote,
                                   const absl::Status& why) {
  engine.HandleRefusal(now, remote, why);
};

}  // namespace kyuu::net

#endif  // KYUU_NET_DRIVE_ENGINE_H_
