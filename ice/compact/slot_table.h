// SlotTable: numbers of records, found by the hash of a key that they have.

#ifndef KYUU_ICE_COMPACT_SLOT_TABLE_H_
#define KYUU_ICE_COMPACT_SLOT_TABLE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace kyuu::ice::internal {

// SlotTable has eight bytes for a number, and is between three and six eighths
// full once it has grown, where a map would keep the keys, too. Whoever asks
// says whether a number of that hash is the one. Linear probing.
class SlotTable {
 public:
  // `is_it(number)` is asked of numbers whose hash is the same.
  template <typename Predicate>
  std::optional<uint32_t> Find(uint32_t hash, const Predicate& is_it) const {
    if (entries_.empty()) return std::nullopt;
    for (size_t i = PlaceOf(hash); !entries_[i].empty(); i = Next(i)) {
      if (entries_[i].hash == hash && is_it(entries_[i].number())) {
        return entries_[i].number();
      }
    }
    return std::nullopt;
  }
  // It is not here under that hash, or is so for another key.
  void Add(uint32_t hash, uint32_t number) {
    if (4 * (size_ + 1) > 3 * entries_.size()) Grow();
    Put({hash, number + 1});
    ++size_;
  }
  // Once, if it is here so often.
  void Remove(uint32_t hash, uint32_t number) {
    if (entries_.empty()) return;
    size_t i = PlaceOf(hash);
    while (entries_[i].hash != hash || entries_[i].number() != number) {
      if (entries_[i].empty()) return;
      i = Next(i);
    }
    entries_[i] = {};
    --size_;
    // Those behind it may have been kept from where they belong by it.
    for (i = Next(i); !entries_[i].empty(); i = Next(i)) {
      Put(std::exchange(entries_[i], {}));
    }
  }
  size_t size() const { return size_; }

 private:
  struct Entry {
    uint32_t hash = 0;
    uint32_t number_plus_one = 0;  // 0: there is none.

    bool empty() const { return number_plus_one == 0; }
    uint32_t number() const { return number_plus_one - 1; }
  };

  size_t PlaceOf(uint32_t hash) const { return hash & (entries_.size() - 1); }
  size_t Next(size_t place) const {
    return (place + 1) & (entries_.size() - 1);
  }
  void Put(Entry entry) {
    size_t i = PlaceOf(entry.hash);
    while (!entries_[i].empty()) i = Next(i);
    entries_[i] = entry;
  }
  void Grow() {
    const std::vector<Entry> old = std::exchange(
        entries_, std::vector<Entry>(std::max<size_t>(8, 2 * entries_.size())));
    for (const Entry& entry : old) {
      if (!entry.empty()) Put(entry);
    }
  }

  std::vector<Entry> entries_;  // A power of two of them.
  size_t size_ = 0;
};

}  // namespace kyuu::ice::internal

#endif  // KYUU_ICE_COMPACT_SLOT_TABLE_H_
