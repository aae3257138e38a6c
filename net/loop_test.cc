#include "net/loop.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/testing.h"
#include "net/testing/loop.h"
#include "net/testing/syscall_faults.h"

namespace kyuu::net {
namespace {

// Two connected descriptors.
struct SocketPair {
  SocketPair() {
    std::array<int, 2> fds{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()),
              0);
    a = Fd(fds[0]);
    b = Fd(fds[1]);
  }
  void Poke() { EXPECT_EQ(write(b.get(), "x", 1), 1); }
  void Take() {
    char c;
    EXPECT_EQ(read(a.get(), &c, 1), 1);
  }
  Fd a, b;
};

TEST(LoopTest, TimeDoesNotGoBack) {
  const absl::Time before = Loop::Now();
  EXPECT_LE(before, Loop::Now());
}

TEST(LoopTest, WhatItsUsersShareIsOneForEachLoop) {
  struct Memory {
    std::shared_ptr<int> alive = std::make_shared<int>(0);
  };
  TestLoop other;
  std::weak_ptr<int> alive;
  {
    TestLoop loop;
    Memory& memory = loop->Shared<Memory>();
    EXPECT_EQ(&loop->Shared<Memory>(), &memory);
    EXPECT_NE(&other->Shared<Memory>(), &memory);
    loop->Shared<int>() = 7;
    EXPECT_EQ(loop->Shared<int>(), 7);
    EXPECT_EQ(&loop->Shared<Memory>(), &memory);
    alive = memory.alive;
  }
  EXPECT_TRUE(alive.expired());
}

TEST(LoopTest, AlarmsFireInOrderOfTheirDeadlines) {
  TestLoop loop;
  std::vector<int> order;
  std::vector<std::unique_ptr<Alarm>> alarms;
  const absl::Time start = Loop::Now();
  for (int i : {3, 1, 4, 0, 2}) {
    alarms.push_back(std::make_unique<Alarm>(*loop, [&order, &loop, i] {
      order.push_back(i);
      loop->Stop();
    }));
    alarms.back()->Set(start + absl::Milliseconds(i));
  }
  loop.RunUntil([&] { return order.size() == 5; });
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_GE(Loop::Now(), start + absl::Milliseconds(4));
}

// Which of an alarm that is set twice and one that is set between these fires
// first, by what they are set to in milliseconds from now.
std::vector<int> OrderOf(int first, int moved_to, int between) {
  TestLoop loop;
  std::vector<int> order;
  Alarm moved(*loop, [&] {
    order.push_back(moved_to);
    loop->Stop();
  });
  Alarm other(*loop, [&] {
    order.push_back(between);
    loop->Stop();
  });
  const absl::Time now = Loop::Now();
  moved.Set(now + absl::Milliseconds(first));
  moved.Set(now + absl::Milliseconds(moved_to));
  other.Set(now + absl::Milliseconds(between));
  loop.RunUntil([&] { return order.size() == 2; });
  return order;
}

TEST(LoopTest, AnAlarmSetLaterFiresLater) {
  EXPECT_EQ(OrderOf(1, 6, 3), (std::vector<int>{3, 6}));
}

TEST(LoopTest, ALoopDoesNotWakeUpForAnAlarmThatWasSetLater) {
  TestLoop loop;
  Alarm alarm(*loop, [&] { loop->Stop(); });
  const absl::Time now = Loop::Now();
  alarm.Set(now + absl::Milliseconds(5));
  alarm.Set(now + absl::Milliseconds(40));
  loop->Run();
  EXPECT_GE(Loop::Now(), now + absl::Milliseconds(40));
  // Turns are counted when the next one begins: there was one.
  const Histogram& turns = loop->turn_times();
  uint64_t earlier = 0;
  for (size_t i = 0; i <= turns.bounds().size(); ++i) earlier += turns.count(i);
  EXPECT_EQ(earlier, 0u);
}

TEST(LoopTest, AlarmsThatAreOverdueFireInTheOrderOfTheirDeadlines) {
  EXPECT_EQ(OrderOf(-5, -1, -3), (std::vector<int>{-3, -1}));
}

TEST(LoopTest, AStoppedAlarmIsSilentAndCanBeSetAgain) {
  TestLoop loop;
  int fired = 0;
  bool over = false;
  Alarm alarm(*loop, [&] {
    ++fired;
    loop->Stop();
  });
  Alarm end(*loop, [&] {
    over = true;
    loop->Stop();
  });
  alarm.Set(Loop::Now());
  alarm.Stop();
  end.Set(Loop::Now() + absl::Milliseconds(2));
  loop.RunUntil([&] { return over; });
  EXPECT_EQ(fired, 0);
  alarm.Set(absl::InfinitePast());
  loop.RunUntil([&] { return fired == 1; });
  EXPECT_EQ(alarm.deadline(), absl::InfiniteFuture());
}

TEST(LoopTest, ManyAlarmsComeAndGo) {
  TestLoop loop;
  size_t fired = 0;
  std::vector<std::unique_ptr<Alarm>> alarms;
  const absl::Time now = Loop::Now();
  for (int i = 0; i < 1000; ++i) {
    alarms.push_back(std::make_unique<Alarm>(*loop, [&] {
      ++fired;
      loop->Stop();
    }));
    alarms.back()->Set(now + absl::Microseconds((i * 7919) % 1000));
  }
  for (size_t i = 0; i < alarms.size(); i += 3) alarms[i].reset();
  loop.RunUntil([&] { return fired == 666; });
}

TEST(LoopTest, AnAlarmThatSetsItselfToThePastDoesNotStarveTheRest) {
  TestLoop loop;
  SocketPair pair;
  bool readable = false;
  std::optional<Alarm> alarm;
  alarm.emplace(*loop, [&] { alarm->Set(absl::InfinitePast()); });
  alarm->Set(absl::InfinitePast());
  Watch watch(*loop, pair.a.get(), Interest::kRead, [&](Readiness) {
    readable = true;
    loop->Stop();
  });
  pair.Poke();
  loop.RunUntil([&] { return readable; });
}

TEST(LoopTest, AnAlarmMayDestroyItselfAndOthers) {
  TestLoop loop;
  std::unique_ptr<Alarm> victim = std::make_unique<Alarm>(
      *loop, [] { FAIL() << "was destroyed before its turn"; });
  bool fired = false;
  std::unique_ptr<Alarm> alarm;
  alarm = std::make_unique<Alarm>(*loop, [&, token = std::make_unique<int>(7)] {
    alarm.reset();
    victim.reset();
    fired = *token == 7;
    loop->Stop();
  });
  alarm->Set(Loop::Now() - absl::Seconds(1));
  victim->Set(Loop::Now());
  loop.RunUntil([&] { return fired; });
}

TEST(LoopTest, AWatchSeesReadingAndWriting) {
  TestLoop loop;
  SocketPair pair;
  int reads = 0, writes = 0;
  Watch watch(*loop, pair.a.get(), Interest::kRead, [&](Readiness ready) {
    if (ready.readable) {
      pair.Take();
      ++reads;
    }
    if (ready.writable) ++writes;
    loop->Stop();
  });
  pair.Poke();
  loop.RunUntil([&] { return reads == 1; });
  EXPECT_EQ(writes, 0);
  watch.SetInterest(Interest::kReadWrite);
  loop.RunUntil([&] { return writes > 0; });
}

TEST(LoopTest, AWatchWithoutInterestIsSilentEvenAfterAHangUp) {
  TestLoop loop;
  SocketPair pair;
  int calls = 0;
  Watch watch(*loop, pair.a.get(), Interest::kRead, [&](Readiness ready) {
    EXPECT_TRUE(ready.readable);
    ++calls;
    loop->Stop();
  });
  watch.SetInterest(Interest::kNone);
  pair.b.Close();
  bool over = false;
  Alarm end(*loop, [&] {
    over = true;
    loop->Stop();
  });
  end.Set(Loop::Now() + absl::Milliseconds(2));
  loop.RunUntil([&] { return over; });
  EXPECT_EQ(calls, 0);
  watch.SetInterest(Interest::kRead);
  loop.RunUntil([&] { return calls > 0; });
}

TEST(LoopTest, AWatchDestroyedInTheSameTurnIsNotCalled) {
  TestLoop loop;
  SocketPair first, second;
  std::array<std::unique_ptr<Watch>, 2> watches;
  int calls = 0;
  // Whichever comes first destroys both, and a new watch takes a slot.
  std::unique_ptr<Watch> heir;
  SocketPair third;
  const auto handler = [&](Readiness) {
    ++calls;
    watches[0].reset();
    watches[1].reset();
    heir = std::make_unique<Watch>(*loop, third.a.get(), Interest::kRead,
                                   [](Readiness) { FAIL(); });
    loop->Stop();
  };
  watches[0] =
      std::make_unique<Watch>(*loop, first.a.get(), Interest::kRead, handler);
  watches[1] =
      std::make_unique<Watch>(*loop, second.a.get(), Interest::kRead, handler);
  first.Poke();
  second.Poke();
  loop.RunUntil([&] { return calls > 0; });
  EXPECT_EQ(calls, 1);
}

TEST(LoopFaultTest, AForsakenWatchGoesWithItsDescriptor) {
  SyscallFaults faults;
  TestLoop loop;
  SocketPair gone, next;
  std::optional<Watch> watch;
  watch.emplace(*loop, gone.a.get(), Interest::kRead,
                [](Readiness) { FAIL() << "is no more"; });
  gone.Poke();
  faults.Forget();
  watch->Forsake();
  watch.reset();
  gone.a.Close();
  EXPECT_EQ(faults.calls(Syscall::kEpollCtl), 0u);
  bool readable = false;
  watch.emplace(*loop, next.a.get(), Interest::kRead, [&](Readiness) {
    readable = true;
    loop->Stop();
  });
  next.Poke();
  loop.RunUntil([&] { return readable; });
}

// With bytes that wait, and with a hang-up: neither is lost, and none is the
// former owner's any more.
TEST(LoopFaultTest, AWatchIsHandedOnWithinItsHandlerWithoutACall) {
  for (const bool hangs_up : {false, true}) {
    SyscallFaults faults;
    TestLoop loop;
    SocketPair pair;
    int former = 0, calls = 0;
    ssize_t got = -1;
    std::optional<Watch> before, after;
    before.emplace(*loop, pair.a.get(), Interest::kRead, [&](Readiness) {
      ++former;
      after.emplace(*std::move(before), [&](Readiness ready) {
        loop->Stop();
        if (calls++ > 0) return;
        EXPECT_TRUE(ready.readable);
        char c;
        got = read(pair.a.get(), &c, 1);
      });
      before.reset();
    });
    if (hangs_up) {
      pair.b.Close();
    } else {
      pair.Poke();
    }
    faults.Forget();
    loop.RunUntil([&] { return calls == 1; });
    EXPECT_EQ(former, 1);
    EXPECT_EQ(got, hangs_up ? 0 : 1);
    EXPECT_EQ(faults.calls(Syscall::kEpollCtl), 0u);
    if (hangs_up) continue;
    // And it is a watch like any other.
    after->SetInterest(Interest::kReadWrite);
    loop.RunUntil([&] { return calls == 2; });
    EXPECT_EQ(faults.calls(Syscall::kEpollCtl), 1u);
  }
}

TEST(LoopTest, AWatchThatIsHandedOnMayBeDestroyedAtOnce) {
  TestLoop loop;
  SocketPair pair, next;
  int former = 0;
  bool readable = false;
  std::optional<Watch> before, heir;
  before.emplace(*loop, pair.a.get(), Interest::kRead, [&](Readiness) {
    ++former;
    Watch(*std::move(before), [](Readiness) { FAIL() << "is no more"; });
    before.reset();
    // Its place in the loop is another's now.
    heir.emplace(*loop, next.a.get(), Interest::kRead, [&](Readiness) {
      readable = true;
      loop->Stop();
    });
  });
  pair.Poke();
  next.Poke();
  loop.RunUntil([&] { return readable; });
  EXPECT_EQ(former, 1);
}

// Both are ready in one turn: whichever comes first hands the other one on,
// whose readiness the loop has in its hands already.
TEST(LoopTest, WhatTheKernelHasReportedGoesToTheNextOwner) {
  for (const bool destroyed : {false, true}) {
    TestLoop loop;
    std::array<SocketPair, 2> pairs;
    std::array<std::optional<Watch>, 2> watches;
    std::optional<Watch> after;
    int former = 0, latter = 0;
    for (size_t i = 0; i < 2; ++i) {
      watches[i].emplace(
          *loop, pairs[i].a.get(), Interest::kRead, [&, i](Readiness) {
            ++former;
            pairs[i].Take();
            loop->Stop();
            const size_t other = 1 - i;
            after.emplace(*std::move(watches[other]), [&, other](Readiness) {
              ++latter;
              pairs[other].Take();
            });
            watches[other].reset();
            if (destroyed) after.reset();
          });
      pairs[i].Poke();
    }
    loop->Run();  // One turn.
    EXPECT_EQ(former, 1);
    EXPECT_EQ(latter, destroyed ? 0 : 1);
  }
}

TEST(LoopTest, AWatchThatMovesWithinItsHandlerKeepsIt) {
  TestLoop loop;
  SocketPair pair;
  int calls = 0;
  std::optional<Watch> here, there;
  here.emplace(*loop, pair.a.get(), Interest::kRead, [&](Readiness) {
    loop->Stop();
    if (++calls > 1) return pair.Take();
    there.emplace(*std::move(here));
    here.reset();
  });
  pair.Poke();
  loop.RunUntil([&] { return calls == 2; });
}

TEST(LoopTest, BetweenTwoOwnersNobodyIsCalledAndNothingIsLost) {
  TestLoop loop;
  SocketPair pair;
  bool readable = false;
  std::optional<Watch> before;
  before.emplace(*loop, pair.a.get(), Interest::kRead,
                 [](Readiness) { FAIL() << "has handed it on"; });
  std::optional<Watch> between;
  between.emplace(*std::move(before), nullptr);
  before.reset();
  pair.Poke();
  loop->Stop();
  loop->Run();
  const Watch after = Watch::Take(std::move(between), *loop, -1,
                                  Interest::kRead, [&](Readiness) {
                                    readable = true;
                                    loop->Stop();
                                  });
  loop.RunUntil([&] { return readable; });
}

TEST(LoopTest, TasksFromOtherThreadsRunInOrder) {
  TestLoop loop;
  std::vector<int> seen;  // Only touched on the loop's thread.
  std::thread poster([&loop, &seen] {
    for (int i = 0; i < 1000; ++i) {
      loop->Post([&loop, &seen, i] {
        seen.push_back(i);
        if (i == 999) loop->Stop();
      });
    }
  });
  loop.RunUntil([&] { return seen.size() == 1000; });
  poster.join();
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST(LoopTest, ATaskMayPostTasks) {
  TestLoop loop;
  bool inner = false;
  loop->Post([&] {
    loop->Post([&] {
      inner = true;
      loop->Stop();
    });
  });
  loop.RunUntil([&] { return inner; });
}

TEST(LoopTest, TasksThatNeverRanAreDestroyedWithTheLoop) {
  auto owned = std::make_shared<int>(1);
  {
    TestLoop loop;
    loop->Post([owned] { FAIL(); });
    EXPECT_EQ(owned.use_count(), 2);
  }
  EXPECT_EQ(owned.use_count(), 1);
}

TEST(LoopTest, StopFromAnotherThreadEndsRun) {
  TestLoop loop;
  std::thread stopper([&loop] { loop->Stop(); });
  loop->Run();
  stopper.join();
}

// Before Linux 5.11, and under filters of system calls.
TEST(LoopFaultTest, WithoutEpollPwait2AlarmsAndDescriptorsWorkAllTheSame) {
  for (const int error : {ENOSYS, EPERM}) {
    SyscallFaults faults;
    faults.Fail(Syscall::kEpollPwait2, error);
    TestLoop loop;
    SocketPair pair;
    const absl::Time start = Loop::Now();
    bool fired = false, read = false;
    Alarm alarm(*loop, [&] {
      fired = true;
      pair.Poke();
    });
    alarm.Set(start + absl::Microseconds(1500));
    Watch watch(*loop, pair.a.get(), Interest::kRead, [&](Readiness) {
      pair.Take();
      read = true;
      loop->Stop();
    });
    loop.RunUntil([&] { return read; });
    EXPECT_TRUE(fired);
    EXPECT_GE(Loop::Now(), start + absl::Microseconds(1500));
    EXPECT_EQ(faults.calls(Syscall::kEpollPwait2), 1u);
    // Rounded up: no turns without anything to do while it waits.
    EXPECT_LE(faults.calls(Syscall::kEpollWait), 4u);
  }
}

TEST(LoopFaultTest, AnInterruptedWaitGoesOn) {
  SyscallFaults faults;
  faults.Fail(Syscall::kEpollPwait2, EINTR, 3);
  TestLoop loop;
  bool fired = false;
  Alarm alarm(*loop, [&] {
    fired = true;
    loop->Stop();
  });
  alarm.Set(Loop::Now() + absl::Milliseconds(1));
  loop.RunUntil([&] { return fired; });
}

// fs.epoll.max_user_watches belongs to all programs of a user.
TEST(LoopFaultTest, AWatchThatTheKernelRefusesSaysSoAndIsTriedAgain) {
  for (const int error : {ENOSPC, ENOMEM}) {
    SyscallFaults faults;
    TestLoop loop;
    SocketPair pair;
    bool readable = false;
    faults.Fail(Syscall::kEpollCtl, error, 2, pair.a.get());
    Watch watch(*loop, pair.a.get(), Interest::kRead, [&](Readiness) {
      readable = true;
      loop->Stop();
    });
    EXPECT_THAT(watch.status(), StatusIs(absl::StatusCode::kResourceExhausted));
    pair.Poke();
    loop.RunUntil([&] { return readable; });
    EXPECT_OK(watch.status());
    EXPECT_GE(faults.calls(Syscall::kEpollCtl), 3u);
  }
}

TEST(LoopFaultTest, ARefusedChangeOfInterestIsTriedAgain) {
  SyscallFaults faults;
  TestLoop loop;
  SocketPair pair;
  bool writable = false;
  Watch watch(*loop, pair.a.get(), Interest::kRead, [&](Readiness ready) {
    writable = ready.writable;
    loop->Stop();
  });
  faults.Fail(Syscall::kEpollCtl, ENOMEM, 1, pair.a.get());
  watch.SetInterest(Interest::kReadWrite);
  EXPECT_THAT(watch.status(), StatusIs(absl::StatusCode::kResourceExhausted));
  loop.RunUntil([&] { return writable; });
  EXPECT_OK(watch.status());
}

TEST(LoopFaultTest, ARefusedWatchThatIsHandedOnIsTriedAgain) {
  SyscallFaults faults;
  TestLoop loop;
  SocketPair pair;
  bool readable = false;
  faults.Fail(Syscall::kEpollCtl, ENOSPC, 1, pair.a.get());
  std::optional<Watch> before, after;
  before.emplace(*loop, pair.a.get(), Interest::kRead,
                 [](Readiness) { FAIL() << "has handed it on"; });
  after.emplace(*std::move(before), [&](Readiness) {
    readable = true;
    loop->Stop();
  });
  before.reset();
  EXPECT_THAT(after->status(), StatusIs(absl::StatusCode::kResourceExhausted));
  pair.Poke();
  loop.RunUntil([&] { return readable; });
  EXPECT_OK(after->status());
}

TEST(LoopFaultTest, ARefusedWatchMayBeDestroyed) {
  SyscallFaults faults;
  TestLoop loop;
  SocketPair pair;
  faults.Fail(Syscall::kEpollCtl, ENOSPC, SyscallFaults::kAlways, pair.a.get());
  std::optional<Watch> watch;
  watch.emplace(*loop, pair.a.get(), Interest::kRead,
                [](Readiness) { FAIL() << "was never watched"; });
  watch.reset();
  faults.Heal(Syscall::kEpollCtl);
  bool over = false;
  Alarm end(*loop, [&] {
    over = true;
    loop->Stop();
  });
  end.Set(Loop::Now() + absl::Milliseconds(120));
  pair.Poke();
  loop.RunUntil([&] { return over; });
}

TEST(LoopTest, SignalsArriveOnTheLoop) {
  TestLoop loop;
  std::vector<int> signals;
  const auto watch = SignalWatch::Create(*loop, {SIGTERM, SIGINT}, [&](int s) {
    signals.push_back(s);
    loop->Stop();
  });
  ASSERT_OK(watch);
  ASSERT_EQ(raise(SIGTERM), 0);
  loop.RunUntil([&] { return signals.size() == 1; });
  ASSERT_EQ(raise(SIGINT), 0);
  loop.RunUntil([&] { return signals.size() == 2; });
  EXPECT_EQ(signals, (std::vector<int>{SIGTERM, SIGINT}));
}

}  // namespace
}  // namespace kyuu::net
