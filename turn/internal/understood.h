// The attributes that TURN understands, for each of its methods.

#ifndef KYUU_TURN_INTERNAL_UNDERSTOOD_H_
#define KYUU_TURN_INTERNAL_UNDERSTOOD_H_

#include "stun/attribute_set.h"
#include "stun/attributes.h"
#include "stun/protocol.h"

namespace kyuu::turn::internal {

// RFC 8656 section 18 and RFC 6062 section 6.2. What is none of TURN's (ICE,
// RFC 5780) is not understood, nor tokens where there are no keys for them.
inline constexpr stun::AttributeSet kTurnAttributes =
    stun::kStunAttributes |
    stun::AttributeSet::Of<
        stun::ChannelNumber, stun::Lifetime, stun::XorPeerAddress, stun::Data,
        stun::XorRelayedAddress, stun::RequestedAddressFamily, stun::EvenPort,
        stun::DontFragment, stun::RequestedTransport, stun::ReservationToken,
        stun::ConnectionId>();

// What the server understands in a message of `method`. An attribute of TURN's
// in a method that has no use for it is known, but unexpected: RFC 8489 section
// 6.3 has it ignored. Binding is not TURN's.
constexpr stun::AttributeSet UnderstoodIn(stun::Method method) {
  return method == stun::Method::kBinding ? stun::kStunAttributes
                                          : kTurnAttributes;
}

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_UNDERSTOOD_H_
