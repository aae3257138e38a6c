// Loop: an epoll event loop, one per thread, with file descriptors (Watch),
// timers (Alarm), signals (SignalWatch) and tasks from other threads (Post).
//
// Everything but Post() and Stop() belongs to the thread that runs the loop.
// A handler may do anything, destroying its own Watch or Alarm included; it
// must not call Run().

#ifndef KYUU_NET_LOOP_H_
#define KYUU_NET_LOOP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <typeindex>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/histogram.h"
#include "net/fd.h"

struct epoll_event;

namespace kyuu::net {

class Alarm;
class Watch;

// Loop turns around these steps: wait for descriptors, run the handlers of the
// ready ones, run the alarms that are due, run the posted tasks.
class Loop {
 public:
  using Task = absl::AnyInvocable<void()>;

  // RESOURCE_EXHAUSTED if the process has no descriptor left.
  static absl::StatusOr<std::unique_ptr<Loop>> Create();
  // Every Watch and Alarm of the loop must be gone before it.
  ~Loop();

  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Now is a monotonic clock (CLOCK_MONOTONIC) in the shape of absl::Time: only
  // differences mean anything; it is the same for all loops of the machine.
  static absl::Time Now();

  // Turns until Stop() is called. A Stop() before Run() makes the next Run()
  // return after one turn.
  void Run();
  // From any thread: makes Run() return at the end of its turn.
  void Stop();
  // From any thread: runs `task` on the loop's thread, at the end of the turn
  // in progress or of the next one, in the order of posting. Tasks still
  // waiting when the loop is destroyed are destroyed without being run.
  void Post(Task task);

  // How long turns took, in seconds, without the waiting: whatever comes to a
  // loop waits for the turn under way.
  static constexpr double kTurnSeconds[] = {1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3,
                                            0.01, 0.03, 0.1,  0.3,  1};
  const Histogram& turn_times() const { return turn_times_; }

  // The one T of this loop: memory that all who live on it use in turns. Made
  // when it is first asked for, destroyed with the loop.
  template <typename T>
  T& Shared() {
    const std::type_index type(typeid(T));
    for (const auto& [key, object] : shared_) {
      if (key == type) return *static_cast<T*>(object.get());
    }
    auto object = std::make_shared<T>();
    shared_.emplace_back(type, object);
    return *object;
  }

 private:
  friend class Alarm;
  friend class Watch;

  struct Slot {
    Watch* watch = nullptr;
    uint32_t generation = 0;
  };
  struct Due {
    absl::Time deadline;
    Alarm* alarm;
  };

  Loop(Fd epoll, Fd wake);
  void Turn();
  void Wait();
  // epoll_pwait2, or epoll_wait where the system lacks it.
  int WaitFor(absl::Time next, epoll_event* events, int size);
  void RetryWatches();
  void Dispatch(uint64_t token, uint32_t events);
  void RunAlarms();
  void RunTasks();

  // The heap of alarms, smallest deadline first.
  void SettleAlarms();
  void Place(size_t index, Due due);
  void SiftUp(size_t index);
  void SiftDown(size_t index);
  void Remove(size_t index);

  Fd epoll_;
  Fd wake_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<Due> heap_;
  std::vector<Watch*> refused_;  // By the kernel; to be tried again.
  absl::Time retry_at_;          // While refused_ is not empty.
  bool precise_ = true;          // The system has epoll_pwait2.
  absl::Time awake_since_ = absl::InfiniteFuture();  // In a turn.
  Histogram turn_times_{kTurnSeconds};
  Watch* running_watch_ = nullptr;
  Alarm* running_alarm_ = nullptr;

  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::vector<Task> tasks_;  // Guarded by mutex_.
  std::vector<Task> batch_;  // The loop's own; keeps its capacity.
  std::vector<std::pair<std::type_index, std::shared_ptr<void>>> shared_;
};

// What a Watch waits for.
enum class Interest : uint8_t { kNone, kRead, kWrite, kReadWrite };

// What happened on a descriptor. An error or a hang-up shows as both, so that
// the next read or write reports it.
struct Readiness {
  bool readable = false;
  bool writable = false;
};

// Watch calls `handler` whenever `fd` is ready (level triggered: again and
// again until the cause is gone). It does not own `fd`, which must outlive it.
//
// The kernel may refuse to watch one more descriptor (ENOMEM; ENOSPC at
// fs.epoll.max_user_watches, which all programs of the user share). The watch
// is then silent, says so in status(), and is tried again every 100 ms: who can
// do without the descriptor asks status() and closes it, everybody else waits.
class Watch {
 public:
  using Handler = absl::AnyInvocable<void(Readiness)>;

  Watch(Loop& loop, int fd, Interest interest, Handler handler);
  // Goes on with what `from` watches, of which only the destructor may follow
  // and whose handler may be running: the descriptor changes hands without a
  // word to the kernel. What is ready shows to the new handler. Without one
  // (null) it shows again in every turn, so the next owner takes it on at once.
  Watch(Watch&& from, Handler handler);
  // The same watch in another place.
  Watch(Watch&& from) noexcept;
  // The first if there is something to go on with, a new one otherwise.
  static Watch Take(std::optional<Watch> from, Loop& loop, int fd,
                    Interest interest, Handler handler);
  ~Watch();
  Watch& operator=(const Watch&) = delete;

  // Cheap when nothing changes.
  void SetInterest(Interest interest);
  // The descriptor, which has no copy, is closed next: the kernel forgets it
  // then, and need not be asked to. Only destructors may follow.
  void Forsake() { applied_ = interest_ = Interest::kNone; }
  Interest interest() const { return interest_; }
  // RESOURCE_EXHAUSTED while the kernel refuses what SetInterest() asked for.
  absl::Status status() const;

 private:
  friend class Loop;
  static constexpr uint32_t kHandedOn = UINT32_MAX;

  // `runs` goes on with the handler of `from` once it returns, if it runs.
  Watch(Watch&& from, Handler handler, Watch* runs);
  // Tells the kernel about `interest_`; false if it refuses for now.
  bool Apply();
  void Settle();

  Loop& loop_;
  const int fd_;
  uint32_t slot_;  // Or kHandedOn.
  Interest interest_;
  Interest applied_ = Interest::kNone;  // What the kernel knows.
  Handler handler_;
};

// Alarm calls `handler` once when its deadline has passed. It is made once and
// armed as often as one likes: arming a later deadline costs a store, arming an
// earlier one O(log n); neither allocates.
class Alarm {
 public:
  using Handler = absl::AnyInvocable<void()>;

  Alarm(Loop& loop, Handler handler);
  ~Alarm();
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  // Replaces an earlier deadline; absl::InfiniteFuture() stops the alarm. A
  // deadline in the past fires in this turn or the next one.
  void Set(absl::Time deadline);
  void Stop() { Set(absl::InfiniteFuture()); }
  absl::Time deadline() const { return deadline_; }

 private:
  friend class Loop;
  static constexpr size_t kNowhere = SIZE_MAX;

  Loop& loop_;
  absl::Time deadline_ = absl::InfiniteFuture();
  size_t index_ = kNowhere;  // In the loop's heap, perhaps under an earlier
                             // deadline than deadline_.
  Handler handler_;
};

// SignalWatch calls `handler(signal)` on the loop instead of the signals' usual
// action. It blocks them for the calling thread and the threads started from
// it later, so make it before starting threads.
class SignalWatch {
 public:
  using Handler = absl::AnyInvocable<void(int signal)>;

  static absl::StatusOr<std::unique_ptr<SignalWatch>> Create(
      Loop& loop, std::initializer_list<int> signals, Handler handler);
  // Gives the signals their usual action back on this thread.
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  SignalWatch(Loop& loop, Fd fd, std::vector<int> signals, Handler handler);

  Fd fd_;
  std::vector<int> signals_;
  Watch watch_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_LOOP_H_
