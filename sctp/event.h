// What an association tells its owner.

#ifndef KYUU_SCTP_EVENT_H_
#define KYUU_SCTP_EVENT_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "sctp/message.h"

namespace kyuu::sctp {

// Connected: the handshake is complete. What both sides agreed on.
struct Connected {
  // Streams 0 .. outgoing_streams - 1 may be sent on.
  uint16_t outgoing_streams = 0;
  uint16_t incoming_streams = 0;
  bool partial_reliability = false;  // RFC 3758.
  bool stream_reset = false;         // RFC 6525.
  bool interleaving = false;         // RFC 8260.
  bool zero_checksum = false;        // RFC 9653, of what we send.
};

// Restarted: the peer lost its state and began anew (RFC 9260 section 5.2).
// Messages that were queued or in flight are lost, all streams start over, and
// what was asked for about streams is forgotten. What both sides agreed on now
// is in `terms`.
struct Restarted {
  Connected terms;
};

enum class StreamDirection : uint8_t {
  kOutgoing,  // Our streams, whoever asked for what happened to them.
  kIncoming,  // The peer's streams.
};

// StreamsReset: streams start over at sequence number 0 (RFC 6525). All that
// was sent on them before was delivered before this event.
struct StreamsReset {
  StreamDirection direction = StreamDirection::kOutgoing;
  // In the order of the request. Empty: all streams, which only a peer does.
  std::vector<StreamId> streams;
  // Not OK if the peer refused; only in the kOutgoing direction.
  absl::Status status;
};

// AssociationReset: all streams of both directions start over at sequence
// number 0, and so do the TSNs (RFC 6525 section 4.3), because of
// ResetAssociation or because the peer asked. All that was sent before was
// delivered before this event.
struct AssociationReset {
  // UNAVAILABLE if the peer refused; all goes on as before then.
  absl::Status status;
};

// StreamsAdded: there are more streams in `direction`, because of AddStreams or
// because the peer asked (RFC 6525 sections 5.1.5 to 5.2.6); or there are not,
// and AddStreams came to nothing.
struct StreamsAdded {
  StreamDirection direction = StreamDirection::kOutgoing;
  // All there are now, as in Connected.
  uint16_t outgoing_streams = 0;
  uint16_t incoming_streams = 0;
  // UNAVAILABLE if the peer refused what AddStreams asked for.
  absl::Status status;
};

// WritableAgain: after Send has returned RESOURCE_EXHAUSTED for `stream`, both
// its send buffer and the whole have drained to half of their limits.
struct WritableAgain {
  StreamId stream{};
};

// BufferedAmountLow: buffered_amount(stream) fell to its threshold or below.
struct BufferedAmountLow {
  StreamId stream{};
};

// MessageSettled: a message that was sent with a SendOptions::lifecycle has
// been delivered, or was given up. Once for each, but for those that Restarted
// or Closed tells the end of.
struct MessageSettled {
  StreamId stream{};
  uint64_t lifecycle = 0;
  Fate fate = Fate::kDelivered;
};

// Closed: the end; no event follows. OK after a graceful shutdown and after
// Close; ABORTED if the peer aborted or violated the protocol, CANCELLED after
// Abort, DEADLINE_EXCEEDED if the peer went silent.
struct Closed {
  absl::Status status;
};

// The events of an association; a message is one of them.
using Event =
    std::variant<Message, MessagePart, Connected, Restarted, StreamsReset,
                 AssociationReset, StreamsAdded, WritableAgain,
                 BufferedAmountLow, MessageSettled, Closed>;

}  // namespace kyuu::sctp

#endif  // KYUU_SCTP_EVENT_H_
