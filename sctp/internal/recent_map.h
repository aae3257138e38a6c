// A table that remembers where it has looked last.

#ifndef KYUU_SCTP_INTERNAL_RECENT_MAP_H_
#define KYUU_SCTP_INTERNAL_RECENT_MAP_H_

#include <cstddef>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace kyuu::sctp::internal {

// RecentMap holds a T for each key that has one; a T stays where it is. One
// that was moved from is empty. Messages come and go in runs of one stream, so
// what was asked for last is found without a look into the table.
template <typename Key, typename T>
class RecentMap {
 public:
  RecentMap() = default;
  RecentMap(RecentMap&& other) noexcept { *this = std::move(other); }
  RecentMap& operator=(RecentMap&& other) noexcept {
    values_ = std::exchange(other.values_, {});
    last_ = std::exchange(other.last_, {});
    return *this;
  }

  size_t size() const { return values_.size(); }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

  // The value of `key`, or null. Changes what is remembered, so not for two
  // threads at a time.
  T* Find(Key key) const {
    if (last_.value != nullptr && last_.key == key) return last_.value;
    const auto it = values_.find(key);
    if (it == values_.end()) return nullptr;
    last_ = {key, it->second.get()};
    return last_.value;
  }
  // The value of `key`, made if there is none.
  T& Make(Key key) {
    if (T* value = Find(key)) return *value;
    std::unique_ptr<T>& value = values_[key];
    value = std::make_unique<T>();
    last_ = {key, value.get()};
    return *value;
  }
  // Removes the values that `predicate` is true for, and gives memory back
  // where few of many are left.
  template <typename Predicate>
  void EraseIf(Predicate predicate) {
    last_ = {};
    absl::erase_if(values_, [&predicate](const auto& entry) {
      return predicate(*entry.second);
    });
    if (values_.size() < values_.capacity() / 8) values_.rehash(0);
  }
  void Clear() {
    last_ = {};
    values_ = {};
  }

 private:
  struct Last {
    Key key{};
    T* value = nullptr;  // One of `values_`, or null.
  };

  absl::flat_hash_map<Key, std::unique_ptr<T>> values_;
  mutable Last last_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_RECENT_MAP_H_
