// The numbers of the DTLS 1.2 record layer.

#ifndef KYUU_DTLS_RECORD_H_
#define KYUU_DTLS_RECORD_H_

#include <cstddef>

namespace kyuu::dtls {

// A sealed record is at most this much larger than its plaintext: the header
// of 13 bytes, AES-GCM's explicit nonce of 8 and its tag of 16.
inline constexpr size_t kRecordOverheadMax = 13 + 8 + 16;

// The largest plaintext of one record (RFC 5246 section 6.2.1).
inline constexpr size_t kPlaintextMax = 1 << 14;

}  // namespace kyuu::dtls

#endif  // KYUU_DTLS_RECORD_H_
