// From DATA chunks to messages: reassembly of fragments, and the order of
// streams (RFC 9260 sections 6.5, 6.6 and 6.9).

#ifndef KYUU_SCTP_INTERNAL_REASSEMBLY_H_
#define KYUU_SCTP_INTERNAL_REASSEMBLY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/types/span.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/held_chunks.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/stream_table.h"
#include "sctp/internal/tsn_intervals.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {

// Reassembly turns chunks into messages in `events`.
//
// The fragments of a message have consecutive TSNs (section 6.9), so one
// message at a time is put together at the cumulative TSN: the assembly. A
// chunk beyond a hole is held by its TSN; if that makes a message complete
// there, it is taken out at once, and delivered at once unless its stream has
// to wait for an earlier one. Each chunk is looked at a fixed number of times,
// however the peer arranges them.
class Reassembly {
 public:
  // Anything but kOk is a violation by the peer, upon which the association
  // ends: what it acknowledged could not be delivered.
  enum class Outcome : uint8_t {
    kOk,
    kMessageTooLarge,  // Above Options::max_message_in.
    kNoBegin,          // A fragment that continues nothing.
    kBrokenRun,        // A fragment of one message inside of another.
    // Of I-DATA only: a fragment that is there already, or behind the last.
    kBadFragment,
    kTooMuchUnfinished,  // Above Options::max_unfinished_bytes.
  };

  // `options`, `events` and `stats` must outlive this.
  Reassembly(const Options& options, Tsn peer_initial_tsn, EventQueue& events,
             Stats& stats);

  // Add takes a chunk that the tracker has just recorded for the first time;
  // `cumulative` is the cumulative TSN after it.
  [[nodiscard]] Outcome Add(const DataChunk& chunk, Tsn cumulative);
  // Skip is Add for a chunk that counts as received but has no message, as on
  // a stream that does not exist.
  [[nodiscard]] Outcome Skip(Tsn tsn, Tsn cumulative);

  // ForwardTo gives up what the peer gave up (RFC 3758 section 3.6).
  // `cumulative` is the cumulative TSN after it.
  [[nodiscard]] Outcome ForwardTo(const ForwardTsnChunk& forward,
                                  Tsn cumulative);
  // ResetStreams starts streams over; none means all.
  void ResetStreams(absl::Span<const StreamId> streams);

  // Payload and overhead of what is held: chunks beyond a hole and messages
  // that wait for their stream. The assembly is not in it; it is bounded by
  // max_message_in, beyond which it is handed over as it arrives.
  size_t held_bytes() const { return held_bytes_; }
  bool idle() const {
    return !assembly_.active && held_bytes_ == 0 && waiting_.empty();
  }
  const HeldChunks& held() const { return held_; }
  // Streams that there is a place for.
  size_t streams_known() const { return next_ssns_.places(); }

 private:
  struct Assembly {
    bool active = false;
    bool unordered = false;
    StreamId stream{};
    Ssn ssn;
    Ppid ppid{};
    std::vector<uint8_t> payload;
    // Handed over as it arrives, or dropped as it does where its place in the
    // stream has passed.
    enum class As : uint8_t { kWhole, kParts, kNothing } as = As::kWhole;
    uint32_t message = 0;  // Of its parts.
    size_t given = 0;      // Bytes handed over so far.
  };

  HeldChunk TakeHeld(Tsn tsn);
  void TakeRun(const TsnInterval& run);
  Outcome Continue(const DataChunk& chunk);
  void BeginParts();
  void GivePart(Part part);
  void DropAssembly();
  void ForgetAssembly();
  Outcome AdvanceTo(Tsn cumulative);
  enum class Arrival { kInSequence, kBeyondHole };
  void Deliver(Message message, bool unordered, Ssn ssn, Arrival arrival);
  void FlushUpTo(StreamId stream, Ssn end);
  void FlushFrom(StreamId stream);

  const Options& options_;
  EventQueue& events_;
  Stats& stats_;

  Tsn next_tsn_;  // What the assembly goes on with.
  Assembly assembly_;
  bool forwarded_ = false;  // The peer has used FORWARD TSN.
  size_t last_size_ = 0;    // Of the last assembled message, as a guess.

  HeldChunks held_;
  // Complete ordered messages that wait, by stream and SSN.
  absl::btree_map<uint32_t, Message> waiting_;
  StreamTable<Ssn> next_ssns_;
  size_t held_bytes_ = 0;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_REASSEMBLY_H_
