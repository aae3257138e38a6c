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
#include "base/counters.h"
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
};

// ToOpen and ToConfig convert between a configuration and its OPEN.
DcepOpen ToOpen(const ChannelConfig& config);
ChannelConfig ToConfig(DcepOpen open);

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

// ChannelBufferedAmountLow: see DataChannels::SetBufferedAmountLowThreshold.
struct ChannelBufferedAmountLow {
  ChannelId channel{};
};

// ChannelClosing: the peer has closed the channel. All that it sent was told
// before; what we have sent is delivered, then ChannelClosed follows.
struct ChannelClosing {
  ChannelId channel{};
};

// ChannelClosed: the last event of a channel. OK if either side closed it; the
// association's status if that ended.
struct ChannelClosed {
  ChannelId channel{};
  absl::Status status;
  // What buffered_amount was: payload that was never transmitted.
  size_t buffered_amount = 0;
};

// UnsentOf is the buffered_amount that a ChannelClosed among `events` tells of
// `channel`; 0 if there is none.
template <typename Events>
size_t UnsentOf(ChannelId channel, const Events& events) {
  for (const auto& event : events) {
    const auto* closed = std::get_if<ChannelClosed>(&event);
    if (closed != nullptr && closed->channel == channel) {
      return closed->buffered_amount;
    }
  }
  return 0;
}

// Counters of everything that was dropped or refused.
struct DataChannelStats {
  uint64_t channels_opened = 0;
  uint64_t channels_accepted = 0;
  uint64_t channels_closed = 0;
  uint64_t messages_sent = 0;
  uint64_t messages_received = 0;
  uint64_t bytes_sent = 0;  // Payload.
  uint64_t bytes_received = 0;

  uint64_t drop_before_start = 0;  // Packets.
  uint64_t drop_malformed_dcep = 0;
  uint64_t drop_unexpected_ack = 0;   // No channel waits for one.
  uint64_t drop_duplicate_open = 0;   // The stream has a channel.
  uint64_t refused_parity = 0;        // OPEN on a stream of our parity.
  uint64_t refused_limit = 0;         // Too many channels, too much text.
  uint64_t drop_early_data = 0;       // Beyond early_*_max.
  uint64_t drop_after_close = 0;      // On a channel that we closed.
  uint64_t drop_unknown_ppid = 0;     // Neither data nor DCEP.
  uint64_t drop_partial_message = 0;  // Deprecated parts that do not join.
  uint64_t ignored_resets = 0;        // Of streams without a channel, too many.

  static constexpr Counter<DataChannelStats> kCounters[] = {
      KYUU_COUNTER(DataChannelStats, channels_opened),
      KYUU_COUNTER(DataChannelStats, channels_accepted),
      KYUU_COUNTER(DataChannelStats, channels_closed),
      KYUU_COUNTER(DataChannelStats, messages_sent),
      KYUU_COUNTER(DataChannelStats, messages_received),
      KYUU_COUNTER(DataChannelStats, bytes_sent),
      KYUU_COUNTER(DataChannelStats, bytes_received),
      KYUU_COUNTER(DataChannelStats, drop_before_start),
      KYUU_COUNTER(DataChannelStats, drop_malformed_dcep),
      KYUU_COUNTER(DataChannelStats, drop_unexpected_ack),
      KYUU_COUNTER(DataChannelStats, drop_duplicate_open),
      KYUU_COUNTER(DataChannelStats, refused_parity),
      KYUU_COUNTER(DataChannelStats, refused_limit),
      KYUU_COUNTER(DataChannelStats, drop_early_data),
      KYUU_COUNTER(DataChannelStats, drop_after_close),
      KYUU_COUNTER(DataChannelStats, drop_unknown_ppid),
      KYUU_COUNTER(DataChannelStats, drop_partial_message),
      KYUU_COUNTER(DataChannelStats, ignored_resets),
  };
};
static_assert(Countable<DataChannelStats>);

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
  bool sent = false;  // A message of the application.
  // The peer's application is given time to take what was sent.
  bool patient = false;
  bool outgoing_reset = false;
  bool incoming_reset = false;
  // Whether buffered_amount was above the threshold since the last event.
  bool above_threshold = false;
  size_t low_threshold = 0;
  std::unique_ptr<ChannelActivity> activity;  // Null for none.

  ChannelActivity& MakeActivity() {
    if (activity == nullptr) activity = std::make_unique<ChannelActivity>();
    return *activity;
  }
};

// Who uses a stream id. The two directions change hands one by one: what
// arrives after the peer's reset belongs to the next channel, although ours
// may still wait for the answer to its reset. What the next channel sends
// meanwhile waits behind that reset, in the association.
struct StreamUse {
  std::optional<ChannelId> incoming;  // Takes what arrives.
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
    return !incoming && !parting && resets.empty() && !refused && !unusable;
  }
};

}  // namespace internal

}  // namespace kyuu::sctp

#endif  // KYUU_SCTP_DATA_CHANNEL_STATE_H_
