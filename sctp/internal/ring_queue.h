// A queue in one contiguous ring: no allocation per element, and access by
// position.

#ifndef KYUU_SCTP_INTERNAL_RING_QUEUE_H_
#define KYUU_SCTP_INTERNAL_RING_QUEUE_H_

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/check.h"

namespace kyuu::sctp::internal {

// RingQueue is a first-in-first-out queue whose storage doubles as needed and
// is halved when it is nearly empty; an empty one keeps kSmall places at most,
// and one that was never used none. References last until the next push or pop.
template <typename T>
class RingQueue {
 public:
  // What an empty queue may keep: a kilobyte.
  static constexpr size_t kSmall = 1024 / sizeof(T) + 1;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  size_t capacity() const { return slots_.size(); }

  T& operator[](size_t i) { return slots_[(head_ + i) & (slots_.size() - 1)]; }
  const T& operator[](size_t i) const {
    return slots_[(head_ + i) & (slots_.size() - 1)];
  }
  T& front() { return (*this)[0]; }
  const T& front() const { return (*this)[0]; }
  T& back() { return (*this)[size_ - 1]; }

  void push_back(T value) { AddPlace() = std::move(value); }
  // The new last element, T() so far.
  T& emplace_back() { return AddPlace() = T(); }
  T pop_front() {
    KYUU_CHECK(size_ > 0);
    T value(std::move(front()));
    // What the element owned goes with it, not when the slot is used again.
    if constexpr (!std::is_trivially_destructible_v<T>) front() = T();
    head_ = (head_ + 1) & (slots_.size() - 1);
    --size_;
    if (slots_.size() > kSmall && size_ <= slots_.size() / 8) Shrink();
    return value;
  }
  void clear() {
    slots_ = {};
    head_ = 0;
    size_ = 0;
  }

 private:
  T& AddPlace() {
    if (size_ == slots_.size()) Grow();
    ++size_;
    return back();
  }
  void Grow() { MoveTo(slots_.empty() ? 4 : 2 * slots_.size()); }
  // Far fewer than half of the places are used, so that it takes as many pushes
  // again as it took pops before the next move.
  void Shrink() {
    if (size_ == 0) {
      clear();
    } else {
      MoveTo(slots_.size() / 2);
    }
  }
  void MoveTo(size_t capacity) {
    std::vector<T> slots;
    slots.reserve(capacity);
    for (size_t i = 0; i < size_; ++i) slots.push_back(std::move((*this)[i]));
    slots.resize(capacity);
    slots_ = std::move(slots);
    head_ = 0;
  }
  std::vector<T> slots_;
  size_t head_ = 0;
  size_t size_ = 0;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_RING_QUEUE_H_
