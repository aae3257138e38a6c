#include "relay/kernel/ways.h"

#include <algorithm>
#include <utility>

namespace kyuu::relay::kernel {

Ways::Ways(const Program& program, Routes routes, uint32_t max)
    : program_(program), routes_(std::move(routes)), max_(max) {}

void Ways::SetLinks(std::vector<Link> links) { links_ = std::move(links); }

const Link* Ways::LinkOf(uint32_t ifindex) const {
  const auto it =
      std::find_if(links_.begin(), links_.end(),
                   [ifindex](const Link& l) { return l.ifindex == ifindex; });
  return it == links_.end() ? nullptr : &*it;
}

std::optional<Route> Ways::RouteOf(const Ends& ends) {
  std::optional<Route> route = routes_.Find(ends.first, ends.second);
  if (route.has_value() && LinkOf(route->ifindex) == nullptr) route.reset();
  return route;
}

std::optional<uint32_t> Ways::Take(const IpAddress& from, const IpAddress& to) {
  const Ends ends{from, to};
  if (const auto it = by_ends_.find(ends); it != by_ends_.end()) {
    ++ways_[it->second].users;
    return it->second;
  }
  if (free_.empty() && ways_.size() >= max_) return std::nullopt;
  const std::optional<Route> route = RouteOf(ends);
  if (!route.has_value()) return std::nullopt;
  uint32_t index = static_cast<uint32_t>(ways_.size());
  if (free_.empty()) {
    ways_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  ways_[index] = Way{ends, 1, route};
  by_ends_.emplace(ends, index);
  Join(index);
  return index;
}

void Ways::Give(uint32_t index) {
  Way& way = ways_[index];
  if (--way.users > 0) return;
  Leave(index);
  by_ends_.erase(way.ends);
  free_.push_back(index);
}

// Takes the way into its hop, and tells the program.
void Ways::Join(uint32_t index) {
  const Way& way = ways_[index];
  if (way.route.has_value()) {
    const auto [hop, is_new] =
        hops_.try_emplace(HopKey{way.route->ifindex, way.route->next});
    hop->second.ways.insert(index);
    // At once, so that the first data finds it known.
    if (is_new) Ask(hop->first, hop->second);
  }
  Write(index);
}

void Ways::Leave(uint32_t index) {
  Way& way = ways_[index];
  if (way.route.has_value()) {
    const auto hop = hops_.find(HopKey{way.route->ifindex, way.route->next});
    hop->second.ways.erase(index);
    if (hop->second.ways.empty()) hops_.erase(hop);
    way.route.reset();
  }
  Write(index);
}

void Ways::Write(uint32_t index) {
  const Way& way = ways_[index];
  kyuu_way written{};
  const Link* link =
      way.route.has_value() ? LinkOf(way.route->ifindex) : nullptr;
  if (link != nullptr) {
    const Hop& hop = hops_[HopKey{way.route->ifindex, way.route->next}];
    if (hop.neighbor.has_value()) {
      written.ifindex = link->ifindex;
      written.mtu =
          way.route->mtu == 0 ? link->mtu : std::min(way.route->mtu, link->mtu);
      const Mac& mac = hop.neighbor->mac;
      std::copy(mac.begin(), mac.end(), written.destination);
      std::copy(link->mac.begin(), link->mac.end(), written.source);
    }
  }
  program_.Put(index, written);
}

void Ways::Ask(const HopKey& key, Hop& hop) {
  const auto& [ifindex, next] = key;
  hop.neighbor = routes_.FindNeighbor(ifindex, next);
  const bool fixed = hop.neighbor.has_value() && hop.neighbor->fixed;
  if (!fixed) routes_.Use(ifindex, next);
}

void Ways::OnNeighbor(uint32_t ifindex, const IpAddress& ip) {
  const auto hop = hops_.find(HopKey{ifindex, ip});
  if (hop == hops_.end()) return;
  const std::optional<Neighbor> now = routes_.FindNeighbor(ifindex, ip);
  if (now == hop->second.neighbor) return;
  hop->second.neighbor = now;
  for (const uint32_t index : hop->second.ways) Write(index);
}

std::optional<size_t> Ways::Renew(size_t begin, size_t count) {
  const size_t end = begin < ways_.size()
                         ? begin + std::min(count, ways_.size() - begin)
                         : ways_.size();
  for (size_t i = begin; i < end; ++i) {
    const auto index = static_cast<uint32_t>(i);
    if (ways_[i].users == 0) continue;
    const std::optional<Route> route = RouteOf(ways_[i].ends);
    if (route != ways_[i].route) {
      Leave(index);
      ways_[i].route = route;
      Join(index);
      continue;
    }
    if (route.has_value()) {
      // Once for all ways by the same neighbor.
      const auto hop = hops_.find(HopKey{route->ifindex, route->next});
      if (*hop->second.ways.begin() == index) Ask(hop->first, hop->second);
    }
    Write(index);  // The interface may have changed.
  }
  if (end == ways_.size()) return std::nullopt;
  return end;
}

}  // namespace kyuu::relay::kernel
