// MessageStream: a client's end of a byte stream to a STUN or TURN server, TCP
// or TLS, as an engine over the stream's bytes.

#ifndef KYUU_TURN_MESSAGE_STREAM_H_
#define KYUU_TURN_MESSAGE_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/counters.h"
#include "base/engine.h"
#include "turn/message_queues.h"

namespace kyuu::turn {

struct MessageStreamOptions {
  // What waits for a stream that is slower than we are. Beyond it data is
  // dropped, as a router would, for data must not wait: half a second of
  // 1 Mbit/s.
  size_t queued_bytes_max = 64 * 1024;
  // STUN may go so far beyond it: a refresh that is lost on a reliable
  // transport is not sent again.
  size_t stun_bytes_max = 16 * 1024;
  // With TLS kMessages: a server might take a record for a message.
  OutgoingMessages::Pieces pieces = OutgoingMessages::Pieces::kBytes;
};

struct MessageStreamStats {
  uint64_t messages_received = 0;
  uint64_t messages_queued = 0;
  uint64_t messages_dropped = 0;  // Of ours, for want of room.

  static constexpr Counter<MessageStreamStats> kCounters[] = {
      KYUU_COUNTER(MessageStreamStats, messages_received),
      KYUU_COUNTER(MessageStreamStats, messages_queued),
      KYUU_COUNTER(MessageStreamStats, messages_dropped)};
};
static_assert(Countable<MessageStreamStats>);

// MessageStream lies between a net::StreamDriver and what speaks with the
// server: turn::Client with ClientOptions::transport, stun::Client.
class MessageStream {
 public:
  using Packet = absl::Span<const uint8_t>;
  // A STUN message, or ChannelData without its padding. It lives until the next
  // HandlePacket() or PollTransmit().
  struct Message {
    absl::Span<const uint8_t> bytes;
  };
  // The end, always the last event. OK: the stream has ended in order, or
  // Close() has ended it. INVALID_ARGUMENT: what came is no STUN. Else why it
  // failed.
  struct Closed {
    absl::Status status;
  };
  using Event = std::variant<Message, Closed>;

  explicit MessageStream(const MessageStreamOptions& options);

  // Queues a message (ChannelData with its padding), or drops it.
  void Send(absl::Span<const uint8_t> message);
  // Ends our side once what is queued has left.
  void Close();
  // The stream is a peer's connection from now on (RFC 6062, the client's event
  // PeerJoined): each Message is whatever bytes have come, the ones that stand
  // behind the last message being the first; and Send() takes bytes.
  void Join() { joined_ = true; }

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time) {}
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return absl::InfiniteFuture(); }

  // As net::StreamEngine has it.
  void HandleStreamEnd(absl::Time now, const absl::Status& why);
  bool finished() const { return closed_ && out_.queued_bytes() == 0; }
  size_t held_bytes() const { return in_.held_bytes() + out_.held_bytes(); }

  const MessageStreamStats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  void End(absl::Status status);

  const MessageStreamOptions options_;
  IncomingMessages in_;
  OutgoingMessages out_;
  std::optional<Closed> end_;  // Not told yet.
  bool joined_ = false;
  bool closed_ = false;
  MessageStreamStats stats_;
};
static_assert(Engine<MessageStream>);

}  // namespace kyuu::turn

#endif  // KYUU_TURN_MESSAGE_STREAM_H_
