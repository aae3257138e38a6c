// The numbers of the DTLS 1.2 record layer.

#ifndef KYUU_DTLS_RECORD_H_
#define KYUU_DTLS_RECORD_H_

#include <cstddef>

namespace kyuu::dtls {

// What stands in front of the ciphertext of a record: the header of 13 bytes
// (RFC 6347 section 4.1), and with AES-GCM the explicit nonce of 8 (RFC 5288
// section 3); ChaCha20-Poly1305 has none (RFC 7905 section 2).
inline constexpr size_t kRecordHeaderMax = 13 + 8;

// What follows it: the tag of either.
inline constexpr size_t kRecordTagBytes = 16;

// A sealed record is at most this much larger than its plaintext.
inline constexpr size_t kRecordOverheadMax = kRecordHeaderMax + kRecordTagBytes;

// The largest plaintext of one record (RFC 5246 section 6.2.1).
inline constexpr size_t kPlaintextMax = 1 << 14;

}  // namespace kyuu::dtls

#endif  // KYUU_DTLS_RECORD_H_
