#include "sctp/internal/stream_scheduler.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "sctp/internal/give_back.h"
#include "sctp/message.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {
namespace {

// Virtual time is in bytes per weight, in steps this fine.
constexpr int kFractionBits = 16;

uint64_t Cost(size_t bytes, uint16_t weight) {
  return (uint64_t{bytes} << kFractionBits) / weight;
}

}  // namespace

void StreamScheduler::Enter(StreamId stream, Share& share, uint64_t arrival) {
  Waiting waiting{0, next_number_++, stream, &share};
  switch (policy_) {
    case Scheduler::kWeightedFair:
      waiting.rank = std::max(share.finish, virtual_time_);
      break;
    case Scheduler::kRoundRobin:
      break;  // By the order in which they have come, or come again.
    case Scheduler::kFirstComeFirstServed:
      waiting.rank = arrival;
      break;
  }
  heap_.emplace_back();
  Settle(heap_.size() - 1, waiting);
}

void StreamScheduler::Serve(size_t bytes, uint16_t weight) {
  Share& share = *heap_.front().share;
  if (policy_ == Scheduler::kWeightedFair) {
    virtual_time_ = heap_.front().rank;
    share.finish = virtual_time_ + Cost(bytes, weight);
  }
  Leave(share);
}

void StreamScheduler::ServeAgain(size_t bytes, uint16_t weight) {
  Waiting waiting = heap_.front();
  waiting.number = next_number_++;
  if (policy_ == Scheduler::kWeightedFair) {
    virtual_time_ = waiting.rank;
    waiting.rank += Cost(bytes, weight);
    waiting.share->finish = waiting.rank;
  }
  Settle(0, waiting);
}

void StreamScheduler::Charge(Share& share, size_t bytes, uint16_t weight) {
  if (policy_ != Scheduler::kWeightedFair) return;
  share.finish = std::max(share.finish, virtual_time_) + Cost(bytes, weight);
}

void StreamScheduler::Leave(Share& share) {
  const size_t place = share.place;
  share.place = kNowhere;
  const Waiting last = heap_.back();
  heap_.pop_back();
  if (place < heap_.size()) Settle(place, last);
  GiveBack(heap_);
}

void StreamScheduler::Clear() {
  heap_ = {};
  virtual_time_ = 0;
}

void StreamScheduler::Put(size_t place, const Waiting& waiting) {
  heap_[place] = waiting;
  waiting.share->place = place;
}

// Finds the place of `waiting` in the heap, beginning at `place`, which is
// free.
void StreamScheduler::Settle(size_t place, const Waiting& waiting) {
  while (place > 0 && Before(waiting, heap_[(place - 1) / 2])) {
    Put(place, heap_[(place - 1) / 2]);
    place = (place - 1) / 2;
  }
  for (;;) {
    size_t child = 2 * place + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && Before(heap_[child + 1], heap_[child])) {
      ++child;
    }
    if (!Before(heap_[child], waiting)) break;
    Put(place, heap_[child]);
    place = child;
  }
  Put(place, waiting);
}

}  // namespace kyuu::sctp::internal
