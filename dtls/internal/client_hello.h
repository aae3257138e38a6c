// The cookie exchange of RFC 6347 section 4.2.1, as far as it needs no state.

#ifndef KYUU_DTLS_INTERNAL_CLIENT_HELLO_H_
#define KYUU_DTLS_INTERNAL_CLIENT_HELLO_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/types/span.h"

namespace kyuu::dtls::internal {

// What a cookie exchange needs of a ClientHello.
struct ClientHello {
  uint64_t record_sequence = 0;  // 48 bits; the answer has the same one.
  absl::Span<const uint8_t> cookie;
};

// The ClientHello that `datagram` begins with; nullopt if it is none, or not a
// whole one: who may forge fragments could make us keep them.
std::optional<ClientHello> ReadClientHello(absl::Span<const uint8_t> datagram);

// HelloVerifyRequests are this much longer than their cookie, and shorter than
// any ClientHello if that has 32 bytes: nobody is amplified.
inline constexpr size_t kHelloVerifyOverhead = 13 + 12 + 2 + 1;

// Writes the answer that asks for `cookie` (at most 255 bytes); empty if `out`
// is too small.
absl::Span<const uint8_t> WriteHelloVerify(const ClientHello& hello,
                                           absl::Span<const uint8_t> cookie,
                                           absl::Span<uint8_t> out);

}  // namespace kyuu::dtls::internal

#endif  // KYUU_DTLS_INTERNAL_CLIENT_HELLO_H_
