// ShortList: a vector in one pointer, for what is mostly empty or short.

#ifndef KYUU_BASE_SHORT_LIST_H_
#define KYUU_BASE_SHORT_LIST_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "base/check.h"

namespace kyuu {

// ShortList is what thousands of idle connections have each a dozen of: eight
// bytes where a std::vector has 24, and no memory on the heap while it is
// empty, even if it was not before. It grows by a quarter, at least by one.
//
// As with std::vector, whatever adds or takes out elements may move the others.
template <typename T>
class ShortList {
 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  ShortList() = default;
  ShortList(std::initializer_list<T> values) {
    Reserve(values.size());
    for (const T& value : values) push_back(value);
  }
  ShortList(ShortList&& other) noexcept
      : head_(std::exchange(other.head_, nullptr)) {}
  ShortList& operator=(ShortList&& other) noexcept {
    if (this == &other) return *this;
    clear();
    head_ = std::exchange(other.head_, nullptr);
    return *this;
  }
  ShortList(const ShortList& other) { Append(other); }
  ShortList& operator=(const ShortList& other) {
    if (this == &other) return *this;
    clear();
    Append(other);
    return *this;
  }
  ~ShortList() { clear(); }

  bool empty() const { return head_ == nullptr; }
  size_t size() const { return head_ == nullptr ? 0 : head_->size; }
  size_t capacity() const { return head_ == nullptr ? 0 : head_->capacity; }

  T* begin() { return Elements(); }
  T* end() { return Elements() + size(); }
  const T* begin() const { return Elements(); }
  const T* end() const { return Elements() + size(); }
  T* data() { return Elements(); }
  const T* data() const { return Elements(); }
  T& operator[](size_t index) {
    KYUU_CHECK(index < size());
    return Elements()[index];
  }
  const T& operator[](size_t index) const {
    KYUU_CHECK(index < size());
    return Elements()[index];
  }
  T& front() { return (*this)[0]; }
  const T& front() const { return (*this)[0]; }
  T& back() { return (*this)[size() - 1]; }
  const T& back() const { return (*this)[size() - 1]; }

  // The arguments may be of an element of this list.
  template <typename... Args>
  T& emplace_back(Args&&... args) {
    if (size() == capacity()) {
      T value(std::forward<Args>(args)...);
      Grow();
      return Put(std::move(value));
    }
    return Put(std::forward<Args>(args)...);
  }
  void push_back(T value) { emplace_back(std::move(value)); }
  // Before the element at `at`.
  T* insert(const T* at, T value) {
    const auto index = static_cast<size_t>(at - begin());
    emplace_back(std::move(value));
    std::rotate(begin() + index, end() - 1, end());
    return begin() + index;
  }
  // Returns where the next one stands.
  T* erase(const T* at) {
    const auto index = static_cast<size_t>(at - begin());
    KYUU_CHECK(index < size());
    std::move(begin() + index + 1, end(), begin() + index);
    Truncate(size() - 1);
    return begin() + index;
  }
  // Takes out those that `of` is true of; returns how many.
  template <typename Predicate>
  size_t EraseIf(Predicate of) {
    const size_t before = size();
    Truncate(static_cast<size_t>(std::remove_if(begin(), end(), std::move(of)) -
                                 begin()));
    return before - size();
  }
  // Leaves the first `size` elements, if there are more.
  void Truncate(size_t size) {
    if (size >= this->size()) return;
    std::destroy(begin() + size, end());
    head_->size = static_cast<uint32_t>(size);
    if (size > 0) return;
    Free(head_);
    head_ = nullptr;
  }
  void clear() { Truncate(0); }

 private:
  // The elements are behind it.
  struct Head {
    uint32_t size;
    uint32_t capacity;
  };
  static_assert(alignof(T) <= alignof(std::max_align_t));
  static constexpr size_t kOffset = std::max(sizeof(Head), alignof(T));

  T* Elements() const {
    if (head_ == nullptr) return nullptr;
    return reinterpret_cast<T*>(reinterpret_cast<char*>(head_) + kOffset);
  }
  static void Free(Head* head) { ::operator delete(head); }

  template <typename... Args>
  T& Put(Args&&... args) {
    T* const element = std::construct_at(end(), std::forward<Args>(args)...);
    ++head_->size;
    return *element;
  }
  void Grow() { Reserve(size() + std::max<size_t>(1, size() / 4)); }
  void Reserve(size_t capacity) {
    if (capacity <= this->capacity()) return;
    KYUU_CHECK(capacity < uint32_t{1} << 31);
    void* const memory = ::operator new(kOffset + capacity * sizeof(T));
    auto* const head = new (memory)
        Head{static_cast<uint32_t>(size()), static_cast<uint32_t>(capacity)};
    std::uninitialized_move(
        begin(), end(),
        reinterpret_cast<T*>(static_cast<char*>(memory) + kOffset));
    if (head_ != nullptr) {
      std::destroy(begin(), end());
      Free(head_);
    }
    head_ = head;
  }
  void Append(const ShortList& other) {
    if (other.empty()) return;
    Reserve(other.size());
    for (const T& value : other) emplace_back(value);
  }

  Head* head_ = nullptr;  // Null while it is empty.
};

}  // namespace kyuu

#endif  // KYUU_BASE_SHORT_LIST_H_
