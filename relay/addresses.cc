#include "relay/addresses.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"

namespace kyuu::relay {
namespace {

using RelayAddress = turn::ServerOptions::RelayAddress;

// As many as turn::ServerOptions takes.
constexpr size_t kMaxRelayAddresses = 256;

// Where other machines reach us first.
int Preference(const net::Interface& interface) {
  if (interface.kind == net::InterfaceKind::kLoopback ||
      interface.address.IsLoopback()) {
    return 2;
  }
  return interface.address.IsPrivate() ? 1 : 0;
}

std::vector<IpAddress> Usable(const std::vector<net::Interface>& interfaces,
                              IpFamily family) {
  std::vector<IpAddress> usable;
  for (int preference = 0; preference < 3; ++preference) {
    for (const net::Interface& i : interfaces) {
      if (i.address.family() == family && !i.address.IsLinkLocal() &&
          Preference(i) == preference) {
        usable.push_back(i.address);
      }
    }
  }
  return usable;
}

// The address behind one that a NAT makes of it.
std::optional<IpAddress> BindFor(
    const IpAddress& advertised, const std::vector<TransportAddress>& listeners,
    const std::vector<net::Interface>& interfaces) {
  for (const TransportAddress& listener : listeners) {
    if (listener.ip.family() == advertised.family() && !listener.ip.IsAny()) {
      if (!net::IsHere(interfaces, listener.ip)) return std::nullopt;
      return listener.ip;
    }
  }
  const std::vector<IpAddress> usable = Usable(interfaces, advertised.family());
  if (usable.empty() || usable[0].IsLoopback()) return std::nullopt;
  return usable[0];
}

// Whether the operator has opened `ip`: one of ours by its own name only, or
// loopback by a block of loopback; another by any block.
bool IsOpened(const turn::ServerOptions& server, const IpAddress& ip,
              const std::vector<IpAddress>& own) {
  const bool ours =
      ip.IsLoopback() || std::find(own.begin(), own.end(), ip) != own.end();
  return std::any_of(
      server.allow_peers.begin(), server.allow_peers.end(),
      [&ip, ours](const IpPrefix& block) {
        return block.Contains(ip) &&
               (!ours || block.base == ip || block.base.IsLoopback());
      });
}

absl::Status Wrong(const TransportAddress& address) {
  return absl::FailedPreconditionError(absl::StrCat(
      "the peer policy would let clients reach ", address.ToString()));
}

}  // namespace

Addresses AddressesOf(const Options& options,
                      const std::vector<TransportAddress>& listeners,
                      const std::vector<net::Interface>& interfaces) {
  Addresses addresses;
  for (const net::Interface& i : interfaces) addresses.own.push_back(i.address);
  const auto add = [&addresses](const RelayAddress& address) {
    const bool known = std::any_of(
        addresses.relay.begin(), addresses.relay.end(),
        [&address](const RelayAddress& a) {
          return a.bind == address.bind || a.told() == address.told();
        });
    if (!known && addresses.relay.size() < kMaxRelayAddresses) {
      addresses.relay.push_back(address);
    }
  };
  const auto named = [&options](IpFamily family) {
    return std::any_of(options.relay_addresses.begin(),
                       options.relay_addresses.end(),
                       [family](const RelayAddress& a) {
                         return a.told().family() == family;
                       });
  };
  for (RelayAddress address : options.relay_addresses) {
    if (address.bind == IpAddress() &&
        net::IsHere(interfaces, address.advertised)) {
      address = {address.advertised, {}};
    } else if (address.bind == IpAddress()) {
      const auto bind = BindFor(address.advertised, listeners, interfaces);
      if (!bind.has_value()) continue;
      address.bind = *bind;
    }
    if (!net::IsHere(interfaces, address.bind)) continue;
    address.whom = RelayAddress::For::kEverybody;  // The operator's word.
    add(address);
  }
  for (const TransportAddress& listener : listeners) {
    if (named(listener.ip.family())) continue;
    if (!listener.ip.IsAny()) {
      if (net::IsHere(interfaces, listener.ip)) add({listener.ip, {}});
      continue;
    }
    for (const IpAddress& ip : Usable(interfaces, listener.ip.family())) {
      add({ip, {}});
    }
  }
  return addresses;
}

absl::Status CheckPolicy(
    const Options& options, const std::vector<TransportAddress>& listeners,
    const Addresses& addresses,
    absl::FunctionRef<bool(const TransportAddress& peer)> allows) {
  // As they come over the wire: a scope is our own word.
  std::vector<IpAddress> ours;
  const auto add = [&ours](const IpAddress& ip) {
    ours.push_back(IpAddress::FromBytes(ip.bytes()));
  };
  for (const IpAddress& ip : addresses.own) add(ip);
  for (const RelayAddress& relay : addresses.relay) {
    add(relay.bind);
    add(relay.told());
  }
  for (const char* text : {"127.0.0.1", "127.0.0.53", "::1"}) {
    add(IpAddress::Parse(text).value());
  }
  std::vector<IpAddress> others;
  for (const char* text :
       {"169.254.169.254", "fd00:ec2::254", "0.0.0.0", "::"}) {
    others.push_back(IpAddress::Parse(text).value());
  }
  std::vector<TransportAddress> services = options.server.listeners;
  services.insert(services.end(), listeners.begin(), listeners.end());
  std::vector<uint16_t> ports = {22,
                                 53,
                                 80,
                                 443,
                                 options.server.relay_port_low,
                                 options.server.relay_port_high};
  for (const TransportAddress& service : services) {
    ports.push_back(service.port);
    for (const IpAddress& ip : ours) {
      if (!service.ip.IsAny() && service.ip != ip) continue;
      if (allows({ip, service.port})) return Wrong({ip, service.port});
    }
  }
  for (const auto& list : {ours, others}) {
    for (const IpAddress& ip : list) {
      if (IsOpened(options.server, ip, ours)) continue;
      for (const uint16_t port : ports) {
        if (allows({ip, port})) return Wrong({ip, port});
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace kyuu::relay
