// The values around data channels: their configuration, their events, and the
// state of one channel.

#ifndef KYUU_SCTP_DATA_CHANNEL_STATE_H_
#define KYUU_SCTP_DATA_CHANNEL_STATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "sctp/data_channel_stats.h"
#include "sctp/dcep.h"
#include "sctp/internal/ring_queue.h"
#include "sctp/message.h"

namespace kyuu::sctp {

// ChannelId names a channel from its creation on and is never used again;
// unlike its stream, which is known late and reused.
enum class ChannelId : uint32_t {};

// Which stream ids our channels take: even for the DTLS client, odd for the
// server (RFC 8832 section 6).
enum class StreamParity : uint8_t { kEven, kOdd };

enum class PayloadType : uint8_t { kText, kBinary };

// ChannelConfig is what createDataChannel() takes.
struct ChannelConfig {
  std::string label;
  std::string protocol;
  Ordering ordering = Ordering::kOrdered;
  // At most one of the two; reliable without.
  std::optional<uint16_t> max_retransmits;
  std::optional<absl::Duration> max_packet_life_time;  // In whole ms.
  uint16_t priority = 256;                             // RFC 8831 section 6.4.
  // Set if both sides create the channel with this id themselves.
  std::optional<StreamId> negotiated_id;
  // Of the peer's messages. The peer does not learn of it.
  Delivery delivery = Delivery::kWhole;
};

// ToOpen and ToConfig convert between a configuration and its OPEN.
DcepOpen ToOpen(const ChannelConfig& config);
ChannelConfig ToConfig(DcepOpen open);

// TypeOf is what a message with `ppid` is, nullopt for none of a channel.
std::optional<PayloadType> TypeOf(Ppid ppid);

// HasStreamParity is whether `stream` is one of that side's.
bool HasStreamParity(StreamId stream, StreamParity parity);

// ChannelOpened: a channel that we created can carry messages.
struct ChannelOpened {
  ChannelId channel{};
  StreamId stream{};
};

// ChannelIncoming: the peer opened a channel; it can carry messages.
struct ChannelIncoming {
  ChannelId channel{};
  StreamId stream{};
  ChannelConfig config;
};

// ChannelMessage: a message of the peer. Text is meant to be UTF-8 and is not
// checked to be.
struct ChannelMessage {
  ChannelId channel{};
  PayloadType type = PayloadType::kBinary;
  std::vector<uint8_t> payload;
};

// ChannelMessagePart: what has arrived of a message on a channel of
// Delivery::kParts since the part before. kGivenUp: the rest never comes. After
// ChannelClosed neither does that of any other.
struct ChannelMessagePart {
  ChannelId channel{};
  PayloadType type = PayloadType::kBinary;
  uint64_t message = 0;  // The same in all its parts, and in no other's.
  uint64_t offset = 0;   // Bytes of the message in the parts before.
  Part part = Part::kMore;
  std::vector<uint8_t> payload;
};

// ChannelBufferedAmountLow: see DataChannels::SetBufferedAmountLowThreshold.
struct ChannelBufferedAmountLow {
  ChannelId channel{};
};

// ChannelMessageSettled: a message that was sent with a lifecycle id has been
// delivered, or was given up. Once for each; ChannelClosed tells the end of the
// rest.
struct ChannelMessageSettled {
  ChannelId channel{};
  uint64_t lifecycle = 0;
  Fate fate = Fate::kDelivered;
};

// ChannelClosing: the peer has closed the channel, or lost the right to it by a
// message that is too large, or SendPart gave up what a reliable channel must
// not lose. All that the peer sent was told before; what we have sent is
// delivered, then ChannelClosed follows.
struct ChannelClosing {
  ChannelId channel{};
};

// ChannelClosed: the last event of a channel. OK if either side closed it; the
// association's status if that ended; RESOURCE_EXHAUSTED if the peer has sent a
// message above Options::max_message_in and the channel does not take parts.
struct ChannelClosed {
  ChannelId channel{};
  absl::Status status;
  // What buffered_amount was: payload that was never transmitted.
  size_t buffered_amount = 0;
  ChannelStats stats;
};

// FindClosed is the ChannelClosed among `events` that tells of `channel`, or
// nullptr.
template <typename Events>
const ChannelClosed* FindClosed(ChannelId channel, const Events& events) {
  for (const auto& event : events) {
    const auto* closed = std::get_if<ChannelClosed>(&event);
    if (closed != nullptr && closed->channel == channel) return closed;
  }
  return nullptr;
}

namespace internal {

// BufferedBytes tells how much of what is queued on a stream is payload of the
// application, given how many bytes of the stream wait: messages leave in the
// order in which they came.
class BufferedBytes {
 public:
  // A message of `size` bytes on the wire, `counted` of them payload.
  void Add(size_t size, size_t counted);
  // The payload in the last `waiting` bytes.
  size_t Counted(size_t waiting);
  // True if the last Counted found nothing that waits.
  bool empty() const { return entries_.empty(); }

 private:
  struct Entry {
    size_t size;
    size_t counted;
  };
  RingQueue<Entry> entries_;
  size_t size_ = 0;
  size_t counted_ = 0;
};

// What a channel has while messages are under way on it: most have none.
struct ChannelActivity {
  BufferedBytes buffered;
  // Deprecated parts of a message whose end has not come.
  std::vector<uint8_t> partial;
  std::optional<PayloadType> partial_type;
  // The message that is sent in parts.
  struct Sending {
    PayloadType type = PayloadType::kBinary;
    std::optional<size_t> size;
    std::optional<uint64_t> lifecycle;
    size_t taken = 0;  // Bytes given to the association.
  };
  std::optional<Sending> sending;

  // After `buffered` has told that nothing waits.
  bool idle() const { return buffered.empty() && !partial_type && !sending; }
};

struct Channel {
  enum class State : uint8_t {
    kWaiting,  // For the association.
    kOpen,
    kClosing
  };

  ChannelId id{};
  ChannelConfig config;
  State state = State::kWaiting;
  // Unset while a channel that is not negotiated waits.
  std::optional<StreamId> stream;
  bool incoming = false;  // The peer opened it.
  // Until the ACK comes, everything is sent ordered (RFC 8832 section 6).
  bool acknowledged = false;
  // Whether CloseChannel was called, so that data of the peer is dropped.
  bool closed_here = false;
  // The peer's application is given time to take what was sent.
  bool patient = false;
  // The peer has sent more than it may: the reason of the end.
  bool oversized = false;
  bool outgoing_reset = false;
  bool incoming_reset = false;
  // Whether buffered_amount was above the threshold since the last event.
  bool above_threshold = false;
  size_t low_threshold = 0;
  ChannelStats stats;
  std::unique_ptr<ChannelActivity> activity;  // Null for none.

  bool is_unreliable() const {
    return config.max_retransmits || config.max_packet_life_time;
  }
  ChannelActivity& MakeActivity() {
    if (activity == nullptr) activity = std::make_unique<ChannelActivity>();
    return *activity;
  }
};

// Who uses a stream id beside the channel that takes what arrives: most have
// none of this. The two directions change hands one by one: what
// arrives after the peer's reset belongs to the next channel, although ours
// may still wait for the answer to its reset. What the next channel sends
// meanwhile waits behind that reset, in the association.
struct StreamUse {
  // Its incoming direction is over, its outgoing one is not yet.
  std::optional<ChannelId> parting;
  // For whom ResetStreams was called, or will be once the one in front is
  // done; nullopt for a channel that was refused.
  absl::InlinedVector<std::optional<ChannelId>, 1> resets;
  // What arrives until the peer's reset belongs to a refused channel.
  bool refused = false;
  // The peer does not reset it: never used again.
  bool unusable = false;

  bool idle() const {
    return !parting && resets.empty() && !refused && !unusable;
  }
};

}  // namespace internal

}  // namespace kyuu::sctp

#endif  // KYUU_SCTP_DATA_CHANNEL_STATE_H_
