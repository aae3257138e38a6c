// Flows: what a TURN server tells whoever relays its channels without it.

#ifndef KYUU_TURN_FLOWS_H_
#define KYUU_TURN_FLOWS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "turn/bandwidth.h"
#include "turn/flow.h"
#include "turn/forward.h"
#include "turn/internal/allocation.h"
#include "turn/internal/allocation_table.h"
#include "turn/internal/peer_policy.h"
#include "turn/internal/throttle.h"
#include "turn/ledger.h"
#include "turn/server_stats.h"

namespace kyuu::turn {

// Flows is the side of a Server for a driver that has a faster way for data,
// such as a program in the kernel. The server stays the authority: it says
// which channels may be relayed without it and until when, and is told what
// was, so that quotas, bandwidth, statistics and accounting hold.
//
//   server.flows().Enable();
//   // After each call of the server, before the answers are sent:
//   while (auto event = server.flows().Poll(now)) ...
//   // Each second at least, and behind FlowRemoved:
//   server.flows().Count(flow.allocation, direction, count);
class Flows {
 public:
  // Whose flows these are; all must outlive it.
  struct Owner {
    const internal::PeerPolicy& policy;
    internal::AllocationTable& allocations;
    internal::Throttle& throttle;
    Ledger& ledger;
    ServerStats& stats;
  };

  explicit Flows(const Owner& owner) : owner_(owner) {}

  // From now on flows are told, those that there are first. Until then they
  // cost nothing.
  void Enable();
  bool enabled() const { return enabled_; }

  // What has changed since. At most one event is told for each channel and
  // change, however many requests were made.
  std::optional<FlowEvent> Poll(absl::Time now);

  // Counts what was relayed by a flow of that allocation, as if the server had.
  // False if the allocation has ended: its AllocationEnded was without this.
  bool Count(RelayId allocation, Direction direction, FlowCount count);

  // Takes up to `wanted` bytes of payload out of the budgets of an allocation,
  // for its metered flows; returns how many there were. What is not used within
  // a second is to be given back, with a negative `wanted`.
  double Fund(absl::Time now, RelayId allocation, Direction direction,
              double wanted);

  // --- For the server ---

  // Something of the allocation has changed that its flows depend on.
  void Touch(const internal::Allocation& allocation);
  void TouchAll();
  // It has ended, or is about to.
  void Drop(const internal::Allocation& allocation);

 private:
  using Told = std::vector<Flow>;  // Of an allocation.

  void Compare(absl::Time now, RelayId allocation);
  // What the channel amounts to, or nullopt if it is the server's alone.
  std::optional<Flow> Wanted(absl::Time now,
                             const internal::Allocation& allocation,
                             const internal::PeerTable::Channel& channel) const;

  Owner owner_;
  bool enabled_ = false;
  uint64_t last_id_ = 0;
  // Allocations to be looked at; perhaps the same one twice in a row.
  std::deque<RelayId> touched_;
  std::deque<FlowEvent> events_;
  absl::flat_hash_map<RelayId, Told> told_;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_FLOWS_H_
