// AnswerQueue: what the TURN server has to say until its driver polls.

#ifndef KYUU_TURN_INTERNAL_ANSWER_QUEUE_H_
#define KYUU_TURN_INTERNAL_ANSWER_QUEUE_H_

#include <cstddef>
#include <vector>

#include "turn/internal/answer.h"
#include "turn/server_options.h"
#include "turn/server_stats.h"

namespace kyuu::turn::internal {

// AnswerQueue holds ServerOptions::answers_max and counts in `stats`; both must
// outlive it.
class AnswerQueue {
 public:
  AnswerQueue(const ServerOptions& options, ServerStats& stats)
      : options_(options), stats_(stats) {}

  // False if it is dropped for want of room.
  bool Push(const Answer& answer) {
    if (!Count(answer)) return false;
    // Not sooner than half of the list is taken, or each push would move it.
    if (next_ >= options_.answers_max) {
      answers_.erase(answers_.begin(),
                     answers_.begin() + static_cast<ptrdiff_t>(next_));
      next_ = 0;
    }
    answers_.push_back(answer);
    return true;
  }
  // The same, but it waits for Release(): what it tells is to be done first by
  // whoever polls events.
  void PushHeld(const Answer& answer) {
    if (Count(answer)) held_.push_back(answer);
  }
  void Release() {
    for (const Answer& answer : held_) answers_.push_back(answer);
    held_.clear();
  }

  // The next one, good until Push() or Clear(); null if there is none.
  const Answer* Next() {
    if (next_ < answers_.size()) return &answers_[next_++];
    answers_.clear();
    next_ = 0;
    return nullptr;
  }
  void Clear() {
    answers_.clear();
    next_ = 0;
    held_.clear();
  }
  size_t size() const { return answers_.size() - next_ + held_.size(); }

 private:
  // False, and counted so, if there is no room.
  bool Count(const Answer& answer) {
    if (size() >= options_.answers_max) {
      ++stats_.answers_dropped;
      return false;
    }
    if (!answer.unasked()) {
      ++(answer.error.has_value() ? stats_.errors : stats_.successes);
    }
    return true;
  }

  const ServerOptions& options_;
  ServerStats& stats_;
  // Taken from `next_` on; begins again when all are taken.
  std::vector<Answer> answers_;
  size_t next_ = 0;
  std::vector<Answer> held_;
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_ANSWER_QUEUE_H_
