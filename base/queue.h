// Queue: first in, first out, without memory of its own until something waits.

#ifndef KYUU_BASE_QUEUE_H_
#define KYUU_BASE_QUEUE_H_

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>

#include "base/check.h"

namespace kyuu {

// Queue is a ring that doubles. An empty std::deque has some 600 bytes on the
// heap, which thousands of idle connections pay for each of their queues; an
// empty Queue has at most kKeptBytes, and none before its first element. What a
// queue needs for the few that wait at a time is kept, so that it allocates
// nothing as they come and go; with 0 nothing is, where most are idle.
//
// Unlike with std::deque, whatever adds an element moves the others: references
// and iterators do not last.
template <typename T, size_t kKeptBytes = 512>
class Queue {
 public:
  template <bool kConst>
  class Iterator {
   public:
    using iterator_category = std::random_access_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = std::conditional_t<kConst, const T*, T*>;
    using reference = std::conditional_t<kConst, const T&, T&>;
    using Owner = std::conditional_t<kConst, const Queue, Queue>;

    Iterator() = default;
    Iterator(Owner* owner, size_t index) : owner_(owner), index_(index) {}

    reference operator*() const { return (*owner_)[index_]; }
    pointer operator->() const { return &(*owner_)[index_]; }
    reference operator[](difference_type n) const { return *(*this + n); }
    Iterator& operator+=(difference_type n) {
      index_ += static_cast<size_t>(n);
      return *this;
    }
    Iterator& operator-=(difference_type n) { return *this += -n; }
    Iterator& operator++() { return *this += 1; }
    Iterator& operator--() { return *this += -1; }
    Iterator operator++(int) { return std::exchange(*this, *this + 1); }
    Iterator operator--(int) { return std::exchange(*this, *this - 1); }
    friend Iterator operator+(Iterator i, difference_type n) { return i += n; }
    friend Iterator operator+(difference_type n, Iterator i) { return i += n; }
    friend Iterator operator-(Iterator i, difference_type n) { return i -= n; }
    friend difference_type operator-(const Iterator& a, const Iterator& b) {
      return static_cast<difference_type>(a.index_ - b.index_);
    }
    friend bool operator==(const Iterator& a, const Iterator& b) = default;
    friend auto operator<=>(const Iterator& a, const Iterator& b) {
      return a.index_ <=> b.index_;
    }

   private:
    Owner* owner_ = nullptr;
    size_t index_ = 0;
  };
  using iterator = Iterator<false>;
  using const_iterator = Iterator<true>;
  using value_type = T;

  Queue() = default;
  Queue(Queue&& other) noexcept { Swap(other); }
  Queue& operator=(Queue&& other) noexcept {
    if (this == &other) return *this;
    Release();
    Swap(other);
    return *this;
  }
  Queue(const Queue& other) { Append(other); }
  Queue& operator=(const Queue& other) {
    if (this == &other) return *this;
    clear();
    Append(other);
    return *this;
  }
  ~Queue() { Release(); }

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  // Of what it holds for elements, without theirs.
  size_t heap_bytes() const { return capacity_ * sizeof(T); }

  T& operator[](size_t index) {
    KYUU_CHECK(index < size_);
    return ring_[Place(index)];
  }
  const T& operator[](size_t index) const {
    KYUU_CHECK(index < size_);
    return ring_[Place(index)];
  }
  T& front() { return (*this)[0]; }
  const T& front() const { return (*this)[0]; }
  T& back() { return (*this)[size_ - 1]; }
  const T& back() const { return (*this)[size_ - 1]; }
  iterator begin() { return {this, 0}; }
  iterator end() { return {this, size_}; }
  const_iterator begin() const { return {this, 0}; }
  const_iterator end() const { return {this, size_}; }

  // The arguments may be of an element of this queue.
  template <typename... Args>
  T& emplace_back(Args&&... args) {
    if (size_ == capacity_) {
      T value(std::forward<Args>(args)...);
      Grow();
      return PutBack(std::move(value));
    }
    return PutBack(std::forward<Args>(args)...);
  }
  void push_back(T value) { emplace_back(std::move(value)); }
  void push_front(T value) {
    if (size_ == capacity_) Grow();
    const uint32_t place = (head_ + capacity_ - 1) & (capacity_ - 1);
    std::construct_at(ring_ + place, std::move(value));
    head_ = place;
    ++size_;
  }
  void pop_front() {
    KYUU_CHECK(size_ > 0);
    std::destroy_at(ring_ + head_);
    head_ = (head_ + 1) & (capacity_ - 1);
    --size_;
    Rest();
  }
  void pop_back() { Truncate(size_ - 1); }
  // Leaves the first `size` elements, if there are more.
  void Truncate(size_t size) {
    KYUU_CHECK(size <= size_);
    while (size_ > size) {
      std::destroy_at(ring_ + Place(size_ - 1));
      --size_;
    }
    Rest();
  }
  void clear() { Truncate(0); }
  // Takes out those that `of` is true of; returns how many.
  template <typename Predicate>
  size_t EraseIf(Predicate of) {
    const size_t before = size_;
    const iterator last = std::remove_if(begin(), end(), std::move(of));
    Truncate(static_cast<size_t>(last - begin()));
    return before - size_;
  }

 private:
  size_t Place(size_t index) const { return (head_ + index) & (capacity_ - 1); }

  template <typename... Args>
  T& PutBack(Args&&... args) {
    T* element =
        std::construct_at(ring_ + Place(size_), std::forward<Args>(args)...);
    ++size_;
    return *element;
  }

  void Append(const Queue& other) {
    for (const T& element : other) emplace_back(element);
  }

  void Grow() {
    KYUU_CHECK(capacity_ < uint32_t{1} << 31);
    const uint32_t capacity = capacity_ == 0 ? 1 : 2 * capacity_;
    T* ring = std::allocator<T>().allocate(capacity);
    for (size_t i = 0; i < size_; ++i) {
      T& element = ring_[Place(i)];
      std::construct_at(ring + i, std::move(element));
      std::destroy_at(&element);
    }
    if (ring_ != nullptr) std::allocator<T>().deallocate(ring_, capacity_);
    ring_ = ring;
    capacity_ = capacity;
    head_ = 0;
  }

  // What a burst has needed is not kept when it is over.
  void Rest() {
    if (size_ == 0 && heap_bytes() > kKeptBytes) Release();
  }

  void Release() {
    for (T& element : *this) std::destroy_at(&element);
    if (ring_ != nullptr) std::allocator<T>().deallocate(ring_, capacity_);
    ring_ = nullptr;
    capacity_ = head_ = size_ = 0;
  }

  void Swap(Queue& other) noexcept {
    std::swap(ring_, other.ring_);
    std::swap(capacity_, other.capacity_);
    std::swap(head_, other.head_);
    std::swap(size_, other.size_);
  }

  T* ring_ = nullptr;
  uint32_t capacity_ = 0;  // A power of two, or 0.
  uint32_t head_ = 0;
  uint32_t size_ = 0;
};

}  // namespace kyuu

#endif  // KYUU_BASE_QUEUE_H_
