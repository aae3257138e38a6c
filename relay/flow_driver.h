// FlowDriver: carries what a TURN server says of its flows to a FlowPath, and
// what that has relayed back.

#ifndef KYUU_RELAY_FLOW_DRIVER_H_
#define KYUU_RELAY_FLOW_DRIVER_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/counters.h"
#include "relay/flow_path.h"
#include "turn/flows.h"
#include "turn/server_events.h"

namespace kyuu::relay {

struct FlowStats {
  uint64_t installed = 0;  // In a FlowPath.
  uint64_t removed = 0;
  uint64_t refused = 0;    // By it; the same flow is offered again.
  uint64_t datagrams = 0;  // Relayed by it.
  uint64_t bytes = 0;      // Of their payload.

  static constexpr Counter<FlowStats> kCounters[] = {
      KYUU_COUNTER(FlowStats, installed), KYUU_COUNTER(FlowStats, removed),
      KYUU_COUNTER(FlowStats, refused), KYUU_COUNTER(FlowStats, datagrams),
      KYUU_COUNTER(FlowStats, bytes)};
};
static_assert(Countable<FlowStats>);

// FlowDriver is for one server. Without I/O of its own: the owner calls Serve()
// after each call of the server and before what comes of it is sent, and Tick()
// at NextTick().
class FlowDriver {
 public:
  // How often the server is told what was relayed; and how often flows with
  // limits of bandwidth are given bytes.
  static constexpr absl::Duration kInterval = absl::Seconds(1);
  static constexpr absl::Duration kMeteredInterval = absl::Milliseconds(100);
  // What a metered flow always has, so that its first datagrams show that it
  // wants more.
  static constexpr double kFundsMin = 2048;
  // A flow that the path had no room or no way for is offered again after so
  // long.
  static constexpr absl::Duration kRetryInterval = absl::Seconds(10);

  // Enables `flows`. Both must outlive it.
  FlowDriver(turn::Flows& flows, FlowPath& path);
  // Takes all flows off the path. The server is told nothing more.
  ~FlowDriver();
  FlowDriver(const FlowDriver&) = delete;
  FlowDriver& operator=(const FlowDriver&) = delete;

  void Serve(absl::Time now);
  void Tick(absl::Time now);
  absl::Time NextTick() const { return next_tick_; }

  // What the flows of an allocation have relayed that its AllocationEnded was
  // too early for: adds it. To be called once, before that is passed on.
  void Complete(turn::server_events::AllocationEnded& ended);

  // Flows that are on the path, as of now.
  size_t size() const { return installed_.size(); }
  const FlowStats& stats() const { return stats_; }

 private:
  struct Installed {
    FlowPath::Handle handle;
    turn::Flow flow;
    FlowPath::Counts told;  // To the server.
  };

  void On(absl::Time now, const turn::FlowInstalled& event);
  void On(absl::Time now, const turn::FlowRemoved& event);
  void Install(absl::Time now, const turn::Flow& flow);
  // Tells the server what is new; returns it, by direction, in bytes.
  std::array<double, 2> Tell(Installed& installed,
                             const FlowPath::Counts& counts);
  void Meter(absl::Time now, const Installed& installed,
             turn::Direction direction, double used);
  void Settle(absl::Time now, Installed& installed);

  turn::Flows& flows_;
  FlowPath& path_;
  absl::flat_hash_map<turn::FlowId, Installed> installed_;
  absl::flat_hash_map<turn::FlowId, turn::Flow> refused_;
  absl::flat_hash_map<turn::RelayId, FlowPath::Counts> late_;
  size_t metered_ = 0;  // Of installed_.
  absl::Time next_tick_ = absl::InfiniteFuture();
  absl::Time next_retry_ = absl::InfinitePast();
  FlowStats stats_;
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_FLOW_DRIVER_H_
