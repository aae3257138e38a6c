// A server with two addresses, for clients that find out what their NAT does
// (RFC 5780).

#ifndef KYUU_STUN_DISCOVERY_H_
#define KYUU_STUN_DISCOVERY_H_

#include <cstddef>
#include <optional>

#include "base/address.h"
#include "stun/message.h"

namespace kyuu::stun {

// The two addresses of RFC 5780 section 3; they differ in IP and in port.
struct Discovery {
  TransportAddress primary;
  TransportAddress alternate;

  // Whether `local` is of one of the IPs and one of the ports.
  bool Has(const TransportAddress& local) const {
    return (local.ip == primary.ip || local.ip == alternate.ip) &&
           (local.port == primary.port || local.port == alternate.port);
  }
};

// What such a server understands in a Binding request beside STUN itself. With
// one address, RESPONSE-PORT and PADDING would only lend themselves to attacks.
inline constexpr AttributeSet kDiscoveryAttributes =
    kStunAttributes | AttributeSet::Of<ChangeRequest, ResponsePort, Padding>();

// PADDING that an answer has at most: an Ethernet's MTU, so that it goes in
// fragments (section 7.6). It has no more than its request had.
inline constexpr size_t kAnswerPaddingMax = 1500;

// What is in an answer beside the mapped address (sections 7.3, 7.4 and 7.6).
struct Whereabouts {
  TransportAddress other;    // OTHER-ADDRESS.
  size_t padding_bytes = 0;  // Of PADDING; none if 0.

  void Write(MessageWriter& writer, const TransportAddress& origin) const;
};

// How a request is answered (section 6.1).
struct Redirection {
  Path path;  // The way of the answer.
  Whereabouts whereabouts;
  std::optional<Error> error;  // Instead of success.
};

// RedirectionOf says how a Binding request is answered that came by `path`,
// whose local address `discovery` must have.
Redirection RedirectionOf(const Discovery& discovery,
                          const MessageView& request, const Path& path);

}  // namespace kyuu::stun

#endif  // KYUU_STUN_DISCOVERY_H_
