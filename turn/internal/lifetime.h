// How long an allocation lives.

#ifndef KYUU_TURN_INTERNAL_LIFETIME_H_
#define KYUU_TURN_INTERNAL_LIFETIME_H_

#include <algorithm>

#include "absl/time/time.h"
#include "stun/attributes.h"
#include "stun/message.h"
#include "turn/server_options.h"

namespace kyuu::turn::internal {

// What an Allocate or a Refresh is granted (RFC 8656 section 7.2): the larger
// of what it asks for and the default, up to the maximum.
inline absl::Duration GrantLifetime(const ServerOptions& options,
                                    const stun::MessageView& message) {
  const auto lifetime = message.Get<stun::Lifetime>();
  const absl::Duration wanted = absl::Seconds(lifetime ? lifetime->seconds : 0);
  return std::max(std::min(wanted, options.lifetime_max),
                  options.lifetime_default);
}

// Whether a Refresh ends the allocation, and not one family of two.
inline bool IsRelease(const stun::MessageView& message) {
  const auto lifetime = message.Get<stun::Lifetime>();
  return lifetime.has_value() && lifetime->seconds == 0 &&
         !message.Has<stun::RequestedAddressFamily>();
}

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_LIFETIME_H_
