// What a Driver (net/drive.h) may ask of an engine beyond the five verbs.

#ifndef KYUU_NET_DRIVE_ENGINE_H_
#define KYUU_NET_DRIVE_ENGINE_H_

#include <concepts>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"

namespace kyuu::net {

// UrgentEngine has something to say after a single packet, now and then.
template <typename E>
concept UrgentEngine = requires(const E& view) {
  { view.transmit_urgent() } -> std::same_as<bool>;
};

// RefusableEngine takes the word of a host that nobody listens there (a hard
// ICMP error; RFC 8489 section 6.2.1 ends transactions by it).
template <typename E>
concept RefusableEngine = requires(E engine, absl::Time now,
                                   const TransportAddress& remote,
                                   const absl::Status& why) {
  engine.HandleRefusal(now, remote, why);
};

}  // namespace kyuu::net

#endif  // KYUU_NET_DRIVE_ENGINE_H_
