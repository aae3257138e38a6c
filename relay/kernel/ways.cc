#include "relay/kernel/ways.h"

#include <algorithm>
#include <utility>

namespace kyuu::relay::kernel {

Ways::Ways(const Program& program, Routes routes, uint32_t max)
    : program_(program), routes_(std::move(routes)), max_(max) {}

void Ways::SetLinks(std::vector<Link> links) {
  links_ = std::move(links);
  Renew(0, ways_.size());
}

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
    if (is_new) {
      const auto& [ifindex, next] = hop->first;
      hop->second.mac = routes_.Neighbor(ifindex, next);
      // It is asked for at once, so that the first data finds it known.
      if (!hop->second.mac.has_value()) routes_.Use(ifindex, next);
    }
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
    if (hop.mac.has_value()) {
      written.ifindex = link->ifindex;
      written.mtu =
          way.route->mtu == 0 ? link->mtu : std::min(way.route->mtu, link->mtu);
      std::copy(hop.mac->begin(), hop.mac->end(), written.destination);
      std::copy(link->mac.begin(), link->mac.end(), written.source);
    }
  }
  program_.Put(index, written);
}

void Ways::OnNeighbor(uint32_t ifindex, const IpAddress& ip) {
  const auto hop = hops_.find(HopKey{ifindex, ip});
  if (hop == hops_.end()) return;
  const std::optional<Mac> mac = routes_.Neighbor(ifindex, ip);
  if (mac == hop->second.mac) return;
  hop->second.mac = mac;
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
    if (route == ways_[i].route) {
      Write(index);  // The interface may have changed.
      continue;
    }
    Leave(index);
    ways_[i].route = route;
    Join(index);
  }
  if (end == ways_.size()) return std::nullopt;
  return end;
}

void Ways::UseNeighbors() {
  for (const auto& [key, hop] : hops_) routes_.Use(key.first, key.second);
}

}  // namespace kyuu::relay::kernel
