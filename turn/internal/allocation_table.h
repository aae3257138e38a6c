// The allocations of a TURN server, and the ways to find one.

#ifndef KYUU_TURN_INTERNAL_ALLOCATION_TABLE_H_
#define KYUU_TURN_INTERNAL_ALLOCATION_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/deadline_queue.h"
#include "turn/forward.h"
#include "turn/internal/allocation.h"

namespace kyuu::turn::internal {

// AllocationTable owns allocations, and finds them by id, 5-tuple, relay
// address, user, and the end of their lifetimes. Pointers are good until
// Erase().
class AllocationTable {
 public:
  // The id of the next one to Insert().
  RelayId NewId();
  // Takes one in, with its client, user, relays and expiry as they are.
  Allocation& Insert(std::unique_ptr<Allocation> made);
  void Erase(Allocation& allocation);

  size_t size() const { return slots_.size() - free_slots_.size(); }
  // The one of a 5-tuple, or null.
  Allocation* ByClient(const Path& client) const {
    const auto it = by_client_.find(client);
    return it == by_client_.end() ? nullptr : it->second;
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
  std::optional<RelayId> ByBind(const TransportAddress& bind) const;
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

  // One has another 5-tuple too, or no more.
  void Learn(const Path& client, Allocation& allocation) {
    by_client_.emplace(client, &allocation);
  }
  void Forget(const Path& client) { by_client_.erase(client); }
  // A relay has another socket: `old` is where it was bound.
  void Rebind(const TransportAddress& old, const Relay& relay);
  void Unbind(const Relay& relay) { by_bind_.erase(relay.bind); }
  void SetExpiry(Allocation& allocation, absl::Time expires);
  // One that has expired, or null.
  Allocation* PopDue(absl::Time now);
  absl::Time NextTimeout() const { return lifetimes_.NextTimeout(); }

 private:
  std::vector<std::unique_ptr<Allocation>> slots_;
  std::vector<uint32_t> free_slots_;
  uint32_t generation_ = 0;
  absl::flat_hash_map<Path, Allocation*> by_client_;
  absl::flat_hash_map<TransportAddress, RelayId> by_bind_;
  absl::flat_hash_map<std::string, List> by_user_;
  DeadlineQueue<RelayId> lifetimes_;  // RFC 8656 section 3.2.
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_ALLOCATION_TABLE_H_
