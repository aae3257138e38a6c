// What keeps an agent small, of which a server has thousands.

#ifndef KYUU_ICE_INTERNAL_COMPACT_H_
#define KYUU_ICE_INTERNAL_COMPACT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/hash/hash.h"
#include "absl/time/time.h"
#include "base/compact_time.h"

namespace kyuu::ice::internal {

// NumberTable finds the number of an element by a key that the element has
// itself: two to four bytes for each, where a map would keep the keys too.
// `key_of(number)` gives that key, which must not change while the number is
// here. Linear probing, at most half full.
class NumberTable {
 public:
  template <typename Key, typename KeyOf>
  std::optional<uint16_t> Find(const Key& key, const KeyOf& key_of) const {
    if (slots_.empty()) return std::nullopt;
    for (size_t i = SlotOf(key); slots_[i] != kEmpty; i = Next(i)) {
      if (key_of(slots_[i]) == key) return slots_[i];
    }
    return std::nullopt;
  }
  // Does nothing if an element with the same key is here.
  template <typename KeyOf>
  void Add(uint16_t number, const KeyOf& key_of) {
    if (Find(key_of(number), key_of)) return;
    if (2 * (size_ + 1) > slots_.size()) Grow(key_of);
    Put(number, key_of);
    ++size_;
  }
  // Does nothing if it is not here.
  template <typename KeyOf>
  void Remove(uint16_t number, const KeyOf& key_of) {
    if (slots_.empty()) return;
    size_t i = SlotOf(key_of(number));
    while (slots_[i] != number) {
      if (slots_[i] == kEmpty) return;
      i = Next(i);
    }
    slots_[i] = kEmpty;
    --size_;
    // Those behind it may have been kept from where they belong by it.
    for (i = Next(i); slots_[i] != kEmpty; i = Next(i)) {
      Put(std::exchange(slots_[i], kEmpty), key_of);
    }
  }
  void Clear() {
    slots_.clear();
    size_ = 0;
  }
  size_t size() const { return size_; }

 private:
  static constexpr uint16_t kEmpty = 0xffff;  // No number: limits are below.
  // Eight take no more room than the pointer and size of more.
  using Slots = absl::InlinedVector<uint16_t, 8>;

  template <typename Key>
  size_t SlotOf(const Key& key) const {
    return absl::Hash<Key>{}(key) & (slots_.size() - 1);
  }
  size_t Next(size_t slot) const { return (slot + 1) & (slots_.size() - 1); }
  template <typename KeyOf>
  void Put(uint16_t number, const KeyOf& key_of) {
    size_t i = SlotOf(key_of(number));
    while (slots_[i] != kEmpty) i = Next(i);
    slots_[i] = number;
  }
  template <typename KeyOf>
  void Grow(const KeyOf& key_of) {
    const Slots old = std::exchange(
        slots_, Slots(std::max<size_t>(8, 2 * slots_.size()), kEmpty));
    for (const uint16_t number : old) {
      if (number != kEmpty) Put(number, key_of);
    }
  }

  Slots slots_;  // A power of two of them.
  size_t size_ = 0;
};

// Append grows by a quarter, at least by one, and not by as much again.
template <typename T>
void Append(std::vector<T>& list, const T& value) {
  if (list.size() == list.capacity()) {
    list.reserve(list.size() + std::max<size_t>(1, list.size() / 4));
  }
  list.push_back(value);
}

// DeadlineHeap is a DeadlineQueue (base/deadline_queue.h) of small numbers: 16
// bytes for each deadline, and two for each number below the greatest. Equal
// deadlines come in the order of their numbers.
class DeadlineHeap {
 public:
  // InfiniteFuture() takes it away.
  void Set(uint16_t number, CompactTime deadline) {
    const bool wanted = !deadline.is_infinite_future();
    if (number >= places_.size()) {
      if (!wanted) return;
      places_.resize(number + size_t{1}, kNone);
    }
    size_t at = places_[number];
    if (at == kNone) {
      if (!wanted) return;
      at = entries_.size();
      entries_.push_back({deadline, number});
      places_[number] = static_cast<uint16_t>(at);
    } else if (wanted) {
      if (entries_[at].deadline.nanoseconds() == deadline.nanoseconds()) return;
      entries_[at].deadline = deadline;
    } else {
      places_[number] = kNone;
      const Entry last = entries_.back();
      entries_.pop_back();
      if (last.number == number) return;
      entries_[at] = last;
      places_[last.number] = static_cast<uint16_t>(at);
    }
    Sift(at);
  }
  absl::Time NextTimeout() const {
    return entries_.empty() ? absl::InfiniteFuture()
                            : absl::Time(entries_[0].deadline);
  }
  // The number of that deadline, if it has passed; nullopt else.
  std::optional<uint16_t> FirstDue(absl::Time now) const {
    if (NextTimeout() > now || entries_.empty()) return std::nullopt;
    return entries_[0].number;
  }

 private:
  static constexpr uint16_t kNone = 0xffff;
  struct Entry {
    CompactTime deadline;
    uint16_t number;
  };

  bool Earlier(size_t a, size_t b) const {
    return std::pair(entries_[a].deadline.nanoseconds(), entries_[a].number) <
           std::pair(entries_[b].deadline.nanoseconds(), entries_[b].number);
  }
  void Swap(size_t a, size_t b) {
    std::swap(entries_[a], entries_[b]);
    places_[entries_[a].number] = static_cast<uint16_t>(a);
    places_[entries_[b].number] = static_cast<uint16_t>(b);
  }
  // Moves what stands at `at` up, or down, to where it belongs.
  void Sift(size_t at) {
    while (at > 0 && Earlier(at, (at - 1) / 2)) {
      Swap(at, (at - 1) / 2);
      at = (at - 1) / 2;
    }
    while (2 * at + 1 < entries_.size()) {
      size_t child = 2 * at + 1;
      if (child + 1 < entries_.size() && Earlier(child + 1, child)) ++child;
      if (!Earlier(child, at)) return;
      Swap(child, at);
      at = child;
    }
  }

  // A binary heap, the earliest first.
  absl::InlinedVector<Entry, 1> entries_;
  // By number: where it stands there.
  absl::InlinedVector<uint16_t, 8> places_;
};

}  // namespace kyuu::ice::internal

#endif  // KYUU_ICE_INTERNAL_COMPACT_H_
