// Mutex: a mutex that lets its workplace go first.

#ifndef KYUU_PEER_INTERNAL_PEER_CONNECTION_MUTEX_H_
#define KYUU_PEER_INTERNAL_PEER_CONNECTION_MUTEX_H_

#include <atomic>
#include <mutex>

#include "peer/internal/peer_connection_workplace.h"

namespace kyuu::peer::internal {

// Mutex is for std::lock_guard and its like. A thread that releases a
// std::mutex and takes it again at once beats a waiter that has to be woken
// first; threads that do nothing but call a connection would starve its loop.
// So those that come while the loop waits wait behind it.
class Mutex {
 public:
  // `workplace` must outlive it.
  explicit Mutex(const Workplace& workplace) : workplace_(workplace) {}

  void lock() {
    if (!workplace_.IsCurrent()) {
      loop_waits_.wait(true);
      mutex_.lock();
    } else if (!mutex_.try_lock()) {
      loop_waits_ = true;
      mutex_.lock();
      loop_waits_ = false;
      loop_waits_.notify_all();
    }
  }
  void unlock() { mutex_.unlock(); }

 private:
  const Workplace& workplace_;
  std::mutex mutex_;
  std::atomic<bool> loop_waits_{false};
};

}  // namespace kyuu::peer::internal

#endif  // KYUU_PEER_INTERNAL_PEER_CONNECTION_MUTEX_H_
