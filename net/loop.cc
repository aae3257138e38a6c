#include "net/loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <utility>

#include "base/check.h"
#include "net/internal/sockaddr.h"

namespace kyuu::net {
namespace {

// Stands for the eventfd among the tokens, which are slot and generation.
constexpr uint64_t kWakeToken = UINT64_MAX;
// Descriptors reported per turn; the others stay ready for the next turn.
constexpr int kEventsPerTurn = 128;
// Between attempts to watch what the kernel has refused to.
constexpr absl::Duration kRetryInterval = absl::Milliseconds(100);
// The longest wait that epoll_wait can be asked for is a little longer.
constexpr absl::Duration kLongestWait = absl::Hours(24 * 7);

uint32_t ToEpoll(Interest interest) {
  switch (interest) {
    case Interest::kNone:
      return 0;
    case Interest::kRead:
      return EPOLLIN;
    case Interest::kWrite:
      return EPOLLOUT;
    case Interest::kReadWrite:
      return EPOLLIN | EPOLLOUT;
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Loop>> Loop::Create() {
  Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return internal::ErrnoStatus(errno, "epoll_create1");
  Fd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return internal::ErrnoStatus(errno, "eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeToken;
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return internal::ErrnoStatus(errno, "epoll_ctl");
  }
  return std::unique_ptr<Loop>(new Loop(std::move(epoll), std::move(wake)));
}

Loop::Loop(Fd epoll, Fd wake)
    : epoll_(std::move(epoll)), wake_(std::move(wake)) {}

Loop::~Loop() {
  // Tasks may own watches and alarms of this loop.
  std::vector<Task> tasks;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks.swap(tasks_);
  }
  tasks.clear();
  KYUU_CHECK(heap_.empty());
  KYUU_CHECK(free_slots_.size() == slots_.size());
}

absl::Time Loop::Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::TimeFromTimespec(now);
}

void Loop::Run() {
  do {
    Turn();
  } while (!stop_.exchange(false));
}

void Loop::Stop() {
  stop_.store(true);
  Post([] {});
}

void Loop::Post(Task task) {
  bool first = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    first = tasks_.empty();
    tasks_.push_back(std::move(task));
  }
  // The eventfd is set as long as tasks wait, so one write is enough.
  if (first) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(wake_.get(), &one, sizeof one);
  }
}

void Loop::Turn() {
  Wait();
  RunAlarms();
  RunTasks();
}

int Loop::WaitFor(absl::Time next, epoll_event* events, int size) {
  const absl::Time now = Now();
  // The last turn ends here, so that the clock is read once more only.
  if (awake_since_ != absl::InfiniteFuture()) {
    turn_times_.Observe(absl::ToDoubleSeconds(now - awake_since_));
  }
  const absl::Duration wait = std::max(absl::ZeroDuration(), next - now);
  if (precise_) {
    const timespec timeout = absl::ToTimespec(std::min(wait, kLongestWait));
    const int count = epoll_pwait2(
        epoll_.get(), events, size,
        next == absl::InfiniteFuture() ? nullptr : &timeout, nullptr);
    // Before Linux 5.11 there is none; filters of system calls answer EPERM.
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
    precise_ = false;
  }
  // Rounded up: woken too early, the loop would turn without anything to do.
  const int milliseconds =
      next == absl::InfiniteFuture()
          ? -1
          : static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(
                std::min(wait, kLongestWait), absl::Milliseconds(1))));
  return epoll_wait(epoll_.get(), events, size, milliseconds);
}

// Alarms that were set to later meanwhile move to their place, even those that
// are due by now, so that alarms run in the order of their deadlines and the
// loop does not wake up for the former ones.
void Loop::SettleAlarms() {
  while (!heap_.empty() &&
         heap_.front().alarm->deadline_ > heap_.front().deadline) {
    const absl::Time deadline = heap_.front().alarm->deadline_;
    if (deadline == absl::InfiniteFuture()) {
      Remove(0);
    } else {
      heap_.front().deadline = deadline;
      SiftDown(0);
    }
  }
}

void Loop::Wait() {
  SettleAlarms();
  absl::Time next =
      heap_.empty() ? absl::InfiniteFuture() : heap_.front().deadline;
  if (!refused_.empty()) next = std::min(next, retry_at_);
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = WaitFor(next, events.data(), kEventsPerTurn);
  awake_since_ = Now();
  KYUU_CHECK(count >= 0 || errno == EINTR);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    if (event.data.u64 == kWakeToken) {
      uint64_t ignored;
      [[maybe_unused]] const ssize_t n =
          read(wake_.get(), &ignored, sizeof ignored);
    } else {
      Dispatch(event.data.u64, event.events);
    }
  }
  if (!refused_.empty() && retry_at_ <= Now()) RetryWatches();
}

void Loop::RetryWatches() {
  const std::vector<Watch*> again = std::exchange(refused_, {});
  for (Watch* watch : again) watch->Settle();
}

void Loop::Dispatch(uint64_t token, uint32_t events) {
  // A handler that ran earlier in this turn may have destroyed the watch, and
  // another one may have taken its slot: the generation tells.
  const Slot& slot = slots_[static_cast<uint32_t>(token)];
  if (slot.watch == nullptr || slot.generation != token >> 32) return;
  Watch* watch = slot.watch;
  if (!watch->handler_) return;  // Between two owners: it shows again.
  const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  Readiness ready;
  ready.readable = broken || (events & EPOLLIN) != 0;
  ready.writable = broken || (events & EPOLLOUT) != 0;
  // The handler is held here while it runs, so that it may destroy its watch,
  // or move it.
  running_watch_ = watch;
  Watch::Handler handler = std::move(watch->handler_);
  handler(ready);
  if (running_watch_ != nullptr) running_watch_->handler_ = std::move(handler);
  running_watch_ = nullptr;
}

void Loop::RunAlarms() {
  if (heap_.empty()) return;
  const absl::Time now = Now();
  // Alarms set anew by handlers, even to the past, wait for the next turn when
  // they would keep the loop here.
  for (size_t left = heap_.size(); left > 0; --left) {
    SettleAlarms();
    if (heap_.empty() || heap_.front().deadline > now) return;
    Alarm* alarm = heap_.front().alarm;
    Remove(0);
    alarm->deadline_ = absl::InfiniteFuture();
    running_alarm_ = alarm;
    Alarm::Handler handler = std::move(alarm->handler_);
    handler();
    if (running_alarm_ == alarm) alarm->handler_ = std::move(handler);
    running_alarm_ = nullptr;
  }
}

void Loop::RunTasks() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    batch_.swap(tasks_);
  }
  for (Task& task : batch_) task();
  batch_.clear();
}

void Loop::Place(size_t index, Due due) {
  heap_[index] = due;
  due.alarm->index_ = index;
}

void Loop::SiftUp(size_t index) {
  const Due due = heap_[index];
  while (index > 0) {
    const size_t parent = (index - 1) / 2;
    if (heap_[parent].deadline <= due.deadline) break;
    Place(index, heap_[parent]);
    index = parent;
  }
  Place(index, due);
}

void Loop::SiftDown(size_t index) {
  const Due due = heap_[index];
  while (true) {
    size_t child = 2 * index + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() &&
        heap_[child + 1].deadline < heap_[child].deadline) {
      ++child;
    }
    if (due.deadline <= heap_[child].deadline) break;
    Place(index, heap_[child]);
    index = child;
  }
  Place(index, due);
}

void Loop::Remove(size_t index) {
  heap_[index].alarm->index_ = Alarm::kNowhere;
  const Due last = heap_.back();
  heap_.pop_back();
  if (index == heap_.size()) return;
  Place(index, last);
  SiftUp(index);
  SiftDown(last.alarm->index_);
}

Watch::Watch(Loop& loop, int fd, Interest interest, Handler handler)
    : loop_(loop), fd_(fd), interest_(interest), handler_(std::move(handler)) {
  if (loop_.free_slots_.empty()) {
    slot_ = static_cast<uint32_t>(loop_.slots_.size());
    loop_.slots_.emplace_back();
  } else {
    slot_ = loop_.free_slots_.back();
    loop_.free_slots_.pop_back();
  }
  loop_.slots_[slot_].watch = this;
  Settle();
}

Watch::Watch(Watch&& from, Handler handler)
    : Watch(std::move(from), std::move(handler), nullptr) {}

Watch::Watch(Watch&& from) noexcept
    : Watch(std::move(from), std::move(from.handler_), this) {}

// The kernel's token stays: what it has reported already, in this turn, is of
// the same descriptor, and therefore the new watch's.
Watch::Watch(Watch&& from, Handler handler, Watch* runs)
    : loop_(from.loop_),
      fd_(from.fd_),
      slot_(std::exchange(from.slot_, kHandedOn)),
      interest_(std::exchange(from.interest_, Interest::kNone)),
      applied_(std::exchange(from.applied_, Interest::kNone)),
      handler_(std::move(handler)) {
  loop_.slots_[slot_].watch = this;
  std::replace(loop_.refused_.begin(), loop_.refused_.end(), &from, this);
  if (loop_.running_watch_ == &from) loop_.running_watch_ = runs;
}

Watch Watch::Take(std::optional<Watch> from, Loop& loop, int fd,
                  Interest interest, Handler handler) {
  return from ? Watch(*std::move(from), std::move(handler))
              : Watch(loop, fd, interest, std::move(handler));
}

Watch::~Watch() {
  if (slot_ == kHandedOn) return;
  interest_ = Interest::kNone;
  Settle();
  Loop::Slot& slot = loop_.slots_[slot_];
  slot.watch = nullptr;
  ++slot.generation;
  loop_.free_slots_.push_back(slot_);
  if (loop_.running_watch_ == this) loop_.running_watch_ = nullptr;
}

void Watch::SetInterest(Interest interest) {
  if (interest == interest_) return;
  interest_ = interest;
  Settle();
}

absl::Status Watch::status() const {
  if (applied_ == interest_) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      "the system watches no more descriptors (fs.epoll.max_user_watches)");
}

void Watch::Settle() {
  std::vector<Watch*>& refused = loop_.refused_;
  const auto it = std::find(refused.begin(), refused.end(), this);
  if (it != refused.end()) refused.erase(it);
  if (applied_ == interest_ || Apply()) return;
  if (refused.empty()) loop_.retry_at_ = Loop::Now() + kRetryInterval;
  refused.push_back(this);
}

// A descriptor of no interest leaves the epoll set, which would report errors
// and hang-ups all the same.
bool Watch::Apply() {
  const int operation = interest_ == Interest::kNone  ? EPOLL_CTL_DEL
                        : applied_ == Interest::kNone ? EPOLL_CTL_ADD
                                                      : EPOLL_CTL_MOD;
  epoll_event event{};
  event.events = ToEpoll(interest_);
  event.data.u64 = uint64_t{loop_.slots_[slot_].generation} << 32 | slot_;
  const int result = epoll_ctl(loop_.epoll_.get(), operation, fd_, &event);
  if (result != 0 && operation != EPOLL_CTL_DEL) {
    // Anything else says that the descriptor is closed or watched already.
    KYUU_CHECK(errno == ENOSPC || errno == ENOMEM);
    return false;
  }
  // Removing fails, and does no harm, for one that was closed too early.
  applied_ = interest_;
  return true;
}

Alarm::Alarm(Loop& loop, Handler handler)
    : loop_(loop), handler_(std::move(handler)) {}

Alarm::~Alarm() {
  if (index_ != kNowhere) loop_.Remove(index_);
  if (loop_.running_alarm_ == this) loop_.running_alarm_ = nullptr;
}

void Alarm::Set(absl::Time deadline) {
  deadline_ = deadline;
  if (index_ == kNowhere) {
    if (deadline == absl::InfiniteFuture()) return;
    index_ = loop_.heap_.size();
    loop_.heap_.push_back({deadline, this});
    loop_.SiftUp(index_);
  } else if (deadline < loop_.heap_[index_].deadline) {
    loop_.heap_[index_].deadline = deadline;
    loop_.SiftUp(index_);
  }
}

absl::StatusOr<std::unique_ptr<SignalWatch>> SignalWatch::Create(
    Loop& loop, std::initializer_list<int> signals, Handler handler) {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : signals) sigaddset(&set, signal);
  Fd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return internal::ErrnoStatus(errno, "signalfd");
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return std::unique_ptr<SignalWatch>(new SignalWatch(
      loop, std::move(fd), std::vector<int>(signals), std::move(handler)));
}

// One signal per call: the handler may destroy this watch, and the descriptor
// stays readable while more are waiting.
SignalWatch::SignalWatch(Loop& loop, Fd fd, std::vector<int> signals,
                         Handler handler)
    : fd_(std::move(fd)),
      signals_(std::move(signals)),
      watch_(loop, fd_.get(), Interest::kRead,
             [number = fd_.get(),
              on_signal = std::move(handler)](Readiness) mutable {
               signalfd_siginfo info;
               if (read(number, &info, sizeof info) == sizeof info) {
                 on_signal(static_cast<int>(info.ssi_signo));
               }
             }) {}

SignalWatch::~SignalWatch() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : signals_) sigaddset(&set, signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace kyuu::net
