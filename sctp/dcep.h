// The Data Channel Establishment Protocol: how a channel is announced on the
// SCTP stream that it is about to use (RFC 8832).

#ifndef KYUU_SCTP_DCEP_H_
#define KYUU_SCTP_DCEP_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "sctp/message.h"

namespace kyuu::sctp {

// The payload protocol identifiers of WebRTC (RFC 8831 section 8). SCTP has no
// empty messages: an empty one travels as one zero byte under a PPID of its
// own.
inline constexpr Ppid kPpidDcep{50};
inline constexpr Ppid kPpidString{51};
inline constexpr Ppid kPpidBinary{53};
inline constexpr Ppid kPpidStringEmpty{56};
inline constexpr Ppid kPpidBinaryEmpty{57};
// Deprecated: all parts of a message but the last, which has kPpidBinary or
// kPpidString. Read, never written.
inline constexpr Ppid kPpidBinaryPartial{52};
inline constexpr Ppid kPpidStringPartial{54};

// DcepOpen is DATA_CHANNEL_OPEN (RFC 8832 section 5.1):
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  Message Type |  Channel Type |            Priority           |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                    Reliability Parameter                      |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |         Label Length          |       Protocol Length         |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   \                             Label                             /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   \                            Protocol                           /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct DcepOpen {
  static constexpr uint8_t kType = 3;
  static constexpr size_t kHeaderSize = 12;

  enum class Reliability : uint8_t {
    kReliable = 0,     // The parameter is ignored.
    kRetransmits = 1,  // The parameter is the limit of retransmissions.
    kTimed = 2,        // The parameter is the lifetime in milliseconds.
  };

  Ordering ordering = Ordering::kOrdered;
  Reliability reliability = Reliability::kReliable;
  uint32_t reliability_parameter = 0;
  // RFC 8831 section 6.4: 128, 256, 512 and 1024 from below normal to high.
  uint16_t priority = 256;
  std::string label;     // UTF-8, at most 65535 bytes.
  std::string protocol;  // UTF-8, at most 65535 bytes.

  // The message in bytes. Labels and protocols that are too long are cut.
  std::vector<uint8_t> Serialize() const;

  friend bool operator==(const DcepOpen&, const DcepOpen&) = default;
};

// DcepAck is DATA_CHANNEL_ACK (RFC 8832 section 5.2): its type and nothing
// else.
struct DcepAck {
  static constexpr uint8_t kType = 2;

  std::vector<uint8_t> Serialize() const { return {kType}; }

  friend bool operator==(const DcepAck&, const DcepAck&) = default;
};

using DcepMessage = std::variant<DcepOpen, DcepAck>;

// ParseDcep reads the payload of a message with kPpidDcep. Bytes after the
// end are ignored. INVALID_ARGUMENT: truncated, lengths that do not fit, not
// UTF-8, or a type or channel type that RFC 8832 does not define.
absl::StatusOr<DcepMessage> ParseDcep(absl::Span<const uint8_t> payload);

}  // namespace kyuu::sctp

#endif  // KYUU_SCTP_DCEP_H_
