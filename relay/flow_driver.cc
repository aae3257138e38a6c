#include "relay/flow_driver.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

namespace kyuu::relay {

using turn::Direction;
using turn::Flow;
using turn::FlowCount;

namespace {

constexpr Direction kDirections[] = {Direction::kToPeers,
                                     Direction::kToClients};

constexpr size_t Index(Direction direction) {
  return static_cast<size_t>(direction);
}

}  // namespace

FlowDriver::FlowDriver(turn::Flows& flows, FlowPath& path)
    : flows_(flows), path_(path) {
  flows_.Enable();
}

FlowDriver::~FlowDriver() {
  for (const auto& [id, installed] : installed_) path_.Remove(installed.handle);
}

void FlowDriver::Serve(absl::Time now) {
  while (const std::optional<turn::FlowEvent> event = flows_.Poll(now)) {
    std::visit([&](const auto& e) { On(now, e); }, *event);
  }
}

void FlowDriver::On(absl::Time now, const turn::FlowInstalled& event) {
  const Flow& flow = event.flow;
  const auto found = installed_.find(flow.id);
  if (found == installed_.end()) return Install(now, flow);
  Installed& installed = found->second;
  metered_ += flow.metered ? 1 : 0;
  metered_ -= installed.flow.metered ? 1 : 0;
  const bool begins = flow.metered && !installed.flow.metered;
  installed.flow = flow;
  path_.Update(installed.handle, flow);
  if (begins) Settle(now, installed);
}

void FlowDriver::Install(absl::Time now, const Flow& flow) {
  const std::optional<FlowPath::Handle> handle = path_.Install(flow);
  if (!handle.has_value()) {
    ++stats_.refused;
    if (refused_.empty()) next_retry_ = now + kRetryInterval;
    refused_.insert_or_assign(flow.id, flow);
    next_tick_ = std::min(next_tick_, next_retry_);
    return;
  }
  ++stats_.installed;
  refused_.erase(flow.id);
  Installed& installed =
      installed_.try_emplace(flow.id, Installed{*handle, flow, {}})
          .first->second;
  if (flow.metered) {
    ++metered_;
    Settle(now, installed);
  }
  next_tick_ =
      std::min(next_tick_, now + (flow.metered ? kMeteredInterval : kInterval));
}

void FlowDriver::On(absl::Time now, const turn::FlowRemoved& event) {
  refused_.erase(event.id);
  const auto found = installed_.find(event.id);
  if (found == installed_.end()) return;
  Installed& installed = found->second;
  if (installed.flow.metered) {
    --metered_;
    for (const Direction direction : kDirections) {
      const int64_t left = path_.Funds(installed.handle, direction);
      flows_.Fund(now, installed.flow.allocation, direction,
                  -static_cast<double>(left));
    }
  }
  Tell(installed, path_.Remove(installed.handle));
  ++stats_.removed;
  installed_.erase(found);
}

std::array<double, 2> FlowDriver::Tell(Installed& installed,
                                       const FlowPath::Counts& counts) {
  std::array<double, 2> used{};
  for (const Direction direction : kDirections) {
    const FlowCount& now = counts[Index(direction)];
    FlowCount& told = installed.told[Index(direction)];
    const FlowCount more{now.datagrams - told.datagrams,
                         now.bytes - told.bytes};
    if (more == FlowCount{}) continue;
    told = now;
    used[Index(direction)] = static_cast<double>(more.bytes);
    stats_.datagrams += more.datagrams;
    stats_.bytes += more.bytes;
    const turn::RelayId allocation = installed.flow.allocation;
    if (flows_.Count(allocation, direction, more)) continue;
    FlowCount& late = late_[allocation][Index(direction)];
    late.datagrams += more.datagrams;
    late.bytes += more.bytes;
  }
  return used;
}

void FlowDriver::Complete(turn::server_events::AllocationEnded& ended) {
  const auto late = late_.find(ended.relay);
  if (late == late_.end()) return;
  const FlowPath::Counts& counts = late->second;
  turn::server_events::Traffic& traffic = ended.traffic;
  traffic.to_peers += counts[Index(Direction::kToPeers)].datagrams;
  traffic.bytes_to_peers += counts[Index(Direction::kToPeers)].bytes;
  traffic.to_clients += counts[Index(Direction::kToClients)].datagrams;
  traffic.bytes_to_clients += counts[Index(Direction::kToClients)].bytes;
  late_.erase(late);
}

// Funds are for twice of what was used in the last interval, so that a flow may
// grow; what an idle one has beyond the least goes back to the others.
void FlowDriver::Meter(absl::Time now, const Installed& installed,
                       Direction direction, double used) {
  const auto left =
      static_cast<double>(path_.Funds(installed.handle, direction));
  const double wanted = std::max(2 * used, kFundsMin) - left;
  const double given =
      flows_.Fund(now, installed.flow.allocation, direction, wanted);
  path_.Fund(installed.handle, direction, static_cast<int64_t>(given));
}

void FlowDriver::Settle(absl::Time now, Installed& installed) {
  const std::array<double, 2> used =
      Tell(installed, path_.Read(installed.handle));
  if (!installed.flow.metered) return;
  for (const Direction direction : kDirections) {
    Meter(now, installed, direction, used[Index(direction)]);
  }
}

void FlowDriver::Tick(absl::Time now) {
  for (auto& [id, installed] : installed_) Settle(now, installed);
  if (!refused_.empty() && next_retry_ <= now) {
    next_retry_ = now + kRetryInterval;
    for (const auto& [id, flow] : std::exchange(refused_, {})) {
      Install(now, flow);
    }
  }
  next_tick_ = absl::InfiniteFuture();
  if (!installed_.empty()) {
    next_tick_ = now + (metered_ > 0 ? kMeteredInterval : kInterval);
  }
  if (!refused_.empty()) next_tick_ = std::min(next_tick_, next_retry_);
}

}  // namespace kyuu::relay
