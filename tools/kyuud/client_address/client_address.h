// ClientOf: whose request it is that a proxy has passed on.

#ifndef KYUU_TOOLS_KYUUD_CLIENT_ADDRESS_CLIENT_ADDRESS_H_
#define KYUU_TOOLS_KYUUD_CLIENT_ADDRESS_CLIENT_ADDRESS_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "base/address.h"
#include "signaling/http.h"

namespace kyuu::tools {

// What became of X-Forwarded-For.
enum class ForwardedFor : uint8_t {
  kNone,        // There is none, so the connection is the client's.
  kUsed,        // A proxy that is trusted has told the client.
  kIgnored,     // Whoever sent it is none of our proxies.
  kUnreadable,  // A proxy of ours sent what is no address where it counts.
};

struct ClientAddress {
  // The client as far as it is known: the far end of the connection unless
  // `forwarded_for` is kUsed.
  IpAddress ip;
  ForwardedFor forwarded_for = ForwardedFor::kNone;
};

// Elements of X-Forwarded-For that are looked at, from the end. A chain of
// proxies is shorter; a client may write what it likes in front.
inline constexpr size_t kMaxForwardedHops = 16;

// ClientOf reads X-Forwarded-For from its end, where the proxy nearest to us
// has written: the first address that is no proxy of ours is the client's.
// What stands before it may be anybody's invention. Only a connection that
// comes from one of `proxies` is believed.
ClientAddress ClientOf(const signaling::HttpRequest& request,
                       const IpAddress& remote,
                       absl::Span<const IpPrefix> proxies);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_CLIENT_ADDRESS_CLIENT_ADDRESS_H_
