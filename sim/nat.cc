#include "sim/nat.h"

#include <algorithm>

namespace kyuu::sim {

namespace {

// As much of `remote` as `behavior` depends on.
TransportAddress Mask(Behavior behavior, const TransportAddress& remote) {
  switch (behavior) {
    case Behavior::kEndpointIndependent:
      return {};
    case Behavior::kAddressDependent:
      return {remote.ip, 0};
    case Behavior::kAddressAndPortDependent:
      return remote;
  }
  return remote;
}

NatOptions Make(Behavior mapping, Behavior filtering, IpAddress outside) {
  NatOptions options;
  options.mapping = mapping;
  options.filtering = filtering;
  options.outside = {outside};
  return options;
}

}  // namespace

NatOptions NatOptions::FullCone(IpAddress outside) {
  return Make(Behavior::kEndpointIndependent, Behavior::kEndpointIndependent,
              outside);
}
NatOptions NatOptions::AddressRestrictedCone(IpAddress outside) {
  return Make(Behavior::kEndpointIndependent, Behavior::kAddressDependent,
              outside);
}
NatOptions NatOptions::PortRestrictedCone(IpAddress outside) {
  return Make(Behavior::kEndpointIndependent,
              Behavior::kAddressAndPortDependent, outside);
}
NatOptions NatOptions::Symmetric(IpAddress outside) {
  return Make(Behavior::kAddressAndPortDependent,
              Behavior::kAddressAndPortDependent, outside);
}
NatOptions NatOptions::Firewall() {
  NatOptions options;
  options.filtering = Behavior::kAddressAndPortDependent;
  return options;
}

Nat::Nat(NatOptions options, Random& random)
    : options_(std::move(options)), random_(random) {}

bool Nat::Owns(const IpAddress& ip) const {
  return std::find(options_.outside.begin(), options_.outside.end(), ip) !=
         options_.outside.end();
}

bool Nat::Translates(IpFamily family) const {
  return std::any_of(
      options_.outside.begin(), options_.outside.end(),
      [family](const IpAddress& ip) { return ip.family() == family; });
}

void Nat::Restart() {
  outside_of_.clear();
  mappings_.clear();
}

bool Nat::Expired(absl::Time used, absl::Time now) const {
  return now - used >= options_.mapping_lifetime;
}

bool Nat::Blocked(const TransportAddress& destination,
                  Transport transport) const {
  if (options_.block_udp && !IsStream(transport)) return true;
  const std::vector<uint16_t>& ports = options_.allowed_ports;
  if (!ports.empty() &&
      std::find(ports.begin(), ports.end(), destination.port) == ports.end()) {
    return true;
  }
  if (options_.allowed.empty()) return false;
  return std::none_of(options_.allowed.begin(), options_.allowed.end(),
                      [&destination](const IpPrefix& prefix) {
                        return prefix.Contains(destination.ip);
                      });
}

void Nat::Purge(absl::Time now) {
  for (auto it = outside_of_.begin(); it != outside_of_.end();) {
    auto mapping = mappings_.find(it->second);
    if (Expired(mapping->second.used, now)) {
      mappings_.erase(mapping);
      it = outside_of_.erase(it);
    } else {
      ++it;
    }
  }
}

std::optional<TransportAddress> Nat::NewOutside(
    absl::Time now, const TransportAddress& inside) {
  const IpFamily family = inside.ip.family();
  if (!Translates(family)) return inside;
  // "Paired" pooling: one inside host always has the same outside address
  // (RFC 4787 section 4.1, REQ-2).
  std::vector<IpAddress> pool;
  for (const IpAddress& ip : options_.outside) {
    if (ip.family() == family) pool.push_back(ip);
  }
  uint32_t mix = 0;
  for (uint8_t byte : inside.ip.bytes()) mix = mix * 31 + byte;
  const IpAddress ip = pool[mix % pool.size()];

  const TransportAddress preserved = {ip, inside.port};
  if (options_.preserve_port && !mappings_.contains(preserved)) {
    return preserved;
  }
  const uint32_t ports = options_.last_port - options_.first_port + 1u;
  const uint32_t start = static_cast<uint32_t>(random_.Below(ports));
  for (int round = 0; round < 2; ++round) {
    for (uint32_t i = 0; i < ports; ++i) {
      const TransportAddress outside = {
          ip, static_cast<uint16_t>(options_.first_port + (start + i) % ports)};
      if (!mappings_.contains(outside)) return outside;
    }
    Purge(now);
  }
  ++stats_.ports_exhausted;
  return std::nullopt;
}

std::optional<TransportAddress> Nat::Outbound(
    absl::Time now, const TransportAddress& inside,
    const TransportAddress& destination, Transport transport) {
  if (Blocked(destination, transport)) {
    ++stats_.blocked;
    return std::nullopt;
  }
  // What is not translated has one mapping per inside endpoint: itself.
  const Behavior behavior = Translates(inside.ip.family())
                                ? options_.mapping
                                : Behavior::kEndpointIndependent;
  const Key key = {inside, Mask(behavior, destination)};
  auto known = outside_of_.find(key);
  if (known != outside_of_.end() &&
      Expired(mappings_.at(known->second).used, now)) {
    mappings_.erase(known->second);
    outside_of_.erase(known);
    known = outside_of_.end();
  }
  TransportAddress outside;
  if (known != outside_of_.end()) {
    outside = known->second;
  } else {
    const std::optional<TransportAddress> made = NewOutside(now, inside);
    if (!made.has_value()) return std::nullopt;
    outside = *made;
    outside_of_.emplace(key, outside);
    mappings_.emplace(outside, Mapping{inside, now, {}});
  }
  Mapping& mapping = mappings_.at(outside);
  mapping.used = now;
  mapping.holes[Mask(options_.filtering, destination)] = now;
  ++stats_.outbound;
  return outside;
}

std::optional<TransportAddress> Nat::Inbound(absl::Time now,
                                             const TransportAddress& source,
                                             const TransportAddress& outside,
                                             Transport transport) {
  if (options_.block_udp && !IsStream(transport)) {
    ++stats_.blocked;
    return std::nullopt;
  }
  if (options_.accept_streams && IsStream(transport) &&
      !Translates(outside.ip.family())) {
    ++stats_.inbound;
    return outside;
  }
  auto it = mappings_.find(outside);
  if (it == mappings_.end() || Expired(it->second.used, now)) {
    ++stats_.no_mapping;
    return std::nullopt;
  }
  Mapping& mapping = it->second;
  auto hole = mapping.holes.find(Mask(options_.filtering, source));
  if (hole == mapping.holes.end() || Expired(hole->second, now)) {
    ++stats_.filtered;
    return std::nullopt;
  }
  if (options_.inbound_refreshes) {
    mapping.used = now;
    hole->second = now;
  }
  ++stats_.inbound;
  return mapping.inside;
}

}  // namespace kyuu::sim
