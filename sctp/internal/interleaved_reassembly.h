// From I-DATA chunks to messages (RFC 8260 section 2.2.3): fragments name their
// message and their place in it, so those of many messages may be mixed.

#ifndef KYUU_SCTP_INTERNAL_INTERLEAVED_REASSEMBLY_H_
#define KYUU_SCTP_INTERNAL_INTERLEAVED_REASSEMBLY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/types/span.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/reassembly.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/stream_table.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {

// InterleavedReassembly turns I-DATA chunks into messages in `events`.
//
// A message is known by its stream, its kind (ordered or not) and its message
// identifier. It grows at its end; a fragment that comes early is held until
// those before it are there. TSNs play no part. What a chunk costs is a search
// among the messages and one among the early fragments of its message, and each
// byte is copied twice at most, however the peer arranges them.
class InterleavedReassembly {
 public:
  using Outcome = Reassembly::Outcome;

  // What a message that is not delivered yet costs, in held_overhead_bytes.
  static constexpr size_t kOverheads = 2;

  // `options`, `events` and `stats` must outlive this.
  InterleavedReassembly(const Options& options, EventQueue& events,
                        Stats& stats)
      : options_(options), events_(events), stats_(stats) {}

  // Add takes a chunk that the tracker has just recorded for the first time.
  [[nodiscard]] Outcome Add(const DataChunk& chunk);
  // ForwardTo gives up what the peer gave up (RFC 8260 section 2.3.1).
  void ForwardTo(const ForwardTsnChunk& forward);
  // ResetStreams starts streams over, in both kinds; none means all.
  void ResetStreams(absl::Span<const StreamId> streams);

  // Whether nothing is here that is not delivered.
  bool idle() const { return messages_.empty(); }
  // What counts against the window: early fragments, whole messages that wait
  // for their stream, and the overhead of each message.
  size_t held_bytes() const { return held_bytes_; }
  // The beginnings of messages that are not whole, which are bounded by
  // max_unfinished_bytes instead: a window that they close would never open.
  size_t unfinished_bytes() const { return unfinished_bytes_; }
  // Messages that are not delivered yet.
  size_t messages() const { return messages_.size(); }
  // Streams that there is a place for.
  size_t streams_known() const { return next_mids_.places(); }

 private:
  // Stream, kind and message identifier, in this order from the top.
  using Key = uint64_t;
  struct Incoming {
    Ppid ppid{};
    std::vector<uint8_t> payload;  // The fragments before `next_fsn`.
    uint32_t next_fsn = 0;
    std::optional<uint32_t> last_fsn;  // Once the end has come.
    absl::btree_map<uint32_t, std::vector<uint8_t>> early;
    size_t early_bytes = 0;
    // Handed over as it arrives, once it is its turn: `payload` is then what
    // waits for that, and counts against the window.
    bool in_parts = false;
    uint32_t message = 0;  // Of its parts.
    size_t given = 0;      // Bytes handed over so far.

    bool is_whole() const { return last_fsn && next_fsn > *last_fsn; }
  };
  using Messages = std::map<Key, Incoming>;

  static Key KeyOf(StreamId stream, Ordering ordering, Mid mid);
  // Hands over a chunk that is a message.
  void DeliverAtOnce(const DataChunk& chunk, Ordering ordering);
  // After the delivery of an ordered one.
  void TurnOfTheNext(StreamId stream);
  Outcome AddFragment(Incoming& message, const DataChunk& chunk);
  void Append(Incoming& message, absl::Span<const uint8_t> bytes);
  void MakeParts(Incoming& message);
  void GivePart(StreamId stream, Incoming& message, Part part);
  Messages::iterator Deliver(Messages::iterator it);
  Messages::iterator Drop(Messages::iterator it);
  void DeliverFrom(StreamId stream);
  template <typename F>
  void TakeRange(StreamId stream, Ordering ordering, Mid first, Mid last,
                 F&& take);

  const Options& options_;
  EventQueue& events_;
  Stats& stats_;

  Messages messages_;
  StreamTable<Mid> next_mids_;  // Of ordered messages.
  size_t held_bytes_ = 0;
  size_t unfinished_bytes_ = 0;
  size_t last_size_ = 0;  // Of the last message in several parts, as a guess.
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_INTERLEAVED_REASSEMBLY_H_
