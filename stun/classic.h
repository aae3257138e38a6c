// Binding requests of RFC 3489, which came before the magic cookie.

#ifndef KYUU_STUN_CLASSIC_H_
#define KYUU_STUN_CLASSIC_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "base/address.h"
#include "stun/attributes.h"
#include "stun/protocol.h"

namespace kyuu::stun {

// ClassicBinding is a Binding request whose header has another value where the
// magic cookie should be, as clients of RFC 3489 send it (RFC 5389 section
// 12.2; RFC 8489 no longer speaks of them). There are still devices that do.
struct ClassicBinding {
  // The first 4 of the 16 bytes that are its transaction id, then the rest.
  uint32_t cookie = 0;
  TransactionId id;
  // What it asks for and we do not do: RESPONSE-ADDRESS and the like. A
  // CHANGE-REQUEST that asks for no change asks for nothing.
  UnknownAttributes unknown;
};

// ReadClassicBinding returns the request; nullopt if `bytes` is not exactly one
// such message. It is none if it has the cookie.
std::optional<ClassicBinding> ReadClassicBinding(
    absl::Span<const uint8_t> bytes);

// WriteClassicAnswer builds the response inside `out`: MAPPED-ADDRESS, or 420
// if there is something unknown. 32 bytes for IPv4. Empty if it does not fit.
absl::Span<const uint8_t> WriteClassicAnswer(const ClassicBinding& request,
                                             const TransportAddress& mapped,
                                             absl::Span<uint8_t> out);

}  // namespace kyuu::stun

#endif  // KYUU_STUN_CLASSIC_H_
