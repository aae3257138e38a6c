// Flow: a channel as whoever can relay it without the engine has to know it.

#ifndef KYUU_TURN_FLOW_H_
#define KYUU_TURN_FLOW_H_

#include <cstdint>
#include <variant>

#include "absl/time/time.h"
#include "base/address.h"
#include "turn/forward.h"

namespace kyuu::turn {

// FlowId names a flow of one server, and is not used again during its life.
enum class FlowId : uint64_t {};

// Flow is a channel (RFC 8656 section 12) between a client and a peer that both
// speak plain UDP, and that the network lies between. Until it is removed, and
// within its times, this is all that relaying it takes:
//
//   ChannelData of `channel` from client.remote to client.local leaves as its
//   data from `relay` to `peer`, before to_peer_until;
//   a datagram from `peer` to `relay` leaves as ChannelData of `channel` from
//   client.local to client.remote, before to_client_until.
//
// Whatever else comes, also what differs from this by a padding byte, is the
// server's to judge, as is what comes too late.
struct Flow {
  FlowId id{};
  RelayId allocation{};
  Path client;
  TransportAddress relay;  // Bound, as client.local is.
  TransportAddress peer;
  uint16_t channel = 0;
  // On the driver's clock.
  absl::Time to_peer_until;
  absl::Time to_client_until;
  // There are limits of bandwidth: no more bytes than Flows::Fund() gave.
  bool metered = false;

  friend bool operator==(const Flow&, const Flow&) = default;
};

// A new flow, or one that has other times, or is metered, from now on.
struct FlowInstalled {
  Flow flow;
};
// Nothing is to be relayed by it any more.
struct FlowRemoved {
  FlowId id{};
};
using FlowEvent = std::variant<FlowInstalled, FlowRemoved>;

// What was relayed by a flow in one direction.
struct FlowCount {
  uint64_t datagrams = 0;
  uint64_t bytes = 0;  // Of payload.

  friend bool operator==(const FlowCount&, const FlowCount&) = default;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_FLOW_H_
