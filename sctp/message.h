// What travels over an association: messages, their streams, and how they are
// to be delivered.

#ifndef KYUU_SCTP_MESSAGE_H_
#define KYUU_SCTP_MESSAGE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace kyuu::sctp {

// A stream identifier (RFC 9260 section 3.3.1). The two directions of one
// number are two independent streams.
enum class StreamId : uint16_t {};

// A payload protocol identifier (RFC 9260 section 3.3.1), in host order.
// Carried for the application, never looked at here.
enum class Ppid : uint32_t {};

// Message is one user message, whole: SCTP keeps the bounds of messages.
struct Message {
  StreamId stream{};
  Ppid ppid{};
  // At least one byte: SCTP has no empty messages (RFC 9260 section 3.3.1).
  std::vector<uint8_t> payload;
};

// How the peer's messages are handed over: each when all of it is here, or as
// it arrives.
enum class Delivery : uint8_t { kWhole, kParts };

// Where a part stands in a message that comes in parts.
enum class Part : uint8_t {
  kMore,  // Others follow.
  kLast,
  kGivenUp,  // Nothing follows, and the message has no end.
};

// MessagePart is what has arrived of a message of the peer since the part
// before. A message that is given up after its beginning was handed over, by
// the peer or by a reset of the stream, ends with kGivenUp and no bytes.
struct MessagePart {
  StreamId stream{};
  Ppid ppid{};
  uint32_t message = 0;  // The same in all its parts, and in no other's.
  uint64_t offset = 0;   // Bytes of the message in the parts before.
  Part part = Part::kMore;
  std::vector<uint8_t> payload;
};

enum class Ordering : uint8_t {
  // Delivered in the order of sending within its stream.
  kOrdered,
  // Delivered as soon as it is complete.
  kUnordered,
};

// Whether a message counts against the send buffers.
enum class Budget : uint8_t {
  kCounted,
  // Never refused for lack of room: for the few small messages of a protocol
  // above, like DCEP, that bounds them itself.
  kControl,
};

// When a stream is reset that everything was sent on.
enum class ResetTiming : uint8_t {
  kSoon,     // As soon as it is acknowledged.
  kPatient,  // Options::reset_delay after that.
};

// SendOptions says how hard to try. With both limits unset the message is
// reliable. Limits take effect only if the peer speaks RFC 3758; towards one
// that does not, every message is reliable.
struct SendOptions {
  Ordering ordering = Ordering::kOrdered;
  // Gives the message up when a part of it would have to be transmitted more
  // often than 1 + max_retransmits times (RFC 7496 section 3.1). 0 means once.
  std::optional<uint16_t> max_retransmits;
  // Gives the message up when this long has passed since Send, whether it
  // still waits in the send queue or is in flight (RFC 3758 section 4).
  // One that can be sent within 10 ms is, even with a lifetime of 0.
  std::optional<absl::Duration> lifetime;
  // Gives the message up, waiting or in flight, where the send buffer has no
  // room for one of higher importance or for one without (RFC 7496 section
  // 3.2): the least important first, of those one that still waits, of those
  // the oldest. One in parts takes no more of them then.
  std::optional<uint16_t> importance;
  // The weight of the message's stream against others, in bytes sent (RFC 8831
  // section 6.4, RFC 8260 section 3.6). 0 counts as 1.
  uint16_t priority = 256;
  Budget budget = Budget::kCounted;
  // A number of the application's own, under which MessageSettled tells what
  // became of the message. Unset, nothing is told.
  std::optional<uint64_t> lifecycle;
};

// What became of a message that was sent.
enum class Fate : uint8_t {
  kDelivered,  // The peer's association has acknowledged all of it.
  // By one of its limits, for a more important one, or by kGivenUp: the peer
  // may have all of it, or a part, that it forgets.
  kGivenUp,
};

}  // namespace kyuu::sctp

#endif  // KYUU_SCTP_MESSAGE_H_
