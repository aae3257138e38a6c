// PacketStream: packets on a TCP connection between two peers, each behind its
// length (RFC 4571, as RFC 6544 section 3 has it), as an engine over the
// stream's bytes.

#ifndef KYUU_ICE_PACKET_STREAM_H_
#define KYUU_ICE_PACKET_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/counters.h"
#include "base/engine.h"

namespace kyuu::ice {

struct PacketStreamOptions {
  // What waits for a stream that is slower than we are. Beyond it data is
  // dropped, as a router would, and SCTP sends it again: half a second of 1
  // Mbit/s.
  size_t queued_bytes_max = 64 * 1024;
  // STUN may go so far beyond it: a check is not sent again on a stream.
  size_t stun_bytes_max = 4 * 1024;
  // The largest packet that is taken, which is what a peer can make us hold:
  // twice what the largest record of DTLS takes.
  size_t packet_bytes_max = 32 * 1024;
};

struct PacketStreamStats {
  uint64_t packets_received = 0;
  uint64_t packets_queued = 0;
  uint64_t packets_dropped = 0;  // Of ours, for want of room, or too large.

  static constexpr Counter<PacketStreamStats> kCounters[] = {
      KYUU_COUNTER(PacketStreamStats, packets_received),
      KYUU_COUNTER(PacketStreamStats, packets_queued),
      KYUU_COUNTER(PacketStreamStats, packets_dropped)};
};
static_assert(Countable<PacketStreamStats>);

class PacketStream {
 public:
  using Packet = absl::Span<const uint8_t>;
  // A packet, never empty. It lives until the next HandlePacket() or
  // PollTransmit().
  struct Received {
    absl::Span<const uint8_t> bytes;
  };
  // The end, always the last event. OK: the stream has ended in order, or
  // Close() has ended it. RESOURCE_EXHAUSTED: a packet above packet_bytes_max.
  // Else why it failed.
  struct Closed {
    absl::Status status;
  };
  using Event = std::variant<Received, Closed>;

  explicit PacketStream(const PacketStreamOptions& options = {});

  // Queues a packet, or drops it.
  void Send(absl::Span<const uint8_t> packet);
  // Ends our side once what is queued has left.
  void Close();

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time) {}
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return absl::InfiniteFuture(); }

  // As net::StreamEngine has it.
  void HandleStreamEnd(absl::Time now, const absl::Status& why);
  bool finished() const { return closed_ && queued_bytes() == 0; }
  size_t held_bytes() const { return in_.size() - at_ + queued_bytes(); }

  const PacketStreamStats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  size_t queued_bytes() const { return out_.size() - sent_; }
  void End(absl::Status status);

  const PacketStreamOptions options_;
  std::vector<uint8_t> in_;  // Taken up to at_.
  size_t at_ = 0;
  std::vector<uint8_t> out_;  // Sent up to sent_.
  size_t sent_ = 0;
  std::optional<Closed> end_;  // Not told yet.
  bool closed_ = false;
  PacketStreamStats stats_;
};
static_assert(Engine<PacketStream>);

}  // namespace kyuu::ice

#endif  // KYUU_ICE_PACKET_STREAM_H_
