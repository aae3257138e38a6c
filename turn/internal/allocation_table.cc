#include "turn/internal/allocation_table.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace kyuu::turn::internal {

RelayId AllocationTable::NewId() {
  const size_t slot = free_slots_.empty() ? slots_.size() : free_slots_.back();
  KYUU_CHECK(slot < Relay::kAdditional);
  return RelayId{uint64_t{++generation_} << 32 | slot};
}

Allocation& AllocationTable::Insert(std::unique_ptr<Allocation> made) {
  auto slot = static_cast<uint32_t>(slots_.size());
  if (free_slots_.empty()) {
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  Allocation& allocation = *made;
  slots_[slot] = std::move(made);
  by_client_.insert({&allocation.client, &allocation});
  by_user_[allocation.quota_user].push_back(&allocation);
  by_expiry_.emplace(allocation.expires, allocation.id);
  return allocation;
}

void AllocationTable::Erase(Allocation& allocation) {
  by_expiry_.erase({allocation.expires, allocation.id});
  by_client_.erase(allocation.client);
  Withdraw(allocation);
  const auto user = by_user_.find(allocation.quota_user);
  List& list = user->second;
  list.erase(std::find(list.begin(), list.end(), &allocation));
  if (list.empty()) by_user_.erase(user);
  const auto slot = static_cast<uint32_t>(static_cast<uint64_t>(allocation.id));
  free_slots_.push_back(slot);
  slots_[slot].reset();
}

void AllocationTable::Offer(Allocation& allocation, const Path& next) {
  Withdraw(allocation);
  allocation.mobility->next = next;
  by_client_.insert({&*allocation.mobility->next, &allocation});
}

void AllocationTable::Withdraw(Allocation& allocation) {
  Mobility* mobility = allocation.mobility.get();
  if (mobility == nullptr || !mobility->next.has_value()) return;
  by_client_.erase(*mobility->next);
  mobility->next.reset();
}

void AllocationTable::Arrive(Allocation& allocation) {
  by_client_.erase(allocation.client);
  const Path path = *allocation.mobility->next;
  Withdraw(allocation);
  allocation.client = path;
  by_client_.insert({&allocation.client, &allocation});
}

AllocationTable::List AllocationTable::OfUser(
    absl::string_view quota_user) const {
  const auto it = by_user_.find(quota_user);
  return it == by_user_.end() ? List() : it->second;
}

void AllocationTable::SetExpiry(Allocation& allocation, absl::Time expires) {
  by_expiry_.erase({allocation.expires, allocation.id});
  allocation.expires = expires;
  by_expiry_.emplace(expires, allocation.id);
}

Allocation* AllocationTable::FirstDue(absl::Time now) {
  return NextTimeout() <= now ? ById(by_expiry_.begin()->second) : nullptr;
}

}  // namespace kyuu::turn::internal
