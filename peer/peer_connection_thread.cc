#include "peer/peer_connection_thread.h"

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <list>
#include <mutex>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "peer/internal/peer_connection_workplace.h"

namespace kyuu::peer {
namespace {

// Threads whose Thread died on one of them, which must not wait. Detached,
// they might still use OpenSSL while the process's end takes it apart; this
// object was made after OpenSSL's, so it goes first.
class Orphans {
 public:
  static Orphans& Get() {
    static Orphans orphans;
    return orphans;
  }
  ~Orphans() {
    for (Orphan& orphan : orphans_) {
      // A handler may have called exit().
      if (orphan.thread.get_id() == std::this_thread::get_id()) {
        orphan.thread.detach();
      } else {
        orphan.thread.join();
      }
    }
  }
  // `workplace` expires when the thread has nothing left to do.
  void Adopt(std::thread thread, std::weak_ptr<internal::Workplace> workplace) {
    const std::lock_guard<std::mutex> lock(mutex_);
    orphans_.remove_if([](Orphan& orphan) {
      if (!orphan.workplace.expired() ||
          orphan.thread.get_id() == std::this_thread::get_id()) {
        return false;
      }
      orphan.thread.join();
      return true;
    });
    orphans_.push_back({std::move(thread), std::move(workplace)});
  }

 private:
  struct Orphan {
    std::thread thread;
    std::weak_ptr<internal::Workplace> workplace;
  };

  std::mutex mutex_;
  std::list<Orphan> orphans_;  // Guarded by mutex_.
};

}  // namespace

absl::StatusOr<std::shared_ptr<Thread>> Thread::Start() {
  return Start(nullptr);
}

absl::StatusOr<std::shared_ptr<Thread>> Thread::Start(
    const SharedPortOptions& port) {
  return Start(&port);
}

absl::StatusOr<std::shared_ptr<Thread>> Thread::Start(
    const SharedPortOptions* port) {
  KYUU_ASSIGN_OR_RETURN(std::unique_ptr<net::Loop> loop, net::Loop::Create());
  std::shared_ptr<Thread> thread(
      new Thread(std::make_shared<internal::Workplace>(std::move(loop))));
  if (port != nullptr) {
    KYUU_ASSIGN_OR_RETURN(thread->workplace_->port,
                          SharedPort::Open(*thread->workplace_->loop, *port));
  }
  // Signals are for the application's threads; a new thread inherits the mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  absl::Status status;
  try {
    thread->thread_ = std::thread([workplace = thread->workplace_] {
      internal::Workplace::current = workplace.get();
      workplace->loop->Run();
      workplace->names.reset();
      workplace->port.reset();
    });
  } catch (const std::system_error& error) {
    status =
        absl::ResourceExhaustedError(absl::StrCat("no thread: ", error.what()));
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!status.ok()) return status;
  return thread;
}

Thread::Thread(std::shared_ptr<internal::Workplace> workplace)
    : workplace_(std::move(workplace)) {}

Thread::~Thread() {
  if (!thread_.joinable()) return;  // It never started.
  // Not at once: connections just made on it have not arrived yet.
  Post([workplace = workplace_.get()] { workplace->Leave(); });
  // One that waited here for another could be what that other waits for.
  if (internal::Workplace::current != nullptr) {
    Orphans::Get().Adopt(std::move(thread_), workplace_);
  } else {
    thread_.join();
  }
}

void Thread::Post(Task task) { workplace_->loop->Post(std::move(task)); }

std::vector<ice::HostAddress> Thread::port_addresses() const {
  if (workplace_->port == nullptr) return {};
  return workplace_->port->addresses();
}

bool Thread::IsCurrent() const { return workplace_->IsCurrent(); }

}  // namespace kyuu::peer
