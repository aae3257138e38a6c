// The allocations of a TURN server, and the ways to find one.

#ifndef KYUU_TURN_INTERNAL_ALLOCATION_TABLE_H_
#define KYUU_TURN_INTERNAL_ALLOCATION_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "turn/forward.h"
#include "turn/internal/allocation.h"

namespace kyuu::turn::internal {

// AllocationTable owns allocations, and finds them by id, 5-tuple, user, and
// the end of their lifetimes; by relay address the ledger does. Pointers are
// good until Erase().
class AllocationTable {
 public:
  // The id of the next one to Insert().
  RelayId NewId();
  // Takes one in, with its client, user and expiry as they are.
  Allocation& Insert(std::unique_ptr<Allocation> made);
  void Erase(Allocation& allocation);

  size_t size() const { return slots_.size() - free_slots_.size(); }
  // The one of a 5-tuple, or null.
  Allocation* ByClient(const Path& client) const {
    const auto it = by_client_.find(client);
    return it == by_client_.end() ? nullptr : it->allocation;
  }
  // The one that has the relay, perhaps as its additional one, or null.
  Allocation* ById(RelayId relay) const {
    const auto id = static_cast<uint64_t>(relay) & ~Relay::kAdditional;
    const size_t slot = id & 0xffffffff;
    if (slot >= slots_.size() || slots_[slot] == nullptr ||
        slots_[slot]->id != RelayId{id}) {
      return nullptr;
    }
    return slots_[slot].get();
  }
  using List = absl::InlinedVector<Allocation*, 1>;
  List OfUser(absl::string_view quota_user) const;
  // Calls `f` with each; it may erase that one.
  template <typename F>
  void ForEach(F f) {
    for (auto& slot : slots_) {
      if (slot != nullptr) f(*slot);
    }
  }

  // For walks in pieces: the one of a place of [0, places()), or null. New ones
  // may come anywhere, and none changes its place.
  size_t places() const { return slots_.size(); }
  Allocation* AtPlace(size_t place) const { return slots_[place].get(); }

  // One may have another 5-tuple too (Mobility::next); replaces an earlier one.
  void Offer(Allocation& allocation, const Path& next);
  void Withdraw(Allocation& allocation);
  // Its 5-tuple is that one from now on.
  void Arrive(Allocation& allocation);
  void SetExpiry(Allocation& allocation, absl::Time expires);
  // The first that has expired, or null; it stays so until it is erased or set.
  Allocation* FirstDue(absl::Time now);
  absl::Time NextTimeout() const {
    return by_expiry_.empty() ? absl::InfiniteFuture()
                              : by_expiry_.begin()->first;
  }

 private:
  // A 5-tuple of an allocation, which keeps it: data paths look for it among
  // very many.
  struct ByPath {
    const Path* path;
    Allocation* allocation;
  };
  struct HashPath {
    using is_transparent = void;
    size_t operator()(const Path& path) const { return absl::HashOf(path); }
    size_t operator()(const ByPath& entry) const {
      return absl::HashOf(*entry.path);
    }
  };
  struct EqualPath {
    using is_transparent = void;
    bool operator()(const ByPath& a, const Path& b) const {
      return *a.path == b;
    }
    bool operator()(const ByPath& a, const ByPath& b) const {
      return *a.path == *b.path;
    }
  };

  std::vector<std::unique_ptr<Allocation>> slots_;
  std::vector<uint32_t> free_slots_;
  uint32_t generation_ = 0;
  absl::flat_hash_set<ByPath, HashPath, EqualPath> by_client_;
  absl::flat_hash_map<std::string, List> by_user_;
  // By Allocation::expires (RFC 8656 section 3.2).
  absl::btree_set<std::pair<absl::Time, RelayId>> by_expiry_;
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_ALLOCATION_TABLE_H_
