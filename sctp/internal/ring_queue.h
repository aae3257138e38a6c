// A queue in one contiguous ring: no allocation per element, and access by
// position.

#ifndef KYUU_SCTP_INTERNAL_RING_QUEUE_H_
#define KYUU_SCTP_INTERNAL_RING_QUEUE_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "base/check.h"

namespace kyuu::sctp::internal {

// RingQueue is a first-in-first-out queue whose storage doubles as needed. An
// empty one that was never used owns no memory; one that runs empty gives a
// large ring back. References last until the next push or pop.
template <typename T>
class RingQueue {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

  T& operator[](size_t i) { return slots_[(head_ + i) & (slots_.size() - 1)]; }
  const T& operator[](size_t i) const {
    return slots_[(head_ + i) & (slots_.size() - 1)];
  }
  T& front() { return (*this)[0]; }
  const T& front() const { return (*this)[0]; }
  T& back() { return (*this)[size_ - 1]; }

  void push_back(T value) {
    if (size_ == slots_.size()) Grow();
    ++size_;
    back() = std::move(value);
  }
  T pop_front() {
    KYUU_CHECK(size_ > 0);
    T value = std::move(front());
    // What the element owned goes with it, not when the slot is used again.
    front() = T();
    head_ = (head_ + 1) & (slots_.size() - 1);
    if (--size_ == 0) Rest();
    return value;
  }
  void clear() {
    slots_ = {};
    head_ = 0;
    size_ = 0;
  }

 private:
  static constexpr size_t kSmall = 4096 / sizeof(T) + 1;

  void Grow() {
    std::vector<T> larger(slots_.empty() ? 4 : 2 * slots_.size());
    for (size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
    slots_ = std::move(larger);
    head_ = 0;
  }
  void Rest() {
    head_ = 0;
    idle_ = slots_.size() > kSmall ? idle_ + 1 : 0;
    // A ring that was large once is kept while bursts go on; after many runs
    // that ended empty without growing it is let go.
    if (idle_ > kPatience) clear(), idle_ = 0;
  }
  static constexpr size_t kPatience = 1024;

  std::vector<T> slots_;
  size_t head_ = 0;
  size_t size_ = 0;
  size_t idle_ = 0;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_RING_QUEUE_H_
