// TestLoop: a loop for tests, which fails them instead of hanging.

#ifndef KYUU_NET_TESTING_LOOP_H_
#define KYUU_NET_TESTING_LOOP_H_

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "net/loop.h"

namespace kyuu::net {

class TestLoop {
 public:
  TestLoop()
      : loop_(Loop::Create().value()), guard_(*loop_, [this] {
          expired_ = true;
          loop_->Stop();
        }) {}

  Loop& operator*() { return *loop_; }
  Loop* operator->() { return loop_.get(); }

  // Runs until `done`; handlers call Stop() whenever something has changed.
  void RunUntil(absl::FunctionRef<bool()> done) {
    guard_.Set(Loop::Now() + absl::Seconds(20));
    while (!done() && !expired_) loop_->Run();
    guard_.Stop();
    ASSERT_FALSE(expired_) << "nothing happened for 20 seconds";
  }
  // The same for what no handler on this loop tells of: asks each millisecond.
  void PollUntil(absl::FunctionRef<bool()> done) {
    Alarm tick(*loop_, [&] {
      tick.Set(Loop::Now() + absl::Milliseconds(1));
      loop_->Stop();
    });
    tick.Set(Loop::Now());
    RunUntil(done);
  }

 private:
  std::unique_ptr<Loop> loop_;
  bool expired_ = false;
  Alarm guard_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_TESTING_LOOP_H_
