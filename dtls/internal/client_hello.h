// The cookie exchange of RFC 6347 section 4.2.1, as far as it needs no state,
// and the name that a client asks for.

#ifndef KYUU_DTLS_INTERNAL_CLIENT_HELLO_H_
#define KYUU_DTLS_INTERNAL_CLIENT_HELLO_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kyuu::dtls::internal {

// What a server looks at in a ClientHello before there is a session; all of it
// lies in the datagram.
struct ClientHello {
  uint64_t record_sequence = 0;  // 48 bits; the answer has the same one.
  absl::Span<const uint8_t> cookie;
  // The host_name of server_name (RFC 6066 section 3), as it was sent; empty if
  // there is none, or it is malformed: then no handshake comes of it.
  absl::string_view server_name;
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
