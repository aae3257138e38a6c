// Messages on their way out: queued by stream until they are cut into chunks,
// and kept until every chunk is acknowledged or given up.

#ifndef KYUU_SCTP_INTERNAL_SEND_QUEUE_H_
#define KYUU_SCTP_INTERNAL_SEND_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/ring_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {

// The place of a message in the pool.
enum class MessageId : uint32_t {};

// OutMessage is a message that Send has taken.
struct OutMessage {
  StreamId stream{};
  Ppid ppid{};
  std::vector<uint8_t> payload;
  Ordering ordering = Ordering::kOrdered;
  // Transmissions of a chunk that are allowed.
  uint32_t max_transmissions = UINT32_MAX;
  absl::Time expires = absl::InfiniteFuture();

  // Once the first fragment exists. Those of a message have consecutive TSNs.
  bool started = false;
  Ssn ssn;
  Tsn first_tsn;
  uint32_t fragments = 0;    // Made so far, a placeholder included.
  size_t offset = 0;         // Where the next fragment begins.
  uint32_t outstanding = 0;  // Fragments neither acknowledged nor skipped.
  bool abandoned = false;

  bool complete() const { return abandoned || offset == payload.size(); }
};

// Whether limited messages may be given up: only if the peer agrees.
enum class PartialReliability : uint8_t { kOff, kOn };

// SendQueue holds the messages and picks the one to send from next: streams
// take turns, message by message. A message that was begun is finished first,
// since fragments of different messages cannot be told apart otherwise.
class SendQueue {
 public:
  // `options`, `events` and `stats` must outlive this.
  SendQueue(const Options& options, EventQueue& events, Stats& stats)
      : options_(options), events_(events), stats_(stats) {}

  PartialReliability partial_reliability() const {
    return partial_reliability_;
  }
  void set_partial_reliability(PartialReliability value) {
    partial_reliability_ = value;
  }

  // True if Add may be called: the bound of Options::send_buffer_bytes.
  bool HasRoom() const { return occupied_bytes_ < options_.send_buffer_bytes; }
  void Add(absl::Time now, Message&& message, const SendOptions& how);

  // Current is the message to cut the next fragment from, or null. Messages
  // whose time is up before they were begun are dropped on the way there.
  OutMessage* Current(absl::Time now);
  MessageId current_id() const { return current_; }
  // Advance tells that `bytes` of the current message became a fragment.
  void Advance(size_t bytes);

  OutMessage& Get(MessageId id) { return pool_[static_cast<size_t>(id)]; }
  // Abandon gives a message up that was begun: the rest of it is never sent.
  void Abandon(MessageId id);
  // Release frees a message that is complete and has nothing outstanding.
  void Release(MessageId id);

  // True if the stream has a state here: it was sent on since its last reset.
  bool IsKnown(StreamId stream) const { return streams_.contains(stream); }
  // Streams that are being reset take no messages (RFC 6525 section 5.1.2).
  bool IsPaused(StreamId stream) const;
  void Pause(StreamId stream) { stream_state(stream).paused = true; }
  // True if nothing of the stream waits to be cut into chunks.
  bool IsDrained(StreamId stream) const;
  // Restart lets a stream go on, from SSN 0 or as it was.
  enum class Numbering { kContinue, kFromZero };
  void Restart(StreamId stream, Numbering numbering);
  // After a restart of the association: messages that were begun are gone,
  // all streams begin at SSN 0.
  void RestartAll();
  // Drops what waits on streams from `count` on; counted.
  void LimitStreams(uint16_t count);
  // Drops everything.
  void Clear();

  size_t buffered(StreamId stream) const;
  void SetLowThreshold(StreamId stream, size_t bytes);
  size_t buffered_bytes() const { return buffered_bytes_; }
  size_t occupied_bytes() const { return occupied_bytes_; }
  // No message waits for its next fragment.
  bool empty() const { return queued_ == 0; }
  // Set when Add was refused; WritableAgain follows when it is half empty.
  void OnRefused() { refused_ = true; }

 private:
  struct Stream {
    RingQueue<MessageId> messages;
    Ssn next_ssn;
    size_t buffered = 0;
    size_t low_threshold = 0;
    bool active = false;  // In `active_`.
    bool paused = false;
  };
  static constexpr MessageId kNone{UINT32_MAX};

  Stream& stream_state(StreamId stream);
  const Stream* FindStream(StreamId stream) const;
  void Unbuffer(StreamId id, Stream& stream, size_t bytes);
  void PopCurrent();
  void DropWaiting(StreamId id, Stream& stream);

  const Options& options_;
  EventQueue& events_;
  Stats& stats_;
  PartialReliability partial_reliability_ = PartialReliability::kOff;

  std::deque<OutMessage> pool_;
  std::vector<MessageId> free_;
  absl::flat_hash_map<StreamId, std::unique_ptr<Stream>> streams_;
  RingQueue<StreamId> active_;  // Streams with messages, in turn.
  MessageId current_ = kNone;   // At the head of the stream in front.
  size_t queued_ = 0;
  size_t buffered_bytes_ = 0;
  size_t occupied_bytes_ = 0;
  bool refused_ = false;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_SEND_QUEUE_H_
