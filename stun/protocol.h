// The constants of STUN: message classes, methods, error codes, transactions.

#ifndef KYUU_STUN_PROTOCOL_H_
#define KYUU_STUN_PROTOCOL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/random.h"

namespace kyuu::stun {

// RFC 8489 section 5: a header of 20 bytes that carries this cookie.
inline constexpr uint32_t kMagicCookie = 0x2112a442;
inline constexpr size_t kHeaderSize = 20;
// The port of `stun:` and `turn:` over UDP and TCP (RFC 8489 section 8.1).
inline constexpr uint16_t kDefaultPort = 3478;

// The two class bits of the message type (RFC 8489 section 5).
enum class MessageClass : uint8_t {
  kRequest = 0,
  kIndication = 1,
  kSuccess = 2,
  kError = 3,
};

// The IANA registry "STUN Methods". A received number that is not named here
// is still a valid value of this type.
enum class Method : uint16_t {
  kBinding = 0x001,           // RFC 8489
  kAllocate = 0x003,          // RFC 8656
  kRefresh = 0x004,           // RFC 8656
  kSend = 0x006,              // RFC 8656, indication only
  kData = 0x007,              // RFC 8656, indication only
  kCreatePermission = 0x008,  // RFC 8656
  kChannelBind = 0x009,       // RFC 8656
  kConnect = 0x00a,           // RFC 6062
  kConnectionBind = 0x00b,    // RFC 6062
  kConnectionAttempt = 0x00c  // RFC 6062, indication only
};

// The IANA registry "STUN Error Codes". A received number that is not named
// here is still a valid value of this type.
enum class Error : uint16_t {
  kTryAlternate = 300,               // RFC 8489
  kBadRequest = 400,                 // RFC 8489
  kUnauthenticated = 401,            // RFC 8489
  kForbidden = 403,                  // RFC 8656
  kMobilityForbidden = 405,          // RFC 8016
  kUnknownAttribute = 420,           // RFC 8489
  kAllocationMismatch = 437,         // RFC 8656
  kStaleNonce = 438,                 // RFC 8489
  kAddressFamilyNotSupported = 440,  // RFC 8656
  kWrongCredentials = 441,           // RFC 8656
  kUnsupportedTransport = 442,       // RFC 8656
  kPeerAddressFamilyMismatch = 443,  // RFC 8656
  kConnectionAlreadyExists = 446,    // RFC 6062
  kConnectionTimeout = 447,          // RFC 6062
  kAllocationQuotaReached = 486,     // RFC 8656
  kRoleConflict = 487,               // RFC 8445
  kServerError = 500,                // RFC 8489
  kInsufficientCapacity = 508,       // RFC 8656
};

// ReasonPhrase returns the registry's words for `code`, or "" if it has none.
absl::string_view ReasonPhrase(Error code);

// MethodName returns "Binding", "Allocate", ..., or "" for an unknown method.
absl::string_view MethodName(Method method);

// TransactionId is the 96-bit number that joins a response to its request.
struct TransactionId {
  std::array<uint8_t, 12> bytes{};

  // Generate draws a fresh one (RFC 8489 section 5: uniformly random).
  static TransactionId Generate(Random& random);
  // 24 hexadecimal digits.
  std::string ToString() const;

  friend bool operator==(const TransactionId&, const TransactionId&) = default;
  friend auto operator<=>(const TransactionId&, const TransactionId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const TransactionId& id) {
    return H::combine(std::move(h), id.bytes);
  }
};

// The 14-bit message type of a class and a method, and back:
//
//    0                 1
//    2  3  4 5 6 7 8 9 0 1 2 3 4 5
//   +--+--+-+-+-+-+-+-+-+-+-+-+-+-+
//   |M |M |M|M|M|C|M|M|M|C|M|M|M|M|
//   |11|10|9|8|7|1|6|5|4|0|3|2|1|0|
//   +--+--+-+-+-+-+-+-+-+-+-+-+-+-+     (RFC 8489 figure 3)
constexpr uint16_t EncodeType(MessageClass cls, Method method) {
  const auto m = static_cast<uint32_t>(method);
  const auto c = static_cast<uint32_t>(cls);
  return static_cast<uint16_t>((m & 0x00f) | (m & 0x070) << 1 |
                               (m & 0xf80) << 2 | (c & 1) << 4 | (c & 2) << 7);
}
constexpr MessageClass ClassOf(uint16_t type) {
  return static_cast<MessageClass>((type >> 4 & 1) | (type >> 7 & 2));
}
constexpr Method MethodOf(uint16_t type) {
  return static_cast<Method>((type & 0x00f) | (type >> 1 & 0x070) |
                             (type >> 2 & 0xf80));
}

}  // namespace kyuu::stun

#endif  // KYUU_STUN_PROTOCOL_H_
