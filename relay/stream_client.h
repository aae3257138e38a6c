// StreamClient: a TURN client on a byte stream, TCP or TLS (RFC 8656 section
// 3.1), as an engine over the stream's bytes.

#ifndef KYUU_RELAY_STREAM_CLIENT_H_
#define KYUU_RELAY_STREAM_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/compact_time.h"
#include "base/engine.h"
#include "base/timer.h"
#include "relay/joined_streams.h"
#include "turn/message_queues.h"

namespace kyuu::relay {

struct StreamClientOptions {
  // How long a stream is there without an allocation, at first and again when
  // its allocation has ended. Two transactions over the slowest path fit.
  absl::Duration idle_timeout = absl::Seconds(30);
  // Who asks only where he comes from, by a Binding in each idle_timeout, may
  // stay so long: by this stream his NAT keeps the mapping of a port that
  // others connect to (RFC 6544 section 5.2).
  absl::Duration binding_timeout = absl::Hours(1);
  // The longest message of whom has no allocation: requests are some hundred
  // bytes, and thousands of strangers may begin one each.
  size_t stranger_message_bytes = 2048;
  // What waits for a client that does not read. Beyond it, data is dropped, as
  // a router would: half a second of a path of 4 Mbit/s.
  size_t queued_bytes_max = 256 * 1024;
  // Answers may go so far beyond it; then the client is given up, as it waits
  // for each.
  size_t answers_bytes_max = 64 * 1024;
  using Pieces = turn::OutgoingMessages::Pieces;
  Pieces pieces = Pieces::kBytes;
};

// Of all clients on streams.
struct StreamSettings {
  StreamClientOptions client;
  // What they all together may make us hold. From half of it on, each may only
  // hold its part of that half, and loses data beyond; whoever reads is never
  // beyond for long. Should it be full all the same, who holds most is cut.
  size_t bytes_max = 64 << 20;
  // Those that are joined with peers.
  JoinedStreamsOptions joined;
};

// StreamClient cuts what comes into messages and queues what goes. Its driver
// is net::StreamDriver, and relay::Node takes the messages to turn::Server.
class StreamClient {
 public:
  using Packet = absl::Span<const uint8_t>;
  // A STUN message, or ChannelData without its padding; or several of the same
  // channel and size, `segment_size` apart. They live until the next
  // HandlePacket() or PollTransmit().
  struct Message {
    absl::Span<const uint8_t> bytes;
    size_t segment_size = 0;
  };
  // The end, always the last event. OK: the stream has ended, in whatever way.
  // Else we have given the client up. INVALID_ARGUMENT: what came is not TURN;
  // DEADLINE_EXCEEDED: no allocation for too long; RESOURCE_EXHAUSTED: a
  // message too long, or answers that are not read.
  struct Closed {
    absl::Status status;
  };
  using Event = std::variant<Message, Closed>;

  StreamClient(const StreamClientOptions& options, absl::Time now);

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return timers_.NextTimeout(); }
  // Whether the next event is a Message: who takes several may send what came
  // of them at once.
  bool has_message() const { return in_.has_message(); }

  // Queues an answer of the server's.
  void SendAnswer(absl::Span<const uint8_t> bytes);
  // Queues a relayed datagram, padded (RFC 8656 section 12.5); false if it is
  // dropped for want of room.
  bool SendData(absl::Span<const uint8_t> prefix,
                absl::Span<const uint8_t> payload, size_t padding);
  // The client has an allocation now, or no more.
  void Allocated();
  void Released(absl::Time now);

  void HandleStreamEnd(absl::Time now, const absl::Status& why);
  // As net::StreamEngine has it.
  bool finished() const { return closed_ && queued_bytes() == 0; }
  bool abandoned() const { return abandoned_; }
  size_t held_bytes() const { return in_.held_bytes() + out_.held_bytes(); }
  size_t queued_bytes() const { return out_.queued_bytes(); }
  // What has come behind the last message, for whoever goes on with the stream;
  // good as long as a message.
  absl::Span<const uint8_t> unread() const { return in_.rest(); }
  std::string DebugString() const;

 private:
  enum class Timer { kIdle, kCount };
  // Who has an allocation may send what the formats allow.
  enum class Standing : uint8_t { kStranger, kAllocated };

  std::optional<Message> TakeMessage();
  void BecomeStranger(absl::Time now);
  // Close() gives the client up, and what it has said; End() is the end only.
  void Close(absl::Status status);
  void End(absl::Status status);

  const StreamClientOptions options_;
  Standing standing_ = Standing::kStranger;
  CompactTime heard_;        // When the last bytes came.
  CompactTime stranger_to_;  // Bindings or not.
  TimerTable<Timer> timers_;
  turn::IncomingMessages in_;
  turn::OutgoingMessages out_;
  std::optional<Closed> end_;  // Not told yet.
  bool closed_ = false;
  bool abandoned_ = false;
};
static_assert(Engine<StreamClient>);

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_STREAM_CLIENT_H_
