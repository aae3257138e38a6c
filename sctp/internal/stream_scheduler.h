// Which stream sends next (RFC 8260 section 3).

#ifndef KYUU_SCTP_INTERNAL_STREAM_SCHEDULER_H_
#define KYUU_SCTP_INTERNAL_STREAM_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sctp/message.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

// StreamScheduler holds the streams that have something to send, each with one
// turn: a message, or a fragment where those of several messages may be mixed.
// By bytes and weight it is start-time fair queueing: in virtual time, a turn
// takes as long as its bytes divided by its weight, the next one of the same
// stream starts when it ends, and the one that starts first comes first. What
// an operation costs among n streams is log n.
class StreamScheduler {
 public:
  static constexpr size_t kNowhere = SIZE_MAX;
  // What it keeps of a stream, at the stream. It must stay where it is while
  // the stream is here.
  struct Share {
    uint64_t finish = 0;  // Virtual time at which the last turn has ended.
    size_t place = kNowhere;
  };

  explicit StreamScheduler(Scheduler policy) : policy_(policy) {}

  bool empty() const { return heap_.empty(); }
  // The stream whose turn it is. Not of an empty scheduler.
  StreamId next() const { return heap_.front().stream; }
  // Enter gives `stream`, which is not here, a turn, for a message that has
  // come as number `arrival` of all.
  void Enter(StreamId stream, Share& share, uint64_t arrival);
  // Serve ends the turn of the stream that is next, with `bytes` sent.
  void Serve(size_t bytes, uint16_t weight);
  // ServeAgain is Serve, after which the same stream enters again to go on with
  // the same message.
  void ServeAgain(size_t bytes, uint16_t weight);
  // Charge counts `bytes` for a stream that is not here and sends all the same.
  void Charge(Share& share, size_t bytes, uint16_t weight);
  // Leave takes a stream out that has not had its turn.
  void Leave(Share& share);
  void Clear();

 private:
  struct Waiting {
    uint64_t rank;
    uint64_t number;  // First come, first served.
    StreamId stream;
    Share* share;
  };
  static bool Before(const Waiting& a, const Waiting& b) {
    return a.rank != b.rank ? a.rank < b.rank : a.number < b.number;
  }
  void Put(size_t place, const Waiting& waiting);
  void Settle(size_t place, const Waiting& waiting);

  Scheduler policy_;
  std::vector<Waiting> heap_;
  uint64_t virtual_time_ = 0;
  uint64_t next_number_ = 0;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_STREAM_SCHEDULER_H_
